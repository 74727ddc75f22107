//! Sockets behind a translation, and the process that a path's front is.

use hopscope_attribution::evidence::{
    Arrived, ConnectFailure, Moment, NodeEvidence, Path, PathKind, Upstream,
};

use super::super::arrivals::{Said, arrivals};
use super::super::tests::{connection, socket};
use super::super::{Clock, Recorded, join};
use super::*;
use crate::evidence::{Line, RefusalSeen, Seen};
use hopscope_attribution::evidence::FourTuple;

fn lb() -> [Path; 1] {
    [Path {
        name: "lb".to_owned(),
        kind: PathKind::Lb,
        target: "http://10.0.0.2:3000".to_owned(),
    }]
}

fn clock() -> Clock {
    Clock {
        began_unix_us: 1_000,
        error: Span::ZERO,
    }
}

/// A line of a socket of this owner and process.
fn line(owner: &str, end: &str, process: &str, ends: (&str, &str)) -> Line {
    let Seen::Socket(mut seen) = socket(3_000, ends.0, ends.1) else {
        unreachable!("a socket's line")
    };
    owner.clone_into(&mut seen.owner);
    end.clone_into(&mut seen.end);
    process.clone_into(&mut seen.process);
    Line {
        seq: 0,
        seen: Seen::Socket(seen),
    }
}

#[test]
fn an_applications_socket_is_joined_by_the_address_that_hopscope_dialled_from() {
    let one = [connection(3, 500, 5_000)];
    let twice = [connection(3, 500, 5_000), connection(4, 500, 5_000)];
    let behind = [line(
        "backend",
        "reset-sent",
        "app",
        ("10.244.0.9:8080", "10.0.0.1:41000"),
    )];
    let joined = |connections: &[Connection], paths: &[Path]| {
        let connections = connections.to_vec().into();
        let recorded = Recorded {
            connections: &connections,
            paths,
        };
        let (evidence, _) = join(&behind, None, recorded, clock());
        evidence.sockets[0].connection.seen().copied()
    };
    assert_eq!(joined(&one, &lb()), Some(ConnectionId(3)));
    assert_eq!(joined(&twice, &lb()), None, "it may be either");
    assert_eq!(joined(&one, &[]), None, "nothing stands for anything there");
}

#[test]
fn what_listens_at_the_address_of_a_balancers_path_is_the_balancer_by_any_name() {
    let connections = vec![connection(3, 500, 5_000)].into();
    let paths = lb();
    let recorded = Recorded {
        connections: &connections,
        paths: &paths,
    };
    let lines = [
        line(
            "unknown",
            "closed-by-peer",
            "nginx",
            ("10.0.0.2:3000", "10.0.0.1:41000"),
        ),
        line(
            "unknown",
            "connect-refused",
            "nginx",
            ("10.0.0.2:50000", "10.0.0.3:80"),
        ),
        line(
            "unknown",
            "connect-refused",
            "curl",
            ("10.0.0.2:50001", "10.0.0.3:80"),
        ),
    ];
    let (evidence, _) = join(&lines, None, recorded, clock());
    let owners: Vec<_> = evidence
        .sockets
        .iter()
        .map(|socket| socket.owner.seen().copied())
        .collect();
    assert_eq!(owners, [Some(Hop::Lb), Some(Hop::Lb), None]);
}

#[test]
fn a_dial_that_an_application_refused_behind_a_translation_is_known_without_an_api() {
    let refused_at = |local: &str| Line {
        seq: 1,
        seen: Seen::Refusal(Box::new(RefusalSeen {
            unix_us: 3_000,
            arrived: Arrived::ResetWithoutSocket.word().to_owned(),
            ..RefusalSeen::at(FourTuple {
                local: local.parse().unwrap(),
                remote: "10.0.0.1:41000".parse().unwrap(),
            })
        })),
    };
    let mut attempt = connection(3, 1_500, 5_000);
    attempt.upstream_tuple = None;
    attempt.upstream = Upstream::Failed {
        after: Span::from_micros(500),
        failure: ConnectFailure::Refused,
    };
    let attempts = [attempt];
    let paths = lb();
    let found = |peer: &str, local: &str| {
        let mut dial = line(
            "observer",
            "connect-refused",
            "hopscope",
            ("10.0.0.1:41000", "10.0.0.2:3000"),
        );
        if let Seen::Socket(seen) = &mut dial.seen {
            peer.clone_into(&mut seen.peer);
        }
        let lines = [dial, refused_at(local)];
        let said = Said {
            lines: &lines,
            node: None,
            kernel: None,
            sees_refusals_since: Some(0),
            clock: clock(),
        };
        let recorded = Recorded {
            connections: &attempts.to_vec().into(),
            paths: &paths,
        };
        arrivals(&[said], &NodeEvidence::default(), recorded)
    };
    let [arrival] = &found("backend", "10.244.0.9:8080")[..] else {
        panic!("one arrival");
    };
    assert_eq!(arrival.connection, ConnectionId(3));
    assert_eq!(arrival.seen, Observation::Seen(Arrived::ResetWithoutSocket));
    assert_eq!(arrival.at, Moment(2_000));
    assert_eq!(
        found("unknown", "10.244.0.9:8080"),
        [],
        "it is not known who refused"
    );
    assert_eq!(
        found("backend", "10.0.0.2:3000"),
        [],
        "no translation: the address itself refused"
    );
}
