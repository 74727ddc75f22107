//! wrk's and wrk2's result, which is text only.
//!
//! wrk counts answers as requests. A time-out (wrk 4) is an answer that came later than it: already counted. A read error
//! is a connection that ended while wrk read from it, in part behind a whole answer (wg/wrk, `src/wrk.c`: `response_complete`,
//! `socket_readable`). What was never answered is not counted at all.

use super::durations::seconds;
use super::readers::TextReader;
use super::summary::{Quantiles, Summary, Tool};
use super::tally::Keep;
use hopscope_text::figures::{counted, float};

/// The connections must have been at work for at least this share of the run; otherwise they waited for something that wrk
/// does not count.
const IDLE: f64 = 0.2;

/// Whether a line is among the first of a result, or the one with its count.
pub(super) fn begins(line: &str) -> bool {
    let line = line.trim_start();
    (line.starts_with("Running ") && line.contains(" test @ "))
        || line.starts_with("Thread Stats")
        || (line.contains(" requests in ") && line.ends_with("read"))
}

/// The reader of its lines.
pub(super) fn open(_: Keep) -> Box<dyn TextReader> {
    Box::<Wrk>::default()
}

#[derive(Debug, Default)]
struct Wrk {
    /// `2 threads and 64 connections`, or the heading of its table: another program prints the first line as well.
    recognised: bool,
    wrk2: bool,
    answered: Option<u64>,
    duration: Option<f64>,
    connections: Option<u64>,
    refused: u64,
    connect: u64,
    read: u64,
    write: u64,
    timeout: u64,
    latency: Quantiles,
    /// The line behind the errors: without it the text was cut.
    whole: bool,
}

impl TextReader for Wrk {
    fn line(&mut self, line: &str) {
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            ["Thread", "Stats", ..] => self.recognised = true,
            [_, "threads", "and", connections, "connections"] => {
                self.recognised = true;
                self.connections = connections.parse().ok();
            }
            // Latency    43.55ms    6.42ms  48.12ms   97.88%
            ["Latency", mean, _stdev, max, _within] => {
                self.latency.mean = seconds(mean);
                self.latency.max = seconds(max);
            }
            ["Thread", "calibration:", ..] | ["Latency", "Distribution", "(HdrHistogram", ..] => {
                self.wrk2 = true;
            }
            [count, "requests", "in", duration, ..] => {
                self.answered = count.parse().ok();
                self.duration = seconds(duration.trim_end_matches(','));
            }
            ["Non-2xx", "or", "3xx", "responses:", count] => self.refused = count.parse().unwrap_or(0),
            // Socket errors: connect 0, read 1635, write 0, timeout 0
            ["Socket", "errors:", kinds @ ..] => {
                for pair in kinds.chunks_exact(2) {
                    let count = pair[1].trim_end_matches(',').parse().unwrap_or(0);
                    match pair[0] {
                        "connect" => self.connect = count,
                        "read" => self.read = count,
                        "write" => self.write = count,
                        "timeout" => self.timeout = count,
                        _ => {}
                    }
                }
            }
            ["Requests/sec:", _] => self.whole = true,
            // Behind `Requests/sec` of wrk2's detailed spectrum nothing is a quantile; before it, `50%   43.97ms`.
            [share, time] if share.ends_with('%') && !self.whole => self.quantile(share, time),
            _ => {}
        }
    }

    fn is_complete(&self) -> bool {
        self.answered.is_some()
    }

    fn finish(self: Box<Self>) -> Vec<Summary> {
        self.summary().into_iter().collect()
    }
}

impl Wrk {
    /// `50%   43.97ms` of wrk, ` 50.000%   43.97ms` of wrk2.
    fn quantile(&mut self, share: &str, time: &str) {
        let Ok(share) = share.trim_end_matches('%').parse::<f64>() else {
            return;
        };
        let slots = [
            (50.0, &mut self.latency.p50),
            (90.0, &mut self.latency.p90),
            (95.0, &mut self.latency.p95),
            (99.0, &mut self.latency.p99),
            (100.0, &mut self.latency.max),
        ];
        for (quantile, slot) in slots {
            if (share - quantile).abs() < 1e-9 {
                *slot = seconds(time).or(*slot);
            }
        }
    }

