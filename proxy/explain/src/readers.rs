//! The one table of results that are read: whose, in which form, by what each is recognised, and what it can say.

use std::io::Read;

use serde_json::Value;

use super::detect::Unrecognised;
use super::summary::{Summary, Tool};
use super::tally::Keep;
use super::{
    ab, artillery, autocannon, gatling, ghz, hey, jmeter, k6_csv, k6_points, k6_summary, locust, newman, oha,
    siege, vegeta, wrk,
};

/// Reads lines into summaries.
pub(super) trait TextReader {
    /// Takes a line.
    fn line(&mut self, line: &str);
    /// Whether the totals of the run were read, so that a first line begins another run.
    fn is_complete(&self) -> bool {
        false
    }
    /// Whether whatever follows in the input is this reader's.
    fn takes_all(&self) -> bool {
        false
    }
    /// What was read.
    fn finish(self: Box<Self>) -> Vec<Summary>;
}

/// Reads the rows of a table from its head on.
pub(super) type ReadRows = fn(&mut dyn Read, Keep) -> Result<Vec<Summary>, Unrecognised>;

/// How a form is recognised and read.
#[derive(Clone, Copy)]
pub(super) enum How {
    /// A JSON document.
    Document(fn(&Value, Keep) -> Option<Summary>),
    /// Lines of text, from a line that begins it on.
    Text {
        begins: fn(&str) -> bool,
        open: fn(Keep) -> Box<dyn TextReader>,
    },
    /// Comma-separated rows behind a head.
    Rows {
        begins: fn(&str) -> bool,
        read: ReadRows,
    },
}

/// A form of a generator's result.
pub struct ResultReader {
    /// The generator.
    pub tool: Tool,
    /// How one gets such a result.
    pub form: &'static str,
    /// By what it is recognised.
    pub mark: &'static str,
    /// What it can say of failures, beyond totals.
    pub says: &'static str,
    pub(super) how: How,
}

impl std::fmt::Debug for ResultReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResultReader")
            .field("tool", &self.tool)
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

const EACH: &str = "time, name and status or error of each request";
const STATUSES: &str = "statuses and errors";
const TOTALS: &str = "totals";

