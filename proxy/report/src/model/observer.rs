//! Whether hopscope itself stood in the way, and what it did not read.

use serde::Serialize;

/// Whether hopscope itself stood in the way, and whether anything is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObserverReport {
    /// It was the bottleneck for a part of the run.
    pub saturated: bool,
    /// Connections, exchanges and kernel events whose record was lost, and counted.
    pub events_lost: u64,
    /// `accepts = connection_rows + connections_lost` holds: nothing is missing that is not counted.
    pub accounted: bool,
    /// Why `saturated` is said, or what lowered the confidence.
    pub reasons: Vec<String>,
    /// Connections accepted.
    pub accepts: u64,
    /// Connection rows on record.
    pub connection_rows: u64,
    /// Connections whose row was lost, and counted.
    pub connections_lost: u64,
    /// Exchange rows lost, and counted.
    pub exchanges_lost: u64,
    /// Kernel events lost, and counted.
    pub kernel_events_lost: u64,
    /// Of the connections lost, those left out evenly so that the recording or the report stays within its limit.
    pub connections_left_out: u64,
    /// Of the exchange rows lost, those left out with their connections.
    pub exchanges_left_out: u64,
    /// What passed and was not read, by path and reason: of that, nothing is known. Empty when everything was read.
    pub not_read: Vec<NotReadReport>,
}

impl ObserverReport {
    /// Connections that were not read to their end, over all paths and reasons.
    pub fn connections_not_read(&self) -> u64 {
        let connections = self.not_read.iter().map(|of| of.connections);
        connections.fold(0, u64::saturating_add)
    }

    /// Those of them of which it is not known whether they failed.
    pub fn connections_undecided(&self) -> u64 {
        let undecided = self
            .not_read
            .iter()
            .map(|of| of.connections.saturating_sub(of.failed));
        undecided.fold(0, u64::saturating_add)
    }
}

/// Connections of one path that were not read to their end, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotReadReport {
    /// The path's name.
    pub path: String,
    /// `tls`, `http2`, `not-http`, `head-too-long`, `pipelined`, `upgraded` or `by-configuration`.
    pub reason: &'static str,
    /// How many connections. One on which the generator sent nothing is unused, and not among them.
    pub connections: u64,
    /// Those of them that were read up to some byte: the requests before it are in every count.
    pub read_at_first: u64,
    /// Those of them that failed as connections, or whose unread bytes failed a request: they are charged for it.
    pub failed: u64,
    /// Payload bytes of theirs, in both directions, that were not read.
    pub bytes: u64,
    /// Row ids of a few of the connections, the earliest first: the recording says from which byte on.
    pub examples: Vec<u64>,
}
