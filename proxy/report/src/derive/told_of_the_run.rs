//! Tests of what a report says of how its run was made.

use hopscope_attribution::attribute;
use hopscope_attribution::evidence::{
    AddressFailures, Author, ConnectFailure, Connection, ConnectionId, Cut, Delivery, Ending, Evidence,
    Exchange, FourTuple, Method, Moment, Path, PathId, PathKind, Phases, RouteId, RunFacts, SideEnd, Span,
    Upstream,
};

use hopscope_text::distribution::Distribution;
use hopscope_text::paint::Screen;

use crate::sample::connection;
use crate::{Report, RouteMeasurement, html, markdown, terminal};

fn evidence(target: &str) -> Evidence {
    Evidence {
        paths: vec![Path {
            name: "lb".to_owned(),
            kind: PathKind::Lb,
            target: target.to_owned(),
        }],
        duration: Span::from_secs(10),
        ..Evidence::default()
    }
}

fn report(run: &RunFacts, measured: &[RouteMeasurement], evidence: &Evidence) -> Report {
    Report::new(run, None, measured, evidence, &attribute(evidence))
}

fn refused(id: u64) -> Connection {
    let mut refused = connection(id);
    refused.upstream = Upstream::Failed {
        after: Span::from_micros(90),
        failure: ConnectFailure::Refused,
    };
    refused.upstream_tuple = None;
    refused
}

fn answered(id: u64, status: u16, author: Author) -> Exchange {
    Exchange {
        connection: ConnectionId(id),
        path: PathId(0),
        ordinal: 0,
        method: Method::Get,
        route: RouteId(0),
        began: Moment(1_000_000),
        phases: Phases {
            idle: None,
            request_sent: Some(Span::from_micros(100)),
            first_byte: Some(Span::from_micros(900)),
            total: Span::from_micros(1_000),
        },
        bytes_up: 100,
        bytes_down: 100,
        request_complete: true,
        answered_early: false,
        delivery: Delivery::Complete { status, author },
    }
}

#[test]
fn the_report_says_what_the_generator_saw_in_the_place_of_a_refusal() {
    let mut evidence = evidence("http://shop.test");
    evidence.connections = (0..5).map(refused).collect();
    evidence.exchanges = vec![answered(4, 502, Author::Hopscope)].into();
    let notes = report(&RunFacts::default(), &[], &evidence).run.notes;
    assert_eq!(
        notes,
        [
            "Where no upstream connection stood, the generator saw \"connection reset by peer\" × 4 and hopscope's 502 × 1: \
          its connection to hopscope stood already. Without hopscope it would have seen \"connection refused\" × 5."
        ]
    );
}

#[test]
fn a_healthy_run_has_no_notes() {
    let mut evidence = evidence("http://shop.test");
    evidence.connections = (0..5).map(connection).collect();
    assert_eq!(
        report(&RunFacts::default(), &[], &evidence).run.notes,
        Vec::<String>::new()
    );
}

fn reset_behind_an_answer(id: u64, later: u64) -> Connection {
    let mut reset = connection(id);
    let last = Moment(500_000);
    reset.first_byte_down = Some(Span::from_micros(300));
    reset.last_byte = Some(last);
    reset.downstream_end = SideEnd {
        at: Moment(9_000_000),
        how: Ending::EndedByRelay,
    };
    reset.upstream_end = SideEnd {
        at: last + Span::from_micros(later),
        how: Ending::Reset,
    };
    reset
}

#[test]
fn answers_that_a_reset_could_have_overtaken_are_counted() {
    let mut evidence = evidence("http://shop.test");
    evidence.connections = vec![
        reset_behind_an_answer(0, 200),
        reset_behind_an_answer(1, 300_000),
        // Long after the answer, the generator had it.
        reset_behind_an_answer(2, 5_000_000),
        // An answer that was cut off is a failure, and counted as one.
        reset_behind_an_answer(3, 200),
        // The generator had left by then.
        Connection {
            downstream_end: SideEnd {
                at: Moment(500_100),
                how: Ending::Fin,
            },
            ..reset_behind_an_answer(4, 200)
        },
        connection(5),
    ]
    .into();
    let mut cut = answered(3, 200, Author::Unstated);
    cut.delivery = Delivery::Truncated {
        status: 200,
        author: Author::Unstated,
        cut: Cut::UpstreamReset,
    };
    evidence.exchanges = vec![cut].into();
    let notes = report(&RunFacts::default(), &[], &evidence).run.notes;
    assert!(
        notes[0].starts_with("At most 2 answers could have been cut off without hopscope"),
        "{notes:?}"
    );
}

