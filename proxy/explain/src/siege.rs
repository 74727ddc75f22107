//! Siege's result: a JSON document since 4.1, text before. It counts what it calls transactions, and failures of any kind
//! as one.

use serde_json::Value;

use super::json::{count, figure};
use super::readers::TextReader;
use super::summary::{Summary, Tool};
use super::tally::Keep;

/// The result in a document, if it is one of Siege's.
pub(super) fn document(document: &Value, _: Keep) -> Option<Summary> {
    let value = |key: &str| document.get(key);
    document.get("availability")?;
    Some(summary(
        "siege result (JSON)",
        value("transactions").and_then(count)?,
        value("failed_transactions").and_then(count)?,
        value("elapsed_time").and_then(figure),
        value("response_time").and_then(figure),
        value("longest_transaction").and_then(figure),
    ))
}

fn summary(
    form: &'static str,
    done: u64,
    failed: u64,
    duration: Option<f64>,
    mean: Option<f64>,
    max: Option<f64>,
) -> Summary {
    let mut summary = Summary::new(Tool::Siege, form);
    summary.requests = Some(done.saturating_add(failed));
    summary.failed = Some(failed);
    summary.duration_seconds = duration;
    summary.latency.mean = mean;
    summary.latency.max = max;
    summary
}

/// Whether a line begins such a text.
pub(super) fn begins(line: &str) -> bool {
    line.trim_start().starts_with("Transactions:") && line.trim_end().ends_with("hits")
}

/// The reader of its lines.
pub(super) fn open(_: Keep) -> Box<dyn TextReader> {
    Box::<Text>::default()
}

#[derive(Debug, Default)]
struct Text {
    done: Option<u64>,
    failed: Option<u64>,
    duration: Option<f64>,
    mean: Option<f64>,
    max: Option<f64>,
}

impl TextReader for Text {
    fn line(&mut self, line: &str) {
        let Some((name, value)) = line.trim().split_once(':') else {
            return;
        };
        let first = value.split_whitespace().next().unwrap_or_default();
        let seconds = || {
            first
                .parse::<f64>()
                .ok()
                .filter(|time| time.is_finite() && *time >= 0.0)
        };
        match name {
            "Transactions" => self.done = first.parse().ok(),
            "Failed transactions" => self.failed = first.parse().ok(),
            "Elapsed time" => self.duration = seconds(),
            "Response time" => self.mean = seconds(),
            "Longest transaction" => self.max = seconds(),
            _ => {}
        }
    }

    fn is_complete(&self) -> bool {
        self.failed.is_some()
    }

    fn finish(self: Box<Self>) -> Vec<Summary> {
        let Some(done) = self.done else {
            return Vec::new();
        };
        let mut read = summary(
            "siege result (text)",
            done,
            self.failed.unwrap_or(0),
            self.duration,
            self.mean,
            self.max,
        );
        if self.failed.is_none() {
            read.failed = None;
            read.gap(
                true,
                "How many failed: the text ends before that line",
                "the whole text",
            );
        }
        vec![read]
    }
}
