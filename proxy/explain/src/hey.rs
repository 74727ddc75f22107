//! The text that hey prints, and that oha and ghz print much alike: `Summary:`, a histogram, and distributions of statuses
//! and errors. hey's `-o csv` as well.

use std::io::Read;

use super::detect::Unrecognised;
use super::durations::seconds;
use super::readers::TextReader;
use super::rows::{Rows, unreadable};
use super::summary::{Quantiles, Summary, Tool, error_words, sum};
use super::tally::{Keep, Outcome, Sample, Tally, whole};
use hopscope_text::figures::float;

/// Whether a line begins such a text.
pub(super) fn begins(line: &str) -> bool {
    line.trim_end() == "Summary:"
}

/// The reader of its lines.
pub(super) fn open(_: Keep) -> Box<dyn TextReader> {
    Box::<Distributions>::default()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Section {
    #[default]
    Summary,
    Other,
    Statuses,
    Errors,
}

#[derive(Debug, Default)]
struct Distributions {
    section: Section,
    oha: bool,
    /// ghz states its count; hey and oha do not.
    count: Option<u64>,
    total: Option<f64>,
    rate: Option<f64>,
    latency: Quantiles,
    statuses: Vec<(String, u64)>,
    errors: Vec<(String, u64)>,
    is_complete: bool,
}

impl TextReader for Distributions {
    fn line(&mut self, line: &str) {
        match line.trim() {
            "Summary:" => self.section = Section::Summary,
            "Status code distribution:" => {
                self.section = Section::Statuses;
                self.is_complete = true;
            }
            "Error distribution:" => self.section = Section::Errors,
            heading if heading.ends_with(':') && !line.starts_with([' ', '\t']) => {
                self.section = Section::Other;
            }
            line => self.entry(line),
        }
    }

    fn is_complete(&self) -> bool {
        self.is_complete
    }

    fn finish(self: Box<Self>) -> Vec<Summary> {
        self.summary().into_iter().collect()
    }
}

impl Distributions {
    fn entry(&mut self, line: &str) {
        match self.section {
            Section::Summary => self.figure(line),
            Section::Other => self.quantile(line),
            Section::Statuses | Section::Errors => {
                let Some((inner, rest)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) else {
                    return;
                };
                let (inner, rest) = (inner.trim(), rest.trim());
                if self.section == Section::Errors {
                    if let Ok(times) = inner.parse() {
                        self.errors.push((rest.to_owned(), times));
                    }
                } else if let Some(times) = rest.split_whitespace().next().and_then(|word| word.parse().ok())
                {
                    self.statuses.push((inner.to_owned(), times));
                }
            }
        }
    }

    fn figure(&mut self, line: &str) {
        let Some((name, value)) = line.split_once(':') else {
            return;
        };
        let value = value.trim();
        match name.trim() {
            "Count" => self.count = value.parse().ok(),
            "Success rate" => self.oha = true,
            "Total" => self.total = time(value),
            "Slowest" => self.latency.max = time(value),
            "Average" => self.latency.mean = time(value),
            "Requests/sec" => self.rate = value.parse().ok(),
            _ => {}
        }
    }

    /// `50% in 0.0002 secs` of hey, `50.00% in 0.0002 sec` of oha, `50 % in 1.2 ms` of ghz.
    fn quantile(&mut self, line: &str) {
        let Some((share, value)) = line.split_once(" in ") else {
            return;
        };
        let Ok(share) = share.trim_end_matches(['%', ' ']).trim().parse::<f64>() else {
            return;
        };
        let slots = [
            (50.0, &mut self.latency.p50),
            (90.0, &mut self.latency.p90),
            (95.0, &mut self.latency.p95),
            (99.0, &mut self.latency.p99),
        ];
        for (quantile, slot) in slots {
            if (share - quantile).abs() < 1e-9 {
                *slot = time(value.trim());
            }
        }
    }

    fn summary(self) -> Option<Summary> {
        if let Some(count) = self.count {
            return Some(self.of_ghz(count));
        }
        let (tool, form) = if self.oha {
            (Tool::Oha, "oha result (text)")
        } else {
            (Tool::Hey, "hey result (text)")
        };
        if !self.is_complete && self.latency.max.is_none() {
            return None;
        }
        let mut summary = Summary::new(tool, form);
        summary.duration_seconds = self.total;
        summary.latency = self.latency;
        for (status, times) in &self.statuses {
            if let Ok(status) = status.parse() {
                summary.status(status, *times);
            }
        }
        let mut in_flight = 0_u64;
        for (error, times) in &self.errors {
            if error == super::oha::DEADLINE {
                in_flight = in_flight.saturating_add(*times);
            } else {
                summary.error(error_words(error), *times);
            }
        }
        let listed = sum(summary.statuses.values()).saturating_add(sum(summary.errors.values()));
        if summary.statuses.is_empty() {
            // It writes zeros where it has measured nothing.
            summary.latency = Quantiles::default();
        }
        summary.total_of_parts();
        super::oha::aborted(&mut summary, in_flight);
        let made = self
            .total
            .zip(self.rate)
            .and_then(|(total, rate)| whole((total * rate).round()));
        let left_out = made.filter(|made| tool == Tool::Hey && float(*made) > float(listed) * 1.02 + 2.0);
        if !self.is_complete {
            uncertain(
                &mut summary,
                "How many failed: the text ends before its statuses",
                "the whole text",
            );
            summary.requests = None;
        } else if let Some(made) = left_out {
            summary.requests = Some(made);
            uncertain(
                &mut summary,
                "How the requests beyond the first million ended: hey keeps no statuses of them",
                "a shorter run, or `hopscope run`",
            );
        }
        Some(summary)
    }

    fn of_ghz(self, count: u64) -> Summary {
        let mut summary = Summary::new(Tool::Ghz, "ghz result (text)");
        summary.duration_seconds = self.total;
        summary.latency = self.latency;
        super::ghz::statuses(&mut summary, count, self.statuses.into_iter());
        summary
    }
}

/// Turns counts that do not cover every request into lower bounds.
fn uncertain(summary: &mut Summary, what: &str, needs: &str) {
    summary.failed_at_least = summary.failed.take().unwrap_or(0);
    summary.undelivered_at_least = summary.undelivered.take().unwrap_or(0);
    summary.delivered_errors = None;
    summary.gap(true, what, needs);
}

/// `0.0124 secs`, `1.2 ms`, `12.34ms`.
fn time(text: &str) -> Option<f64> {
    let mut words = text.split_whitespace();
    let (number, unit) = (words.next()?, words.next().unwrap_or_default());
    let unit = match unit {
        "secs" | "sec" => "s",
        unit => unit,
    };
    seconds(&format!("{number}{unit}"))
}

/// Whether a line is the head of `hey -o csv`.
pub(super) fn begins_rows(line: &str) -> bool {
    line.starts_with("response-time,DNS+dialup")
}

/// Reads those rows: one an answer, and none for what was not answered.
pub(super) fn read(input: &mut dyn Read, keep: Keep) -> Result<Vec<Summary>, Unrecognised> {
    let mut rows = Rows::new(input)?;
    let (took, status) = (rows.column("response-time"), rows.column("status-code"));
    let mut tally = Tally::new(Tool::Hey, "hey result (CSV)", keep);
    while rows.next().map_err(unreadable)? {
        let Some(status) = rows.field(status).and_then(|status| status.parse::<u16>().ok()) else {
            continue;
        };
        let ok = (1..400).contains(&status);
        if let Some(took) = rows.field(took).and_then(|took| took.parse::<f64>().ok()) {
            tally.latency(took, ok);
        }
        tally.sample(&Sample {
            at: None,
            name: "all",
            target: "",
            outcome: if ok {
                Outcome::Ok(status)
            } else {
                Outcome::Refused(status)
            },
            code: 0,
            times: 1,
        });
    }
    let mut summary = tally.finish();
    if let Some(summary) = &mut summary {
        uncertain(
            summary,
            "How many requests were not answered: hey's CSV lists answers only",
            "the text that hey prints without `-o csv`",
        );
        summary.groups.clear();
        summary.groups_from = super::summary::GroupsFrom::Nothing;
        summary.duration_seconds = None;
    }
    Ok(summary.into_iter().collect())
}
