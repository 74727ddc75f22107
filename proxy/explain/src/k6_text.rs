//! k6's end-of-test summary as text: compact, full and legacy, with what k6 logged before it.
//!
//! A text may hold several: the sections of scenarios and groups are parts of the run's totals, and a second set of totals
//! is another run's.

use std::collections::HashSet;

use super::durations::seconds;
use super::k6_log::Log;
use super::k6_parts::Parts;
use super::readers::TextReader;
use super::summary::{Group, Quantiles, Summary, Tool};
use super::tally::whole;

/// Which part of a summary a line belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Section {
    #[default]
    Totals,
    Thresholds,
    Part {
        scenario: String,
        group: String,
    },
}

/// Reads lines into summaries.
#[derive(Debug, Default)]
pub(super) struct K6Text {
    done: Vec<Summary>,
    run: Run,
}

#[derive(Debug, Default)]
struct Run {
    section: Section,
    requests: Option<u64>,
    failed: Option<u64>,
    rate: Option<f64>,
    received: Option<u64>,
    latency: Quantiles,
    latency_ok: Quantiles,
    statuses: Vec<(u16, u64)>,
    checks: Checks,
    parts: Parts,
    log: Log,
    interrupted: u64,
    /// Metrics that have had their line.
    seen: HashSet<String>,
    /// The same of the section that is being read.
    seen_in_part: HashSet<String>,
    last_metric: String,
    warnings: u64,
}

impl TextReader for K6Text {
    fn line(&mut self, line: &str) {
        if self.run.log.line(line) {
            self.run.warnings = self.run.warnings.saturating_add(1);
            return;
        }
        let line = line.trim();
        if line.starts_with("execution: ")
            || line.starts_with("█ THRESHOLDS")
            || line.starts_with("█ TOTAL RESULTS")
        {
            let thresholds = line.ends_with("THRESHOLDS");
            // Thresholds come before the totals of their run.
            if self.run.has_totals() || (thresholds && self.run.section == Section::Thresholds) {
                self.next_run();
            }
            self.run.section = if thresholds {
                Section::Thresholds
            } else {
                Section::Totals
            };
        } else if let Some(scenario) = line.strip_prefix("█ SCENARIO:") {
            self.run.part(scenario.trim().to_owned(), String::new());
        } else if let Some(group) = line.strip_prefix("█ GROUP:") {
            self.run.part(String::new(), group.trim().to_owned());
        } else if let Some(group) = line.strip_prefix("↳ GROUP:") {
            let scenario = match &self.run.section {
                Section::Part { scenario, .. } => scenario.clone(),
                Section::Totals | Section::Thresholds => String::new(),
            };
            self.run.part(scenario, group.trim().to_owned());
        } else if let Some(count) = interrupted(line) {
            self.run.interrupted = count;
        } else if let Some((name, figures)) = metric(line) {
            let seen = match self.run.section {
                Section::Totals => &self.run.seen,
                Section::Part { .. } | Section::Thresholds => &self.run.seen_in_part,
            };
            if !name.starts_with('{') && seen.contains(name) {
                self.next_run();
            }
            self.run.metric(name, figures);
        } else if matches!(self.run.section, Section::Totals) {
            let is_check = line.starts_with('✗') || line.starts_with('✓') || line.starts_with("█ ");
            if is_check && self.run.seen.contains("http_reqs") {
                self.next_run();
            }
            self.run.checks.line(line);
        }
    }

    fn finish(mut self: Box<Self>) -> Vec<Summary> {
        self.next_run();
        self.done
    }
}

impl K6Text {
    fn next_run(&mut self) {
        let run = std::mem::take(&mut self.run);
        if self.done.len() < super::MOST_RUNS {
            self.done.extend(run.finish());
        }
    }

    /// Whether any total of k6's was read, or a warning of its log.
    pub(super) fn found(&self) -> bool {
        !self.done.is_empty() || self.run.has_totals()
    }

