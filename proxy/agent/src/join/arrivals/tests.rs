//! Refused at a Service's address, and what the nodes of its pods say of it.

use hopscope_attribution::evidence::{EndpointTurn, FourTuple, Path, PathKind, WatchedNode};

use super::*;

const BEGAN: u64 = 1_790_000_000_000_000;
const SERVICE: &str = "10.96.0.7:80";
const POD: &str = "10.9.0.7:8080";
const HOST: &str = "10.0.0.5";

fn clock() -> Clock {
    Clock {
        began_unix_us: BEGAN,
        error: Span::from_micros(1_000),
    }
}

fn path(target: &str) -> Path {
    Path {
        name: "lb".to_owned(),
        kind: PathKind::Lb,
        target: target.to_owned(),
    }
}

fn tuple(local: &str, remote: &str) -> FourTuple {
    FourTuple {
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
    }
}

fn connection(id: u64, at: u64, upstream: Upstream) -> Connection {
    let stood = matches!(upstream, Upstream::Connected { .. });
    Connection {
        opened: Moment(at),
        closed: Observation::Seen(Moment(at + 1_000)),
        upstream,
        upstream_tuple: stood.then(|| tuple(&format!("{HOST}:40000"), SERVICE)),
        ..hopscope_fixtures::connection(id, 0)
    }
}

fn refused(id: u64, at: u64) -> Connection {
    connection(
        id,
        at,
        Upstream::Failed {
            after: Span::from_micros(300),
            failure: ConnectFailure::Refused,
        },
    )
}

fn connected(id: u64, at: u64) -> Connection {
    connection(
        id,
        at,
        Upstream::Connected {
            tcp: Span::from_micros(200),
            tls: None,
        },
    )
}

fn refusal(at: u64, remote: &str) -> Line {
    Line {
        seq: 0,
        seen: Seen::Refusal(Box::new(RefusalSeen {
            unix_us: BEGAN + at,
            arrived: "reset-without-socket".to_owned(),
            in_pod: true,
            namespace: "shop".to_owned(),
            workload: "web".to_owned(),
            pod: "web-0".to_owned(),
            netns: 9,
            ..RefusalSeen::at(FourTuple {
                local: POD.parse().unwrap(),
                remote: remote.parse().unwrap(),
            })
        })),
    }
}

fn endpoint(node: &str) -> Endpoint {
    Endpoint {
        address: POD.parse().unwrap(),
        pod: Some(PodId {
            namespace: "shop".to_owned(),
            name: "web-0".to_owned(),
        }),
        node: Some(node.to_owned()),
    }
}

fn node(ready: Vec<Endpoint>, events_lost: u64) -> NodeEvidence {
    NodeEvidence {
        services: Observation::Seen(vec![ServiceEndpoints {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            addresses: vec![SERVICE.parse().unwrap()],
            node_ports: vec![30_080],
            turns: vec![EndpointTurn {
                ready,
                ..EndpointTurn::default()
            }],
        }]),
        nodes: vec![WatchedNode {
            name: "worker-3".to_owned(),
            events_lost,
            records_dropped: 0,
        }],
        ..NodeEvidence::default()
    }
}

fn said(lines: &[Line]) -> Said<'_> {
    Said {
        lines,
        node: Some("worker-3"),
        kernel: Some("k"),
        sees_refusals_since: Some(BEGAN - 9_000_000),
        clock: clock(),
    }
}

fn found(lines: &[Line], node: &NodeEvidence, connections: &[Connection], target: &str) -> Vec<Arrival> {
    let recorded = Recorded {
        connections: &connections.to_vec().into(),
        paths: &[path(target)],
    };
    arrivals(&[said(lines)], node, recorded)
}

fn how(arrivals: &[Arrival]) -> Vec<(u64, Option<Arrived>)> {
    let one = |arrival: &Arrival| (arrival.connection.0, arrival.seen.seen().copied());
    arrivals.iter().map(one).collect()
}

#[test]
fn a_refusal_at_the_services_address_is_joined_to_the_pod_that_refused() {
    let connections = [connected(1, 0), refused(2, 5_000_000)];
    let lines = [refusal(5_000_250, &format!("{HOST}:50000"))];
    for target in [
        SERVICE,
        "http://10.96.0.7",
        "http://web.shop.svc:80/x",
        "192.0.2.9:30080",
    ] {
        let found = found(&lines, &node(vec![endpoint("worker-3")], 0), &connections, target);
        assert_eq!(how(&found), [(2, Some(Arrived::ResetWithoutSocket))], "{target}");
        assert_eq!(found[0].destination, POD.parse().unwrap());
        assert_eq!(found[0].pod.seen().unwrap().name, "web-0");
        assert_eq!(found[0].node.seen().unwrap(), "worker-3");
    }
}

