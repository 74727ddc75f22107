//! A million connections and a million exchanges, diagnosed: how long it takes, and what it and the evidence need.
//!
//! `cargo bench -p hopscope-attribution`. Fails when a diagnosis takes ten seconds or more, or when the process with the
//! evidence and the diagnosis ever holds 300 MB.
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads a clock; the core does not"
)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use hopscope_attribution::attribute;
use hopscope_attribution::evidence::{
    Accounting, Author, Connection, ConnectionId, Cut, Delivery, Ending, Evidence, Exchange, Exchanges,
    FourTuple, Method, Moment, Observation, ObserverHealth, ObserverSample, Path, PathId, PathKind, Phases,
    Protocol, Route, RouteId, Rows, SideEnd, Span, TcpFacts, TrafficCell, TunnelEvidence, Upstream,
};

const MILLION: u64 = 1_000_000;

fn main() {
    for (name, failing) in [("every twentieth fails", 20), ("every one fails", 1)] {
        let evidence = evidence(failing);
        forget_peak();
        let with_evidence = resident();
        let start = Instant::now();
        let diagnosis = attribute(&evidence);
        let took = start.elapsed();
        let needed = peak();
        println!(
            "{name}: {} connections, {} exchanges, {} charges; {took:.2?}; {with_evidence} MB with the evidence, {needed} MB at most while it is judged",
            evidence.connections.len(),
            evidence.exchanges.len(),
            diagnosis
                .charges
                .iter()
                .map(|charge| charge.failures)
                .sum::<u64>(),
        );
        println!("  {}", diagnosis.verdict.headline);
        assert!(
            took.as_secs() < 10 && needed < 300,
            "a million are held and judged in less than 10 s and 300 MB"
        );
    }
}

/// A run of a thousand seconds over two tunnels and a load balancer, the failures spread over causes.
fn evidence(failing: u64) -> Evidence {
    let paths = ["tunnel", "lb", "direct"];
    let kinds = [PathKind::Tunnel, PathKind::Lb, PathKind::Direct];
    let path = |index: usize| Path {
        name: paths[index].to_owned(),
        kind: kinds[index],
        target: "x:1".to_owned(),
    };
    let mut evidence = Evidence {
        paths: (0..3).map(path).collect(),
        routes: (0..50).map(|route| Route(format!("/route/{route}"))).collect(),
        duration: Span::from_secs(1_000),
        connections: Rows::with_capacity(1_000_000),
        exchanges: Rows::with_capacity(1_000_000),
        tunnels: vec![(PathId(0), Observation::Seen(TunnelEvidence::default()))],
        ..Evidence::default()
    };
    for number in 0..MILLION {
        let path = PathId(u8::try_from(number % 3).unwrap_or(0));
        let route = RouteId(u16::try_from(number % 50).unwrap_or(0));
        let opened = Moment(number * 1_000);
        let took = Span::from_micros(5_000 + (number * 7_919) % 40_000);
        let failed = number % failing == 0;
        let delivery = match (failed, number % 7) {
            (false, _) => Delivery::Complete {
                status: 200,
                author: Author::Unstated,
            },
            (true, 0 | 1) => Delivery::Complete {
                status: 503,
                author: Author::Unstated,
            },
            (true, 2 | 3) => Delivery::Nothing {
                cut: Cut::UpstreamFin,
            },
            (true, 4) => Delivery::Nothing {
                cut: Cut::UpstreamReset,
            },
            (true, 5) => Delivery::Truncated {
                status: 200,
                author: Author::Unstated,
                cut: Cut::UpstreamFin,
            },
            (true, _) => Delivery::Nothing {
                cut: Cut::DownstreamReset,
            },
        };
        evidence
            .connections
            .push(connection(number, path, opened, took, delivery));
        evidence.exchanges.push(Exchange {
            connection: ConnectionId(number),
            path,
            ordinal: 0,
            method: Method::Get,
            route,
            began: opened,
            phases: Phases {
                idle: Some(Span::from_micros(40)),
                request_sent: Some(Span::from_micros(90)),
                first_byte: Some(took),
                total: took,
            },
            bytes_up: 200,
            bytes_down: 1_000,
            request_complete: true,
            answered_early: false,
            delivery,
        });
    }
    evidence.traffic = traffic(&evidence.exchanges);
    evidence.observer = ObserverHealth {
        samples: (0..1_000)
            .map(|s| ObserverSample {
                at: Moment(s * MILLION),
                ..ObserverSample::default()
            })
            .collect(),
        accounting: Accounting {
            accepts: MILLION,
            connection_rows: MILLION,
            ..Accounting::default()
        },
        closed_properly: true,
        ..ObserverHealth::default()
    };
    evidence
}

