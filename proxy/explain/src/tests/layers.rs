//! Results as people have them: several in one file, and within what terminals and collectors put around them.

use super::*;

fn text(name: &str) -> String {
    String::from_utf8(golden::bytes(name)).expect("UTF-8")
}

fn prefixed(text: &str, prefix: &str) -> String {
    text.lines().flat_map(|line| [prefix, line, "\n"]).collect()
}

fn utf16(text: &str, big: bool) -> Vec<u8> {
    let units = format!("\u{feff}{text}");
    let units = units.encode_utf16();
    if big {
        units.flat_map(u16::to_be_bytes).collect()
    } else {
        units.flat_map(u16::to_le_bytes).collect()
    }
}

/// Lines as a terminal colours them.
fn coloured(text: &str) -> String {
    text.lines()
        .map(|line| {
            line.replace('✓', "\u{1b}[32m✓\u{1b}[0m")
                .replace(": ", ":\u{1b}[36m ")
                + "\u{1b}[0m\n"
        })
        .collect()
}

#[test]
fn what_surrounds_a_result_does_not_change_it() {
    for name in [
        "k6-full-scenarios.txt",
        "k6-legacy.txt",
        "k6-log.txt",
        "k6-summary-export.json",
        "k6-2-summary.json",
        "k6-points.ndjson",
        "k6-run.csv",
        "wrk-closes.txt",
        "wrk2.txt",
        "hey-mixrst.txt",
        "ab-mix.txt",
        "oha.json",
        "locust.txt",
        "locust-stats.csv",
        "artillery.txt",
        "vegeta.txt",
        "newman.txt",
        "gatling.txt",
        "jmeter.txt",
        "jmeter.xml",
    ] {
        let plain = text(name);
        let (expected, _) = one(plain.as_bytes());
        let same = |what: &str, bytes: &[u8]| {
            let (summary, _) = one(bytes);
            assert_eq!(summary, expected, "{name}, {what}");
        };
        same("UTF-16, little end first", &utf16(&plain, false));
        same("UTF-16, big end first", &utf16(&plain, true));
        same("CRLF", plain.replace('\n', "\r\n").as_bytes());
        same("blank lines", format!("\n\r\n{plain}\n\n").as_bytes());
        for prefix in [
            "> ",
            "k6-1  | ",
            "2026-01-02T03:04:05.123456789Z ",
            "2026-01-02T03:04:05.1234567Z ",
            "2026-01-02T03:04:05.123456Z 01O ",
            "[pod/k6-x/k6] ",
            "load\tRun k6\t2026-01-02T03:04:05.1234567Z ",
            "2026-01-02T03:04:05.123456789Z stdout F ",
        ] {
            same(prefix, prefixed(&plain, prefix).as_bytes());
        }
    }
}

#[test]
fn colours_do_not_change_a_text() {
    for name in [
        "k6-full-scenarios.txt",
        "k6-compact.txt",
        "wrk-closes.txt",
        "newman.txt",
    ] {
        let plain = text(name);
        let (expected, _) = one(plain.as_bytes());
        assert_eq!(one(coloured(&plain).as_bytes()).0, expected, "{name}");
    }
}

#[test]
fn a_log_line_before_or_behind_a_document_does_not_hide_it() {
    for name in [
        "k6-summary-export.json",
        "oha-deadline.json",
        "seed.json",
        "vegeta.json",
        "ghz.json",
    ] {
        let plain = text(name);
        let (expected, _) = one(plain.as_bytes());
        let compact = serde_json::from_str::<serde_json::Value>(&plain)
            .expect("JSON")
            .to_string();
        for around in [
            format!("time=\"2026-01-02T03:04:05Z\" level=warning msg=\"hello\"\n{plain}"),
            format!("npm WARN deprecated {{x}}\n[info] started\n{plain}\ndone in 3 s\n"),
            format!("$ cat result\n{compact}\n$ \n"),
        ] {
            assert_eq!(one(around.as_bytes()).0, expected, "{name}: {around}");
        }
    }
}

#[test]
fn a_container_s_log_file_is_unwrapped() {
    let plain = text("k6-compact.txt");
    let (expected, _) = one(plain.as_bytes());
    let wrapped: Vec<String> = plain
        .lines()
        .map(|line| {
            let log = serde_json::Value::from(format!("{line}\n"));
            format!("{{\"log\":{log},\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"}}")
        })
        .collect();
    let wrapped = wrapped.join("\n");
    assert_eq!(one(wrapped.as_bytes()).0, expected);
}

#[test]
fn each_of_several_runs_is_read_by_itself_and_the_one_that_failed_most_stands_first() {
    let second = "  http_req_failed....: 0.00%  0 out of 100\n  http_reqs..........: 100    10/s\n";
    for (first, failed) in [
        ("k6-full-scenarios.txt", 64),
        ("k6-legacy.txt", 200),
        ("k6-log.txt", 10),
    ] {
        let both = format!("{}{second}", text(first));
        let explained = all(both.as_bytes()).expect(first);
        let runs: Vec<_> = explained
            .runs()
            .iter()
            .map(|(summary, _)| (summary.requests, summary.failed))
            .collect();
        let (alone, _) = read(first);
        assert_eq!(
            runs,
            [(alone.requests, alone.failed), (Some(100), Some(0))],
            "{first}"
        );
        let (chief, reading) = explained.chief().expect("a run");
        assert!(chief.failed >= Some(failed.min(10)), "{first}");
        assert_ne!(reading.tunnel, TunnelReading::NothingFailed, "{first}");
        let told = render(&explained, Screen::PLAIN);
        assert!(
            told.contains("Result 1 of 2") && told.contains("Result 2 of 2"),
            "{told}"
        );
    }
}

#[test]
fn results_of_several_generators_keep_the_order_of_the_input() {
    let files = [
        "k6-full-scenarios.txt",
        "wrk-closes.txt",
        "oha.json",
        "k6-legacy.txt",
        "hey-mix.txt",
    ];
    let input: String = files.iter().map(|name| text(name) + "\n").collect();
    let explained = all(input.as_bytes()).expect("results");
    let tools: Vec<_> = explained.runs().iter().map(|(summary, _)| summary.tool).collect();
    assert_eq!(tools, [Tool::K6, Tool::Wrk, Tool::Oha, Tool::K6, Tool::Hey]);
}

#[test]
fn runs_of_one_file_stay_apart_in_every_form() {
    for name in [
        "k6-full-scenarios.txt",
        "k6-compact.txt",
        "k6-legacy.txt",
        "k6-log.txt",
        "k6-summary-export.json",
        "k6-points.ndjson",
        "k6-run.csv",
        "wrk-closes.txt",
        "wrk2.txt",
        "hey-mix.txt",
        "ab-mix.txt",
        "ab-died.txt",
        "oha.json",
        "siege-mixrst.json",
        "locust-stats.csv",
        "vegeta.txt",
        "artillery.txt",
        "newman.txt",
        "jmeter.csv",
        "jmeter.xml",
        "jmeter.txt",
        "gatling.txt",
    ] {
        let once = text(name);
        let (expected, _) = one(once.as_bytes());
        let twice = all(format!("{once}{once}").as_bytes()).expect(name);
        let runs: Vec<_> = twice
            .runs()
            .iter()
            .map(|(summary, _)| (summary.requests, summary.failed))
            .collect();
        let of_one = (expected.requests, expected.failed);
        // The summariser's totals grow within a run: the same total once more is no other run.
        let several = if name == "jmeter.txt" {
            vec![of_one]
        } else {
            vec![of_one; 2]
        };
        assert_eq!(runs, several, "{name}");
    }
}
