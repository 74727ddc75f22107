//! The text that ApacheBench prints.
//!
//! Its `Failed requests` adds up things that are none, or that are one: an answer of another length than the first counts,
//! a connection that broke counts twice (as `Receive` and as `Exceptions`), and an answer with status 500 does not count.

use super::durations::seconds;
use super::readers::TextReader;
use super::summary::{Quantiles, Summary, Tool, error_words};
use super::tally::Keep;
use hopscope_text::figures::counted;

/// Whether a line is among the first of such a text.
pub(super) fn begins(line: &str) -> bool {
    line.starts_with("This is ApacheBench") || line.starts_with("Server Software:")
}

/// The reader of its lines.
pub(super) fn open(_: Keep) -> Box<dyn TextReader> {
    Box::<Ab>::default()
}

#[derive(Debug, Default)]
struct Ab {
    complete: Option<u64>,
    failed: u64,
    refused: u64,
    connect: u64,
    receive: u64,
    length: u64,
    exceptions: u64,
    duration: Option<f64>,
    bytes: Option<u64>,
    latency: Quantiles,
    /// ab ends at its first error unless told otherwise.
    ended_by: Option<String>,
    /// Where it ended so, how many it had done.
    before: Option<u64>,
}

impl TextReader for Ab {
    fn line(&mut self, line: &str) {
        let line = line.trim();
        if let Some((name, value)) = line.split_once(':') {
            let value = value.trim();
            let first = value.split_whitespace().next().unwrap_or_default();
            match name {
                "Complete requests" => self.complete = first.parse().ok(),
                "Failed requests" => self.failed = first.parse().unwrap_or(0),
                "Non-2xx responses" => self.refused = first.parse().unwrap_or(0),
                "Time taken for tests" => self.duration = seconds(&format!("{first}s")),
                "Total transferred" => self.bytes = first.parse().ok(),
                "Total" => self.total(value),
                "(Connect" => self.kinds(line),
                _ => {}
            }
        }
        if let Some((_, error)) = line
            .split_once("apr_socket_")
            .or_else(|| line.split_once("apr_pollset_poll"))
            .filter(|(_, error)| error.contains(": "))
        {
            let words = error.split_once(": ").map_or(error, |(_, words)| words);
            let words = words.rsplit_once(" (").map_or(words, |(words, _)| words);
            self.ended_by = Some(error_words(words));
        }
        if let Some(count) = line
            .strip_prefix("Total of ")
            .and_then(|rest| rest.strip_suffix(" requests completed"))
        {
            self.before = count.parse().ok();
        }
        self.quantile(line);
    }

    fn is_complete(&self) -> bool {
        self.complete.is_some() || self.ended_by.is_some()
    }

    fn finish(self: Box<Self>) -> Vec<Summary> {
        self.summary().into_iter().collect()
    }
}

impl Ab {
    /// `(Connect: 0, Receive: 20, Length: 79, Exceptions: 20)`
    fn kinds(&mut self, line: &str) {
        for pair in line.trim_matches(['(', ')']).split(", ") {
            let Some((kind, count)) = pair.split_once(": ") else {
                continue;
            };
            let count = count.parse().unwrap_or(0);
            match kind {
                "Connect" => self.connect = count,
                "Receive" => self.receive = count,
                "Length" => self.length = count,
                "Exceptions" => self.exceptions = count,
                _ => {}
            }
        }
    }

    /// `Total:          1    3   2.2      3       8`, milliseconds: min, mean, deviation, median, max.
    fn total(&mut self, value: &str) {
        let figures: Vec<f64> = value
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        if let [_min, mean, _deviation, _median, max] = figures.as_slice() {
            self.latency.mean = Some(mean / 1e3);
            self.latency.max = Some(max / 1e3);
        }
    }

    /// `95%      4`, milliseconds.
    fn quantile(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let (Some(share), Some(time)) = (
            words.next(),
            words.next().and_then(|word| word.parse::<f64>().ok()),
        ) else {
            return;
        };
        let slot = match share {
            "50%" => &mut self.latency.p50,
            "90%" => &mut self.latency.p90,
            "95%" => &mut self.latency.p95,
            "99%" => &mut self.latency.p99,
            _ => return,
        };
        *slot = Some(time / 1e3).filter(|time| time.is_finite() && *time >= 0.0);
    }

    fn summary(self) -> Option<Summary> {
        let mut summary = Summary::new(Tool::Ab, "ab result (text)");
        let Some(complete) = self.complete else {
            // It gave up: what it did before was answered, or it would have given up sooner.
            let words = self.ended_by?;
            let before = self.before.unwrap_or(0);
            summary.error(words, 1);
            summary.requests = Some(before.saturating_add(1));
            summary.failed_at_least = 1;
            summary.undelivered_at_least = 1;
            summary.gap(
                true,
                "How many more would have failed: ab ends at its first broken connection",
                "`ab -r`, which goes on",
            );
            return Some(summary);
        };
        summary.requests = Some(complete);
        summary.duration_seconds = self.duration;
        summary.bytes_received = self.bytes;
        summary.latency = self.latency;
        if self.refused > 0 {
            summary.gap(
                false,
                format!(
                    "Which statuses {} had: ab counts what is not 2xx as one, redirects among them",
                    counted(self.refused, "answer")
                ),
                "a generator that lists statuses",
            );
        }
        summary.error("connect".to_owned(), self.connect);
        summary.error("receive".to_owned(), self.receive);
        summary.error("exceptions".to_owned(), self.exceptions);
        let (receive, exceptions) = (self.receive, self.exceptions);
        let broken = receive.max(exceptions).saturating_add(self.connect);
        let kinds = broken
            .saturating_add(receive.min(exceptions))
            .saturating_add(self.length);
        // A cut list of kinds would leave failures without one.
        if (receive == 0 || exceptions == 0) && kinds >= self.failed {
            let failed = broken.saturating_add(self.refused).min(complete.max(broken));
            summary.requests = Some(complete.max(failed));
            summary.failed = Some(failed);
            summary.undelivered = Some(broken.min(failed));
            summary.delivered_errors = Some(failed - broken.min(failed));
        } else {
            summary.failed_at_least = broken.saturating_add(self.refused).min(complete);
            summary.undelivered_at_least = broken.min(complete);
            summary.gap(
                true,
                "How many requests broke exactly: ab may count one broken connection both as `Receive` and as \
                 `Exceptions`",
                "a generator that counts each once",
            );
        }
        if self.length > 0 {
            summary.gap(
                false,
                format!(
                    "Whether {} of another length than the first were right: ab counts them as failed, and a page that \
                     changes has no fixed length",
                    counted(self.length, "answer")
                ),
                "the answers, or `ab -l`",
            );
        }
        Some(summary)
    }
}
