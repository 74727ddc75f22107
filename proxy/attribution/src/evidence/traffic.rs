//! Exact counts of all exchanges: the frame that the sampled rows hang in.

use super::exchange::RouteId;
use super::path::PathId;

/// Counts of the exchanges that ended in one second of the run, on one path, for one route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCell {
    /// Second of the run in which the exchanges ended.
    pub second: u32,
    /// The path that carried them.
    pub path: PathId,
    /// Their route.
    pub route: RouteId,
    /// All of them.
    pub requests: u64,
    /// Complete responses of status 400 and above.
    pub delivered_errors: u64,
    /// Those without a complete response.
    pub undelivered: u64,
    /// Sum of all latencies, microseconds.
    pub latency_sum_us: u64,
    /// The largest latency, microseconds.
    pub latency_max_us: u64,
}

impl TrafficCell {
    /// Exchanges that a report counts as failed.
    pub const fn failed(&self) -> u64 {
        self.delivered_errors + self.undelivered
    }
}
