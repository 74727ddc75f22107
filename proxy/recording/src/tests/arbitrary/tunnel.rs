//! Any evidence of a tunnel.

use hopscope_attribution::evidence::tunnel::{TunnelLife, TunnelMeaning};
use hopscope_attribution::evidence::*;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{moment, observation, span};

pub(super) fn tunnel() -> impl Strategy<Value = TunnelEvidence> {
    let life = prop_oneof![
        select(vec![
            TunnelLife::Started,
            TunnelLife::Found,
            TunnelLife::Replaced,
            TunnelLife::Stopped,
            TunnelLife::Drained
        ]),
        option::of(any::<i32>()).prop_map(TunnelLife::Exited),
    ];
    let event = (
        moment(),
        life,
        any::<u16>(),
        option::of(select(TunnelMeaning::ALL.to_vec())),
    )
        .prop_map(|(at, kind, member, reason)| TunnelLifeEvent {
            at,
            kind,
            member,
            reason,
        });
    (
        observation(".{0,12}"),
        observation(proptest::collection::vec(line(), 0..4)),
        observation(proptest::collection::vec(gauge(), 0..4)),
        proptest::collection::vec(event, 0..4),
        proptest::collection::vec(process(), 0..3),
    )
        .prop_map(
            |(kubectl_version, lines, gauges, life, processes)| TunnelEvidence {
                kubectl_version,
                lines,
                gauges,
                life,
                processes,
            },
        )
}

fn line() -> impl Strategy<Value = TunnelLine> {
    let meaning = select(TunnelMeaning::ALL.to_vec());
    let ports = (option::of(any::<u16>()), option::of(any::<u16>()));
    (moment(), any::<u16>(), meaning, ports, ".{0,40}").prop_map(|(at, member, meaning, ports, text)| {
        TunnelLine {
            at,
            member,
            meaning,
            local_port: ports.0,
            remote_port: ports.1,
            text,
        }
    })
}

fn gauge() -> impl Strategy<Value = TunnelGauge> {
    let seen = || observation(any::<u32>());
    (
        (
            moment(),
            any::<u16>(),
            observation(any::<u64>()),
            any::<u64>(),
            any::<[u32; 3]>(),
        ),
        (seen(), seen(), seen(), seen(), seen(), observation(span())),
        (
            seen(),
            seen(),
            observation(span()),
            observation(any::<u16>()),
            observation(span()),
        ),
        (
            seen(),
            seen(),
            observation(any::<bool>()),
            observation(any::<u64>()),
            observation(any::<bool>()),
            observation(any::<u64>()),
            [seen(), seen()],
        ),
    )
        .prop_map(|(first, queues, times, process)| TunnelGauge {
            at: first.0,
            member: first.1,
            handled: first.2,
            lines_omitted: first.3,
            accept_queue: first.4[0],
            tunnel_recv_queue: queues.0,
            tunnel_send_queue: queues.1,
            tunnel_unacked: queues.2,
            tunnel_peer_window: queues.3,
            tunnel_retransmits: queues.4,
            tunnel_last_ack: queues.5,
            tunnel_last_received: times.4,
            tunnel_rwnd_limited_ms: times.0,
            tunnel_busy_ms: times.1,
            tunnel_rtt: times.2,
            local_connections: first.4[1],
            stalled_readers: first.4[2],
            worst_reader: times.3,
            descriptors: process.0,
            descriptor_limit: process.1,
            stopped: process.2,
            cpu_ms: process.3,
            output_blocked: process.4,
            cpu_wait_ms: process.5,
            abandoned: process.6[0],
            unread_connections: process.6[1],
        })
}

fn process() -> impl Strategy<Value = TunnelProcess> {
    let owner = || {
        observation(prop_oneof![
            select(vec![PortOwner::Forward, PortOwner::Stranger, PortOwner::Nobody]),
            any::<u32>().prop_map(PortOwner::Other),
        ])
    };
    let text = || observation(".{0,12}");
    (
        (
            moment(),
            any::<u16>(),
            observation(any::<u32>()),
            text(),
            observation(any::<bool>()),
            text(),
        ),
        (any::<u16>(), owner(), owner(), text(), text(), text()),
    )
        .prop_map(|(first, rest)| TunnelProcess {
            at: first.0,
            member: first.1,
            pid: first.2,
            command: first.3,
            is_kubectl: first.4,
            version: first.5,
            local_port: rest.0,
            on_ipv4: rest.1,
            on_ipv6: rest.2,
            pod: rest.3,
            node: rest.4,
            runtime: rest.5,
        })
}
