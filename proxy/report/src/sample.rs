//! Reports to try the writers on: the case that hopscope began with, an empty one, and a hostile one.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use hopscope_attribution::Failed;
use hopscope_attribution::between::Between;
use hopscope_attribution::cause::Cause;
use hopscope_attribution::evidence::{
    Accounting, Connection, ConnectionId, Ending, Evidence, FourTuple, Moment, Observation, ObserverHealth,
    Path, PathId, PathKind, Protocol, Route, RouteId, Side, SideEnd, Span, TrafficCell, Upstream, WhyUnseen,
};
use hopscope_attribution::hop::Hop;
use hopscope_attribution::verdict::{
    Advice, CauseCharge, Charge, Confidence, Diagnosis, Finding, HopCharge, ObserverStatement, Unknown,
    Verdict,
};

use super::{Report, RouteMeasurement};
use hopscope_attribution::evidence::RunFacts;
use hopscope_text::distribution::Distribution;

/// What a report is made of.
pub(crate) struct Sample {
    pub(crate) run: RunFacts,
    pub(crate) exit_code: Option<i32>,
    pub(crate) measured: Vec<RouteMeasurement>,
    pub(crate) evidence: Evidence,
    pub(crate) diagnosis: Diagnosis,
}

impl Sample {
    pub(crate) fn report(&self) -> Report {
        Report::new(
            &self.run,
            self.exit_code,
            &self.measured,
            &self.evidence,
            &self.diagnosis,
        )
    }
}

/// The case that hopscope began with.
pub(crate) fn report() -> Report {
    seed().report()
}

/// A run in which nothing came by.
pub(crate) fn empty() -> Report {
    Report::new(
        &RunFacts::default(),
        None,
        &[],
        &Evidence::default(),
        &Diagnosis {
            verdict: Verdict {
                charged: Some((Hop::Unknown, Cause::NoTraffic)),
                between: Between::Any,
                share: 0.0,
                confidence: Confidence::NONE,
                headline: "Nothing was tried, so nothing is known: no connection reached hopscope."
                    .to_owned(),
            },
            hops: Vec::new(),
            contrasts: Vec::new(),
            unknowns: Vec::new(),
            advice: Vec::new(),
            observer: ObserverStatement::default(),
            repeated: 0,
            charges: Vec::new(),
            not_read: Vec::new(),
        },
    )
}

/// Routes of the seed: name, requests, failed.
const ROUTES: [(&str, u64, u64); 6] = [
    ("/health", 1_491, 0),
    ("/search", 1_482, 0),
    ("/categories", 2_993, 2_803),
    ("/products", 8_870, 8_304),
    ("/products/:id", 11_951, 11_217),
    ("/banners", 3_039, 2_839),
];

/// What failed of the seed.
const FAILED: Failed = Failed {
    requests: 25_163,
    connections: 0,
    never_came: 0,
};

/// 29,826 requests through a tunnel, four of six routes failing behind the gateway.
pub(crate) fn seed() -> Sample {
    let mut evidence = Evidence {
        paths: vec![Path {
            name: "tunnel".to_owned(),
            kind: PathKind::Tunnel,
            target: "kubectl:svc/api-gateway:3000".to_owned(),
        }],
        duration: Span::from_secs(421),
        observer: ObserverHealth {
            delays: Vec::new(),
            accounting: Accounting {
                accepts: 200,
                connection_rows: 200,
                ..Accounting::default()
            },
            added: Observation::Seen((Span::from_micros(38), Span::from_micros(141))),
            closed_properly: true,
            samples: Vec::new(),
        },
        connections: (0..200).map(connection).collect(),
        ..Evidence::default()
    };
    let mut measured = Vec::new();
    for (index, (route, requests, failed)) in (0_u16..).zip(ROUTES) {
        evidence.routes.push(Route(route.to_owned()));
        evidence.traffic.extend(cells(RouteId(index), requests, failed));
        measured.push(measurement(RouteId(index), requests, failed));
    }
    Sample {
        run: RunFacts {
            started_unix_us: 1_700_000_000_000_000,
            version: "0.1.0".to_owned(),
            command: Some(
                ["k6", "run", "--vus", "200", "shop.js"]
                    .map(str::to_owned)
                    .to_vec(),
            ),
            ..RunFacts::default()
        },
        exit_code: Some(99),
        measured,
        evidence,
        diagnosis: diagnosis(),
    }
}

