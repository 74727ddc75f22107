//! Gatling's results: the log of its requests (up to 3.11, which wrote it as text), the text that it prints, and the JSON
//! files of its report. Times are milliseconds.

use serde_json::Value;

use super::json::{at, count, figure};
use super::readers::TextReader;
use super::summary::{Group, GroupsFrom, Quantiles, Summary, Tool, error_words, sum};
use super::tally::{Keep, Outcome, Sample, Tally};

/// Whether a line begins a log of requests.
pub(super) fn begins_log(line: &str) -> bool {
    line.starts_with("RUN\t") || line.starts_with("ASSERTION\t")
}

/// The reader of its lines.
pub(super) fn open_log(keep: Keep) -> Box<dyn TextReader> {
    Box::new(Log(Tally::new(Tool::Gatling, "Gatling simulation.log", keep)))
}

#[derive(Debug)]
struct Log(Tally);

impl TextReader for Log {
    fn line(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("REQUEST\t") else {
            return;
        };
        // Before 3.4 a user's number stands first. From the end: name, begin, end, status, message.
        let fields: Vec<&str> = rest.split('\t').collect();
        let Some(status) = fields.iter().rposition(|field| *field == "OK" || *field == "KO") else {
            return;
        };
        let field = |back: usize| {
            status
                .checked_sub(back)
                .and_then(|place| fields.get(place))
                .copied()
        };
        let (Some(name), Some(began), Some(ended)) = (field(3), field(2), field(1)) else {
            return;
        };
        let (Ok(began), Ok(ended)) = (began.parse::<f64>(), ended.parse::<f64>()) else {
            return;
        };
        let ok = field(0) == Some("OK");
        let message = fields.get(status + 1).copied().unwrap_or_default().trim();
        let words;
        let outcome = if ok {
            Outcome::Ok(0)
        } else if let Some(status) = found(message) {
            Outcome::Refused(status)
        } else if is_check(message) {
            // A condition on an answer that came.
            Outcome::Refused(0)
        } else if message.is_empty() {
            Outcome::Failed
        } else {
            words = error_words(message);
            Outcome::Broken(&words)
        };
        self.0.latency((ended - began) / 1e3, ok);
        self.0.sample(&Sample {
            at: Some(ended / 1e3),
            name,
            target: name,
            outcome,
            code: 0,
            times: 1,
        });
    }

    fn takes_all(&self) -> bool {
        true
    }

    fn finish(self: Box<Self>) -> Vec<Summary> {
        self.0.finish().into_iter().collect()
    }
}

/// The status in `status.find.in(200,…), but actually found 500`, and in `… found 500`.
fn found(message: &str) -> Option<u16> {
    let (check, found) = message.rsplit_once("found ")?;
    if !check.starts_with("status") {
        return None;
    }
    found
        .trim()
        .parse()
        .ok()
        .filter(|status| (100..1_000).contains(status))
}

fn is_check(message: &str) -> bool {
    [
        "status.",
        "jsonPath(",
        "regex(",
        "substring(",
        "css(",
        "xpath(",
        "bodyString",
        "header(",
        "responseTimeInMillis",
    ]
    .iter()
    .any(|check| message.starts_with(check))
}

/// Whether a line begins its summary as text.
pub(super) fn begins(line: &str) -> bool {
    line.contains("---- Global Information")
}

/// The reader of its lines.
pub(super) fn open(_: Keep) -> Box<dyn TextReader> {
    Box::<Text>::default()
}

#[derive(Debug, Default)]
struct Text {
    /// All, ok, failed.
    requests: Option<(u64, u64, u64)>,
    latency: Quantiles,
    in_errors: bool,
    errors: Vec<(String, u64)>,
}

