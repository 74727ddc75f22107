//! Results of every generator, made by the real program where that could be had, and by its documented form elsewhere.

use super::*;

/// Requests, failed, failed with an answer, failed without one.
type Figures = (Option<u64>, Option<u64>, Option<u64>, Option<u64>);

#[test]
fn every_generator_s_result_says_what_is_known_of_the_run_it_was_made_in() {
    let of_parts = |all: u64, delivered: u64, undelivered: u64| -> Figures {
        (
            Some(all),
            Some(delivered + undelivered),
            Some(delivered),
            Some(undelivered),
        )
    };
    let of_total = |all: u64, failed: u64| -> Figures { (Some(all), Some(failed), None, None) };
    for (name, tool, figures) in [
        ("hey-mix.txt", Tool::Hey, of_parts(200, 50, 0)),
        ("hey-mixrst.txt", Tool::Hey, of_parts(200, 0, 12)),
        ("hey-refused.txt", Tool::Hey, of_parts(20, 0, 20)),
        ("oha-rst.txt", Tool::Oha, of_parts(200, 0, 40)),
        ("ab-mix.txt", Tool::Ab, of_parts(200, 50, 0)),
        ("siege-mixrst.json", Tool::Siege, of_total(40, 8)),
        (
            "autocannon-mixrst.json",
            Tool::Autocannon,
            of_parts(10_200, 0, 2_040),
        ),
        ("locust-stats.csv", Tool::Locust, of_total(377, 46)),
        ("locust.json", Tool::Locust, of_total(461, 56)),
        ("locust.txt", Tool::Locust, of_parts(402, 33, 9)),
        ("artillery.json", Tool::Artillery, of_parts(90, 8, 6)),
        ("artillery.txt", Tool::Artillery, of_parts(90, 8, 6)),
        ("newman.json", Tool::Newman, of_parts(3, 1, 1)),
        ("newman.txt", Tool::Newman, of_parts(9, 3, 3)),
        ("vegeta.txt", Tool::Vegeta, of_parts(1_000, 60, 40)),
        ("vegeta.json", Tool::Vegeta, of_parts(1_000, 60, 40)),
        ("vegeta-results.ndjson", Tool::Vegeta, of_parts(40, 10, 10)),
        ("ghz.json", Tool::Ghz, of_total(200, 15)),
        ("ghz.txt", Tool::Ghz, of_total(200, 15)),
        ("jmeter.csv", Tool::JMeter, of_parts(60, 15, 15)),
        ("jmeter.xml", Tool::JMeter, of_parts(60, 15, 15)),
        ("jmeter.txt", Tool::JMeter, of_total(60, 30)),
        ("jmeter-statistics.json", Tool::JMeter, of_total(60, 30)),
        ("gatling.txt", Tool::Gatling, of_parts(400, 60, 40)),
        ("gatling-3.12.txt", Tool::Gatling, of_parts(400, 0, 100)),
        ("gatling-simulation.log", Tool::Gatling, of_parts(40, 10, 10)),
        ("gatling-stats.json", Tool::Gatling, of_total(400, 100)),
    ] {
        let (summary, reading) = read(name);
        assert_eq!(summary.tool, tool, "{name}");
        let stated = (
            summary.requests,
            summary.failed,
            summary.delivered_errors,
            summary.undelivered,
        );
        assert_eq!(stated, figures, "{name}");
        assert_ne!(reading.tunnel, TunnelReading::NothingFailed, "{name}");
        assert!(summary.generator_result().is_some(), "{name}");
    }
}

#[test]
fn every_row_of_the_table_has_a_result_that_is_read_by_it() {
    for tool in READERS.iter().map(|reader| reader.tool) {
        let next = Reading::of(&Summary::new(tool, "")).next;
        assert!(
            next.is_some_and(|next| next.command.starts_with("hopscope run ")),
            "{tool:?}"
        );
    }
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/report.md");
    let docs = std::fs::read_to_string(docs).expect("the report's page");
    for reader in READERS {
        let row = format!(
            "| {} | {} | {} | {} |",
            reader.tool.word(),
            reader.form,
            reader.mark,
            reader.says
        );
        assert!(docs.contains(&row), "docs/report.md lacks the row\n{row}");
    }
}

