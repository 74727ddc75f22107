//! Evidence of every shape, drawn from a list of numbers: times that collide, paths that do not exist, rows without
//! connections, witnesses that contradict. Identities are unique, as a recording's are.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hopscope_attribution::evidence::tunnel::{TunnelLife, TunnelMeaning};
use hopscope_attribution::evidence::{
    Accounting, AddressFailures, Author, ConnectFailure, Connection, ConnectionId, Cut, Delivery, Ending,
    EnvoyReply, Evidence, Exchange, FourTuple, GeneratorExit, GeneratorResult, Method, Moment, Observation,
    ObserverDelay, ObserverHealth, ObserverSample, Opaque, Path, PathId, PathKind, Phases, Protocol, Route,
    RouteId, SideEnd, Span, TcpFacts, TlsFailure, TrafficCell, TunnelEvidence, TunnelGauge, TunnelLifeEvent,
    TunnelLine, TunnelProcess, Unread, Upstream, WhyUnseen,
};

mod node;

/// Numbers that are used up one by one; when they have run out, all are 0.
#[derive(Debug)]
pub(crate) struct Draw<'a> {
    numbers: std::slice::Iter<'a, u32>,
}

impl<'a> Draw<'a> {
    pub(crate) fn new(numbers: &'a [u32]) -> Self {
        Self {
            numbers: numbers.iter(),
        }
    }

    fn next(&mut self) -> u32 {
        self.numbers.next().copied().unwrap_or(0)
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.next() % limit.max(1)
    }

    fn chance(&mut self, of: u32) -> bool {
        self.below(of) == 1
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(u32::try_from(all.len()).expect("a short list")) as usize]
    }

    fn seen<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Observation<T> {
        if self.chance(3) {
            Observation::Unseen(self.one_of(&WhyUnseen::ALL))
        } else {
            Observation::Seen(draw(self))
        }
    }

    /// Often the same few moments, so that ties happen; sometimes the end of all time.
    fn moment(&mut self) -> Moment {
        match self.below(12) {
            0..6 => Moment(u64::from(self.below(40)) * 500_000),
            6..11 => Moment(u64::from(self.below(60_000_000))),
            _ => self.one_of(&[
                Moment(0),
                Moment(u64::MAX),
                Moment(u64::from(u32::MAX) * 1_000_000),
            ]),
        }
    }

    fn span(&mut self) -> Span {
        match self.below(12) {
            0..4 => Span::from_micros(u64::from(self.below(100_000))),
            4..7 => self.one_of(&[
                Span::ZERO,
                Span::from_micros(1_000_000),
                Span::from_micros(1_010_000),
                Span::from_micros(3_020_000),
                Span::from_micros(30_000_000),
                Span::from_micros(60_000_000),
                Span::from_micros(350_000_000),
            ]),
            7..11 => Span::from_micros(u64::from(self.below(70_000_000))),
            _ => Span::from_micros(u64::MAX),
        }
    }
}

/// Evidence drawn from the numbers.
pub(crate) fn evidence(draw: &mut Draw<'_>) -> Evidence {
    let paths = 1 + draw.below(3);
    let names = ["tunnel", "lb", "direct", "somewhere", "tunnel-b"];
    let paths: Vec<Path> = (0..paths)
        .map(|_| {
            let name = draw.one_of(&names);
            Path {
                name: name.to_owned(),
                kind: PathKind::from_name(name),
                target: "127.0.0.1:3000".to_owned(),
            }
        })
        .collect();
    let count = draw.below(30);
    let mut connections: Vec<Connection> = (0..count).map(|id| connection(draw, u64::from(id))).collect();
    let count = draw.below(50);
    let exchanges: Vec<Exchange> = (0..count).map(|_| exchange(draw, &connections)).collect();
    // A connection counts at least the exchanges that have rows.
    for exchange in &exchanges {
        if let Some(owner) = connections
            .iter_mut()
            .find(|connection| connection.id == exchange.connection)
        {
            owner.exchanges = owner.exchanges.max(1);
        }
    }
    let tunnels = (0..paths.len())
        .filter(|index| paths[*index].kind == PathKind::Tunnel)
        .map(|index| {
            (
                PathId(u8::try_from(index).expect("a few paths")),
                draw.seen(tunnel),
            )
        })
        .collect();
    Evidence {
        routes: vec![
            Route("/a".to_owned()),
            Route("/b".to_owned()),
            Route("/c".to_owned()),
        ],
        duration: draw.span(),
        traffic: traffic(draw, &exchanges),
        node: draw.seen(|draw| node::node(draw, &connections)),
        observer: observer(draw, connections.len() as u64),
        generator: draw.seen(generator),
        generator_exit: draw.seen(generator_exit),
        cut_by_the_end: Vec::new(),
        failed_addresses: failed_addresses(draw),
        connects_cut_by_the_end: Vec::new(),
        paths,
        connections: connections.into(),
        exchanges: exchanges.into(),
        tunnels,
    }
}