/// Every form, in the order in which they are tried.
pub const READERS: &[ResultReader] = &[
    ResultReader {
        tool: Tool::K6,
        form: "`--out json=FILE`",
        mark: "a JSON object a line, with `metric`, `type` and `data`",
        says: EACH,
        how: How::Text {
            begins: k6_points::is_point,
            open: k6_points::open,
        },
    },
    ResultReader {
        tool: Tool::K6,
        form: "`--out csv=FILE`",
        mark: "the head `metric_name,…`",
        says: EACH,
        how: How::Rows {
            begins: k6_csv::begins,
            read: k6_csv::read,
        },
    },
    ResultReader {
        tool: Tool::JMeter,
        form: "JTL as CSV, with or without its head",
        mark: "the head `timeStamp,elapsed,…`, or rows in that order",
        says: EACH,
        how: How::Rows {
            begins: jmeter::begins,
            read: jmeter::read,
        },
    },
    ResultReader {
        tool: Tool::JMeter,
        form: "JTL as XML",
        mark: "`<testResults`",
        says: EACH,
        how: How::Text {
            begins: jmeter::begins_xml,
            open: jmeter::open_xml,
        },
    },
    ResultReader {
        tool: Tool::JMeter,
        form: "the text that it prints (`summary =`)",
        mark: "lines `summary =` with `Err:`",
        says: TOTALS,
        how: How::Text {
            begins: jmeter::begins_text,
            open: jmeter::open_text,
        },
    },
    ResultReader {
        tool: Tool::JMeter,
        form: "`statistics.json` of its dashboard",
        mark: "`Total` with `sampleCount` and `errorCount`",
        says: "totals and failures by name",
        how: How::Document(jmeter::statistics),
    },
    ResultReader {
        tool: Tool::Vegeta,
        form: "`vegeta encode` (JSON)",
        mark: "a JSON object a line, with `code`, `timestamp`, `latency` and `seq`",
        says: EACH,
        how: How::Text {
            begins: vegeta::is_result,
            open: vegeta::open_results,
        },
    },
    ResultReader {
        tool: Tool::Vegeta,
        form: "`vegeta report`",
        mark: "the line `Requests [total, rate…]`",
        says: STATUSES,
        how: How::Text {
            begins: vegeta::begins,
            open: vegeta::open,
        },
    },
    ResultReader {
        tool: Tool::Vegeta,
        form: "`vegeta report -type=json`",
        mark: "`status_codes` and `latencies`",
        says: STATUSES,
        how: How::Document(vegeta::document),
    },
    ResultReader {
        tool: Tool::Locust,
        form: "`--csv` (`…_stats.csv`)",
        mark: "the head `Type,Name,Request Count,…`",
        says: "totals and failures by name",
        how: How::Rows {
            begins: locust::begins,
            read: locust::read,
        },
    },
    ResultReader {
        tool: Tool::Locust,
        form: "`--json`",
        mark: "a list of objects with `num_requests` and `num_failures`",
        says: "totals and failures by name",
        how: How::Document(locust::document),
    },
    ResultReader {
        tool: Tool::Locust,
        form: "the text that it prints",
        mark: "the table `Type Name # reqs # fails`",
        says: "totals, failures by name, errors",
        how: How::Text {
            begins: locust::begins_text,
            open: locust::open,
        },
    },
    ResultReader {
        tool: Tool::Gatling,
        form: "`simulation.log` of Gatling 3.11 and earlier",
        mark: "tab-separated lines, the first `RUN`",
        says: EACH,
        how: How::Text {
            begins: gatling::begins_log,
            open: gatling::open_log,
        },
    },
    ResultReader {
        tool: Tool::Gatling,
        form: "the text that it prints",
        mark: "`Global Information` and `request count`",
        says: "totals and errors",
        how: How::Text {
            begins: gatling::begins,
            open: gatling::open,
        },
    },
    ResultReader {
        tool: Tool::Gatling,
        form: "`js/stats.json`, `js/global_stats.json`",
        mark: "`numberOfRequests` with `total`, `ok`, `ko`",
        says: "totals and failures by name",
        how: How::Document(gatling::document),
    },
    ResultReader {
        tool: Tool::Hey,
        form: "the text that it prints",
        mark: "`Summary:`, `Slowest:` and `Status code distribution:`; oha and ghz print much the same",
        says: STATUSES,
        how: How::Text {
            begins: hey::begins,
            open: hey::open,
        },
    },
    ResultReader {
        tool: Tool::Hey,
        form: "`-o csv`",
        mark: "the head `response-time,DNS+dialup,…`",
        says: "statuses of what was answered",
        how: How::Rows {
            begins: hey::begins_rows,
            read: hey::read,
        },
    },
    ResultReader {
        tool: Tool::Ab,
        form: "the text that it prints",
        mark: "`This is ApacheBench`, `Complete requests:`",
        says: "answers that were not 2xx, connections that broke",
        how: How::Text {
            begins: ab::begins,
            open: ab::open,
        },
    },
    ResultReader {
        tool: Tool::Wrk,
        form: "the text that it prints; wrk2's as well",
        mark: "`N requests in`, `Thread Stats`",
        says: "answers of 400 and above, late answers, connections that ended",
        how: How::Text {
            begins: wrk::begins,
            open: wrk::open,
        },
    },
    ResultReader {
        tool: Tool::Siege,
        form: "what it prints (JSON, and text before 4.1)",
        mark: "`transactions` and `failed_transactions`",
        says: TOTALS,
        how: How::Document(siege::document),
    },
    ResultReader {
        tool: Tool::Siege,
        form: "the text that it prints",
        mark: "`Transactions:` with `hits`",
        says: TOTALS,
        how: How::Text {
            begins: siege::begins,
            open: siege::open,
        },
    },
    ResultReader {
        tool: Tool::Artillery,
        form: "`--output FILE`",
        mark: "`aggregate` with `counters`, or `codes`",
        says: STATUSES,
        how: How::Document(artillery::document),
    },
    ResultReader {
        tool: Tool::Artillery,
        form: "the text that it prints",
        mark: "`Summary report @`",
        says: STATUSES,
        how: How::Text {
            begins: artillery::begins,
            open: artillery::open,
        },
    },
    ResultReader {
        tool: Tool::Autocannon,
        form: "`--json`",
        mark: "`non2xx`, `errors`, `timeouts` and `latency`",
        says: STATUSES,
        how: How::Document(autocannon::document),
    },
    ResultReader {
        tool: Tool::Newman,
        form: "`--reporters json`",
        mark: "`run` with `executions`",
        says: EACH,
        how: How::Document(newman::document),
    },
    ResultReader {
        tool: Tool::Newman,
        form: "the text that it prints",
        mark: "the line `newman`, and its table",
        says: STATUSES,
        how: How::Text {
            begins: newman::begins,
            open: newman::open,
        },
    },
    ResultReader {
        tool: Tool::Ghz,
        form: "`--format json`",
        mark: "`statusCodeDistribution`, `count` and `fastest`",
        says: "gRPC statuses",
        how: How::Document(ghz::document),
    },
    ResultReader {
        tool: Tool::Oha,
        form: "`--output-format json`; its text as well",
        mark: "`statusCodeDistribution` and `latencyPercentiles`",
        says: STATUSES,
        how: How::Document(oha::document),
    },
    ResultReader {
        tool: Tool::K6,
        form: "`--summary-export=FILE`, what `handleSummary` is given, k6 2's summary; the text at the end, with k6's log",
        mark: "`metrics` with `http_reqs`; lines `http_reqs....:`",
        says: "totals, parts by tag and group; checks; with its log, what broke",
        how: How::Document(k6_summary::document),
    },
];

