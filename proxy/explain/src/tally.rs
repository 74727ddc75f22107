//! Requests one by one, kept as counts: what every result that lists its requests is read into.

use std::collections::HashMap;

use hopscope_attribution::evidence::Span;

use super::summary::{FailedRequest, Group, GroupsFrom, MOST_FAILURES, Quantiles, Summary, Tool};
use hopscope_text::distribution::Distribution;
use hopscope_text::figures::ratio;

/// Request names that are told apart; what comes after falls into one group.
const MOST_GROUPS: usize = 400;
/// Groups times seconds that are kept; beyond it the result says nothing of overlap.
const MOST_CELLS: usize = 200_000;
/// Words for errors that are told apart.
const MOST_WORDS: usize = 1_000;
const OTHERS: &str = "(other names)";
const OTHER_WORDS: &str = "(other words)";

/// Whether failures are kept one by one, to be joined with a recording, or only counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Counts only: memory does not grow with the result.
    Counts,
    /// Every failure with its time, up to two million.
    Failures,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome<'a> {
    /// The generator counts it as a success. 0 where its status is not stated.
    Ok(u16),
    /// A complete answer that the generator counts as a failure.
    Refused(u16),
    /// No complete answer, in the generator's words.
    Broken(&'a str),
    /// A failure, and whether an answer came is not stated.
    Failed,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample<'a> {
    /// When it ended, seconds since 1970.
    pub(super) at: Option<f64>,
    /// Its name in the script.
    pub(super) name: &'a str,
    /// What it asked for: a URL, a path or its name.
    pub(super) target: &'a str,
    /// How it ended.
    pub(super) outcome: Outcome<'a>,
    /// The generator's own code for the error.
    pub(super) code: u32,
    /// How many requests it stands for.
    pub(super) times: u64,
}

/// What is counted so far.
#[derive(Debug)]
pub(super) struct Tally {
    summary: Summary,
    keep: Keep,
    all: Distribution,
    ok: Distribution,
    requests: u64,
    undelivered: u64,
    delivered_errors: u64,
    undecided: u64,
    names: HashMap<String, usize>,
    groups: Vec<Group>,
    /// By group and second: successes, failures. `None` once it was more than is kept.
    cells: Option<HashMap<(usize, u64), (u64, u64)>>,
    first: Option<f64>,
    last: Option<f64>,
    targets: HashMap<String, u32>,
}

impl Tally {
    /// Nothing counted yet.
    pub(super) fn new(tool: Tool, form: &'static str, keep: Keep) -> Self {
        Self {
            summary: Summary::new(tool, form),
            keep,
            all: Distribution::default(),
            ok: Distribution::default(),
            requests: 0,
            undelivered: 0,
            delivered_errors: 0,
            undecided: 0,
            names: HashMap::new(),
            groups: Vec::new(),
            cells: Some(HashMap::new()),
            first: None,
            last: None,
            targets: HashMap::new(),
        }
    }

    /// Whether no request was counted.
    pub(super) const fn is_empty(&self) -> bool {
        self.requests == 0
    }

    /// Counts how long a request took.
    pub(super) fn latency(&mut self, seconds: f64, ok: bool) {
        if let Some(micros) = whole(seconds * 1e6) {
            self.all.record(Span::from_micros(micros));
            if ok {
                self.ok.record(Span::from_micros(micros));
            }
        }
    }

    /// Counts received bytes.
    pub(super) fn received(&mut self, bytes: u64) {
        let sum = self.summary.bytes_received.get_or_insert(0);
        *sum = sum.saturating_add(bytes);
    }

    /// Counts a request.
    pub(super) fn sample(&mut self, sample: &Sample<'_>) {
        let times = sample.times;
        self.requests = self.requests.saturating_add(times);
        let status = match sample.outcome {
            Outcome::Ok(status) => {
                self.summary.status(status, times * u64::from(status != 0));
                None
            }
            Outcome::Refused(status) => {
                self.summary.status(status, times * u64::from(status != 0));
                self.delivered_errors = self.delivered_errors.saturating_add(times);
                Some(status)
            }
            Outcome::Broken(words) => {
                self.undelivered = self.undelivered.saturating_add(times);
                let errors = &self.summary.errors;
                let known = errors.len() < MOST_WORDS || errors.contains_key(words);
                self.summary
                    .error(if known { words } else { OTHER_WORDS }.to_owned(), times);
                None
            }
            Outcome::Failed => {
                self.undecided = self.undecided.saturating_add(times);
                None
            }
        };
        let failed = !matches!(sample.outcome, Outcome::Ok(_));
        if failed && self.keep == Keep::Failures {
            self.keep_failure(sample, status);
        }
        let group = self.group(sample.name);
        if let Some(of) = self.groups.get_mut(group) {
            let side = if failed { &mut of.failed } else { &mut of.ok };
            *side = side.saturating_add(times);
        }
        // A number may be written that no float holds.
        let Some(at) = sample.at.filter(|at| at.is_finite() && *at >= 0.0) else {
            return;
        };
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        if let Some(cells) = &mut self.cells {
            let cell = cells.entry((group, whole(at).unwrap_or(0))).or_default();
            let side = if failed { &mut cell.1 } else { &mut cell.0 };
            *side = side.saturating_add(times);
            if cells.len() > MOST_CELLS {
                self.cells = None;
            }
        }
    }