    /// Failed requests in the log, of which no summary tells.
    pub(super) fn warnings(&self) -> u64 {
        self.run.warnings
    }
}

impl Run {
    const fn has_totals(&self) -> bool {
        self.requests.is_some() || self.failed.is_some()
    }

    fn part(&mut self, scenario: String, group: String) {
        self.seen_in_part.clear();
        self.section = Section::Part { scenario, group };
    }

    fn metric(&mut self, name: &str, figures: &str) {
        match &self.section {
            Section::Thresholds => {}
            Section::Part { scenario, group } => {
                if !name.starts_with('{') {
                    self.seen_in_part.insert(name.to_owned());
                }
                if name == "http_req_failed"
                    && let Some((failed, all)) = part_of(figures)
                {
                    self.parts.section(scenario, group, failed, all);
                }
            }
            Section::Totals => self.total(name, figures),
        }
    }

    fn total(&mut self, name: &str, figures: &str) {
        if let Some(tags) = name
            .strip_prefix('{')
            .and_then(|name| name.trim_end().strip_suffix('}'))
        {
            self.submetric(tags.trim(), figures);
            return;
        }
        match name {
            "http_reqs" => {
                self.requests = first_count(figures);
                self.rate = rate(figures);
            }
            "http_req_failed" => self.failed = part_of(figures).map(|(failed, _)| failed),
            "http_req_duration" => self.latency = quantiles(figures),
            "data_received" => self.received = bytes(figures),
            "checks" => self.checks.total = part_of(figures).map(|(_, total)| total),
            "checks_total" => self.checks.total = first_count(figures),
            _ => {}
        }
        self.seen.insert(name.to_owned());
        name.clone_into(&mut self.last_metric);
    }

    fn submetric(&mut self, tags: &str, figures: &str) {
        match self.last_metric.as_str() {
            "http_req_duration" if tags == "expected_response:true" => self.latency_ok = quantiles(figures),
            "http_req_failed" => {
                if let Some((failed, all)) = part_of(figures) {
                    self.parts.tag(tags, failed, all);
                }
            }
            "http_reqs" => {
                let status = tags
                    .strip_prefix("status:")
                    .and_then(|status| status.parse().ok());
                self.statuses.extend(status.zip(first_count(figures)));
            }
            _ => {}
        }
    }

    fn finish(mut self) -> Option<Summary> {
        if !self.has_totals() {
            return None;
        }
        let mut summary = Summary::new(Tool::K6, "k6 summary (text)");
        summary.requests = self.requests;
        summary.failed = self.failed;
        summary.bytes_received = self.received;
        summary.latency = self.latency;
        summary.latency_ok = self.latency_ok;
        summary.duration_seconds = self
            .requests
            .zip(self.rate)
            .map(|(requests, rate)| hopscope_text::figures::float(requests) / rate)
            .filter(|seconds| seconds.is_finite());
        for (status, times) in self.statuses {
            summary.status(status, times);
        }
        for check in self.checks.groups() {
            self.parts.check(check);
        }
        self.parts.divide(&mut summary);
        if summary.failed.is_none() {
            // A text that breaks off behind its first figures.
            summary.gap(
                true,
                "How many requests failed: the text has no `http_req_failed`",
                "the whole text",
            );
        }
        super::k6_summary::interrupted(&mut summary, self.interrupted);
        self.log.tell(&mut summary);
        Some(summary)
    }
}

/// `running (32.0s), 0/3 VUs, 13 complete and 3 interrupted iterations`
fn interrupted(line: &str) -> Option<u64> {
    let (_, rest) = line.strip_prefix("running (")?.split_once(" complete and ")?;
    let (count, _) = rest.split_once(" interrupted iterations")?;
    count.trim().parse().ok()
}

