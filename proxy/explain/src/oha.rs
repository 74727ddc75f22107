//! oha's result as JSON (`--output-format json`, `--json` before 1.5). All times are seconds.

use serde_json::Value;

use super::json::{at, count, figure};
use super::summary::{Quantiles, Summary, Tool};

/// The result in a document, if it is one of oha's.
pub(super) fn parse(document: &Value) -> Option<Summary> {
    let percentiles = document.get("latencyPercentiles")?;
    let statuses = document.get("statusCodeDistribution")?.as_object()?;
    let mut summary = Summary::new(Tool::Oha, "oha result (JSON)");
    for (status, times) in statuses {
        if let (Ok(status), Some(times)) = (status.parse(), count(times)) {
            summary.statuses.insert(status, times);
        }
    }
    if let Some(errors) = document.get("errorDistribution").and_then(Value::as_object) {
        for (error, times) in errors {
            if let Some(times) = count(times) {
                let words: String = error.chars().take(80).collect();
                let sum = summary.errors.entry(words).or_default();
                *sum = sum.saturating_add(times);
            }
        }
    }
    let sum = |counts: &mut dyn Iterator<Item = u64>| counts.fold(0, u64::saturating_add);
    let answered = sum(&mut summary.statuses.values().copied());
    let undelivered = sum(&mut summary.errors.values().copied());
    let delivered_errors = sum(&mut summary.statuses.range(400..).map(|(_, times)| *times));
    summary.requests = Some(answered.saturating_add(undelivered));
    summary.failed = Some(delivered_errors.saturating_add(undelivered));
    summary.delivered_errors = Some(delivered_errors);
    summary.undelivered = Some(undelivered);
    let of_summary = |key| at(document, &["summary", key]).and_then(figure);
    let percentile = |key: &str| percentiles.get(key).and_then(figure);
    summary.duration_seconds = of_summary("total");
    summary.latency = Quantiles {
        p50: percentile("p50"),
        p90: percentile("p90"),
        p95: percentile("p95"),
        p99: percentile("p99"),
        max: of_summary("slowest"),
        mean: of_summary("average"),
    };
    Some(summary)
}
