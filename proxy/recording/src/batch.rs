//! What passes through the queue from the threads that record to the one that writes.

use std::sync::mpsc::SyncSender;

use hopscope_attribution::evidence::{
    Connection, Exchange, FailedAddress, GeneratorResult, Moment, Observation, ObserverDelay, ObserverSample,
    PathId, RouteId, Span, TunnelGauge, TunnelLifeEvent, TunnelLine, TunnelProcess,
};

use super::facts::FinalFacts;
use super::second::Second;

/// One message to the writer.
#[derive(Debug)]
pub(super) enum Message {
    /// What one worker gathered since its last batch.
    Batch(Box<Batch>),
    /// A route's name.
    Route(RouteId, String),
    /// How far a tunnel path's forwarder is watched.
    TunnelWatched(PathId, TunnelRow),
    /// A process that carries a forward.
    TunnelProcess(PathId, Box<TunnelProcess>),
    /// What kubectl wrote.
    TunnelLine(PathId, TunnelLine),
    /// A sample of kubectl's sockets and process.
    TunnelGauge(PathId, Box<TunnelGauge>),
    /// A turn in kubectl's life.
    TunnelLife(PathId, TunnelLifeEvent),
    /// A second of hopscope's own state.
    Observer(ObserverSample),
    /// An event loop of hopscope's that came late.
    Delay(ObserverDelay),
    /// What the load generator reported.
    Generator(GeneratorResult),
    /// What a reader of the report must know first.
    Notes(Vec<String>),
    /// The end: write everything that is still queued and close.
    Finish(FinalFacts),
}

/// One row of the table `tunnel`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TunnelRow {
    /// Whether the forwarder is watched at all.
    pub(super) watched: Observation<()>,
    /// How far.
    pub(super) watch: TunnelWatch,
}

/// How far kernels are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeWatch {
    /// The error of the estimated clock offset, where kernels are watched.
    pub(super) clock_error: Observation<Span>,
}

/// How far a forwarder is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TunnelWatch {
    /// kubectl's version as it states it.
    pub kubectl_version: Observation<String>,
    /// Whether its words are read.
    pub lines: Observation<()>,
    /// Whether its sockets and process are sampled.
    pub gauges: Observation<()>,
}

/// What one worker gathered since its last batch.
#[derive(Debug)]
pub struct Batch {
    /// The worker's number.
    pub(super) worker: usize,
    /// Whether it is the worker's last.
    pub(super) last: bool,
    /// The worker's clock when it was handed over.
    pub until: Moment,
    /// Connections accepted, by path.
    pub accepted: Vec<u64>,
    /// Connections that turned out not to be readable to their end, by path.
    pub not_read: Vec<u64>,
    /// Connections that ended.
    pub connections: Vec<Connection>,
    /// Addresses that failed beside others of the same name.
    pub failed_addresses: Vec<FailedAddress>,
    /// Exchanges that failed.
    pub failed: Vec<Exchange>,
    /// Seconds that are over, with the exact counts of all exchanges and a sample of the successful ones.
    pub seconds: Vec<Second>,
    /// Where the empty batch goes back to, so that its memory is used again.
    pub(super) home: SyncSender<Box<Batch>>,
}

impl Batch {
    /// An empty batch.
    pub(super) fn new(worker: usize, paths: usize, home: SyncSender<Box<Self>>) -> Self {
        Self {
            worker,
            last: false,
            until: Moment(0),
            accepted: vec![0; paths],
            not_read: vec![0; paths],
            connections: Vec::new(),
            failed_addresses: Vec::new(),
            failed: Vec::new(),
            seconds: Vec::new(),
            home,
        }
    }

    /// Empties it, keeping its memory. Emptied here, on the writer's thread, seconds cost their worker nothing: a busy
    /// one has megabytes of histograms.
    pub(super) fn clear(&mut self) {
        self.accepted.fill(0);
        self.not_read.fill(0);
        self.connections.clear();
        self.failed_addresses.clear();
        self.failed.clear();
        self.seconds.iter_mut().for_each(Second::clear);
    }

    /// Whether there is nothing to hand over.
    pub(super) fn is_empty(&self) -> bool {
        self.connections.is_empty()
            && self.failed_addresses.is_empty()
            && self.failed.is_empty()
            && self.seconds.is_empty()
            && self
                .accepted
                .iter()
                .chain(&self.not_read)
                .all(|&count| count == 0)
    }
}
