//! Results of real runs, read; and every kind of damage to them.

use std::io::Cursor;

use super::*;
use hopscope_golden as golden;
use hopscope_text::paint::Screen;

mod damage;
mod generators;
mod k6;
mod layers;
mod wrk;

fn all(bytes: &[u8]) -> Result<Explained, Unrecognised> {
    explain(Cursor::new(bytes), Keep::Failures)
}

fn one(bytes: &[u8]) -> (Summary, Reading) {
    all(bytes).expect("a result").only().expect("one result")
}

fn read(name: &str) -> (Summary, Reading) {
    one(&golden::bytes(name))
}

fn refused(text: &str) -> String {
    all(text.as_bytes()).expect_err(text).to_string()
}

fn rule<'a>(reading: &'a Reading, rule: &str) -> &'a Said {
    let said = reading.says.iter().find(|said| said.rule == rule);
    said.unwrap_or_else(|| panic!("{rule} is missing: {:?}", reading.says))
}

/// What the reading of a file looks like, and that of all forms of one run beside each other.
#[test]
fn results_read_like_this() {
    for name in [
        "seed.json",
        "k6-summary-export.json",
        "k6-points.ndjson",
        "oha.json",
        "wrk.txt",
        "wrk-resets.txt",
    ] {
        let explained = all(&golden::bytes(name)).expect(name);
        golden::check(&format!("read/{name}.out"), &render(&explained, Screen::PLAIN));
    }
}

#[test]
fn the_case_that_hopscope_began_with_does_not_charge_the_tunnel() {
    let (summary, reading) = read("seed.json");
    assert_eq!(reading.tunnel, TunnelReading::NotLikely);
    let said = |rule: &str| {
        reading
            .says
            .iter()
            .find(|said| said.rule == rule)
            .unwrap_or_else(|| panic!("{rule} is missing"))
    };
    assert!(said("route-contrast").statement.contains("2,973"));
    assert!(
        said("route-contrast")
            .caveat
            .as_deref()
            .unwrap_or_default()
            .contains("same time")
    );
    assert!(said("one-cause").statement.contains("93.4 % to 93.9 %"));
    assert!(
        said("time-out-lattice")
            .statement
            .contains("p95 984 ms and p99 1.01 s stand at 1.00 s")
    );
    assert!(said("no-long-timeout").statement.contains("1.93 s"));
    assert!(said("parts-and-total").statement.contains("25,163"));
    // What needs timing, statuses, connections or bytes is refused.
    assert!(summary.delivered_errors.is_none() && summary.clean_while_others_failed.is_none());
    for refused in [
        "complete answers",
        "ran while the others failed",
        "differ in size",
        "FIN or with RST",
        "came together",
    ] {
        assert!(
            reading
                .cannot
                .iter()
                .any(|cannot| cannot.question.contains(refused)),
            "{refused}"
        );
    }
    assert!(!reading.says.iter().any(|said| said.rule == "delivered"));
}

#[test]
fn all_forms_of_one_run_of_k6_agree() {
    // These two were written by the same run.
    let (export, _) = read("k6-summary-export.json");
    let (text, _) = read("k6-compact.txt");
    assert_eq!((export.requests, export.failed), (text.requests, text.failed));
    assert_eq!(export.requests, Some(237));
    let close = |a: Option<f64>, b: Option<f64>| (a.expect("stated") - b.expect("stated")).abs() < 1e-4;
    assert!(close(export.latency.p95, text.latency.p95));
    assert!(close(export.latency_ok.p50, text.latency_ok.p50));
    let failures = |summary: &Summary| {
        let mut groups: Vec<_> = summary
            .groups
            .iter()
            .filter(|group| group.failed > 0)
            .map(|group| (group.name.clone(), group.ok, group.failed))
            .collect();
        groups.sort();
        groups
    };
    assert_eq!(failures(&export), failures(&text));
    let (lines, _) = read("k6-points.ndjson");
    let (csv, _) = read("k6-points.csv");
    assert_eq!(
        (lines.requests, lines.failed, &lines.statuses, lines.groups.len()),
        (csv.requests, csv.failed, &csv.statuses, csv.groups.len())
    );
    assert!(
        lines
            .clean_while_others_failed
            .is_some_and(|overlapping| overlapping > 0)
    );
}

