//! What the nodes told: ends of sockets, windows of counts, and pods.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hopscope_attribution::evidence::node::{KernelEnd, KernelSocket, KernelWindow, Marks, SocketBytes};
use hopscope_attribution::evidence::{
    Arrival, Arrived, Connection, ConnectionId, CpuThrottle, Endpoint, EndpointTurn, Moment, NodeEvidence,
    PodChange, PodEvidence, PodId, PodTurn, ServiceEndpoints, Span, WatchedNode,
};
use hopscope_attribution::hop::Hop;

use super::Draw;

pub(super) fn node(draw: &mut Draw<'_>, connections: &[Connection]) -> NodeEvidence {
    let hops = [Hop::Client, Hop::Tunnel, Hop::Lb, Hop::Backend];
    let sockets = (0..draw.below(20))
        .map(|_| KernelSocket {
            at: draw.moment(),
            connection: draw
                .seen(|draw| ConnectionId(u64::from(draw.below(connections.len().try_into().expect("few"))))),
            owner: draw.seen(|draw| draw.one_of(&hops)),
            peer: draw.seen(|draw| draw.one_of(&hops)),
            end: draw.one_of(&KernelEnd::ALL),
            bytes: draw.seen(|draw| SocketBytes {
                received: 100,
                acknowledged: u64::from(draw.below(50_000)),
            }),
            marks: Marks {
                after_fin: draw.chance(4),
                after_own_fin: draw.chance(6),
                dropped_at_home: draw.chance(6),
            },
        })
        .collect();
    let windows = (0..draw.below(3))
        .map(|_| KernelWindow {
            from: draw.moment(),
            length: Span::from_micros(1_000_000),
            hop: draw.one_of(&hops),
            syn_retransmits: 0,
            accept_queue_overflows: u64::from(draw.below(3)),
            events_lost: u64::from(draw.below(2)),
        })
        .collect();
    NodeEvidence {
        pods: draw.seen(|draw| pods(draw, connections)),
        sockets,
        windows,
        arrivals: arrivals(draw, connections),
        services: draw.seen(|draw| vec![service(draw)]),
        throttling: draw.seen(throttling),
        nodes: vec![WatchedNode {
            name: "node-1".to_owned(),
            events_lost: u64::from(draw.chance(6)),
            records_dropped: 0,
        }],
        clock_error: Span::from_micros(u64::from(draw.below(2_000_000))),
    }
}

fn arrivals(draw: &mut Draw<'_>, connections: &[Connection]) -> Vec<Arrival> {
    (0..draw.below(12))
        .map(|_| Arrival {
            connection: ConnectionId(u64::from(draw.below(connections.len().try_into().expect("few")))),
            at: draw.moment(),
            error: Span::from_millis(10),
            destination: SocketAddr::from((Ipv4Addr::new(10, 0, 0, 7), 3_000)),
            pod: draw.seen(pod),
            node: draw.seen(|_| "node-1".to_owned()),
            seen: draw.seen(|draw| draw.one_of(&Arrived::ALL)),
            events_lost: u64::from(draw.below(2)),
        })
        .collect()
}

fn service(draw: &mut Draw<'_>) -> ServiceEndpoints {
    let endpoint = |draw: &mut Draw<'_>| Endpoint {
        address: SocketAddr::from((Ipv4Addr::new(10, 0, 0, 7), 3_000)),
        pod: Some(pod(draw)),
        node: Some("node-1".to_owned()),
    };
    ServiceEndpoints {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        addresses: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 3_000))],
        node_ports: vec![3_001],
        turns: (0..draw.below(4))
            .map(|number| EndpointTurn {
                at: if number == 0 { Moment(0) } else { draw.moment() },
                error: Span::from_millis(100),
                ready: draw.chance(2).then(|| endpoint(draw)).into_iter().collect(),
                not_ready: draw.chance(2).then(|| endpoint(draw)).into_iter().collect(),
            })
            .collect(),
    }
}

fn throttling(draw: &mut Draw<'_>) -> Vec<CpuThrottle> {
    (0..draw.below(4))
        .map(|_| CpuThrottle {
            from: draw.moment(),
            length: Span::from_millis(1_000),
            error: Span::from_millis(10),
            pod: pod(draw),
            workload: "web".to_owned(),
            container: None,
            periods: 10,
            throttled: u64::from(draw.below(11)),
            held_back: Span::from_millis(300),
            used: Span::from_millis(50),
        })
        .collect()
}

pub(super) fn pod(draw: &mut Draw<'_>) -> PodId {
    PodId {
        namespace: draw.one_of(&["shop", "test"]).to_owned(),
        name: draw.one_of(&["web-0", "web-1"]).to_owned(),
    }
}

fn pods(draw: &mut Draw<'_>, connections: &[Connection]) -> PodEvidence {
    let addresses = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(10, 0, 0, 7)];
    PodEvidence {
        turns: (0..draw.below(12))
            .map(|_| PodTurn {
                at: draw.moment(),
                error: if draw.chance(4) {
                    draw.span()
                } else {
                    Span::from_millis(500)
                },
                change: draw.one_of(PodChange::ALL),
                pod: pod(draw),
                workload: "web".to_owned(),
                addresses: draw
                    .chance(2)
                    .then(|| IpAddr::V4(draw.one_of(&addresses)))
                    .into_iter()
                    .collect(),
                container: None,
                reason: draw.one_of(&["", "OOMKilled"]).to_owned(),
                exit_code: draw.chance(2).then_some(137),
            })
            .collect(),
        homes: (0..draw.below(12))
            .map(|_| {
                let id = draw.below(connections.len().try_into().expect("few"));
                (ConnectionId(u64::from(id)), pod(draw))
            })
            .collect(),
    }
}
