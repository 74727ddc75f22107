//! What is known of a run as a whole: before it, and after it.

use std::time::Duration;

use hopscope_attribution::evidence::{Accounting, Moment};

use super::losses::Losses;

/// What is known when a run has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinalFacts {
    /// When the run ended.
    pub ended: Moment,
    /// The load generator's exit code, where hopscope ran it and it exited.
    pub exit_code: Option<i32>,
    /// When hopscope learnt that it had exited.
    pub exited: Option<Moment>,
}

/// How a recording is made. [`Default`] is right for every use but tests.
#[derive(Clone, Debug)]
pub struct Options {
    /// Batches that may wait for the writer before losses begin.
    pub queue: usize,
    /// Successful exchanges kept per second, path, route and worker: a uniform random sample of them.
    pub sample_per_cell: usize,
    /// Successful exchanges kept per second and worker, over all cells.
    pub sample_per_second: usize,
    /// Longest time between two commits: what a `kill -9` can cost.
    pub commit_every: Duration,
    /// The size in bytes that the file may not grow beyond, where there is one (`ulimit -f`).
    pub max_bytes: Option<u64>,
    /// The size in bytes that the recording stays below by keeping fewer and fewer connections, where one was asked for; at
    /// least [`super::LEAST_BYTES`].
    pub limit: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue: 512,
            sample_per_cell: 16,
            sample_per_second: 512,
            commit_every: Duration::from_millis(500),
            max_bytes: None,
            limit: None,
        }
    }
}

/// What a finished recording holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Whether everything that was accepted is on record.
    pub accounting: Accounting,
    /// What was lost, by kind.
    pub losses: Losses,
    /// Exchanges counted.
    pub exchanges: u64,
    /// Exchange rows kept.
    pub exchange_rows: u64,
    /// From when on not every connection was kept, and one in how many at the end, where the recording has a limit.
    pub thinned: Option<(Moment, u64)>,
    /// The first error of the file system or of SQLite, where there was one.
    pub write_error: Option<String>,
    /// Size of the file in bytes.
    pub bytes: u64,
}
