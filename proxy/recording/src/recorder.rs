//! What a worker thread records with: no lock, no system call, no wait.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use hopscope_attribution::evidence::{Connection, Exchange, FailedAddress, Moment, PathId, Span};

use super::batch::{Batch, Message};
use super::handle::Shared;
use super::losses::LossKind;
use super::second::{SampleLimits, Second};

/// Rows that are handed over without waiting for the next tick.
const EAGER_ROWS: usize = 512;
/// Rows that a worker holds back while the queue is full; further ones are lost and counted.
const HELD_ROWS: usize = 16_384;
/// Seconds that a worker holds back while the queue is full.
const HELD_SECONDS: usize = 30;
/// A batch is handed over at most this often, unless it is large or a second is over.
const HAND_OVER_EVERY: Span = Span::from_millis(200);
/// An idle worker says this often that it has nothing: the writer waits for all workers before a second is complete.
const HEARTBEAT: Span = Span::from_secs(1);

/// One worker thread's way into the recording.
///
/// Dropping it hands over what is left; that may wait for the writer.
#[derive(Debug)]
pub struct Recorder {
    worker: usize,
    shared: Arc<Shared>,
    sender: SyncSender<Message>,
    returned: Receiver<Box<Batch>>,
    home: SyncSender<Box<Batch>>,
    batch: Box<Batch>,
    current: Second,
    spare: Vec<Second>,
    limits: SampleLimits,
    random: fastrand::Rng,
    handed_over: Moment,
}

impl Recorder {
    pub(super) fn new(
        shared: Arc<Shared>,
        sender: SyncSender<Message>,
        limits: SampleLimits,
        worker: usize,
    ) -> Self {
        let (home, returned) = sync_channel(4);
        Self {
            batch: Box::new(Batch::new(worker, shared.paths, home.clone())),
            worker,
            shared,
            sender,
            returned,
            home,
            current: Second::default(),
            spare: Vec::new(),
            limits,
            random: fastrand::Rng::with_seed(worker as u64),
            handed_over: Moment(0),
        }
    }

    /// A downstream connection was accepted and dealt to this path. Every accept must be followed, some time, by one
    /// [`Self::connection`].
    pub fn accepted(&mut self, path: PathId) {
        if let Some(accepted) = self.batch.accepted.get_mut(usize::from(path.0)) {
            *accepted += 1;
        }
    }

    /// From here on, a connection of this path is not read. To be told once a connection, for figures that cannot wait
    /// for its end.
    pub fn not_read(&mut self, path: PathId) {
        if let Some(not_read) = self.batch.not_read.get_mut(usize::from(path.0)) {
            *not_read += 1;
        }
    }

    /// A connection has ended, or is still open at the end of the run.
    pub fn connection(&mut self, connection: Connection) {
        if self.batch.connections.len() >= HELD_ROWS {
            self.shared.losses.add(LossKind::Connection, 1);
            return;
        }
        self.batch.connections.push(connection);
        if self.batch.connections.len().is_multiple_of(EAGER_ROWS) {
            self.hand_over(self.batch.until);
        }
    }

    /// An address of a target that has several failed.
    pub fn failed_address(&mut self, failed: FailedAddress) {
        if self.batch.failed_addresses.len() >= HELD_ROWS {
            self.shared.losses.add(LossKind::FailedAddress, 1);
            return;
        }
        self.batch.failed_addresses.push(failed);
    }

    /// An exchange has ended. All of them are counted; the failed ones and a sample of the others are kept.
    pub fn exchange(&mut self, exchange: &Exchange) {
        let second = (exchange.began + exchange.phases.total).second();
        if second > self.current.second {
            self.turn(second);
        }
        self.current.count(exchange, self.limits, &mut self.random);
        if exchange.delivery.failed() {
            self.failed(exchange);
        }
    }

    /// hopscope itself added this much to an exchange's latency.
    pub fn added(&mut self, span: Span) {
        self.current.added.record(span.as_micros());
    }

    /// To be called about ten times a second: hands over what is finished.
    pub fn tick(&mut self, now: Moment) {
        if now.second() > self.current.second {
            self.turn(now.second());
        }
        self.batch.until = now;
        let waited = now.since(self.handed_over);
        let due = !self.batch.seconds.is_empty() || waited >= HAND_OVER_EVERY;
        if (due && !self.batch.is_empty()) || waited >= HEARTBEAT {
            self.hand_over(now);
        }
    }

    fn failed(&mut self, exchange: &Exchange) {
        if self.batch.failed.len() >= HELD_ROWS {
            self.shared.losses.add(LossKind::FailedExchange, 1);
            return;
        }
        self.batch.failed.push(*exchange);
        if self.batch.failed.len().is_multiple_of(EAGER_ROWS) {
            self.hand_over(self.batch.until);
        }
    }

    /// Puts the current second away and begins another.
    fn turn(&mut self, second: u32) {
        if self.current.is_empty() {
            self.current.second = second;
            return;
        }
        let mut next = self.spare.pop().unwrap_or_default();
        next.second = second;
        let mut over = std::mem::replace(&mut self.current, next);
        if self.batch.seconds.len() >= HELD_SECONDS {
            self.shared.losses.add(LossKind::Counted, over.requests());
            over.clear();
            self.spare.push(over);
        } else {
            self.batch.seconds.push(over);
        }
    }

    /// Passes the batch to the writer if the queue has room, and keeps it otherwise.
    fn hand_over(&mut self, now: Moment) {
        self.handed_over = now;
        self.batch.until = now;
        let next = self.empty_batch();
        let full = std::mem::replace(&mut self.batch, next);
        // What comes back is what was sent.
        if let Err(
            TrySendError::Full(Message::Batch(kept)) | TrySendError::Disconnected(Message::Batch(kept)),
        ) = self.sender.try_send(Message::Batch(full))
        {
            self.batch = kept;
        }
    }

    fn empty_batch(&mut self) -> Box<Batch> {
        match self.returned.try_recv() {
            Ok(mut batch) => {
                self.spare.append(&mut batch.seconds);
                batch
            }
            Err(_) => Box::new(Batch::new(self.worker, self.shared.paths, self.home.clone())),
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let second = self.current.second;
        self.turn(second.saturating_add(1));
        let empty = self.empty_batch();
        let mut last = std::mem::replace(&mut self.batch, empty);
        last.last = true;
        if let Err(unsent) = self.sender.send(Message::Batch(last))
            && let Message::Batch(batch) = unsent.0
        {
            self.shared.lose(&batch);
        }
        self.shared.recorder_gone();
    }
}