fn connection(number: u64, path: PathId, opened: Moment, took: Span, delivery: Delivery) -> Connection {
    let port = u16::try_from(20_000 + number % 40_000).unwrap_or(1);
    let address = |port: u16| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let (downstream, upstream) = match delivery {
        Delivery::Truncated {
            cut: Cut::UpstreamFin,
            ..
        }
        | Delivery::Nothing {
            cut: Cut::UpstreamFin,
        } => (Ending::EndedByRelay, Ending::Fin),
        Delivery::Nothing {
            cut: Cut::UpstreamReset,
        } => (Ending::EndedByRelay, Ending::Reset),
        Delivery::Complete { .. } | Delivery::Truncated { .. } | Delivery::Nothing { .. } => {
            (Ending::Fin, Ending::EndedByRelay)
        }
    };
    Connection {
        id: ConnectionId(number),
        path,
        opened,
        closed: Observation::Seen(opened + took),
        upstream: Upstream::Connected {
            tcp: Span::from_micros(250),
            tls: Some(Span::from_micros(700)),
        },
        downstream_tuple: FourTuple {
            local: address(8_080),
            remote: address(port),
        },
        upstream_tuple: Some(FourTuple {
            local: address(port),
            remote: address(3_000),
        }),
        downstream_end: SideEnd {
            at: opened + took,
            how: downstream,
        },
        upstream_end: SideEnd {
            at: opened + took,
            how: upstream,
        },
        bytes_up: 200,
        bytes_down: 1_000,
        first_byte_up: Some(Span::from_micros(10)),
        first_byte_down: Some(took),
        last_byte: Some(opened + took),
        blocked_up: Span::ZERO,
        blocked_down: Span::ZERO,
        protocol: Protocol::Http1,
        unread: None,
        exchanges: 1,
        downstream_tcp: Observation::Seen(TcpFacts::default()),
        upstream_tcp: Observation::Seen(TcpFacts::default()),
    }
}

fn traffic(exchanges: &Exchanges) -> Vec<TrafficCell> {
    let mut cells: BTreeMap<(u32, PathId, RouteId), TrafficCell> = BTreeMap::new();
    for exchange in exchanges {
        let (second, path, route) = (exchange.began.second(), exchange.path, exchange.route);
        let cell = cells.entry((second, path, route)).or_insert(TrafficCell {
            second,
            path,
            route,
            ..TrafficCell::default()
        });
        cell.requests += 1;
        cell.undelivered += u64::from(exchange.delivery.failed());
    }
    cells.into_values().collect()
}

/// Resident memory now, in MB; 0 where the system does not tell.
fn resident() -> u64 {
    status("VmRSS:")
}

/// Lets the peak begin anew (proc(5), `clear_refs`); where that is not allowed the peak reads too high, never too low.
fn forget_peak() {
    if let Err(error) = std::fs::write("/proc/self/clear_refs", "5") {
        println!("the peak before the diagnosis is counted as well: {error}");
    }
}

/// The highest resident memory since then, in MB.
fn peak() -> u64 {
    status("VmHWM:")
}

fn status(key: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text
        .lines()
        .find(|line| line.starts_with(key))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|word| word.parse::<u64>().ok())
        .unwrap_or(0)
        * 1_024
        / 1_000_000
}
