//! How hopscope itself was doing: without it no absence can be claimed.

use super::observation::Observation;
use super::time::{Moment, Span};

/// hopscope's own state over the run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObserverHealth {
    /// One a second.
    pub samples: Vec<ObserverSample>,
    /// Each time that a worker's event loop came late to what was due, by 50 ms or more.
    pub delays: Vec<ObserverDelay>,
    /// Whether everything that was accepted is on record.
    pub accounting: Accounting,
    /// Latency that hopscope itself added per exchange, measured in this run: median and 99th percentile.
    pub added: Observation<(Span, Span)>,
    /// Whether the recording was closed properly; a recording that was cut off says nothing of what came after.
    pub closed_properly: bool,
}

/// One second of hopscope's own state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObserverSample {
    /// When it was taken.
    pub at: Moment,
    /// Worst delay of a worker's event loop in that second.
    pub loop_lag: Span,
    /// CPU time of the process in that second, in thousandths of one core, and how many cores it may use.
    pub cpu_millis: u32,
    /// CPU that its workers could have had, in thousandths of one core.
    pub cpu_limit_millis: u32,
    /// Connections waiting in hopscope's own accept queue.
    pub accept_queue: u32,
    /// Descriptors in use.
    pub descriptors: u32,
    /// Descriptors that it may have.
    pub descriptor_limit: u32,
    /// Accepts that failed for want of a descriptor in that second.
    pub accepts_refused: u32,
}

/// A worker's event loop that came late to what was due. What held it up may have begun [`Self::BEAT`] before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObserverDelay {
    /// When it came.
    pub at: Moment,
    /// How long after it was due.
    pub by: Span,
}

impl ObserverDelay {
    /// How often an event loop is tried.
    pub const BEAT: Span = Span::from_micros(50_000);
}

/// `accepts = connection rows + counted losses` must hold, or evidence is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounting {
    /// Connections that hopscope accepted.
    pub accepts: u64,
    /// Connection rows that are in the recording.
    pub connection_rows: u64,
    /// Connections whose row was lost, and counted.
    pub connections_lost: u64,
    /// Exchange rows that should have been written and were lost, and counted.
    pub exchanges_lost: u64,
    /// Kernel events that were lost, and counted.
    pub kernel_events_lost: u64,
    /// Of the connections lost, those left out evenly so that a recording or a report stays within its limit.
    pub connections_left_out: u64,
    /// Of the exchange rows lost, those left out with their connections for that.
    pub exchanges_left_out: u64,
}

impl Accounting {
    /// Whether every accepted connection is either on record or counted as lost.
    pub const fn balanced(&self) -> bool {
        self.accepts == self.connection_rows + self.connections_lost
    }
}
