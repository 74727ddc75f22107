//! Any evidence that a run could leave.

mod tunnel;

use std::net::{IpAddr, SocketAddr};

use hopscope_attribution::evidence::node::{KernelEnd, KernelSocket, KernelWindow, Marks, SocketBytes};
use hopscope_attribution::evidence::*;
use hopscope_attribution::hop::Hop;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use tunnel::tunnel;

/// Everything that is told to a recording, apart from its facts.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) routes: Vec<Route>,
    pub(super) connections: Vec<Connection>,
    pub(super) exchanges: Vec<Exchange>,
    pub(super) observer: Vec<ObserverSample>,
    pub(super) delays: Vec<ObserverDelay>,
    pub(super) tunnel: Observation<TunnelEvidence>,
    pub(super) node: Observation<NodeEvidence>,
    pub(super) generator: Observation<GeneratorResult>,
}

const ROUTES: u16 = 5;

pub(super) fn told() -> impl Strategy<Value = Told> {
    (
        proptest::collection::vec(connection(), 0..12),
        proptest::collection::vec(exchange(), 0..12),
        proptest::collection::vec(observer_sample(), 0..4),
        proptest::collection::vec(observer_delay(), 0..4),
        observation(tunnel()),
        observation(node()),
        option::of(generator()),
    )
        .prop_map(
            |(mut connections, mut exchanges, observer, delays, tunnel, node, generator)| {
                for (id, connection) in (0..).zip(&mut connections) {
                    connection.id = ConnectionId(id);
                }
                // Two exchanges of one connection never have the same number.
                for (ordinal, exchange) in (0..).zip(&mut exchanges) {
                    exchange.ordinal = ordinal;
                }
                Told {
                    routes: (0..ROUTES).map(|route| Route(format!("/r{route}/:id"))).collect(),
                    connections,
                    exchanges,
                    observer,
                    delays,
                    tunnel,
                    node,
                    generator: generator.map_or_else(Observation::default, Observation::Seen),
                }
            },
        )
}

fn moment() -> impl Strategy<Value = Moment> {
    prop_oneof![0..100_000_000_u64, 0..u64::MAX / 4].prop_map(Moment)
}

fn span() -> impl Strategy<Value = Span> {
    prop_oneof![0..10_000_u64, 0..u64::MAX / 4].prop_map(Span::from_micros)
}

fn observation<T: Clone + std::fmt::Debug + 'static>(
    seen: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Observation<T>> {
    prop_oneof![
        3 => seen.prop_map(Observation::Seen),
        1 => select(WhyUnseen::ALL.to_vec()).prop_map(Observation::Unseen),
    ]
}

fn address() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(SocketAddr::from)
}

fn tuple() -> impl Strategy<Value = FourTuple> {
    (address(), address()).prop_map(|(local, remote)| FourTuple { local, remote })
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        select(vec![
            Ending::Fin,
            Ending::Reset,
            Ending::TimedOut,
            Ending::EndedByRelay,
            Ending::StillOpen,
            Ending::NeverStood,
        ]),
        any::<i32>().prop_map(Ending::Errno),
        any::<u8>().prop_map(|alert| Ending::Tls(TlsFailure::Alert(alert))),
        Just(Ending::Tls(TlsFailure::Protocol)),
    ]
}

fn side_end() -> impl Strategy<Value = SideEnd> {
    (moment(), ending()).prop_map(|(at, how)| SideEnd { at, how })
}