#[test]
fn every_summary_of_k6_is_read_whatever_its_layout() {
    for name in ["k6-full.txt", "k6-legacy.txt", "k6-handle-summary.json"] {
        let (summary, _) = read(name);
        assert_eq!(summary.tool, Tool::K6, "{name}");
        let (requests, failed) = (summary.requests.expect(name), summary.failed.expect(name));
        assert!(requests > 200 && failed > 150 && failed < requests, "{name}");
        assert!(
            summary.latency.p50.is_some() && summary.latency_ok.p95.is_some(),
            "{name}"
        );
        assert!(summary.groups.len() >= 5, "{name}: {:?}", summary.groups);
        let clean = summary.groups.iter().filter(|group| group.failed == 0).count();
        assert!(clean >= 1, "{name}");
    }
}

#[test]
fn a_summary_from_before_k6_1_0_is_read() {
    let text = "     checks.........................: 10.70% ✓ 3191      ✗ 26635\n     \
                http_req_duration..............: avg=61ms min=0.9ms med=7.78ms max=1.93s p(90)=34ms p(95)=984ms p(99)=1.01s\n       \
                { expected_response:true }...: avg=31ms min=3ms med=25.6ms max=1.2s p(90)=61ms p(95)=73ms\n     \
                http_req_failed................: 89.30% ✓ 26635     ✗ 3191\n     \
                http_reqs......................: 29826  70.78/s\n";
    let (summary, _) = one(text.as_bytes());
    assert_eq!((summary.requests, summary.failed), (Some(29_826), Some(26_635)));
    assert_eq!(summary.latency.p99, Some(1.01));
    assert_eq!(summary.latency_ok.p50, Some(0.0256));
}

#[test]
fn what_failed_alike_everywhere_is_left_open() {
    let text = "{\"metrics\":{\"http_reqs\":{\"count\":2000},\"http_req_failed\":{\"passes\":200,\"fails\":1800}},\
                \"root_group\":{\"checks\":[{\"name\":\"a\",\"passes\":910,\"fails\":90},{\"name\":\"b\",\"passes\":890,\"fails\":110}]}}";
    let (_, reading) = one(text.as_bytes());
    assert_eq!(reading.tunnel, TunnelReading::Open);
    assert!(reading.says.iter().any(|said| said.rule == "routes-alike"));
}

#[test]
fn a_small_difference_between_routes_clears_nobody() {
    // 0 of 40 against 5 % of the others: chance does that often.
    let text = "{\"metrics\":{\"http_reqs\":{\"count\":1040},\"http_req_failed\":{\"passes\":50,\"fails\":990}},\
                \"root_group\":{\"checks\":[{\"name\":\"a\",\"passes\":40,\"fails\":0},{\"name\":\"b\",\"passes\":950,\"fails\":50}]}}";
    let (_, reading) = one(text.as_bytes());
    assert_eq!(reading.tunnel, TunnelReading::Open);
}

#[test]
fn a_run_without_failures_needs_no_explanation() {
    let text = "{\"metrics\":{\"http_reqs\":{\"count\":10},\"http_req_failed\":{\"passes\":0,\"fails\":10}}}";
    let (_, reading) = one(text.as_bytes());
    assert_eq!(reading.tunnel, TunnelReading::NothingFailed);
    assert!(reading.cannot.is_empty() && reading.next.is_none());
}

#[test]
fn a_time_that_no_float_holds_is_none() {
    let points = "metric_name,timestamp,metric_value,status\nhttp_reqs,1e999,1,200\nhttp_reqs,17,1,200\n";
    let (summary, _) = one(points.as_bytes());
    assert_eq!((summary.requests, summary.duration_seconds), (Some(2), Some(0.0)));
}

#[test]
fn what_is_no_result_is_refused_with_what_to_do() {
    assert!(refused("").contains("empty"));
    assert!(refused("hello\n").contains("no result that explain knows"));
    let more_failures_than_requests =
        r#"{"metrics":{"http_reqs":{"count":3},"http_req_failed":{"passes":4}}}"#;
    assert!(refused(more_failures_than_requests).contains("4 failures of 3 requests"));
    assert!(refused("{\"schema\":\"hopscope.report/1\"}").contains("already"));
    assert!(refused("SQLite format 3\0xxxx").contains("hopscope report"));
    assert!(refused("metric_name,timestamp,metric_value\nvus,1,1\n").contains("no HTTP request"));
    assert!(
        all(&[0x1f, 0x8b, 8, 0])
            .expect_err("gzip")
            .to_string()
            .contains("gunzip")
    );
}