/// Spreads a route's counts over the seconds of the run: a ramp of a minute, then level.
fn cells(route: RouteId, requests: u64, failed: u64) -> Vec<TrafficCell> {
    let weight = |second: u64| second.min(60) + 1;
    let total: u64 = (0..421).map(weight).sum();
    let mut before = 0;
    (0..421_u32)
        .map(|second| {
            let after = before + weight(second.into());
            let share = |of: u64| of * after / total - of * before / total;
            let cell = TrafficCell {
                second,
                path: PathId(0),
                route,
                requests: share(requests),
                delivered_errors: share(failed),
                undelivered: 0,
                latency_sum_us: share(requests) * 61_000,
                latency_max_us: 1_930_000,
            };
            before = after;
            cell
        })
        .collect()
}

fn measurement(route: RouteId, requests: u64, failed: u64) -> RouteMeasurement {
    let ok = requests - failed;
    let mut sample = RouteMeasurement {
        path: PathId(0),
        route,
        statuses: BTreeMap::new(),
        all: Distribution::default(),
        ok: Distribution::default(),
    };
    for (status, times) in [(200, ok), (503, failed)] {
        if times > 0 {
            sample.statuses.insert(status, times);
        }
    }
    for nth in 0..requests {
        let micros = match (nth < ok, nth % 20) {
            (true, spread) => 12_000 + spread * 2_600,
            (false, 0) => 1_010_000,
            (false, spread) => 5_900 + spread * 300,
        };
        sample.all.record(Span::from_micros(micros));
        if nth < ok {
            sample.ok.record(Span::from_micros(micros));
        }
    }
    sample
}

pub(crate) fn connection(id: u64) -> Connection {
    let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let port = 40_000 + u16::try_from(id).expect("a few hundred");
    let closed = Moment(421_000_000);
    Connection {
        id: ConnectionId(id),
        path: PathId(0),
        opened: Moment(id * 300_000),
        closed: Observation::Seen(closed),
        upstream: Upstream::Connected {
            tcp: Span::from_micros(80),
            tls: None,
        },
        downstream_tuple: FourTuple {
            local: address(8080),
            remote: address(port),
        },
        upstream_tuple: Some(FourTuple {
            local: address(port),
            remote: address(3000),
        }),
        downstream_end: SideEnd {
            at: closed,
            how: Ending::Fin,
        },
        upstream_end: SideEnd {
            at: closed,
            how: Ending::EndedByRelay,
        },
        bytes_up: 17_600,
        bytes_down: 214_000,
        first_byte_up: Some(Span::from_micros(100)),
        first_byte_down: Some(Span::from_micros(8_000)),
        last_byte: Some(closed),
        blocked_up: Span::ZERO,
        blocked_down: Span::ZERO,
        protocol: Protocol::Http1,
        unread: None,
        exchanges: 149,
        downstream_tcp: Observation::Unseen(WhyUnseen::NotSupported),
        upstream_tcp: Observation::Unseen(WhyUnseen::NotSupported),
    }
}

