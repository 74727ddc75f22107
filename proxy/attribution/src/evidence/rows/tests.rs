//! Packed rows give back what went in.

use super::*;
use crate::evidence::{
    ConnectFailure, ConnectionId, Delivery, Ending, FourTuple, Method, Moment, Observation, Opaque, PathId,
    Phases, Protocol, RouteId, SideEnd, Span, TcpFacts, Unread, Upstream, WhyUnseen,
};

fn connection(id: u64) -> Connection {
    let at = |after: u64| Moment(id * 1_000 + after);
    Connection {
        id: ConnectionId(id),
        path: PathId(1),
        opened: at(0),
        closed: Observation::Seen(at(950)),
        upstream: Upstream::Connected {
            tcp: Span::from_micros(120),
            tls: Some(Span::from_micros(900)),
        },
        downstream_tuple: FourTuple {
            local: "127.0.0.1:8080".parse().unwrap(),
            remote: "127.0.0.2:40000".parse().unwrap(),
        },
        upstream_tuple: Some(FourTuple {
            local: "[::1]:50000".parse().unwrap(),
            remote: "[::1]:3000".parse().unwrap(),
        }),
        downstream_end: SideEnd {
            at: at(900),
            how: Ending::Fin,
        },
        upstream_end: SideEnd {
            at: at(950),
            how: Ending::EndedByRelay,
        },
        bytes_up: 120,
        bytes_down: 1_200,
        first_byte_up: Some(Span::from_micros(10)),
        first_byte_down: None,
        last_byte: Some(at(800)),
        blocked_up: Span::ZERO,
        blocked_down: Span::from_micros(3),
        protocol: Protocol::Http1,
        unread: None,
        exchanges: 1,
        downstream_tcp: Observation::Unseen(WhyUnseen::NotWatched),
        upstream_tcp: Observation::Seen(TcpFacts {
            rtt_us: 90,
            retransmits: 2,
            unacked_bytes: 1_448,
            rwnd_limited_ms: 30_000,
            ..TcpFacts::default()
        }),
    }
}

fn exchange(number: u64) -> Exchange {
    Exchange {
        connection: ConnectionId(number),
        path: PathId(1),
        ordinal: 3,
        method: Method::Put,
        route: RouteId(7),
        began: Moment(number * 500),
        phases: Phases {
            idle: Some(Span::from_micros(40)),
            request_sent: None,
            first_byte: Some(Span::from_micros(250)),
            total: Span::from_micros(300),
        },
        bytes_up: 200,
        bytes_down: 5_000_000,
        request_complete: true,
        answered_early: false,
        delivery: Delivery::Nothing {
            cut: crate::evidence::Cut::UpstreamErrno(113),
        },
    }
}

/// One of each that is out of the ordinary in another way.
fn unusual() -> Vec<Connection> {
    let usual = connection(5);
    vec![
        usual,
        Connection {
            id: ConnectionId(u64::MAX),
            ..usual
        },
        Connection {
            opened: Moment(u64::MAX),
            closed: Observation::Unseen(WhyUnseen::OutsideTheWindow),
            ..usual
        },
        Connection {
            bytes_down: u64::MAX,
            blocked_down: Span::from_secs(86_400),
            ..usual
        },
        Connection {
            upstream: Upstream::Failed {
                after: Span::from_secs(10),
                failure: ConnectFailure::Errno(97),
            },
            upstream_tuple: None,
            upstream_tcp: Observation::Unseen(WhyUnseen::NeverHappened),
            ..usual
        },
        Connection {
            protocol: Protocol::Opaque(Opaque::Upgraded),
            unread: Some(Unread { up: 20, down: 200 }),
            ..usual
        },
        Connection {
            protocol: Protocol::Opaque(Opaque::Tls),
            // More than passed: a file may say so.
            unread: Some(Unread { up: 500, down: 200 }),
            ..usual
        },
        Connection {
            downstream_tuple: FourTuple {
                local: "127.0.0.1:8080".parse().unwrap(),
                remote: "[fe80::1%3]:80".parse().unwrap(),
            },
            ..usual
        },
    ]
}

#[test]
fn a_row_comes_out_as_it_went_in() {
    let connections = unusual();
    assert_eq!(
        Connections::from(connections.clone()).iter().collect::<Vec<_>>(),
        connections
    );
    let mut late = exchange(2);
    late.phases.total = Span::from_secs(100_000);
    late.ordinal = u32::MAX;
    let exchanges = vec![exchange(0), late, exchange(1)];
    let rows = Exchanges::from(exchanges.clone());
    assert_eq!(
        rows.iter().rev().collect::<Vec<_>>(),
        [exchanges[2], late, exchanges[0]]
    );
    assert_eq!((rows.get(1), rows.get(3), rows.whole()), (Some(late), None, 1));
}

#[test]
fn what_no_verdict_needs_of_the_kernels_account_is_not_kept() {
    let seen = Observation::Seen(TcpFacts {
        rtt_us: 90,
        min_rtt_us: 20,
        busy_ms: 7,
        ..TcpFacts::default()
    });
    let row = Connection {
        downstream_tcp: seen,
        upstream_tcp: seen,
        ..connection(0)
    };
    let kept = Connections::from(vec![row]).get(0).unwrap();
    assert_eq!(
        kept.upstream_tcp.seen().map(|tcp| (tcp.rtt_us, tcp.busy_ms)),
        Some((90, 0))
    );
    assert_eq!(kept.downstream_tcp, Observation::Unseen(WhyUnseen::NotWatched));
}

#[test]
fn a_connection_and_its_exchange_take_less_than_120_bytes() {
    let size = size_of::<Slot<PackedConnection>>() + size_of::<Slot<PackedExchange>>();
    assert!(size < 120, "{size} bytes");
    let usual: Connections = (0..1_000).map(connection).collect();
    assert_eq!((usual.whole(), usual.kinds.len()), (0, 1));
}

#[test]
fn rows_of_more_kinds_than_are_numbered_are_kept_whole() {
    let port = |port: u16| Connection {
        downstream_tuple: FourTuple {
            local: ([127, 0, 0, 1], port).into(),
            remote: ([127, 0, 0, 1], 1).into(),
        },
        ..connection(u64::from(port))
    };
    let rows: Connections = (0..20_000).map(port).collect();
    assert_eq!(rows.whole(), 20_000 - usize::try_from(WHOLE).unwrap());
    assert!(rows.iter().eq((0..20_000).map(port)));
}

#[test]
fn rows_are_sorted_taken_out_and_changed_where_they_are() {
    let mut rows: Exchanges = [4, 1, 3, 0, 2].map(exchange).into_iter().collect();
    rows.sort_unstable_by_key(|row| row.began);
    assert!(rows.iter().eq((0..5).map(exchange)));
    assert_eq!(
        rows.extract(|index, row| index == 1 || row.connection.0 == 3),
        [exchange(1), exchange(3)]
    );
    rows.edit(|rows| rows.reverse());
    assert_eq!(rows, [4, 2, 0].map(exchange).into_iter().collect());
    rows.retain(|row| row.connection.0 > 0);
    assert_eq!((rows.len(), rows.last()), (2, Some(exchange(2))));
}