    fn summary(&self) -> Option<Summary> {
        let answered = self.answered.filter(|_| self.recognised || self.whole)?;
        let (tool, form) = if self.wrk2 {
            (Tool::Wrk2, "wrk2 result (text)")
        } else {
            (Tool::Wrk, "wrk result (text)")
        };
        let name = tool.word();
        let mut summary = Summary::new(tool, form);
        summary.duration_seconds = self.duration;
        summary.latency = self.latency;
        // What did not connect or could not be written was not answered.
        let undelivered = self.connect.saturating_add(self.write);
        summary.error("connect".to_owned(), self.connect);
        summary.error("write".to_owned(), self.write);
        let failed = self.refused.saturating_add(undelivered);
        summary.requests = Some(answered.saturating_add(undelivered));
        let certain = self.whole && self.read == 0 && answered > 0;
        if certain {
            summary.failed = Some(failed);
            summary.delivered_errors = Some(self.refused);
            summary.undelivered = Some(undelivered);
        } else {
            // Each close behind a whole answer takes one of the answers.
            let lost = undelivered.saturating_add(self.read.saturating_sub(answered));
            summary.failed_at_least = self.refused.saturating_add(lost);
            summary.undelivered_at_least = lost;
            summary.requests = Some(answered.saturating_add(lost));
        }
        if !self.whole {
            summary.gap(
                true,
                "How many failed: the text ends before its line of errors",
                "the whole text",
            );
        }
        if self.read > 0 {
            summary.ended_reads = Some(self.read);
            summary.gap(
                true,
                format!(
                    "How many requests were lost: {} while {name} read from them{}",
                    ended(self.read),
                    if answered > 0 {
                        ", in part behind a whole answer"
                    } else {
                        ""
                    }
                ),
                "both sockets of each connection (`hopscope run` has them)",
            );
        }
        self.timeouts(&mut summary, answered);
        if answered == 0 {
            // wrk writes zeros where it has measured nothing.
            summary.latency = Quantiles::default();
            summary.gap(
                true,
                format!("Why nothing was answered: {name} counts answers, and not what it waits for"),
                "a point on the path that sees the requests",
            );
        } else if self.read == 0 && self.timeout == 0 && self.was_idle(answered) {
            summary.gap(
                true,
                format!(
                    "What {} waited for most of the time: their answers account for less than a fifth of it, and \
                     {name} does not count a request that is never answered",
                    counted(self.connections.unwrap_or(0), "connection")
                ),
                "the time at which each request began",
            );
        }
        Some(summary)
    }

    /// wrk 4 counts answers that were late; wrk2 looks every so often at what is under way too long, so that one request
    /// may count several times.
    fn timeouts(&self, summary: &mut Summary, answered: u64) {
        if self.timeout == 0 {
            return;
        }
        if !self.wrk2 && self.timeout <= answered {
            summary.late = Some(self.timeout);
            if self.timeout == answered {
                // It keeps no latency above its time-out.
                summary.latency = Quantiles::default();
            }
        } else {
            summary.failed = None;
            summary.failed_at_least = self
                .refused
                .saturating_add(self.connect)
                .saturating_add(self.write);
            (summary.delivered_errors, summary.undelivered) = (None, None);
            summary.gap(
                true,
                format!(
                    "How many requests were late or lost: its {} count a request once for each look at it",
                    counted(self.timeout, "time-out")
                ),
                "the time of each request",
            );
        }
    }

    /// Whether the connections were silent for most of the run, by Little's law.
    fn was_idle(&self, answered: u64) -> bool {
        let (Some(connections), Some(duration), Some(mean)) =
            (self.connections, self.duration, self.latency.mean)
        else {
            return false;
        };
        // A loop over fast answers takes its own time: there only a much longer silence counts.
        let least = if mean > 0.001 { IDLE } else { IDLE / 10.0 };
        !self.wrk2 && float(answered) * mean < float(connections) * duration * least
    }
}

/// `8,276 connections ended`, `1 connection ended`.
fn ended(count: u64) -> String {
    format!("{} ended", counted(count, "connection"))
}
