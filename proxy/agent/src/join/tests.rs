//! By addresses, by time, and the clock between two hosts.

use hopscope_attribution::evidence::{ConnectionId, Ending, FourTuple, PathId, Protocol, SideEnd, Upstream};

use super::*;
pub(super) use crate::evidence::tests::socket;
use crate::evidence::{Journal, Speaker};

/// A connection of the first path.
pub(super) fn connection(id: u64, opened: u64, closed: u64) -> Connection {
    let end = SideEnd {
        at: Moment(closed),
        how: Ending::Fin,
    };
    Connection {
        id: ConnectionId(id),
        path: PathId::default(),
        opened: Moment(opened),
        closed: Observation::Seen(Moment(closed)),
        upstream: Upstream::Connected {
            tcp: Span::from_micros(1),
            tls: None,
        },
        downstream_tuple: FourTuple {
            local: "127.0.0.1:8080".parse().unwrap(),
            remote: "127.0.0.1:50000".parse().unwrap(),
        },
        upstream_tuple: Some(FourTuple {
            local: "10.0.0.1:41000".parse().unwrap(),
            remote: "10.0.0.2:3000".parse().unwrap(),
        }),
        downstream_end: end,
        upstream_end: end,
        bytes_up: 0,
        bytes_down: 0,
        first_byte_up: None,
        first_byte_down: None,
        last_byte: None,
        blocked_up: Span::ZERO,
        blocked_down: Span::ZERO,
        protocol: Protocol::Silent,
        unread: None,
        exchanges: 0,
        downstream_tcp: Observation::default(),
        upstream_tcp: Observation::default(),
    }
}

#[test]
fn a_socket_is_joined_by_its_addresses_from_either_end_and_by_time() {
    let clock = Clock {
        began_unix_us: 1_000,
        error: Span::from_micros(10),
    };
    let lines: Vec<_> = [
        socket(2_000, "10.0.0.2:3000", "10.0.0.1:41000"),
        socket(90_000_000, "10.0.0.2:3000", "10.0.0.1:41000"),
        socket(2_000, "10.0.0.2:3001", "10.0.0.1:41000"),
        socket(500, "10.0.0.2:3000", "10.0.0.1:41000"),
    ]
    .into_iter()
    .zip(0..)
    .map(|(seen, seq)| Line { seq, seen })
    .collect();
    let joined = join(
        &lines,
        None,
        Recorded {
            connections: &vec![connection(3, 500, 5_000)].into(),
            paths: &[],
        },
        clock,
    )
    .0;
    let ids: Vec<_> = joined
        .sockets
        .iter()
        .map(|socket| socket.connection.seen().copied())
        .collect();
    assert_eq!(
        ids,
        [Some(ConnectionId(3)), None, None],
        "the last one was before the recording began"
    );
    assert_eq!(joined.sockets[0].at, Moment(1_000));
    assert_eq!(joined.sockets[0].owner, Observation::Seen(Hop::Tunnel));
    assert_eq!(joined.clock_error, Span::from_micros(10));
}

#[test]
fn the_clock_is_off_by_at_most_half_the_round_trip() {
    let clock = Clock::estimate(Moment(100), Moment(300), 1_000_000);
    assert_eq!(
        clock,
        Clock {
            began_unix_us: 999_800,
            error: Span::from_micros(100)
        }
    );
}

#[test]
fn pods_are_told_of_where_an_api_told_and_a_connection_is_at_home_where_its_applications_socket_is() {
    let clock = Clock {
        began_unix_us: 1_000,
        error: Span::from_micros(10),
    };
    let lines: Vec<_> = [("backend", "web-0"), ("lb", "proxy-0")]
        .into_iter()
        .zip(0..)
        .map(|((owner, pod), seq)| {
            let Seen::Socket(mut seen) = socket(2_000, "10.0.0.2:3000", "10.0.0.1:41000") else {
                unreachable!("a socket's line")
            };
            owner.clone_into(&mut seen.owner);
            pod.clone_into(&mut seen.pod);
            "shop".clone_into(&mut seen.namespace);
            let seen = Seen::Socket(seen);
            Line { seq, seen }
        })
        .collect();
    let recorded_one = vec![connection(3, 500, 5_000)].into();
    let recorded = || Recorded {
        connections: &recorded_one,
        paths: &[],
    };
    let head = |pods| Head {
        pods,
        ..Journal::default().head(0, &Speaker::default())
    };
    let told = |pods| join(&lines, Some(&head(pods)), recorded(), clock).0.pods;
    assert_eq!(told(None), Observation::Unseen(WhyUnseen::NotWatched));
    assert_eq!(
        told(Some(Pods::NoAnswer)),
        Observation::Unseen(WhyUnseen::NoAnswer)
    );
    let told = told(Some(Pods::Told));
    let homes = &told.seen().unwrap().homes;
    assert_eq!(homes.len(), 1, "{homes:?}");
    assert_eq!((homes[0].0, homes[0].1.name.as_str()), (ConnectionId(3), "web-0"));
}
