//! k6's end-of-test summary as text: compact, full and legacy.

use super::durations::seconds;
use super::summary::{Group, GroupsFrom, Quantiles, Summary, Tool};

/// The summary in a text, if it is one of k6's. Anything before and after it does not matter.
pub(super) fn parse(text: &str) -> Option<Summary> {
    let mut summary = Summary::new(Tool::K6, "k6 summary (text)");
    let mut checks = Checks::default();
    let mut last_metric = "";
    for line in text.lines() {
        let line = line.trim();
        if let Some((name, figures)) = metric(line) {
            match name {
                "http_reqs" => {
                    summary.requests = first_count(figures);
                    summary.duration_seconds = summary
                        .requests
                        .zip(rate(figures))
                        .map(|(requests, rate)| hopscope_text::figures::float(requests) / rate)
                        .filter(|seconds| seconds.is_finite());
                }
                "http_req_failed" => summary.failed = part_of(figures).map(|(failed, _)| failed),
                "http_req_duration" => summary.latency = quantiles(figures),
                "{ expected_response:true }" if last_metric == "http_req_duration" => {
                    summary.latency_ok = quantiles(figures);
                }
                "checks" => checks.total = part_of(figures).map(|(_, total)| total),
                "checks_total" => checks.total = first_count(figures),
                _ => {}
            }
            last_metric = name;
        } else {
            checks.line(line);
        }
    }
    summary.groups = checks.groups();
    if !summary.groups.is_empty() {
        summary.groups_from = GroupsFrom::Checks;
    }
    (summary.requests.is_some() || summary.failed.is_some()).then_some(summary)
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
#[derive(Default)]
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
    fn groups(self) -> Vec<Group> {
        let counted = self
            .failing
            .iter()
            .fold(0_u64, |sum, group| sum.saturating_add(group.all()));
        let mut groups = self.failing;
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
