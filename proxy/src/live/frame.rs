//! One moment of a run, as it is shown.

use hopscope_attribution::cause::Cause;
use hopscope_attribution::evidence::Span;

/// One moment of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveFrame {
    /// Time since the run began.
    pub elapsed: Span,
    /// The paths, in their order.
    pub paths: Vec<PathFrame>,
    /// Exchanges that ended in each of the last seconds that are complete, the latest last.
    pub rates: Vec<u64>,
    /// Failures so far, each charged by what it shows alone; most first.
    pub causes: Vec<(Cause, u64)>,
    /// Records that were lost on the way to the file.
    pub lost: u64,
    /// Size of the recording in bytes.
    pub bytes: u64,
    /// The first error of the recording's file, where there was one.
    pub write_error: Option<String>,
}

/// One path at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathFrame {
    /// Its name.
    pub name: String,
    /// Exchanges that ended in the last complete second.
    pub rate: u64,
    /// Connections that are open.
    pub open: u64,
    /// Connections that were accepted.
    pub connections: u64,
    /// Exchanges so far.
    pub requests: u64,
    /// Of them failed.
    pub failed: u64,
    /// Connections that were not read to their end: what became of their requests is not known.
    pub not_read: u64,
    /// Median latency of the last seconds, failed exchanges included.
    pub p50: Option<Span>,
    /// 99th percentile of the same.
    pub p99: Option<Span>,
}

impl LiveFrame {
    /// All paths together; its latencies are empty.
    pub fn total(&self) -> PathFrame {
        self.paths
            .iter()
            .fold(PathFrame::default(), |sum, path| PathFrame {
                rate: sum.rate + path.rate,
                open: sum.open + path.open,
                connections: sum.connections + path.connections,
                requests: sum.requests + path.requests,
                failed: sum.failed + path.failed,
                not_read: sum.not_read + path.not_read,
                ..sum
            })
    }
}
