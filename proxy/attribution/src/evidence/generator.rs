//! What the load generator reported of the same run, and how it ended.

use super::observation::Observation;
use super::time::{Moment, Span};

/// Totals from a generator's own result file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GeneratorResult {
    /// Its name, such as `k6`.
    pub tool: String,
    /// Requests that it counted.
    pub requests: u64,
    /// Requests that it counted as failed.
    pub failed: u64,
    /// Its own time-out for a request, where the result states or implies it.
    pub timeout: Option<Span>,
    /// Its own words for failures, each with how often; k6's error codes and the like.
    pub errors: Vec<(String, u64)>,
}

impl GeneratorResult {
    /// The word among its errors for failures that it does not count: wrk's closed connections, a text that was cut.
    pub const NOT_COUNTED: &'static str = "failures that it does not count";

    /// Whether `failed` is every failure, and not those alone that are certain.
    pub fn counts_every_failure(&self) -> bool {
        !self.errors.iter().any(|(word, _)| word == Self::NOT_COUNTED)
    }
}

/// How a generator that hopscope ran came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneratorExit {
    /// When hopscope learnt of it; older recordings do not say.
    pub at: Observation<Moment>,
    /// Its exit code as a shell counts it: 128 and its number for a signal.
    pub code: i32,
}