#[test]
fn every_refused_connection_has_a_refusal_of_its_own_and_translated_senders_do_not_matter() {
    let connections: Vec<_> = (0..500).map(|at| refused(at, at * 1_000)).collect();
    let lines: Vec<_> = (0..500)
        .map(|at| refusal(at * 1_000 + 250, "10.0.9.9:61000"))
        .collect();
    let found = found(
        &lines,
        &node(vec![endpoint("worker-3")], 0),
        &connections,
        SERVICE,
    );
    assert_eq!(found.len(), 500);
    assert!(
        found
            .iter()
            .all(|one| one.seen.seen() == Some(&Arrived::ResetWithoutSocket))
    );
}

#[test]
fn where_nothing_reached_a_watched_pod_no_syn_came_and_what_was_lost_is_said() {
    let connections = [refused(2, 5_000_000)];
    for lost in [0, 7] {
        let found = found(
            &[],
            &node(vec![endpoint("worker-3")], lost),
            &connections,
            SERVICE,
        );
        assert_eq!(how(&found), [(2, Some(Arrived::NoSyn))]);
        assert_eq!(found[0].events_lost, lost);
    }
}

#[test]
fn a_pod_on_a_node_that_nobody_watches_is_named_and_proves_nothing() {
    let connections = [refused(2, 5_000_000)];
    let ready = vec![endpoint("worker-3"), endpoint("worker-9")];
    let found = found(&[], &node(ready, 0), &connections, SERVICE);
    assert_eq!(how(&found), [(2, None)]);
    assert_eq!(found[0].node.seen().unwrap(), "worker-9");
}

#[test]
fn an_agent_that_began_too_late_or_does_not_see_refusals_has_not_watched() {
    let connections = vec![refused(2, 5_000_000)].into();
    let node = node(vec![endpoint("worker-3")], 0);
    for since in [None, Some(BEGAN + 6_000_000)] {
        let late = Said {
            sees_refusals_since: since,
            ..said(&[])
        };
        let recorded = Recorded {
            connections: &connections,
            paths: &[path(SERVICE)],
        };
        assert_eq!(how(&arrivals(&[late], &node, recorded)), [(2, None)], "{since:?}");
    }
}

#[test]
fn others_refusals_among_ours_are_told_apart_by_their_sender() {
    // Ours was refused by nobody's pod; another client's was, at that very moment.
    let connections = [connected(1, 0), refused(2, 5_000_000)];
    let node = node(vec![endpoint("worker-3")], 0);
    let others = [
        refusal(5_000_200, "10.0.0.77:1"),
        refusal(5_000_260, "10.0.0.77:2"),
    ];
    assert_eq!(
        how(&found(&others, &node, &connections, SERVICE)),
        [(2, Some(Arrived::NoSyn))]
    );
    let ours = [
        refusal(5_000_200, "10.0.0.77:1"),
        refusal(5_000_260, &format!("{HOST}:2")),
    ];
    let found = found(&ours, &node, &connections, SERVICE);
    assert_eq!(how(&found), [(2, Some(Arrived::ResetWithoutSocket))]);
}

#[test]
fn a_service_without_a_ready_endpoint_has_no_pod_to_arrive_at() {
    assert_eq!(
        found(&[], &node(Vec::new(), 0), &[refused(2, 5_000_000)], SERVICE),
        []
    );
}

#[test]
fn a_target_that_is_no_service_has_no_arrivals() {
    let lines = [refusal(5_000_250, &format!("{HOST}:50000"))];
    let node = node(vec![endpoint("worker-3")], 0);
    for target in [
        "10.96.0.8:80",
        "localhost:8080",
        "http://example.com",
        "[::1]",
        "",
    ] {
        assert_eq!(
            found(&lines, &node, &[refused(2, 5_000_000)], target),
            [],
            "{target}"
        );
    }
    let unwatched = NodeEvidence::default();
    assert_eq!(found(&lines, &unwatched, &[refused(2, 5_000_000)], SERVICE), []);
}

#[test]
fn what_two_agents_of_one_kernel_say_counts_once() {
    let lines = [refusal(5_000_250, &format!("{HOST}:50000"))];
    let connections = vec![refused(2, 5_000_000), refused(3, 5_000_010)].into();
    let recorded = Recorded {
        connections: &connections,
        paths: &[path(SERVICE)],
    };
    let node = node(vec![endpoint("worker-3")], 0);
    let found = arrivals(&[said(&lines), said(&lines)], &node, recorded);
    assert_eq!(
        how(&found),
        [(2, Some(Arrived::ResetWithoutSocket)), (3, Some(Arrived::NoSyn))]
    );
}
