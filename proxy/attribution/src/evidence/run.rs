//! What is known of a run when it begins. Nothing is concluded from it; a report says it.

use super::path::Path;

/// What is known when a run begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFacts {
    /// Wall-clock time of [`Moment`](super::Moment) zero, microseconds since 1970 UTC.
    pub started_unix_us: u64,
    /// The paths, in the order of their [`PathId`](super::PathId)s.
    pub paths: Vec<Path>,
    /// The load generator's command line, where hopscope runs it.
    pub command: Option<Vec<String>>,
    /// The version of hopscope that records.
    pub version: String,
    /// What was changed on the way, or not checked, in sentences.
    pub notes: Vec<String>,
}