fn path(draw: &mut Draw<'_>) -> PathId {
    PathId(if draw.chance(40) {
        200
    } else {
        u8::try_from(draw.below(3)).expect("below three")
    })
}

fn connection(draw: &mut Draw<'_>, id: u64) -> Connection {
    let opened = draw.moment();
    let port = |draw: &mut Draw<'_>| {
        SocketAddr::new(
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            u16::try_from(3_000 + draw.below(4)).expect("a port"),
        )
    };
    let tuple = |draw: &mut Draw<'_>| FourTuple {
        local: port(draw),
        remote: port(draw),
    };
    let failure = draw.one_of(&[
        ConnectFailure::Refused,
        ConnectFailure::TimedOut,
        ConnectFailure::Unreachable,
        ConnectFailure::Reset,
        ConnectFailure::Dns,
        ConnectFailure::Tls(TlsFailure::Ended),
        ConnectFailure::OwnAddress,
        ConnectFailure::NoLocalPort,
        ConnectFailure::NoDescriptor,
        ConnectFailure::Errno(22),
    ]);
    let upstream = match draw.below(6) {
        0 => Upstream::Failed {
            after: draw.span(),
            failure,
        },
        1 => Upstream::Abandoned { after: draw.span() },
        _ => Upstream::Connected {
            tcp: draw.span(),
            tls: None,
        },
    };
    let stands = matches!(upstream, Upstream::Connected { .. });
    let end = |draw: &mut Draw<'_>| SideEnd {
        at: draw.moment(),
        how: draw.one_of(&[
            Ending::Fin,
            Ending::Reset,
            Ending::TimedOut,
            Ending::Errno(5),
            Ending::Tls(TlsFailure::Alert(48)),
            Ending::EndedByRelay,
            Ending::StillOpen,
        ]),
    };
    let protocols = [Protocol::Silent, Protocol::Http1, Protocol::Opaque(Opaque::Tls)];
    let tcp = |draw: &mut Draw<'_>| TcpFacts {
        retransmits: draw.below(3),
        unacked_bytes: draw.below(2) * 100,
        ..TcpFacts::default()
    };
    Connection {
        id: ConnectionId(id),
        path: path(draw),
        opened,
        closed: draw.seen(Draw::moment),
        upstream,
        downstream_tuple: tuple(draw),
        upstream_tuple: stands.then(|| tuple(draw)),
        downstream_end: end(draw),
        upstream_end: end(draw),
        bytes_up: u64::from(draw.below(3)) * 100,
        bytes_down: u64::from(draw.below(3)) * 1_000,
        first_byte_up: None,
        first_byte_down: draw.chance(2).then(|| draw.span()),
        last_byte: None,
        blocked_up: Span::ZERO,
        blocked_down: draw.span(),
        protocol: draw.one_of(&protocols),
        unread: draw.chance(3).then(|| Unread {
            up: u64::from(draw.below(2)) * 50,
            down: u64::from(draw.below(2)) * 70,
        }),
        exchanges: draw.below(3),
        downstream_tcp: draw.seen(tcp),
        upstream_tcp: draw.seen(tcp),
    }
}

fn failed_addresses(draw: &mut Draw<'_>) -> Vec<AddressFailures> {
    let count = draw.below(4);
    (0..count)
        .map(|_| AddressFailures {
            path: path(draw),
            address: SocketAddr::from(([10, 0, 0, 1], u16::try_from(draw.below(4)).expect("below four"))),
            failure: ConnectFailure::Refused,
            times: u64::from(draw.below(1_000)),
            first: draw.moment(),
            last: draw.moment(),
        })
        .collect()
}

