//! What the load generator reported of the same run.

use super::time::Span;

/// Totals from a generator's own result file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GeneratorResult {
    /// `k6`, `oha` or `wrk`.
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