fn upstream() -> impl Strategy<Value = Upstream> {
    let failure = prop_oneof![
        select(vec![
            ConnectFailure::Refused,
            ConnectFailure::TimedOut,
            ConnectFailure::Unreachable,
            ConnectFailure::Reset,
            ConnectFailure::Dns,
            ConnectFailure::OwnAddress,
            ConnectFailure::NoLocalPort,
            ConnectFailure::NoDescriptor,
            ConnectFailure::Tls(TlsFailure::CertificateExpired),
            ConnectFailure::Tls(TlsFailure::Protocol),
        ]),
        any::<u8>().prop_map(|alert| ConnectFailure::Tls(TlsFailure::Alert(alert))),
        any::<i32>().prop_map(ConnectFailure::Errno),
    ];
    prop_oneof![
        (span(), option::of(span())).prop_map(|(tcp, tls)| Upstream::Connected { tcp, tls }),
        (span(), failure).prop_map(|(after, failure)| Upstream::Failed { after, failure }),
        span().prop_map(|after| Upstream::Abandoned { after }),
    ]
}

fn tcp_facts() -> impl Strategy<Value = TcpFacts> {
    any::<[u32; 8]>().prop_map(
        |[rtt, min, retransmits, lost, busy, rwnd, sndbuf, unacked]| TcpFacts {
            rtt_us: rtt,
            min_rtt_us: min,
            retransmits,
            lost,
            busy_ms: busy,
            rwnd_limited_ms: rwnd,
            sndbuf_limited_ms: sndbuf,
            unacked_bytes: unacked,
        },
    )
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select(vec![
        Protocol::Silent,
        Protocol::Http1,
        Protocol::Opaque(Opaque::ByConfiguration),
        Protocol::Opaque(Opaque::Tls),
        Protocol::Opaque(Opaque::NotHttp),
    ])
}

fn unread() -> impl Strategy<Value = Unread> {
    (any::<u64>(), any::<u64>()).prop_map(|(up, down)| Unread { up, down })
}

fn connection() -> impl Strategy<Value = Connection> {
    (
        (
            0..2_u8,
            moment(),
            observation(moment()),
            upstream(),
            tuple(),
            option::of(tuple()),
        ),
        (side_end(), side_end(), any::<u64>(), any::<u64>()),
        (
            option::of(span()),
            option::of(span()),
            option::of(moment()),
            span(),
            span(),
        ),
        (
            protocol(),
            any::<u32>(),
            observation(tcp_facts()),
            observation(tcp_facts()),
            option::of(unread()),
        ),
    )
        .prop_map(|(first, ends, bytes, last)| Connection {
            id: ConnectionId(0),
            path: PathId(first.0),
            opened: first.1,
            closed: first.2,
            upstream: first.3,
            downstream_tuple: first.4,
            upstream_tuple: first.5,
            downstream_end: ends.0,
            upstream_end: ends.1,
            bytes_up: ends.2,
            bytes_down: ends.3,
            first_byte_up: bytes.0,
            first_byte_down: bytes.1,
            last_byte: bytes.2,
            blocked_up: bytes.3,
            blocked_down: bytes.4,
            protocol: last.0,
            unread: last.4,
            exchanges: last.1,
            downstream_tcp: last.2,
            upstream_tcp: last.3,
        })
}

fn cut() -> impl Strategy<Value = Cut> {
    prop_oneof![
        select(vec![
            Cut::DownstreamFin,
            Cut::DownstreamReset,
            Cut::UpstreamFin,
            Cut::UpstreamReset
        ]),
        select(vec![Cut::NotConnected, Cut::Unreadable, Cut::Stopped]),
        any::<i32>().prop_map(Cut::UpstreamErrno),
    ]
}

fn author() -> impl Strategy<Value = Author> {
    select(vec![
        Author::Unstated,
        Author::Application,
        Author::AwsAlb,
        Author::Nginx,
        Author::HaProxy,
        Author::Envoy(exchange::EnvoyReply::Overflow),
        Author::Envoy(exchange::EnvoyReply::Other),
        Author::Hopscope,
    ])
}

