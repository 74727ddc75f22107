//! oha's result as JSON (`--output-format json`, `--json` before 1.5). All times are seconds.

use serde_json::Value;

use super::json::{at, count, figure};
use super::summary::{Quantiles, Summary, Tool, error_words};
use super::tally::Keep;
use hopscope_text::figures::{counted, float};

/// oha's words for requests that were under way when its time was over (`-z`).
pub(super) const DEADLINE: &str = "aborted due to deadline";

/// The result in a document, if it is one of oha's.
pub(super) fn document(document: &Value, _: Keep) -> Option<Summary> {
    let percentiles = document.get("latencyPercentiles")?;
    let statuses = document.get("statusCodeDistribution")?.as_object()?;
    let mut summary = Summary::new(Tool::Oha, "oha result (JSON)");
    for (status, times) in statuses {
        if let (Ok(status), Some(times)) = (status.parse(), count(times)) {
            summary.status(status, times);
        }
    }
    let mut in_flight = 0;
    if let Some(errors) = document.get("errorDistribution").and_then(Value::as_object) {
        for (error, times) in errors {
            match count(times) {
                Some(times) if error == DEADLINE => in_flight = times,
                Some(times) => summary.error(error_words(error), times),
                None => {}
            }
        }
    }
    summary.total_of_parts();
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
    aborted(&mut summary, in_flight);
    Some(summary)
}

/// Notes requests that were under way at the end. Each of them sat on a connection: where these were at work for less than
/// half of the run, some waited long for an answer that never came.
pub(super) fn aborted(summary: &mut Summary, in_flight: u64) {
    if in_flight == 0 {
        return;
    }
    summary.in_flight = Some(in_flight);
    let answered = summary.requests.unwrap_or(0);
    let busy = float(answered) * summary.latency.mean.unwrap_or(0.0);
    let open = float(in_flight) * summary.duration_seconds.unwrap_or(0.0);
    // A loop over fast answers takes its own time: there only a stall that long counts.
    let least = if summary.latency.mean.is_some_and(|mean| mean > 0.001) {
        2.0
    } else {
        50.0
    };
    if answered == 0 || busy < open / least {
        summary.gap(
            true,
            format!(
                "How long {} had waited when the run ended: the answers account for less than half of its time",
                counted(in_flight, "request")
            ),
            "the time at which each request began (`hopscope run` has it)",
        );
    }
}
