//! Where the forms of a report end up.

use hopscope_attribution::attribute;
use hopscope_attribution::evidence::{Evidence, PathId, Route, RouteId, TrafficCell};
use hopscope_fixtures::{exchange, facts};

use super::*;

fn file(path: impl Into<PathBuf>) -> Destination {
    Destination::File(path.into())
}

/// A run in which the backend answered one request with 503, over the tunnel.
fn report() -> Report {
    let evidence = Evidence {
        paths: facts().paths,
        routes: vec![Route("/products".to_owned())],
        exchanges: vec![exchange(0, 0, 503, 2_000, 1_000)].into(),
        traffic: vec![TrafficCell {
            second: 0,
            path: PathId(0),
            route: RouteId(0),
            requests: 1,
            delivered_errors: 1,
            undelivered: 0,
            latency_sum_us: 1_000,
            latency_max_us: 1_000,
        }],
        ..Evidence::default()
    };
    Report::new(&facts(), None, &[], &evidence, &attribute(&evidence))
}

#[test]
fn every_form_goes_where_it_was_asked_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let options = ReportOptions {
        json: Some(file(at("r.json"))),
        markdown: Some(file(at("r.md"))),
        html: Some(file(at("r.html"))),
        fail_on: vec!["tunnel>0".parse().expect("a condition")],
    };
    options.check(&[]).expect("all can be written");
    let report = report();
    assert_eq!(options.deliver(&report).expect("delivered"), Exit::Ran);
    let read = |name: &str| std::fs::read_to_string(at(name)).expect(name);
    assert_eq!(read("r.json"), json::render(&report).expect("json"));
    assert_eq!(read("r.md"), markdown::render(&report));
    assert_eq!(read("r.html"), html::render(&report));
}

#[test]
fn a_condition_that_holds_decides_the_exit() {
    let options = ReportOptions {
        fail_on: ["tunnel>0", "backend>0"]
            .map(|text| text.parse().expect(text))
            .to_vec(),
        ..ReportOptions::default()
    };
    assert_eq!(
        options.deliver(&report()).expect("delivered"),
        Exit::ConditionHolds
    );
}

#[test]
fn outputs_that_collide_are_refused_before_the_run() {
    let twice = ReportOptions {
        json: Some(Destination::Stdout),
        html: Some(Destination::Stdout),
        ..ReportOptions::default()
    };
    let error = twice.check(&[]).expect_err("two on standard output");
    assert_eq!(error.exit(), Exit::Usage);
    assert_eq!(
        error.to_string(),
        "--json and --html both ask for standard output: give one of them a file"
    );
    let over_the_recording = OutputOptions {
        record: Some("run.sqlite".into()),
        record_limit: None,
        report: ReportOptions {
            json: Some(file("run.sqlite")),
            ..ReportOptions::default()
        },
    };
    assert!(
        over_the_recording
            .check(&[])
            .expect_err("one file")
            .to_string()
            .contains("--record and --json")
    );
}

#[test]
fn a_file_that_cannot_be_written_is_found_before_the_run() {
    let options = ReportOptions {
        html: Some(file("/nonexistent/folder/r.html")),
        ..ReportOptions::default()
    };
    let error = options.check(&[]).expect_err("no such folder");
    assert_eq!(error.exit(), Exit::CouldNotRun);
    assert!(
        error
            .to_string()
            .starts_with("cannot write the --html file /nonexistent/folder/r.html: ")
    );
}

#[test]
fn a_recording_is_named_after_its_start() {
    let options = OutputOptions::default();
    assert_eq!(
        options.recording_file(1_700_000_000_000_000),
        PathBuf::from("hopscope-20231114T221320.sqlite")
    );
}

#[test]
fn a_size_is_a_number_with_a_letter() {
    assert_eq!(size("500M"), Ok(500 << 20));
    assert_eq!(size("2GiB"), Ok(2 << 30));
    assert_eq!(size("2gb"), Ok(2 << 30));
    assert_eq!(size("8388608"), Ok(8 << 20));
    for wrong in ["", "M", "1.5G", "12X", "-1M", "99999999999999T"] {
        assert!(size(wrong).unwrap_err().contains("is no size"), "{wrong}");
    }
    assert!(size("100K").unwrap_err().contains("at least 4M"));
}