#[test]
fn what_was_changed_is_among_the_first_lines_of_every_form() {
    let run = RunFacts {
        notes: vec!["On path lb a Host was replaced.".to_owned()],
        ..RunFacts::default()
    };
    let report = report(&run, &[], &evidence("http://shop.test"));
    let text = terminal::render(&report, Screen::PLAIN);
    assert!(
        text.lines()
            .take(8)
            .any(|line| line.contains("a Host was replaced")),
        "{text}"
    );
    assert!(markdown::render(&report).contains("a Host was replaced"));
    assert!(html::render(&report).contains("a Host was replaced"));
}

fn answers(status: u16, times: u64) -> RouteMeasurement {
    RouteMeasurement {
        path: PathId(0),
        route: RouteId(0),
        statuses: [(status, times)].into(),
        all: Distribution::default(),
        ok: Distribution::default(),
    }
}

#[test]
fn nothing_but_404_asks_for_the_host_unless_it_was_replaced() {
    let advice = |run: &RunFacts, status, target: &str| {
        let report = report(run, &[answers(status, 30)], &evidence(target));
        report
            .advice
            .iter()
            .any(|advice| advice.action.contains("--host-header"))
    };
    assert!(advice(&RunFacts::default(), 404, "http://10.0.0.7"));
    assert!(advice(&RunFacts::default(), 421, "https://10.0.0.7"));
    assert!(!advice(&RunFacts::default(), 403, "http://10.0.0.7"));
    let replaced = RunFacts {
        notes: vec!["On path lb every Host was replaced by shop.test (--host-header).".to_owned()],
        ..RunFacts::default()
    };
    assert!(!advice(&replaced, 404, "http://10.0.0.7"));
}

#[test]
fn nothing_but_400_on_a_plain_path_asks_for_tls() {
    let advice = |target: &str, times| {
        let report = report(&RunFacts::default(), &[answers(400, times)], &evidence(target));
        report
            .advice
            .iter()
            .map(|advice| advice.action.clone())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert!(advice("http://shop.test:8443", 30).contains("--via lb=https://shop.test:8443"));
    assert!(advice("10.0.0.7:8443", 30).contains("--via lb=https://10.0.0.7:8443"));
    assert!(!advice("https://shop.test", 30).contains("https"));
    assert!(!advice("http://shop.test", 2).contains("https"), "too few to say");
}

#[test]
fn connections_that_a_tls_port_ends_ask_for_tls() {
    let advice = |target: &str, how| {
        let mut evidence = evidence(target);
        let mut ended = connection(1);
        ended.upstream_end.how = how;
        evidence.connections = vec![ended].into();
        let report = report(&RunFacts::default(), &[], &evidence);
        report
            .advice
            .iter()
            .any(|advice| advice.action.contains("=https://"))
    };
    assert!(advice("http://shop.test:8443", Ending::Fin));
    assert!(advice("10.0.0.7:443", Ending::Reset));
    assert!(
        !advice("10.0.0.7:443", Ending::EndedByRelay),
        "the generator ended it"
    );
    assert!(
        !advice("http://shop.test:8080", Ending::Fin),
        "no port that is known for TLS"
    );
    assert!(!advice("https://shop.test:443", Ending::Fin));
}

#[test]
fn several_addresses_have_their_own_figures() {
    let mut evidence = evidence("http://shop.test");
    let to = |id: u64, remote: &str| {
        let mut made = connection(id);
        made.exchanges = 2;
        made.upstream_tuple = Some(FourTuple {
            local: "10.0.0.9:5000".parse().expect("an address"),
            remote: remote.parse().expect("an address"),
        });
        made
    };
    evidence.connections = vec![to(0, "10.0.0.1:80"), to(1, "10.0.0.1:80"), to(2, "10.0.0.2:80")].into();
    evidence.exchanges = vec![answered(1, 500, Author::Unstated)].into();
    evidence.failed_addresses = vec![AddressFailures {
        path: PathId(0),
        address: "10.0.0.3:80".parse().expect("an address"),
        failure: ConnectFailure::Refused,
        times: 7,
        first: Moment(1),
        last: Moment(2),
    }];
    let report = report(&RunFacts::default(), &[], &evidence);
    let figures: Vec<_> = report.paths[0]
        .addresses
        .iter()
        .map(|of| {
            (
                of.address.as_str(),
                of.connections,
                of.requests,
                of.failed,
                of.not_taken,
            )
        })
        .collect();
    assert_eq!(
        figures,
        [
            ("10.0.0.1:80", 2, 4, 1, 0),
            ("10.0.0.2:80", 1, 2, 0, 0),
            ("10.0.0.3:80", 0, 0, 0, 7)
        ]
    );
    assert!(
        report
            .contrasts
            .iter()
            .any(|finding| finding.statement.contains("10.0.0.3:80 refused 7"))
    );
}