fn diagnosis() -> Diagnosis {
    let finding = |rule, statement: &str, numbers: &[(&'static str, f64)]| Finding {
        rule,
        statement: statement.to_owned(),
        numbers: numbers.to_vec(),
    };
    Diagnosis {
        verdict: Verdict {
            charged: Some((Hop::Backend, Cause::BackendDependency)),
            between: Between::Any,
            share: 1.0,
            confidence: Confidence::new(0.98),
            headline:
                "The backend answered 25,163 of 29,826 requests with 503; the tunnel delivered every one of \
                       these answers, so it is not the cause."
                    .to_owned(),
        },
        hops: vec![HopCharge {
            hop: Hop::Backend,
            failures: 25_163,
            failed: FAILED,
            share: 1.0,
            causes: vec![CauseCharge {
                cause: Cause::BackendDependency,
                between: Between::Any,
                failures: 25_163,
                failed: FAILED,
                victims: 0,
                confidence: Confidence::new(0.98),
                evidence_for: vec![
                    finding(
                        "delivered",
                        "All 25,163 failures are complete HTTP responses: every hop before their author delivered.",
                        &[("delivered", 25_163.0), ("undelivered", 0.0)],
                    ),
                    finding(
                        "route-contrast",
                        "4 of 6 routes fail at 93.4 % to 93.9 %, 2 at 0 %, at the same times, on the same \
                         connections and with alike sizes: a tunnel does not know routes.",
                        &[("p_value", 3.7e-19), ("clean_requests", 2_973.0)],
                    ),
                ],
                evidence_against: vec![finding(
                    "author-unstated",
                    "The 503s carry no mark of their author: the gateway and a service behind it look alike from here.",
                    &[],
                )],
            }],
        }],
        contrasts: Vec::new(),
        unknowns: vec![Unknown {
            question: "Which service behind the gateway fails?".to_owned(),
            experiment: "kubectl logs deploy/api-gateway --since=10m | grep -c ' 503 '".to_owned(),
        }],
        advice: vec![Advice {
            action: "Look at what /products, /categories and /banners share behind the gateway.".to_owned(),
            why: "They fail together, and /health and /search do not.".to_owned(),
        }],
        observer: ObserverStatement::default(),
        repeated: 0,
        charges: vec![Charge {
            path: Some(PathId(0)),
            cause: Cause::BackendDependency,
            between: Between::Any,
            failures: 25_163,
            failed: FAILED,
            victims: 0,
            examples: vec![ConnectionId(0), ConnectionId(1)],
        }],
        not_read: Vec::new(),
    }
}

/// A name that would break out of any form that does not escape it.
pub(crate) const HOSTILE: &str =
    "/x\"'><script>alert(1)</script>&amp;|`*_[a](javascript:b)\u{1b}[31m\u{202e}\r\n<!-- ]]> {{7*7}} @all";

/// The seed with [`HOSTILE`] wherever a name or sentence comes from outside.
pub(crate) fn hostile() -> Report {
    let mut sample = seed();
    let hostile = || HOSTILE.to_owned();
    sample.evidence.paths[0].name = hostile();
    sample.evidence.paths[0].target = hostile();
    sample.evidence.routes[2] = Route(hostile());
    sample.run.command = Some(vec![hostile(), hostile()]);
    sample.run.version = hostile();
    sample.diagnosis.verdict.headline = hostile();
    sample.diagnosis.unknowns[0].question = hostile();
    sample.diagnosis.unknowns[0].experiment = hostile();
    sample.diagnosis.advice[0].action = hostile();
    sample.diagnosis.advice[0].why = hostile();
    sample.diagnosis.observer.reasons = vec![hostile()];
    sample.diagnosis.hops[0].causes[0].evidence_for[0].statement = hostile();
    sample.diagnosis.contrasts = vec![Finding {
        rule: "path-contrast",
        statement: hostile(),
        numbers: Vec::new(),
    }];
    sample.evidence.generator = Observation::Seen(hopscope_attribution::evidence::GeneratorResult {
        tool: hostile(),
        requests: 29_830,
        failed: 26_600,
        timeout: None,
        errors: vec![(hostile(), 3)],
    });
    sample.report()
}

/// A connection's side that ended first, to keep the fixture honest.
#[test]
fn the_generator_ends_its_connections_in_the_seed() {
    assert_eq!(connection(0).ended_first(), Some((Side::Downstream, Ending::Fin)));
}
