//! A run beside an earlier one.

use serde::Serialize;

/// What changed since an earlier run, and what could have changed without showing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparisonReport {
    /// When the earlier run began, RFC 3339 in UTC.
    pub baseline_started: String,
    /// Its requests.
    pub baseline_requests: u64,
    /// Of these, the share that failed; `null` without requests.
    pub baseline_failure_ratio: Option<f64>,
    /// How long its load went on.
    pub baseline_seconds: f64,
    /// Whether the same version of hopscope recorded both.
    pub same_version: bool,
    /// Whether the load was the same, and long enough to be compared.
    pub comparable: bool,
    /// How the load differed, in words.
    pub differs: Vec<String>,
    /// The figures that were compared. Empty where a run was too short.
    pub differences: Vec<DifferenceReport>,
    /// The outcome in one or two sentences.
    pub statement: String,
}

/// One figure in both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DifferenceReport {
    /// `failed`, a cause's word, or a quantile of the latency of successful requests (`p95 ok`).
    pub measure: &'static str,
    /// `share` (of all requests) or `seconds`.
    pub unit: &'static str,
    /// In the earlier run. Of a latency: the geometric mean of its blocks of time.
    pub old: f64,
    /// In this run.
    pub new: f64,
    /// The difference: of a share `new - old`, of a latency as a share of the old one.
    pub difference: f64,
    /// Lower end of its interval (99.5 %, by blocks of time).
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
    /// The smallest difference that these runs would have shown.
    pub would_have_shown: f64,
    /// `worse`, `better` or `no-difference`: none that these runs could have shown.
    pub finding: &'static str,
}