fn delivery() -> impl Strategy<Value = Delivery> {
    prop_oneof![
        (100..1_000_u16, author()).prop_map(|(status, author)| Delivery::Complete { status, author }),
        (any::<u16>(), author(), cut()).prop_map(|(status, author, cut)| Delivery::Truncated {
            status,
            author,
            cut
        }),
        cut().prop_map(|cut| Delivery::Nothing { cut }),
    ]
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let method = select(vec![Method::Get, Method::Post, Method::Patch, Method::Other]);
    let phases = (
        option::of(span()),
        option::of(span()),
        option::of(span()),
        0..5_000_000_u64,
    )
        .prop_map(|(idle, request_sent, first_byte, total)| Phases {
            idle,
            request_sent,
            first_byte,
            total: Span::from_micros(total),
        });
    (
        (
            any::<u64>(),
            0..2_u8,
            method,
            0..ROUTES,
            0..20_000_000_u64,
            phases,
        ),
        (
            any::<u64>(),
            any::<u64>(),
            any::<bool>(),
            any::<bool>(),
            delivery(),
        ),
    )
        .prop_map(|(first, rest)| Exchange {
            connection: ConnectionId(first.0),
            path: PathId(first.1),
            ordinal: 0,
            method: first.2,
            route: RouteId(first.3),
            began: Moment(first.4),
            phases: first.5,
            bytes_up: rest.0,
            bytes_down: rest.1,
            request_complete: rest.2,
            answered_early: rest.3,
            delivery: rest.4,
        })
}

fn observer_delay() -> impl Strategy<Value = ObserverDelay> {
    (moment(), span()).prop_map(|(at, by)| ObserverDelay { at, by })
}

fn observer_sample() -> impl Strategy<Value = ObserverSample> {
    (moment(), span(), any::<[u32; 6]>()).prop_map(|(at, loop_lag, numbers)| ObserverSample {
        at,
        loop_lag,
        cpu_millis: numbers[0],
        cpu_limit_millis: numbers[1],
        accept_queue: numbers[2],
        descriptors: numbers[3],
        descriptor_limit: numbers[4],
        accepts_refused: numbers[5],
    })
}

fn node() -> impl Strategy<Value = NodeEvidence> {
    let hop = || select(Hop::ALL.to_vec());
    let end = prop_oneof![
        select(vec![
            KernelEnd::ConnectRefused,
            KernelEnd::ResetSentUnread,
            KernelEnd::ClosedByPeer
        ]),
        any::<u32>().prop_map(|retransmits| KernelEnd::ConnectTimedOut { retransmits }),
    ];
    let bytes = any::<[u64; 2]>().prop_map(|[received, acknowledged]| SocketBytes {
        received,
        acknowledged,
    });
    let connection = any::<u64>().prop_map(ConnectionId);
    let socket = (
        moment(),
        observation(connection),
        observation(hop()),
        observation(hop()),
        end,
        observation(bytes),
        any::<[bool; 3]>(),
    )
        .prop_map(|(at, connection, owner, peer, end, bytes, marks)| KernelSocket {
            at,
            connection,
            owner,
            peer,
            end,
            bytes,
            marks: Marks {
                after_fin: marks[0],
                after_own_fin: marks[1],
                dropped_at_home: marks[2],
            },
        });
    let window =
        (moment(), span(), hop(), any::<[u64; 3]>()).prop_map(|(from, length, hop, counts)| KernelWindow {
            from,
            length,
            hop,
            syn_retransmits: counts[0],
            accept_queue_overflows: counts[1],
            events_lost: counts[2],
        });
    (
        proptest::collection::vec(socket, 0..4),
        proptest::collection::vec(window, 0..4),
        span(),
    )
        .prop_map(|(sockets, windows, clock_error)| NodeEvidence {
            sockets,
            windows,
            clock_error,
            ..NodeEvidence::default()
        })
}

fn generator() -> impl Strategy<Value = GeneratorResult> {
    let errors = proptest::collection::vec((".{0,12}", any::<u64>()), 0..3);
    (
        "[a-z0-9]{0,4}",
        any::<u64>(),
        any::<u64>(),
        option::of(span()),
        errors,
    )
        .prop_map(|(tool, requests, failed, timeout, errors)| GeneratorResult {
            tool,
            requests,
            failed,
            timeout,
            errors,
        })
}