fn exchange(draw: &mut Draw<'_>, connections: &[Connection]) -> Exchange {
    let owner = draw.below(u32::try_from(connections.len() + 1).expect("a few")) as usize;
    let connection = connections.get(owner);
    let cut = draw.one_of(&[
        Cut::DownstreamFin,
        Cut::DownstreamReset,
        Cut::UpstreamFin,
        Cut::UpstreamReset,
        Cut::UpstreamErrno(110),
        Cut::NotConnected,
        Cut::Unreadable,
        Cut::Stopped,
    ]);
    let status = draw.one_of(&[200, 204, 302, 404, 429, 499, 500, 502, 503, 504, 599]);
    let author = draw.one_of(&[
        Author::Unstated,
        Author::Application,
        Author::AwsAlb,
        Author::Nginx,
        Author::HaProxy,
        Author::Envoy(EnvoyReply::NoHealthyUpstream),
        Author::Hopscope,
    ]);
    let delivery = match draw.below(4) {
        0 | 1 => Delivery::Complete { status, author },
        2 => Delivery::Truncated { status, author, cut },
        _ => Delivery::Nothing { cut },
    };
    Exchange {
        connection: connection.map_or(ConnectionId(9_999), |connection| connection.id),
        path: connection.map_or(PathId(0), |connection| connection.path),
        ordinal: draw.below(4),
        method: Method::Get,
        route: RouteId(u16::try_from(draw.below(4)).expect("below four")),
        began: draw.moment(),
        phases: Phases {
            idle: draw.chance(2).then(|| draw.span()),
            request_sent: draw.chance(2).then(|| draw.span()),
            first_byte: None,
            total: draw.span(),
        },
        bytes_up: 100,
        bytes_down: u64::from(draw.below(10_000)),
        request_complete: !draw.chance(4),
        answered_early: draw.chance(4),
        delivery,
    }
}

/// Mostly the true counts, sometimes more than there are rows for, sometimes for other paths.
fn traffic(draw: &mut Draw<'_>, exchanges: &[Exchange]) -> Vec<TrafficCell> {
    let mut cells: Vec<TrafficCell> = exchanges
        .iter()
        .map(|exchange| TrafficCell {
            second: (exchange.began + exchange.phases.total).second(),
            path: exchange.path,
            route: exchange.route,
            requests: 1 + u64::from(draw.below(50)),
            delivered_errors: u64::from(exchange.delivery.failed()),
            ..TrafficCell::default()
        })
        .collect();
    if draw.chance(3) {
        let (path, requests) = (path(draw), u64::from(draw.below(500)));
        cells.push(TrafficCell {
            path,
            requests,
            undelivered: u64::from(draw.below(20)),
            ..TrafficCell::default()
        });
    }
    cells
}

fn tunnel(draw: &mut Draw<'_>) -> TunnelEvidence {
    let lines = |draw: &mut Draw<'_>| {
        let count = draw.below(6);
        let mut lines: Vec<TunnelLine> = (0..count)
            .map(|number| TunnelLine {
                at: draw.moment(),
                member: 0,
                meaning: draw.one_of(TunnelMeaning::ALL),
                local_port: draw.chance(3).then_some(3_000),
                remote_port: None,
                text: format!("line {number}"),
            })
            .collect();
        lines.sort_by_key(|line| line.at);
        lines
    };
    let gauges = |draw: &mut Draw<'_>| {
        let from = draw.below(30_000_000);
        let count = draw.below(60);
        let mut gauge = gauge(draw);
        (0..count)
            .map(|step| {
                if draw.chance(10) {
                    gauge = self::gauge(draw);
                }
                TunnelGauge {
                    at: Moment(u64::from(from) + u64::from(step) * 100_000),
                    ..gauge
                }
            })
            .collect()
    };
    let events = draw.below(4);
    TunnelEvidence {
        lines: draw.seen(lines),
        gauges: draw.seen(gauges),
        life: (0..events)
            .map(|_| TunnelLifeEvent {
                at: draw.moment(),
                kind: draw.one_of(&[
                    TunnelLife::Started,
                    TunnelLife::Ready,
                    TunnelLife::Exited(Some(1)),
                ]),
                member: 0,
                reason: None,
            })
            .collect(),
        processes: (0..draw.below(3)).map(|_| process(draw)).collect(),
        ..TunnelEvidence::default()
    }
}