/// `name........: figures`
fn metric(line: &str) -> Option<(&str, &str)> {
    let (name, figures) = line.split_once(".:").or_else(|| line.split_once("..: "))?;
    let name = name.trim_end_matches('.').trim_start_matches(['✓', '✗']).trim();
    (!name.is_empty()).then_some((name, figures.trim()))
}

fn first_count(figures: &str) -> Option<u64> {
    figures.split_whitespace().next()?.parse().ok()
}

/// `70.78/s`
fn rate(figures: &str) -> Option<f64> {
    figures
        .split_whitespace()
        .find_map(|word| word.strip_suffix("/s"))?
        .parse()
        .ok()
        .filter(|rate: &f64| *rate > 0.0 && rate.is_finite())
}

/// `771 kB 362 kB/s`; decimal units, as k6 has them.
fn bytes(figures: &str) -> Option<u64> {
    let mut words = figures.split_whitespace();
    let number: f64 = words.next()?.parse().ok()?;
    let unit = match words.next()? {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        _ => return None,
    };
    whole(number * unit)
}

/// The part and the whole in `84.38% 200 out of 237` and, before k6 1.0, in `89.30% ✓ 26634 ✗ 3192`.
fn part_of(figures: &str) -> Option<(u64, u64)> {
    let words: Vec<_> = figures.split_whitespace().collect();
    let after = |mark: &str| {
        let at = words.iter().position(|word| *word == mark)?;
        words.get(at + 1)?.parse::<u64>().ok()
    };
    if let (Some(part), Some(rest)) = (after("✓"), after("✗")) {
        return Some((part, part.checked_add(rest)?));
    }
    let part = words.get(1)?.parse().ok()?;
    Some((part, after("of")?))
}

fn quantiles(figures: &str) -> Quantiles {
    let mut quantiles = Quantiles::default();
    // `min=0s` may stand as `min= 0s` in narrow columns.
    for (key, value) in figures.split_whitespace().filter_map(|word| word.split_once('=')) {
        let slot = match key {
            "avg" => &mut quantiles.mean,
            "med" | "p(50)" => &mut quantiles.p50,
            "max" => &mut quantiles.max,
            "p(90)" => &mut quantiles.p90,
            "p(95)" => &mut quantiles.p95,
            "p(99)" => &mut quantiles.p99,
            _ => continue,
        };
        *slot = seconds(value);
    }
    quantiles
}

/// Checks, of which the text counts only those that failed at least once.
#[derive(Debug, Default)]
struct Checks {
    total: Option<u64>,
    failing: Vec<Group>,
    clean: Vec<String>,
    /// A failing check whose counts come on the next line.
    open: Option<String>,
}

impl Checks {
    fn line(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix('↳') {
            let after = |mark: char| {
                let (_, rest) = counts.split_once(mark)?;
                rest.split_whitespace().next()?.parse::<u64>().ok()
            };
            if let (Some(name), Some(ok), Some(failed)) = (self.open.take(), after('✓'), after('✗')) {
                self.failing.push(Group { name, ok, failed });
            }
        } else if let Some(name) = line.strip_prefix("✗ ") {
            self.open = Some(name.trim().to_owned());
        } else if let Some(name) = line.strip_prefix("✓ ") {
            // Thresholds have the same mark and quote their condition.
            if !name.trim_start().starts_with('\'') {
                self.clean.push(name.trim().to_owned());
            }
        }
    }

    /// The clean ones share one group: the text has only their sum.
    fn groups(&mut self) -> Vec<Group> {
        let counted = self
            .failing
            .iter()
            .fold(0_u64, |sum, group| sum.saturating_add(group.all()));
        let mut groups = std::mem::take(&mut self.failing);
        if let Some(ok) = self.total.and_then(|total| total.checked_sub(counted))
            && ok > 0
            && !self.clean.is_empty()
        {
            groups.push(Group {
                name: self.clean.join(" + "),
                ok,
                failed: 0,
            });
        }
        groups
    }
}
