//! k6's summary as JSON: `--summary-export`, what `handleSummary` is given, and the machine-readable summary.
//!
//! They differ in nesting only: metrics are a map or a list, figures lie in the metric or in `values`, checks are a map
//! or a list. All times are milliseconds.

use serde_json::Value;

use super::json::{at, count, figure};
use super::k6_parts::Parts;
use super::summary::{Group, Quantiles, Summary, Tool};
use super::tally::{Keep, whole};

/// Groups nest; a script that nests deeper than this is none of ours.
const DEEPEST: usize = 16;

/// The summary in a document, if it is one of k6's.
pub(super) fn document(document: &Value, _: Keep) -> Option<Summary> {
    let root = document.get("results").unwrap_or(document);
    let metric = |name: &str| metric(root.get("metrics")?, name);
    metric("http_reqs")
        .or_else(|| metric("http_req_duration"))
        .or_else(|| metric("iterations"))?;
    let mut summary = Summary::new(Tool::K6, "k6 summary (JSON)");
    let value = |of: &str, key: &str| metric(of).and_then(|values| values.get(key));
    summary.requests = value("http_reqs", "count").and_then(count);
    // A rate metric counts as passed what was not zero: for http_req_failed that is a failure.
    summary.failed = value("http_req_failed", "passes")
        .or_else(|| value("http_req_failed", "matches"))
        .and_then(count)
        .or_else(|| {
            let rate = value("http_req_failed", "rate").or_else(|| value("http_req_failed", "value"))?;
            rounded_share(figure(rate)?, summary.requests?)
        });
    summary.duration_seconds = at(document, &["state", "testRunDurationMs"])
        .and_then(figure)
        .map(|millis| millis / 1e3)
        .or_else(|| at(document, &["config", "duration"]).and_then(figure))
        .or_else(|| {
            let rate = value("http_reqs", "rate")
                .and_then(figure)
                .filter(|rate| *rate > 0.0)?;
            Some(hopscope_text::figures::float(summary.requests?) / rate)
                .filter(|seconds| seconds.is_finite())
        });
    if let Some(values) = metric("http_req_duration") {
        summary.latency = quantiles(values);
    }
    if let Some(values) = metric("http_req_duration{expected_response:true}") {
        summary.latency_ok = quantiles(values);
    }
    summary.bytes_received = value("data_received", "count").and_then(figure).and_then(whole);
    let mut parts = Parts::default();
    submetrics(root.get("metrics")?, &mut summary, &mut parts);
    let mut found = Vec::new();
    // Checks lie in the root group, beside it, or (k6 2) as a list with totals.
    let list = at(root, &["checks", "results"]).map(|results| serde_json::json!({ "checks": results }));
    for root in [root.get("root_group"), Some(root), list.as_ref()]
        .into_iter()
        .flatten()
    {
        checks(root, &mut found, DEEPEST);
    }
    for check in found {
        parts.check(check);
    }
    parts.divide(&mut summary);
    Some(summary)
}

/// Notes iterations that the end of the run cut off.
pub(super) fn interrupted(summary: &mut Summary, iterations: u64) {
    if iterations > 0 {
        summary.gap(
            true,
            format!(
                "What {} waited for when the end of the run cut them off: k6 counts their last request neither as \
                 answered nor as failed",
                hopscope_text::figures::counted(iterations, "interrupted iteration")
            ),
            "the time at which each request began (`hopscope run` has it)",
        );
    }
}

/// Submetrics of failures by tag, and of requests by status.
fn submetrics(metrics: &Value, summary: &mut Summary, parts: &mut Parts) {
    let named: Vec<(&str, &Value)> = match metrics {
        Value::Object(map) => map.iter().map(|(name, metric)| (name.as_str(), metric)).collect(),
        Value::Array(list) => list
            .iter()
            .filter_map(|metric| Some((metric.get("name")?.as_str()?, metric)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return,
    };
    for (name, metric) in named {
        let Some((of, tags)) = name.strip_suffix('}').and_then(|name| name.split_once('{')) else {
            continue;
        };
        let values = metric.get("values").unwrap_or(metric);
        let value = |key: &str| values.get(key).and_then(count);
        match of {
            "http_req_failed" => {
                let failed = value("passes").or_else(|| value("matches"));
                let all = value("total").or_else(|| failed?.checked_add(value("fails")?));
                if let (Some(failed), Some(all)) = (failed, all) {
                    parts.tag(tags, failed, all);
                }
            }
            "http_reqs" => {
                let status = tags
                    .strip_prefix("status:")
                    .and_then(|status| status.trim().parse().ok());
                if let (Some(status), Some(times)) = (status, value("count")) {
                    summary.status(status, times);
                }
            }
            _ => {}
        }
    }
}

/// A metric's figures.
fn metric<'a>(metrics: &'a Value, name: &str) -> Option<&'a Value> {
    let metric = match metrics {
        Value::Object(map) => map.get(name),
        Value::Array(list) => list
            .iter()
            .find(|metric| metric.get("name").and_then(Value::as_str) == Some(name)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }?;
    Some(metric.get("values").unwrap_or(metric))
}

fn quantiles(values: &Value) -> Quantiles {
    let seconds = |key: &str| values.get(key).and_then(figure).map(|millis| millis / 1e3);
    Quantiles {
        p50: seconds("med").or_else(|| seconds("p(50)")),
        p90: seconds("p(90)"),
        p95: seconds("p(95)"),
        p99: seconds("p(99)"),
        max: seconds("max"),
        mean: seconds("avg"),
    }
}

/// Collects the checks of a group and of the groups in it.
fn checks(group: &Value, found: &mut Vec<Group>, depth: usize) {
    let each = |value: &Value, visit: &mut dyn FnMut(Option<&str>, &Value)| match value {
        Value::Object(map) => map.iter().for_each(|(name, child)| visit(Some(name), child)),
        Value::Array(list) => list.iter().for_each(|child| visit(None, child)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    };
    if let Some(checks) = group.get("checks") {
        each(checks, &mut |key, check| {
            let name = check.get("name").and_then(Value::as_str).or(key);
            let passes = check.get("passes").and_then(count);
            let fails = check.get("fails").and_then(count);
            if let (Some(name), Some(ok), Some(failed)) = (name, passes, fails) {
                found.push(Group {
                    name: name.to_owned(),
                    ok,
                    failed,
                });
            }
        });
    }
    if depth > 0
        && let Some(groups) = group.get("groups")
    {
        each(groups, &mut |_, child| checks(child, found, depth - 1));
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count is not negative and no larger than it"
)]
fn rounded_share(share: f64, of: u64) -> Option<u64> {
    (0.0..=1.0)
        .contains(&share)
        .then(|| (share * hopscope_text::figures::float(of)).round() as u64)
}