fn gauge(draw: &mut Draw<'_>) -> TunnelGauge {
    TunnelGauge {
        at: Moment(0),
        member: 0,
        handled: Observation::default(),
        lines_omitted: u64::from(draw.chance(6)),
        accept_queue: draw.below(3),
        tunnel_recv_queue: draw.seen(|draw| draw.below(2) * 100_000),
        tunnel_send_queue: draw.seen(|draw| draw.below(2) * 100_000),
        tunnel_unacked: Observation::default(),
        tunnel_peer_window: draw.seen(|draw| draw.below(2) * 65_535),
        tunnel_retransmits: Observation::default(),
        tunnel_last_ack: draw.seen(Draw::span),
        tunnel_last_received: draw.seen(Draw::span),
        tunnel_rwnd_limited_ms: Observation::default(),
        tunnel_busy_ms: Observation::default(),
        tunnel_rtt: Observation::default(),
        local_connections: 3,
        stalled_readers: draw.below(2),
        worst_reader: draw.seen(|_| 3_001),
        descriptors: draw.seen(|draw| draw.below(20)),
        descriptor_limit: draw.seen(|draw| draw.below(20)),
        stopped: draw.seen(|draw| draw.chance(3)),
        cpu_ms: draw.seen(|draw| u64::from(draw.below(3))),
        cpu_wait_ms: draw.seen(|draw| u64::from(draw.below(3)) * 1_000),
        output_blocked: draw.seen(|draw| draw.chance(6)),
        abandoned: draw.seen(|draw| draw.below(2)),
        unread_connections: draw.seen(|draw| draw.below(4)),
    }
}

fn process(draw: &mut Draw<'_>) -> TunnelProcess {
    let unseen = WhyUnseen::NotWatched;
    TunnelProcess {
        at: draw.moment(),
        member: u16::try_from(draw.below(2)).expect("below two"),
        pid: Observation::Unseen(unseen),
        command: draw.seen(|_| "kubectl --namespace=shop port-forward".to_owned()),
        is_kubectl: Observation::Seen(true),
        version: Observation::Unseen(unseen),
        local_port: u16::try_from(3_000 + draw.below(4)).expect("a port"),
        on_ipv4: Observation::Unseen(unseen),
        on_ipv6: Observation::Unseen(unseen),
        pod: draw.seen(|draw| node::pod(draw).name),
        node: Observation::Unseen(unseen),
        runtime: Observation::Unseen(unseen),
    }
}

fn observer(draw: &mut Draw<'_>, rows: u64) -> ObserverHealth {
    let samples = (0..draw.below(10))
        .map(|_| ObserverSample {
            at: draw.moment(),
            loop_lag: if draw.chance(5) {
                draw.span()
            } else {
                Span::from_micros(300)
            },
            accepts_refused: u32::from(draw.chance(20)),
            ..ObserverSample::default()
        })
        .collect();
    let delays = (0..draw.below(4))
        .map(|_| ObserverDelay {
            at: draw.moment(),
            by: draw.span(),
        })
        .collect();
    ObserverHealth {
        samples,
        delays,
        accounting: Accounting {
            accepts: rows + u64::from(draw.chance(5)),
            connection_rows: rows,
            exchanges_lost: u64::from(draw.chance(5)),
            ..Accounting::default()
        },
        added: Observation::default(),
        closed_properly: !draw.chance(4),
    }
}

fn generator(draw: &mut Draw<'_>) -> GeneratorResult {
    let failed = u64::from(draw.below(60));
    let timeout = draw.chance(2).then(|| draw.span());
    let errors = vec![(
        "cannot assign requested address".to_owned(),
        u64::from(draw.below(40)),
    )];
    GeneratorResult {
        tool: "k6".to_owned(),
        requests: 100,
        failed,
        timeout,
        errors,
    }
}

fn generator_exit(draw: &mut Draw<'_>) -> GeneratorExit {
    GeneratorExit {
        at: draw.seen(Draw::moment),
        code: draw.one_of(&[0, 1, 99, 139]),
    }
}

/// Fisher and Yates, from a seed.
pub(crate) fn shuffle<T>(items: &mut [T], state: &mut u64) {
    for last in (1..items.len()).rev() {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let other = usize::try_from(*state >> 33).expect("31 bits") % (last + 1);
        items.swap(last, other);
    }
}
