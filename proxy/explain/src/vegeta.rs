//! vegeta's results: its report as text and as JSON, and its results one by one (`vegeta encode`). Status 0 is an exchange
//! that broke; latencies include those.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::durations::seconds;
use super::json::{count, figure};
use super::k6_points::unix_seconds;
use super::readers::TextReader;
use super::summary::{Quantiles, Summary, Tool, error_words};
use super::tally::{Keep, Outcome, Sample, Tally};

/// The report in a document, if it is one of vegeta's.
pub(super) fn document(document: &Value, _: Keep) -> Option<Summary> {
    let statuses = document.get("status_codes")?.as_object()?;
    let latencies = document.get("latencies")?;
    let mut report = Report::new("vegeta report (JSON)");
    report.requests = document.get("requests").and_then(count);
    for (status, times) in statuses {
        if let (Ok(status), Some(times)) = (status.parse(), count(times)) {
            report.statuses.push((status, times));
        }
    }
    for error in document
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        report.errors.extend(error.as_str().map(str::to_owned));
    }
    report.duration = document.get("duration").and_then(figure).map(|nanos| nanos / 1e9);
    let latency = |key: &str| latencies.get(key).and_then(figure).map(|nanos| nanos / 1e9);
    report.latency = Quantiles {
        p50: latency("50th"),
        p90: latency("90th"),
        p95: latency("95th"),
        p99: latency("99th"),
        max: latency("max"),
        mean: latency("mean"),
    };
    report.summary()
}

/// Whether a line begins the report as text.
pub(super) fn begins(line: &str) -> bool {
    line.starts_with("Requests ") && line.contains("[total")
}

/// The reader of its lines.
pub(super) fn open(_: Keep) -> Box<dyn TextReader> {
    Box::new(Report::new("vegeta report (text)"))
}

#[derive(Debug)]
struct Report {
    form: &'static str,
    requests: Option<u64>,
    statuses: Vec<(u16, u64)>,
    /// Its words for errors, without counts.
    errors: Vec<String>,
    in_errors: bool,
    duration: Option<f64>,
    latency: Quantiles,
}

/// Words for errors that are kept of a report.
const MOST_ERRORS: usize = 100;

impl Report {
    fn new(form: &'static str) -> Self {
        Self {
            form,
            requests: None,
            statuses: Vec::new(),
            errors: Vec::new(),
            in_errors: false,
            duration: None,
            latency: Quantiles::default(),
        }
    }

    fn summary(self) -> Option<Summary> {
        let mut summary = Summary::new(Tool::Vegeta, self.form);
        for (status, times) in &self.statuses {
            if *status == 0 {
                // The errors have no counts: one that is alone has them all.
                let mut words = self
                    .errors
                    .iter()
                    .filter(|error| !is_status(error))
                    .map(|error| error_words(error));
                let words = match (words.next(), words.next()) {
                    (Some(only), None) => only,
                    (Some(first), Some(_)) => format!("{first}, and other words"),
                    (None, _) => "no answer".to_owned(),
                };
                summary.error(words, *times);
            } else {
                summary.status(*status, *times);
            }
        }
        summary.total_of_parts();
        let listed = summary.requests?;
        summary.duration_seconds = self.duration;
        summary.latency = self.latency;
        match self.requests {
            Some(requests) if requests == listed => {}
            Some(requests) => {
                summary.requests = Some(requests);
                summary.failed_at_least = summary.failed.take().unwrap_or(0).min(requests);
                summary.undelivered_at_least = summary.undelivered.take().unwrap_or(0).min(requests);
                summary.delivered_errors = None;
                summary.gap(
                    true,
                    "How all requests ended: the statuses do not add up to the requests",
                    "a report that was not cut",
                );
            }
            None => return None,
        }
        Some(summary)
    }
}

