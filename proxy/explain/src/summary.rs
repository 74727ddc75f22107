//! What a generator's result says, whichever generator and form it came in.

use std::collections::BTreeMap;

use hopscope_attribution::evidence::GeneratorResult;
use serde::Serialize;

/// The generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    /// Grafana k6.
    K6,
    /// hatoo/oha.
    Oha,
    /// wg/wrk.
    Wrk,
}

impl Tool {
    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::K6 => "k6",
            Self::Oha => "oha",
            Self::Wrk => "wrk",
        }
    }
}

/// A generator's result. What it does not state is `None`, never 0.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The generator.
    pub tool: Tool,
    /// The form that was read, for a person.
    pub form: &'static str,
    /// Requests, as far as they are stated.
    pub requests: Option<u64>,
    /// Those that the generator counts as failed.
    pub failed: Option<u64>,
    /// Failures with a complete answer.
    pub delivered_errors: Option<u64>,
    /// Failures without one.
    pub undelivered: Option<u64>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// The generator's words for failures without an answer, each with how often.
    pub errors: BTreeMap<String, u64>,
    /// How long it ran, seconds.
    pub duration_seconds: Option<f64>,
    /// Latency of all requests, seconds.
    pub latency: Quantiles,
    /// Latency of those that it counts as successful, seconds.
    pub latency_ok: Quantiles,
    /// Outcome by route, check or whatever the result divides its requests by.
    pub groups: Vec<Group>,
    /// What the groups are.
    pub groups_from: GroupsFrom,
    /// Successes of groups that hardly failed, in seconds in which requests of other groups failed. Only a result with
    /// a time for every request says it.
    pub clean_while_others_failed: Option<u64>,
    /// Every failure with its time, where the result has them, up to two million of them.
    #[serde(skip)]
    pub failures: Vec<FailedRequest>,
    /// What the failures ask for: [`FailedRequest::target`] is an index into it.
    #[serde(skip)]
    pub targets: Vec<String>,
}

/// Failures that are kept one by one: of what comes after, only the counts are.
pub(super) const MOST_FAILURES: usize = 2_000_000;

/// One request that the generator counted as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedRequest {
    /// When it ended, microseconds since 1970.
    pub at_unix_us: u64,
    /// Index into [`Summary::targets`]: its path, or the name that the script gave it.
    pub target: u32,
    /// The status of the answer; `None` where no complete one came.
    pub status: Option<u16>,
    /// The generator's own code for the error; k6's are in `lib/netext/httpext/error_codes.go`.
    pub code: u32,
}

/// Quantiles in seconds, as far as they are stated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Median.
    pub p50: Option<f64>,
    /// 90th percentile.
    pub p90: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
    /// Arithmetic mean.
    pub mean: Option<f64>,
}

/// One part of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Its name, as the result has it.
    pub name: String,
    /// Successes.
    pub ok: u64,
    /// Failures.
    pub failed: u64,
}

impl Group {
    /// Successes and failures.
    pub const fn all(&self) -> u64 {
        self.ok.saturating_add(self.failed)
    }
}

/// What the groups are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupsFrom {
    /// There are none.
    Nothing,
    /// k6 checks: conditions in a script, often but not always one a request.
    Checks,
    /// Requests by their name tag.
    Requests,
}

impl Summary {
    /// A result of which nothing is known yet.
    pub fn new(tool: Tool, form: &'static str) -> Self {
        Self {
            tool,
            form,
            requests: None,
            failed: None,
            delivered_errors: None,
            undelivered: None,
            statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
            duration_seconds: None,
            latency: Quantiles::default(),
            latency_ok: Quantiles::default(),
            groups: Vec::new(),
            groups_from: GroupsFrom::Nothing,
            clean_while_others_failed: None,
            failures: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// What a report joins to its own counts; `None` when the totals are not stated.
    pub fn generator_result(&self) -> Option<GeneratorResult> {
        let statuses = self
            .statuses
            .iter()
            .filter(|(status, _)| **status >= 400)
            .map(|(status, times)| (format!("status {status}"), *times));
        Some(GeneratorResult {
            tool: self.tool.word().to_owned(),
            requests: self.requests?,
            failed: self.failed?,
            timeout: None,
            errors: self.errors.clone().into_iter().chain(statuses).collect(),
        })
    }
}
