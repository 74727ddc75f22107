//! Artillery's result: its report (`--output`) and the text of its summary. Times are milliseconds.

use std::collections::BTreeMap;

use serde_json::Value;

use super::json::{at, count, figure};
use super::readers::TextReader;
use super::summary::{Group, GroupsFrom, Quantiles, Summary, Tool, sum};
use super::tally::Keep;

const ENDPOINTS: &str = "plugins.metrics-by-endpoint.";

/// The report in a document, if it is one of Artillery's.
pub(super) fn document(document: &Value, _: Keep) -> Option<Summary> {
    let aggregate = document.get("aggregate")?;
    let mut counters: BTreeMap<String, u64> = BTreeMap::new();
    if let Some(stated) = aggregate.get("counters").and_then(Value::as_object) {
        counters.extend(
            stated
                .iter()
                .filter_map(|(name, times)| Some((name.clone(), count(times)?))),
        );
    } else {
        // Version 1.
        let requests = aggregate.get("requestsCompleted").and_then(count)?;
        let part = |key: &str, prefix: &str| -> Vec<(String, u64)> {
            let part = aggregate
                .get(key)
                .and_then(Value::as_object)
                .into_iter()
                .flatten();
            part.filter_map(|(name, times)| Some((format!("{prefix}{name}"), count(times)?)))
                .collect()
        };
        let (codes, errors) = (part("codes", "http.codes."), part("errors", "errors."));
        let broken = sum(errors.iter().map(|(_, times)| times));
        counters.insert("http.requests".to_owned(), requests.saturating_add(broken));
        counters.extend(codes);
        counters.extend(errors);
    }
    let latency = at(aggregate, &["summaries", "http.response_time"]).or_else(|| aggregate.get("latency"));
    let value = |key: &str| latency?.get(key).and_then(figure).map(|millis| millis / 1e3);
    let quantiles = Quantiles {
        p50: value("median").or_else(|| value("p50")),
        p90: value("p90"),
        p95: value("p95"),
        p99: value("p99"),
        max: value("max"),
        mean: value("mean"),
    };
    let time = |key: &str| aggregate.get(key).and_then(figure);
    let duration = time("firstMetricAt")
        .zip(time("lastMetricAt"))
        .map(|(first, last)| (last - first) / 1e3);
    let mut summary = summary("Artillery report (JSON)", &counters, quantiles)?;
    summary.duration_seconds = duration.filter(|duration| *duration >= 0.0);
    Some(summary)
}

fn summary(form: &'static str, counters: &BTreeMap<String, u64>, latency: Quantiles) -> Option<Summary> {
    let requests = *counters.get("http.requests")?;
    let mut summary = Summary::new(Tool::Artillery, form);
    let mut endpoints: BTreeMap<&str, Group> = BTreeMap::new();
    for (name, times) in counters {
        if let Some(status) = name
            .strip_prefix("http.codes.")
            .and_then(|status| status.parse().ok())
        {
            summary.status(status, *times);
        } else if let Some(error) = name.strip_prefix("errors.") {
            summary.error(error.chars().take(80).collect(), *times);
        } else if let Some((endpoint, failed)) = name.strip_prefix(ENDPOINTS).and_then(endpoint) {
            let group = endpoints.entry(endpoint).or_insert_with(|| Group {
                name: endpoint.to_owned(),
                ok: 0,
                failed: 0,
            });
            let side = if failed { &mut group.failed } else { &mut group.ok };
            *side = side.saturating_add(*times);
        }
    }
    let answered = sum(summary.statuses.values());
    let delivered = sum(summary.statuses.range(400..).map(|(_, times)| times));
    let undelivered = requests.saturating_sub(answered);
    summary.requests = Some(requests.max(answered));
    summary.failed = Some(delivered.saturating_add(undelivered));
    summary.delivered_errors = Some(delivered);
    summary.undelivered = Some(undelivered);
    summary.latency = latency;
    if endpoints.len() > 1 {
        summary.groups = endpoints.into_values().collect();
        summary.groups_from = GroupsFrom::Requests;
    }
    Some(summary)
}

/// The endpoint of a counter of its plugin, and whether it counts failures: `/mix.codes.500`, `/rst.errors.ECONNRESET`.
fn endpoint(counter: &str) -> Option<(&str, bool)> {
    if let Some((endpoint, _)) = counter.rsplit_once(".errors.") {
        return Some((endpoint, true));
    }
    let (endpoint, status) = counter.rsplit_once(".codes.")?;
    Some((endpoint, status.parse::<u16>().ok()? >= 400))
}

/// Whether a line begins the summary as text.
pub(super) fn begins(line: &str) -> bool {
    line.starts_with("Summary report @")
}

/// The reader of its lines.
pub(super) fn open(_: Keep) -> Box<dyn TextReader> {
    Box::<Text>::default()
}

#[derive(Debug, Default)]
struct Text {
    counters: BTreeMap<String, u64>,
    latency: Quantiles,
    /// The metric whose quantiles are read.
    of: String,
}

impl TextReader for Text {
    fn line(&mut self, line: &str) {
        let Some((name, value)) = line.split_once(':') else {
            return;
        };
        let value = value.trim().trim_start_matches('.').trim();
        if !line.starts_with(' ') {
            name.clone_into(&mut self.of);
            // The counters of a message may hold colons: the last word is the count.
            if let Some(times) = line.split_whitespace().last().and_then(|word| word.parse().ok())
                && self.counters.len() < 10_000
            {
                self.counters.insert(name.to_owned(), times);
            }
            return;
        }
        if self.of != "http.response_time" {
            return;
        }
        let slot = match name.trim() {
            "median" => &mut self.latency.p50,
            "p90" => &mut self.latency.p90,
            "p95" => &mut self.latency.p95,
            "p99" => &mut self.latency.p99,
            "max" => &mut self.latency.max,
            "mean" => &mut self.latency.mean,
            _ => return,
        };
        *slot = value
            .parse::<f64>()
            .ok()
            .map(|millis| millis / 1e3)
            .filter(|time| time.is_finite() && *time >= 0.0);
    }

    fn is_complete(&self) -> bool {
        self.counters.contains_key("http.requests")
    }

    fn finish(self: Box<Self>) -> Vec<Summary> {
        summary("Artillery summary (text)", &self.counters, self.latency)
            .into_iter()
            .collect()
    }
}