#[test]
fn a_connection_that_ab_counts_twice_is_not_two_failures() {
    // Really made: 20 of 100 requests were reset; ab says 119.
    let (summary, reading) = read("ab-mixrst.txt");
    assert_eq!(
        (summary.requests, summary.failed, summary.failed_at_least),
        (Some(100), None, 20)
    );
    assert!(
        reading.headline.starts_with("At least 20 requests failed"),
        "{}",
        reading.headline
    );
}

#[test]
fn a_run_that_ab_gave_up_says_how_far_it_came() {
    let (summary, reading) = read("ab-died.txt");
    assert_eq!(
        (summary.requests, summary.failed, summary.failed_at_least),
        (Some(5), None, 1)
    );
    assert_eq!(reading.tunnel, TunnelReading::Open);
}

#[test]
fn answers_alone_do_not_say_what_was_not_answered() {
    let (summary, reading) = read("hey.csv");
    assert_eq!(
        (summary.requests, summary.failed, summary.failed_at_least),
        (Some(60), None, 15)
    );
    assert_eq!(reading.tunnel, TunnelReading::Open);
}

#[test]
fn statuses_of_grpc_clear_nobody_since_a_client_writes_them_as_well() {
    let (summary, reading) = read("ghz.json");
    assert_eq!(summary.errors.get("gRPC Unavailable"), Some(&12));
    assert_eq!(reading.tunnel, TunnelReading::Open);
}

#[test]
fn a_transaction_and_the_parts_of_a_redirect_are_no_requests_of_their_own() {
    for name in ["jmeter.csv", "jmeter.xml"] {
        let (summary, _) = read(name);
        let names: Vec<_> = summary
            .groups
            .iter()
            .map(|group| (&*group.name, group.all()))
            .collect();
        assert_eq!(
            names,
            [("GET health", 15), ("GET products, all", 30), ("POST order", 15)],
            "{name}"
        );
        assert_eq!(summary.failures.len(), 30, "{name}");
        assert!(
            summary
                .failures
                .iter()
                .all(|failure| failure.at_unix_us > 1_796_077_290_000_000),
            "{name}"
        );
    }
}

#[test]
fn a_jtl_without_its_head_is_read() {
    let whole = String::from_utf8(golden::bytes("jmeter.csv")).expect("text");
    let (_, rows) = whole.split_once('\n').expect("a head");
    let (summary, _) = one(rows.as_bytes());
    assert_eq!((summary.requests, summary.failed), (Some(60), Some(30)));
}

#[test]
fn what_is_known_by_name_only_is_named_with_what_to_do() {
    assert!(refused(&String::from_utf8(golden::bytes("autocannon.txt")).expect("text")).contains("--json"));
    for (text, words) in [
        (
            "Bombarding http://h:80/ for 10s using 125 connection(s)\n",
            "bombardier",
        ),
        ("unable to connect to 127.0.0.1:1 Connection refused\n", "wrk"),
        ("starting benchmark...\nfinished in 1.00s\n", "h2load"),
        (
            "Method,Name,Error,Occurrences,First Seen,Last Seen\n",
            "_stats.csv",
        ),
        ("<?xml version=\"1.0\"?>\n<testsuites name=\"c\">\n", "JUnit"),
        (
            "{\"RunType\":\"HTTP\",\"DurationHistogram\":{\"Count\":1}}",
            "fortio",
        ),
        (
            "Metrics for period to: 10:00:00\nhttp.requests: .... 3\n",
            "summary report",
        ),
    ] {
        assert!(refused(text).contains(words), "{text}: {}", refused(text));
    }
    assert!(refused("{\"metrics\": {\"http_reqs\":\n").contains("middle of a JSON document"));
}