/// `500 Internal Server Error`: vegeta lists statuses among its errors.
fn is_status(error: &str) -> bool {
    error
        .get(..3)
        .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

impl TextReader for Report {
    fn line(&mut self, line: &str) {
        let line = line.trim();
        if self.in_errors {
            if !line.is_empty() && self.errors.len() < MOST_ERRORS {
                self.errors.push(line.to_owned());
            }
            return;
        }
        if line.starts_with("Error Set:") {
            self.in_errors = true;
            return;
        }
        let Some((heading, figures)) = line.split_once(']') else {
            return;
        };
        let figures: Vec<&str> = figures
            .split([',', ' '])
            .filter(|word| !word.is_empty())
            .collect();
        let first = figures.first().copied().unwrap_or_default();
        let name = heading.split('[').next().unwrap_or_default().trim();
        match name {
            "Requests" => self.requests = first.parse().ok(),
            "Duration" => self.duration = seconds(first),
            "Latencies" => {
                let names = heading.split('[').nth(1).unwrap_or_default().split(", ");
                for (name, value) in names.zip(&figures) {
                    let slot = match name.trim() {
                        "mean" => &mut self.latency.mean,
                        "50" => &mut self.latency.p50,
                        "90" => &mut self.latency.p90,
                        "95" => &mut self.latency.p95,
                        "99" => &mut self.latency.p99,
                        "max" => &mut self.latency.max,
                        _ => continue,
                    };
                    *slot = seconds(value);
                }
            }
            "Status Codes" => {
                for pair in figures {
                    let counts = pair.split_once(':');
                    if let Some((Ok(status), Ok(times))) =
                        counts.map(|(status, times)| (status.parse(), times.parse()))
                    {
                        self.statuses.push((status, times));
                    }
                }
            }
            _ => {}
        }
    }

    fn is_complete(&self) -> bool {
        !self.statuses.is_empty()
    }

    fn finish(self: Box<Self>) -> Vec<Summary> {
        self.summary().into_iter().collect()
    }
}

#[derive(Deserialize)]
struct OneResult {
    code: u16,
    timestamp: String,
    /// Nanoseconds.
    latency: u64,
    #[serde(default)]
    error: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    url: String,
    #[expect(dead_code, reason = "it tells vegeta's lines from others")]
    seq: u64,
}

/// Whether a line is one of `vegeta encode`.
pub(super) fn is_result(line: &str) -> bool {
    line.starts_with("{\"") && line.contains("\"seq\"") && serde_json::from_str::<OneResult>(line).is_ok()
}

/// The reader of such lines.
pub(super) fn open_results(keep: Keep) -> Box<dyn TextReader> {
    Box::new(Results {
        tally: Tally::new(Tool::Vegeta, "vegeta results (JSON lines)", keep),
        words: HashMap::new(),
    })
}

#[derive(Debug)]
struct Results {
    tally: Tally,
    /// Errors that were shortened, as far as they repeat.
    words: HashMap<String, String>,
}

impl TextReader for Results {
    fn line(&mut self, line: &str) {
        let Ok(result) = serde_json::from_str::<OneResult>(line) else {
            return;
        };
        let took = std::time::Duration::from_nanos(result.latency).as_secs_f64();
        if self.words.len() > 1_000 {
            self.words.clear();
        }
        let outcome = match result.code {
            0 => Outcome::Broken(
                self.words
                    .entry(result.error.clone())
                    .or_insert_with(|| error_words(&result.error)),
            ),
            200..=399 => Outcome::Ok(result.code),
            _ => Outcome::Refused(result.code),
        };
        self.tally.latency(took, matches!(outcome, Outcome::Ok(_)));
        let name = format!("{} {}", result.method, super::tally::path_of(&result.url));
        self.tally.sample(&Sample {
            at: unix_seconds(&result.timestamp).map(|began| began + took),
            name: name.trim(),
            target: &result.url,
            outcome,
            code: 0,
            times: 1,
        });
    }

    fn takes_all(&self) -> bool {
        true
    }

    fn finish(self: Box<Self>) -> Vec<Summary> {
        self.tally.finish().into_iter().collect()
    }
}
