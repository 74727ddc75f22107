//! k6: what its checks, its parts and its log say, and what they do not.

use super::*;

fn summary_with(checks: &[(&str, u64, u64)], requests: u64, failed: u64, more: &str) -> String {
    let checks: Vec<_> = checks
        .iter()
        .map(|(name, passes, fails)| format!(r#"{{"name":"{name}","passes":{passes},"fails":{fails}}}"#))
        .collect();
    format!(
        r#"{{"metrics":{{"http_reqs":{{"count":{requests}}},"http_req_failed":{{"passes":{failed},"fails":{}}}{more}}},"root_group":{{"checks":[{}]}}}}"#,
        requests - failed,
        checks.join(",")
    )
}

#[test]
fn two_checks_of_one_answer_are_no_contrast_and_nothing_received_clears_nobody() {
    let (summary, reading) = read("k6-checks-of-one-answer.json");
    assert_eq!((summary.requests, summary.failed), (Some(2_000), Some(2_000)));
    assert_eq!(
        (summary.delivered_errors, summary.undelivered),
        (Some(0), Some(2_000))
    );
    assert_eq!(reading.tunnel, TunnelReading::Open);
    assert!(!reading.says.iter().any(|said| said.rule == "route-contrast"));
    assert!(rule(&reading, "nothing-received").statement.contains("2,000"));
}

#[test]
fn checks_evaluated_more_often_than_there_were_requests_never_contrast() {
    let text = summary_with(&[("status", 0, 1_000), ("fast", 1_000, 0)], 1_000, 1_000, "");
    let (_, reading) = one(text.as_bytes());
    assert_eq!(reading.tunnel, TunnelReading::Open);
    assert!(
        rule(&reading, "checks-overlap")
            .statement
            .contains("2,000 times for 1,000 requests")
    );
}

#[test]
fn checks_that_may_look_at_the_same_answer_never_contrast() {
    // A login without a check, and two checks of the answer behind it: as often evaluated as there were requests.
    let text = summary_with(&[("status", 0, 500), ("fast", 500, 0)], 1_000, 500, "");
    assert_eq!(one(text.as_bytes()).1.tunnel, TunnelReading::Open);
    // Requests without a check beside two checks of one answer.
    let text = summary_with(&[("status", 0, 300), ("fast", 290, 10)], 1_000, 300, "");
    assert_eq!(one(text.as_bytes()).1.tunnel, TunnelReading::Open);
}

#[test]
fn failures_that_no_check_counts_are_laid_on_the_checks_that_passed() {
    // One check a request, as the counts say; but as many failed beside as the clean check has.
    let clears = summary_with(&[("a", 10, 790), ("b", 210, 0)], 1_010, 790, "");
    assert_eq!(one(clears.as_bytes()).1.tunnel, TunnelReading::NotLikely);
    let does_not = summary_with(&[("a", 10, 790), ("b", 210, 0)], 1_010, 1_000, "");
    assert_eq!(one(does_not.as_bytes()).1.tunnel, TunnelReading::Open);
}

#[test]
fn names_of_requests_contrast_and_their_mirror_image_does_not() {
    let parts = |ok: (u64, u64), bad: (u64, u64)| {
        format!(
            r#","http_req_failed{{name:a}}":{{"passes":{},"fails":{}}},"http_req_failed{{name:b}}":{{"passes":{},"fails":{}}}"#,
            ok.0,
            ok.1 - ok.0,
            bad.0,
            bad.1 - bad.0
        )
    };
    let text = summary_with(&[], 2_000, 900, &parts((0, 1_000), (900, 1_000)));
    let (summary, reading) = one(text.as_bytes());
    assert_eq!(summary.groups_from, GroupsFrom::Requests);
    assert_eq!(reading.tunnel, TunnelReading::NotLikely);
    // The same, and not one byte was received.
    let parts = parts((0, 1_000), (900, 1_000)) + r#","data_received":{"count":0}"#;
    assert_eq!(
        one(summary_with(&[], 2_000, 900, &parts).as_bytes()).1.tunnel,
        TunnelReading::Open
    );
}

#[test]
fn a_few_clean_requests_at_a_run_s_start_do_not_stand_for_the_path() {
    let parts = r#","http_req_failed{name:login}":{"passes":0,"fails":100}"#;
    let (_, reading) = one(summary_with(&[], 10_000, 6_000, parts).as_bytes());
    assert_eq!(reading.tunnel, TunnelReading::Open);
}

#[test]
fn scenarios_may_run_one_behind_the_other_and_clear_nobody() {
    // Really made: the second scenario began when the first was over, and met a server that resets.
    let (summary, reading) = read("k6-scenarios-apart.txt");
    assert_eq!(summary.groups_from, GroupsFrom::Scenarios);
    assert_eq!(reading.tunnel, TunnelReading::Open);
    let parts = r#","http_req_failed{scenario:one}":{"passes":0,"fails":1000},"http_req_failed{scenario:two}":{"passes":900,"fails":100}"#;
    assert_eq!(
        one(summary_with(&[], 2_000, 900, parts).as_bytes()).1.tunnel,
        TunnelReading::Open
    );
}

#[test]
fn sections_of_scenarios_and_groups_are_parts_of_one_run() {
    let (summary, reading) = read("k6-full-scenarios.txt");
    assert_eq!((summary.requests, summary.failed), (Some(4_556), Some(64)));
    assert_eq!(reading.tunnel, TunnelReading::Open);
    assert!((summary.latency.p95.expect("stated") - 0.001_73).abs() < 1e-9);
    // Groups of a script without named scenarios run in one iteration.
    let (summary, _) = read("k6-full-groups.txt");
    assert_eq!((summary.requests, summary.failed), (Some(24), Some(10)));
    assert_eq!(summary.groups_from, GroupsFrom::Groups);
    let groups: Vec<_> = summary
        .groups
        .iter()
        .map(|group| (&*group.name, group.ok, group.failed))
        .collect();
    assert_eq!(groups, [("health", 8, 0), ("shop", 6, 10)]);
}

#[test]
fn k6_s_log_says_what_broke() {
    let (summary, reading) = read("k6-log.txt");
    assert_eq!((summary.requests, summary.failed), (Some(24), Some(10)));
    assert_eq!(
        summary.errors,
        [("read: connection reset by peer".to_owned(), 8)].into()
    );
    // Two answers with status 500 and eight warnings are all ten.
    assert_eq!(
        (summary.delivered_errors, summary.undelivered),
        (Some(2), Some(8))
    );
    assert!(
        rule(&reading, "broken")
            .statement
            .contains("connection reset by peer × 8")
    );
    // Without the statuses the other two are not known.
    let (summary, reading) = read("k6-log-json.txt");
    assert_eq!((summary.undelivered, summary.undelivered_at_least), (None, 8));
    assert!(rule(&reading, "broken").statement.starts_with("At least 8"));
    let (summary, _) = read("k6-refused.txt");
    assert_eq!((summary.failed, summary.undelivered), (Some(24), Some(24)));
    assert_eq!(
        summary.errors,
        [("connect: connection refused".to_owned(), 24)].into()
    );
}

#[test]
fn a_log_without_its_summary_is_named() {
    let line =
        r#"time="2026-11-30T22:22:55Z" level=warning msg="Request Failed" error="Get \"http://h/\": EOF""#;
    assert!(refused(&format!("{line}\n{line}\n")).contains("2 failed requests"));
}

#[test]
fn iterations_that_the_end_of_the_run_cut_off_may_have_waited_for_the_path() {
    // Really made: a server that fell silent; k6 counted no failure and interrupted every virtual user.
    let (summary, reading) = read("k6-interrupted.txt");
    assert_eq!((summary.requests, summary.failed), (Some(29), Some(0)));
    assert_eq!(reading.tunnel, TunnelReading::Open);
    assert!(
        reading
            .cannot
            .iter()
            .any(|cannot| cannot.question.contains("3 interrupted iterations"))
    );
}

#[test]
fn checks_that_failed_where_no_request_did_are_said() {
    let text = summary_with(&[("body", 900, 100)], 1_000, 0, "");
    let (_, reading) = one(text.as_bytes());
    assert_eq!(reading.tunnel, TunnelReading::Open);
    assert!(
        reading.headline.contains("100 checks did"),
        "{}",
        reading.headline
    );
}

#[test]
fn k6_2_s_summary_is_read() {
    let (summary, reading) = read("k6-2-summary.json");
    assert_eq!((summary.requests, summary.failed), (Some(2_400), Some(600)));
    assert_eq!(summary.bytes_received, Some(512_000));
    assert_eq!(summary.duration_seconds, Some(120.5));
    assert_eq!((summary.checks.len(), summary.groups.len()), (2, 2));
    assert_eq!(reading.tunnel, TunnelReading::NotLikely);
}

#[test]
fn clean_points_count_only_in_seconds_in_which_others_failed() {
    let points = |clean_from: u64| {
        let head = "metric_name,timestamp,metric_value,name,status,expected_response\n".to_owned();
        let rows = (0..400).flat_map(|nth| {
            [
                format!(
                    "http_reqs,{},1,clean,200,true\n",
                    1_000_000 + clean_from + nth / 20
                ),
                format!("http_reqs,{},1,failing,0,false\n", 1_000_020 + nth / 20),
            ]
        });
        std::iter::once(head).chain(rows).collect::<String>()
    };
    assert_eq!(one(points(20).as_bytes()).1.tunnel, TunnelReading::NotLikely);
    // Before the path broke everything was clean.
    assert_eq!(one(points(0).as_bytes()).1.tunnel, TunnelReading::Open);
    // One second in which it broke has both.
    assert_eq!(one(points(1).as_bytes()).1.tunnel, TunnelReading::Open);
}
