//! Joining: what is found, what is not, and that nothing is found twice.

use hopscope_attribution::cause::Cause;
use hopscope_attribution::evidence::{
    ConnectionId, Delivery, Exchange, Method, Moment, PathId, Phases, Route, Span,
};

use super::*;

const STARTED: u64 = 1_795_385_000_000_000;

fn evidence() -> Evidence {
    let routes = ["/health", "/products", "/products/:id"];
    Evidence {
        routes: routes.map(|route| Route(route.to_owned())).to_vec(),
        ..Evidence::default()
    }
}

/// Adds one of ours: a failure that ended then, on that route.
fn ours(evidence: &mut Evidence, at_us: u64, route: u16, status: Option<u16>, cause: Cause) -> Judged {
    evidence.exchanges.push(Exchange {
        connection: ConnectionId(0),
        path: PathId(0),
        ordinal: 0,
        method: Method::Get,
        route: RouteId(route),
        began: Moment(at_us),
        phases: Phases {
            total: Span::ZERO,
            ..Phases::default()
        },
        bytes_up: 0,
        bytes_down: 0,
        request_complete: true,
        answered_early: false,
        delivery: Delivery::Nothing {
            cut: hopscope_attribution::evidence::Cut::UpstreamFin,
        },
    });
    Judged {
        between: hopscope_attribution::between::Between::Any,
        at: Moment(at_us),
        connection: ConnectionId(0),
        exchange: u32::try_from(evidence.exchanges.len() - 1).ok(),
        path: PathId(0),
        status,
        cause,
    }
}

fn theirs(at_us: u64, target: u32, status: Option<u16>) -> FailedRequest {
    FailedRequest {
        at_unix_us: STARTED + at_us,
        target,
        status,
        code: 1_220,
    }
}

fn targets() -> Vec<String> {
    ["/products/7", "/health"].map(str::to_owned).to_vec()
}

#[test]
fn a_failure_is_found_by_its_time_route_and_status() {
    let mut evidence = evidence();
    let judged = [
        ours(&mut evidence, 1_000_000, 2, Some(500), Cause::BackendError),
        ours(&mut evidence, 1_000_100, 2, None, Cause::TunnelLost),
        ours(&mut evidence, 1_000_000, 0, None, Cause::ClientAbort),
    ];
    let join = join(
        &evidence,
        STARTED,
        &judged,
        &[theirs(1_000_300, 0, None)],
        &targets(),
    );
    assert_eq!(join.by_hop, [(Hop::Tunnel, 1)].into());
    assert_eq!((join.found, join.close), (1, 1));
}

#[test]
fn none_of_ours_is_found_twice_and_the_rest_stays_unknown() {
    let mut evidence = evidence();
    let judged = [ours(&mut evidence, 1_000_000, 2, Some(500), Cause::BackendError)];
    let failures = [theirs(1_000_000, 0, Some(500)), theirs(1_000_001, 0, Some(500))];
    let join = join(&evidence, STARTED, &judged, &failures, &targets());
    assert_eq!((join.stated, join.found), (2, 1));
    assert_eq!(join.missing, [(1_220, 1)].into());
}

#[test]
fn another_route_another_status_or_another_time_is_another_failure() {
    let mut evidence = evidence();
    let judged = [ours(&mut evidence, 1_000_000, 2, Some(500), Cause::BackendError)];
    for other in [
        theirs(1_000_000, 1, Some(500)),
        theirs(1_000_000, 0, Some(503)),
        theirs(9_000_000, 0, Some(500)),
    ] {
        let join = join(&evidence, STARTED, &judged, &[other], &targets());
        assert_eq!(join.found, 0, "{other:?}");
    }
}

#[test]
fn a_connection_that_never_stood_has_no_route_to_compare() {
    let mut evidence = evidence();
    let judged = [Judged {
        exchange: None,
        ..ours(&mut evidence, 1_000_000, 0, None, Cause::BackendRefused)
    }];
    let join = join(
        &evidence,
        STARTED,
        &judged,
        &[theirs(1_600_000, 0, None)],
        &targets(),
    );
    assert_eq!(join.by_hop, [(Hop::Backend, 1)].into());
    assert_eq!((join.found, join.close), (1, 0));
}

#[test]
fn a_path_fits_its_template_and_no_other() {
    assert!(fits("/products/:id", "/products/7"));
    assert!(!fits("/products/:id", "/products"));
    assert!(!fits("/products/:id", "/products/"));
    assert!(!fits("/products", "/health"));
}

/// A real run: two users of k6 1.1 asked a server that answers every other product with 503 and resets every other search
/// (`--out csv`, whose times are whole seconds). Go asks again by itself after a reset, and k6 counts that as one request.
#[test]
fn each_failure_in_the_csv_of_a_real_k6_run_is_found_among_ours() {
    let csv = hopscope_golden::bytes("join/k6-run.csv");
    let explained = hopscope_explain::explain(std::io::Cursor::new(csv), hopscope_explain::Keep::Failures);
    let (summary, _) = explained.expect("a result of k6").only().expect("one result");
    assert_eq!((summary.requests, summary.failed), (Some(30), Some(20)));
    let recorded = String::from_utf8(hopscope_golden::bytes("join/k6-run.ours")).expect("text");
    let mut lines = recorded.lines();
    let started: u64 = lines.next().and_then(|line| line.parse().ok()).expect("a time");
    let mut evidence = Evidence {
        routes: ["/health", "/products/:id", "/search"]
            .map(|route| Route(route.to_owned()))
            .to_vec(),
        ..Evidence::default()
    };
    let judged: Vec<Judged> = lines
        .map(|line| {
            let [at, route, status] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("three words: {line}");
            };
            let route = evidence
                .routes
                .iter()
                .position(|of| of.0 == route)
                .expect("a known route");
            let status = status.parse().ok();
            let cause = if status.is_some() {
                Cause::BackendError
            } else {
                Cause::TunnelLost
            };
            let at = at.parse().expect("microseconds");
            ours(
                &mut evidence,
                at,
                u16::try_from(route).expect("one of three"),
                status,
                cause,
            )
        })
        .collect();
    assert_eq!(judged.len(), 30);
    let join = join(&evidence, started, &judged, &summary.failures, &summary.targets);
    assert_eq!((join.stated, join.found), (20, 20));
    assert_eq!(join.by_hop, [(Hop::Backend, 10), (Hop::Tunnel, 10)].into());
}