impl TextReader for Text {
    fn line(&mut self, line: &str) {
        if line.contains("---- Errors") {
            self.in_errors = true;
        } else if line.starts_with("====") {
            self.in_errors = false;
        }
        // `> ` is taken for a quote's and has gone.
        let line = line.trim_start().trim_start_matches('>').trim();
        if self.in_errors {
            // `> j.n.ConnectException: Connection refused        10 (100.0%)`
            if let Some((error, share)) = line.rsplit_once('(')
                && share.trim_end().ends_with("%)")
                && let Some((error, times)) = error.trim_end().rsplit_once(' ')
                && let Ok(times) = times.parse()
            {
                self.errors.push((error.trim().to_owned(), times));
            }
            return;
        }
        // `request count    100 (OK=90     KO=10    )`, since 3.12 `request count | 100 | 90 | 10`.
        let numbers: Vec<&str> = line
            .split([' ', '|', '(', ')'])
            .map(|word| word.trim_start_matches("OK=").trim_start_matches("KO="))
            .filter(|word| !word.is_empty())
            .collect();
        let plain = |word: &&str| word.replace(',', "").parse::<f64>().ok();
        let figures: Vec<f64> = numbers.iter().filter_map(plain).collect();
        let seconds = |place: usize| figures.get(place).map(|millis| millis / 1e3);
        if line.starts_with("request count") {
            let counts: Vec<u64> = figures.iter().copied().filter_map(super::tally::whole).collect();
            self.requests = match counts.as_slice() {
                [all, ok, failed, ..] => Some((*all, *ok, *failed)),
                [all] => Some((*all, *all, 0)),
                _ => None,
            };
        } else if line.starts_with("mean response time") {
            self.latency.mean = seconds(0);
        } else if line.starts_with("max response time") {
            self.latency.max = seconds(0);
        } else if line.starts_with("response time ") {
            // `response time 95th percentile    12 (…)`: the rank is no plain number.
            let slot = match line.split_whitespace().nth(2) {
                Some("50th") => &mut self.latency.p50,
                Some("90th") => &mut self.latency.p90,
                Some("95th") => &mut self.latency.p95,
                Some("99th") => &mut self.latency.p99,
                Some(_) | None => return,
            };
            *slot = seconds(0);
        }
    }

    fn is_complete(&self) -> bool {
        self.requests.is_some()
    }

    fn finish(self: Box<Self>) -> Vec<Summary> {
        let Some((all, ok, failed)) = self.requests else {
            return Vec::new();
        };
        let mut summary = Summary::new(Tool::Gatling, "Gatling summary (text)");
        summary.requests = Some(all);
        summary.failed = Some(if ok.saturating_add(failed) == all {
            failed
        } else {
            all.saturating_sub(ok)
        });
        summary.latency = self.latency;
        let listed = sum(self.errors.iter().map(|(_, times)| times));
        let mut delivered = 0_u64;
        for (error, times) in self.errors {
            if found(&error).is_some() || is_check(&error) {
                delivered = delivered.saturating_add(times);
                summary.status(
                    found(&error).unwrap_or(0),
                    times * u64::from(found(&error).is_some()),
                );
            } else {
                summary.error(error_words(&error), times);
            }
        }
        if Some(listed) == summary.failed && listed > 0 {
            summary.delivered_errors = Some(delivered);
            summary.undelivered = Some(listed.saturating_sub(delivered));
        }
        vec![summary]
    }
}

/// The statistics in a document, if they are Gatling's: `js/global_stats.json` has those of all requests, `js/stats.json`
/// those of each name as well.
pub(super) fn document(document: &Value, _: Keep) -> Option<Summary> {
    let global = document
        .get("stats")
        .filter(|stats| stats.is_object())
        .unwrap_or(document);
    let mut summary = Summary::new(Tool::Gatling, "Gatling statistics (JSON)");
    let of = |stats: &Value, key: &str| at(stats, &["numberOfRequests", key]).and_then(count);
    summary.requests = Some(of(global, "total")?);
    summary.failed = Some(of(global, "ko")?);
    let latency = |key: &str| {
        at(global, &[key, "total"])
            .and_then(figure)
            .map(|millis| millis / 1e3)
    };
    // The four percentiles are a setting; these are its defaults: 50, 75, 95, 99.
    summary.latency = Quantiles {
        p50: latency("percentiles1"),
        p90: None,
        p95: latency("percentiles3"),
        p99: latency("percentiles4"),
        max: latency("maxResponseTime"),
        mean: latency("meanResponseTime"),
    };
    let contents = document.get("contents").and_then(Value::as_object);
    let groups: Vec<Group> = contents
        .into_iter()
        .flatten()
        .filter_map(|(_, content)| {
            let stats = content.get("stats")?;
            Some(Group {
                name: content.get("name").and_then(Value::as_str)?.to_owned(),
                ok: of(stats, "ok")?,
                failed: of(stats, "ko")?,
            })
        })
        .collect();
    let all = groups
        .iter()
        .fold(0_u64, |sum, group| sum.saturating_add(group.all()));
    if groups.len() > 1 && Some(all) == summary.requests {
        summary.groups = groups;
        summary.groups_from = GroupsFrom::Requests;
    }
    Some(summary)
}