/// The names of all that are read.
pub(super) fn known() -> String {
    let mut names: Vec<&str> = Vec::new();
    for reader in READERS {
        if !names.contains(&reader.tool.word()) {
            names.push(reader.tool.word());
        }
    }
    names.sort_by_key(|name| name.to_ascii_lowercase());
    names.join(", ")
}

/// Results that are known by name and not read: a mark in a line, what it is, and what to do.
const NAMED: &[(&str, &str, &str)] = &[
    (
        "unable to connect to ",
        "wrk's word that it could not connect: it made no request",
        "the address refused, or nothing answered there; `hopscope run --via PATH -- wrk …` shows which",
    ),
    (
        "Bombarding http",
        "bombardier's text",
        "hopscope does not read it; repeat the load with it behind `hopscope run --via PATH -- bombardier …`",
    ),
    (
        "Req/Bytes counts sampled once per second",
        "autocannon's text, whose counts are rounded to thousands",
        "run autocannon with `--json` and give that",
    ),
    (
        "starting benchmark...",
        "h2load's text",
        "hopscope does not read it; repeat the load behind `hopscope run --via PATH -- h2load {url}/ROUTE`",
    ),
    (
        "Fortio ",
        "fortio's text",
        "hopscope does not read it; repeat the load behind `hopscope run --via PATH -- fortio load {url}/ROUTE`",
    ),
    (
        "Metrics for period to:",
        "Artillery's text without its summary report",
        "give the text up to the end of the run, or `--output FILE`",
    ),
    (
        "Percentage served,Time in ms",
        "ab's table of percentiles (`-e`)",
        "give the text that ab prints: the table has no failures",
    ),
    (
        "starttime\tseconds\tctime\tdtime\tttime\twait",
        "ab's list of answers (`-g`)",
        "give the text that ab prints: the list has no failures",
    ),
    (
        "Timestamp,User Count,Type,Name,Requests/s",
        "Locust's history",
        "give `…_stats.csv` of the same run",
    ),
    (
        "Method,Name,Error,Occurrences",
        "Locust's list of failures",
        "give `…_stats.csv` of the same run: the list has no totals",
    ),
    (
        "request-start,DNS,DNS+dialup",
        "oha's CSV",
        "run oha with `--output-format json` and give that",
    ),
    (
        "duration (ms),status,error",
        "ghz's CSV",
        "run ghz with `--format json` and give that",
    ),
    (
        "<testsuites",
        "a JUnit file, which has tests and not requests",
        "give the generator's own result (for Newman: `--reporters json`)",
    ),
];

/// What a line shows of a result that is not read.
pub(super) fn named_text(line: &str) -> Option<(&'static str, &'static str)> {
    NAMED
        .iter()
        .find(|(mark, ..)| line.contains(mark))
        .map(|(_, what, advice)| (*what, *advice))
}

/// The same for a JSON document.
pub(super) fn named_document(value: &Value) -> Option<(&'static str, &'static str)> {
    let has = |key: &str| value.get(key).is_some();
    if has("RunType") && has("DurationHistogram") {
        Some((
            "fortio's result",
            "hopscope does not read it; repeat the load behind `hopscope run --via PATH -- fortio load {url}/ROUTE`",
        ))
    } else if has("spec") && has("result") {
        Some((
            "bombardier's result",
            "hopscope does not read it; repeat the load behind `hopscope run --via PATH -- bombardier {url}/ROUTE`",
        ))
    } else if has("log") && value.get("log").and_then(|log| log.get("entries")).is_some() {
        Some((
            "a HAR file, which is a browser's record",
            "give what the load generator wrote",
        ))
    } else {
        None
    }
}
