//! wrk and oha: what they count, and what they leave out.

use super::*;

#[test]
fn a_time_out_of_wrk_is_an_answer_that_came_late_and_no_request_of_its_own() {
    let (summary, reading) = read("wrk-timeouts.txt");
    assert_eq!(
        (summary.requests, summary.failed, summary.late),
        (Some(30), Some(0), Some(30))
    );
    assert_eq!(reading.tunnel, TunnelReading::Open);
    assert!(
        reading.headline.contains("later than the generator's time-out"),
        "{}",
        reading.headline
    );
    // wrk keeps no latency above its time-out, and writes zeros.
    assert_eq!(summary.latency, Quantiles::default());
}

#[test]
fn a_read_error_of_wrk_is_a_close_and_says_not_how_many_requests_were_lost() {
    for (name, requests, closes, lost) in [
        ("wrk-closes.txt", 11_245, 11_245, 0),
        // Where nothing was answered, every close lost a request.
        ("wrk-resets.txt", 1_635, 1_635, 1_635),
    ] {
        let (summary, reading) = read(name);
        assert_eq!(
            (summary.requests, summary.failed),
            (Some(requests), None),
            "{name}"
        );
        assert_eq!(summary.failed_at_least, lost, "{name}");
        assert_eq!(summary.ended_reads, Some(closes), "{name}");
        assert_eq!(reading.tunnel, TunnelReading::Open, "{name}");
        assert!(
            reading
                .cannot
                .iter()
                .any(|cannot| cannot.question.contains("How many requests were lost")),
            "{name}"
        );
    }
}

#[test]
fn answers_of_wrk_that_are_errors_are_failures_and_clear_the_tunnel_unless_connections_broke_as_well() {
    let text = "Running 2s test @ http://h/\n  1 threads and 8 connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    \
                Latency     1.03ms    2.19ms  20.34ms   89.71%\n  8000 requests in 1.00s, 1.85MB read\n  \
                Non-2xx or 3xx responses: 2500\n";
    let end = "Requests/sec:  1000.00\nTransfer/sec:      0.92MB\n";
    let (summary, reading) = one(format!("{text}{end}").as_bytes());
    assert_eq!(
        (summary.requests, summary.failed, summary.delivered_errors),
        (Some(8_000), Some(2_500), Some(2_500))
    );
    assert_eq!(reading.tunnel, TunnelReading::NotLikely);
    let broken = "  Socket errors: connect 0, read 40, write 0, timeout 0\n";
    let (summary, reading) = one(format!("{text}{broken}{end}").as_bytes());
    assert_eq!((summary.failed, summary.failed_at_least), (None, 2_500));
    assert_eq!(reading.tunnel, TunnelReading::Open);
}

#[test]
fn a_wrk_text_that_ends_before_its_line_of_errors_does_not_say_that_nothing_failed() {
    let whole = String::from_utf8(golden::bytes("wrk-closes.txt")).expect("text");
    let cut = whole.split("  Socket errors").next().expect("a part");
    let (summary, reading) = one(cut.as_bytes());
    assert_eq!((summary.requests, summary.failed), (Some(11_245), None));
    assert_eq!(reading.tunnel, TunnelReading::Open);
    assert!(
        reading
            .cannot
            .iter()
            .any(|cannot| cannot.question.contains("the text ends"))
    );
}

#[test]
fn a_wrk_run_in_which_nothing_was_answered_is_no_run_in_which_nothing_failed() {
    let (summary, reading) = read("wrk-hang.txt");
    assert_eq!((summary.requests, summary.failed), (Some(0), None));
    assert_eq!(reading.tunnel, TunnelReading::Open);
    assert!(
        reading.headline.contains("Nothing was answered"),
        "{}",
        reading.headline
    );
}

#[test]
fn connections_of_wrk_that_were_silent_for_most_of_the_run_hide_failures() {
    let text = |requests: u64| {
        format!(
            "Running 10s test @ http://h/\n  1 threads and 10 connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    \
             Latency    20.00ms    2.19ms  30.34ms   89.71%\n  {requests} requests in 10.00s, 1.85MB read\nRequests/sec:  1.00\n"
        )
    };
    // 10 connections for 10 s at 20 ms an answer make 5,000.
    assert_eq!(one(text(4_900).as_bytes()).1.tunnel, TunnelReading::NothingFailed);
    assert_eq!(one(text(300).as_bytes()).1.tunnel, TunnelReading::Open);
}

#[test]
fn the_percentiles_of_wrk2_are_read() {
    let (summary, _) = read("wrk2.txt");
    assert_eq!(summary.tool, Tool::Wrk2);
    let latency = summary.latency;
    assert_eq!(
        (latency.p50, latency.p90, latency.p99),
        (Some(0.00667), Some(0.00914), Some(0.01118))
    );
    assert_eq!((summary.requests, summary.failed), (Some(60_018), Some(12)));
}

#[test]
fn time_outs_of_wrk2_are_looks_at_what_is_late_and_no_count_of_requests() {
    let text = String::from_utf8(golden::bytes("wrk2.txt"))
        .expect("text")
        .replace(
            "  Non-2xx or 3xx responses: 12\n",
            "  Socket errors: connect 0, read 0, write 0, timeout 1200\n",
        );
    let (summary, reading) = one(text.as_bytes());
    assert_eq!(
        (summary.requests, summary.failed, summary.late),
        (Some(60_018), None, None)
    );
    assert_eq!(reading.tunnel, TunnelReading::Open);
}

#[test]
fn what_oha_aborted_at_its_deadline_was_in_flight_and_did_not_fail() {
    let (summary, reading) = read("oha-deadline.json");
    assert_eq!(
        (summary.requests, summary.failed, summary.in_flight),
        (Some(1_872), Some(0), Some(20))
    );
    assert_eq!(reading.tunnel, TunnelReading::NothingFailed);
    assert!(rule(&reading, "in-flight").statement.contains("20 requests"));
    let result = summary.generator_result().expect("totals");
    assert_eq!((result.requests, result.failed), (1_872, 0));
}

#[test]
fn what_oha_aborted_after_a_long_silence_may_have_been_lost() {
    let text = String::from_utf8(golden::bytes("oha-deadline.json")).expect("text");
    let silent = text
        .replace("\"200\": 1872", "\"200\": 100")
        .replace("\"total\": 2.0", "\"total\": 10.0");
    let (summary, reading) = one(silent.as_bytes());
    assert_eq!(
        (summary.requests, summary.failed, summary.in_flight),
        (Some(100), Some(0), Some(20))
    );
    assert_eq!(reading.tunnel, TunnelReading::Open);
    // Really made: a server that never answers.
    assert_eq!(read("oha-hang.json").1.tunnel, TunnelReading::Open);
    let none = text.replace("\"200\": 1872", "");
    let (_, reading) = one(none.as_bytes());
    assert_eq!(reading.tunnel, TunnelReading::Open);
}
