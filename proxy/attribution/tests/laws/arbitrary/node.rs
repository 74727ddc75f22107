//! What the nodes told: ends of sockets, windows of counts, and pods.

use std::net::{IpAddr, Ipv4Addr};

use hopscope_attribution::evidence::node::{KernelEnd, KernelSocket, KernelWindow, SocketBytes};
use hopscope_attribution::evidence::{
    Connection, ConnectionId, NodeEvidence, PodChange, PodEvidence, PodId, PodTurn, Span,
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
        clock_error: Span::from_micros(u64::from(draw.below(2_000_000))),
    }
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