    fn keep_failure(&mut self, sample: &Sample<'_>, status: Option<u16>) {
        let Some(at_unix_us) = sample.at.and_then(|at| whole(at * 1e6)) else {
            return;
        };
        let room = MOST_FAILURES.saturating_sub(self.summary.failures.len());
        if room == 0 {
            return;
        }
        let target = path_of(sample.target);
        let number = self.targets.get(target).copied().unwrap_or_else(|| {
            let number = u32::try_from(self.summary.targets.len()).unwrap_or(u32::MAX);
            self.targets.insert(target.to_owned(), number);
            self.summary.targets.push(target.to_owned());
            number
        });
        let failure = FailedRequest {
            at_unix_us,
            target: number,
            status,
            code: sample.code,
        };
        let times = usize::try_from(sample.times).unwrap_or(1).min(room);
        self.summary.failures.extend(std::iter::repeat_n(failure, times));
    }

    /// The group of a name. Names that are whole URLs lose scheme, host and query.
    fn group(&mut self, name: &str) -> usize {
        let name = if name.is_empty() {
            "(unnamed)"
        } else {
            path_of(name)
        };
        let name = if self.names.len() >= MOST_GROUPS && !self.names.contains_key(name) {
            OTHERS
        } else {
            name
        };
        if let Some(group) = self.names.get(name) {
            return *group;
        }
        self.groups.push(Group {
            name: name.to_owned(),
            ok: 0,
            failed: 0,
        });
        self.names.insert(name.to_owned(), self.groups.len() - 1);
        self.groups.len() - 1
    }

    /// The result, when there was a request in it.
    pub(super) fn finish(mut self) -> Option<Summary> {
        if self.requests == 0 {
            return None;
        }
        let failed = self
            .delivered_errors
            .saturating_add(self.undelivered)
            .saturating_add(self.undecided);
        let overlap = self.overlap(failed);
        let mut summary = std::mem::replace(&mut self.summary, Summary::new(Tool::K6, ""));
        summary.clean_while_others_failed = overlap.map(|(clean, _)| clean);
        summary.clean_seconds = overlap.map(|(_, seconds)| seconds);
        summary.requests = Some(self.requests);
        summary.failed = Some(failed);
        if self.undecided == 0 {
            summary.delivered_errors = Some(self.delivered_errors);
            summary.undelivered = Some(self.undelivered);
        }
        summary.duration_seconds = self.first.zip(self.last).map(|(first, last)| last - first);
        summary.latency = quantiles(&self.all);
        summary.latency_ok = quantiles(&self.ok);
        summary.groups = self.groups;
        summary.groups_from = GroupsFrom::Requests;
        Some(summary)
    }

    /// Successes of groups that hardly fail, in seconds in which another group failed, and how many such seconds.
    fn overlap(&self, failed: u64) -> Option<(u64, u64)> {
        let cells = self.cells.as_ref()?;
        self.first?;
        let overall = ratio(failed, self.requests)?;
        let clean: Vec<bool> = self
            .groups
            .iter()
            .map(|group| {
                ratio(group.failed, group.all()).is_some_and(|share| super::reading::is_clean(share, overall))
            })
            .collect();
        let is_clean = |group: usize| clean.get(group).copied().unwrap_or(false);
        // By second: failures of the failing groups, successes of the clean ones.
        let mut seconds: HashMap<u64, (u64, u64)> = HashMap::new();
        for ((group, second), (ok, failed)) in cells {
            let of = seconds.entry(*second).or_default();
            if is_clean(*group) {
                of.1 = of.1.saturating_add(*ok);
            } else {
                of.0 = of.0.saturating_add(*failed);
            }
        }
        let both = || seconds.values().filter(|(failed, ok)| *failed > 0 && *ok > 0);
        let clean = both().fold(0_u64, |sum, (_, ok)| sum.saturating_add(*ok));
        Some((clean, u64::try_from(both().count()).unwrap_or(u64::MAX)))
    }
}

/// The path of a URL, without scheme, host and query; a name that is no URL stays what it is.
pub(super) fn path_of(name: &str) -> &str {
    let Some((_, rest)) = name.split_once("://") else {
        return name;
    };
    let path = rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/");
    path.split(['?', '#']).next().unwrap_or(path)
}

fn quantiles(distribution: &Distribution) -> Quantiles {
    let at = |quantile| distribution.quantile(quantile).map(Span::as_secs_f64);
    Quantiles {
        p50: at(0.5),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        max: at(1.0),
        mean: distribution.mean_us().map(|mean| mean / 1e6),
    }
}

/// A whole number of what is not negative and below 2^62; `None` of everything else.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be positive and below 2^62"
)]
pub(super) fn whole(value: f64) -> Option<u64> {
    (0.0..4.6e18).contains(&value).then_some(value as u64)
}
