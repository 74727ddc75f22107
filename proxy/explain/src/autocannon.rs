//! autocannon's result (`--json`). Times are milliseconds.

use serde_json::Value;

use super::json::{at, count, figure};
use super::summary::{Quantiles, Summary, Tool, sum};
use super::tally::Keep;

/// The result in a document, if it is one of autocannon's.
pub(super) fn document(document: &Value, _: Keep) -> Option<Summary> {
    let value = |key: &str| document.get(key).and_then(count);
    let (errors, timeouts) = (value("errors")?, value("timeouts")?);
    value("non2xx")?;
    let mut summary = Summary::new(Tool::Autocannon, "autocannon result (JSON)");
    match document.get("statusCodeStats").and_then(Value::as_object) {
        Some(statuses) => {
            for (status, stats) in statuses {
                if let (Ok(status), Some(times)) = (status.parse(), stats.get("count").and_then(count)) {
                    summary.status(status, times);
                }
            }
        }
        // Versions before 7 have classes only: they are kept as the first status of each.
        None => {
            for (class, status) in [
                ("1xx", 100),
                ("2xx", 200),
                ("3xx", 300),
                ("4xx", 400),
                ("5xx", 500),
            ] {
                summary.status(status, value(class).unwrap_or(0));
            }
        }
    }
    let answered = sum(summary.statuses.values());
    let broken = errors.saturating_sub(timeouts);
    summary.error("time-out".to_owned(), timeouts.min(errors));
    summary.error("connection".to_owned(), broken);
    summary.total_of_parts();
    // What was sent and neither answered nor failed was under way at the end.
    let sent = at(document, &["requests", "sent"]).and_then(count);
    let in_flight = sent.and_then(|sent| sent.checked_sub(answered.saturating_add(errors)));
    summary.in_flight = in_flight.filter(|in_flight| *in_flight > 0);
    summary.duration_seconds = document.get("duration").and_then(figure);
    let latency = |key: &str| {
        at(document, &["latency", key])
            .and_then(figure)
            .map(|millis| millis / 1e3)
    };
    if answered > 0 {
        summary.latency = Quantiles {
            p50: latency("p50"),
            p90: latency("p90"),
            p95: latency("p95"),
            p99: latency("p99"),
            max: latency("max"),
            mean: latency("mean"),
        };
    }
    if answered == 0 && errors == 0 {
        summary.gap(
            true,
            "Why nothing was answered",
            "a point on the path that sees the requests",
        );
    }
    Some(summary)
}
