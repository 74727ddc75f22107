//! ghz's result for gRPC: JSON, and the statuses of its text.
//!
//! A gRPC status may be the server's answer or the client library's own word for a connection that broke: `Unavailable` and
//! `DeadlineExceeded` are both. Nothing is said of who wrote it.

use serde_json::Value;

use super::json::{count, figure};
use super::summary::{Quantiles, Summary, Tool};
use super::tally::Keep;

/// The result in a document, if it is one of ghz's.
pub(super) fn document(document: &Value, _: Keep) -> Option<Summary> {
    let statuses_of = document.get("statusCodeDistribution")?.as_object()?;
    document.get("fastest")?;
    let all = document.get("count").and_then(count)?;
    let mut summary = Summary::new(Tool::Ghz, "ghz result (JSON)");
    let nanoseconds = |key: &str| document.get(key).and_then(figure).map(|nanos| nanos / 1e9);
    summary.duration_seconds = nanoseconds("total");
    summary.latency = Quantiles {
        max: nanoseconds("slowest"),
        mean: nanoseconds("average"),
        ..Quantiles::default()
    };
    for entry in document
        .get("latencyDistribution")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let latency = entry.get("latency").and_then(figure).map(|nanos| nanos / 1e9);
        match entry.get("percentage").and_then(count) {
            Some(50) => summary.latency.p50 = latency,
            Some(90) => summary.latency.p90 = latency,
            Some(95) => summary.latency.p95 = latency,
            Some(99) => summary.latency.p99 = latency,
            Some(_) | None => {}
        }
    }
    let counts = statuses_of
        .iter()
        .filter_map(|(status, times)| Some((status.clone(), count(times)?)));
    statuses(&mut summary, all, counts);
    Some(summary)
}

/// Takes the totals from gRPC statuses; `OK` is none.
pub(super) fn statuses(summary: &mut Summary, all: u64, statuses: impl Iterator<Item = (String, u64)>) {
    let (mut ok, mut failed) = (0_u64, 0_u64);
    for (status, times) in statuses {
        if status == "OK" {
            ok = ok.saturating_add(times);
        } else {
            failed = failed.saturating_add(times);
            summary.error(format!("gRPC {status}").chars().take(80).collect(), times);
        }
    }
    summary.requests = Some(all);
    if ok.saturating_add(failed) == all {
        summary.failed = Some(failed);
    } else {
        summary.failed_at_least = failed.min(all);
        summary.gap(
            true,
            "How all calls ended: the statuses do not add up to the calls",
            "a result that was not cut",
        );
    }
}
