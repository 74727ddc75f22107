//! Beginning a recording, what any thread may add to it, and its end.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use hopscope_attribution::evidence::{
    GeneratorResult, Observation, ObserverDelay, ObserverSample, PathId, RouteId, TunnelGauge,
    TunnelLifeEvent, TunnelLine, TunnelProcess,
};

use super::batch::{Batch, Message, TunnelRow, TunnelWatch};
use super::error::RecordingError;
use super::facts::{FinalFacts, Options, Summary};
use super::losses::{LossCounters, LossKind, Losses};
use super::recorder::Recorder;
use super::second::{SampleLimits, Second};
use super::store;
use super::watcher::Watcher;
use super::writer;
use hopscope_attribution::evidence::RunFacts;

/// What recorders, handles and the writer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) losses: LossCounters,
    pub(super) paths: usize,
    /// Recorders that were made.
    workers: AtomicUsize,
    /// Recorders that have not been dropped.
    recorders: AtomicUsize,
}

impl Shared {
    /// Counts a whole batch as lost.
    pub(super) fn lose(&self, batch: &Batch) {
        let counted = batch.seconds.iter().map(Second::requests).sum();
        self.losses
            .add(LossKind::Connection, batch.connections.len() as u64);
        self.losses
            .add(LossKind::FailedAddress, batch.failed_addresses.len() as u64);
        self.losses
            .add(LossKind::FailedExchange, batch.failed.len() as u64);
        self.losses.add(LossKind::Counted, counted);
    }

    pub(super) fn recorder_gone(&self) {
        self.recorders.fetch_sub(1, Ordering::Release);
    }

    /// Recorders that may still hand something over.
    pub(super) fn recorders(&self) -> usize {
        self.recorders.load(Ordering::Acquire)
    }
}

/// Any thread's way into the recording. Nothing here waits: what the queue does not take is counted as lost.
#[derive(Clone, Debug)]
pub struct RecordingHandle {
    shared: Arc<Shared>,
    sender: SyncSender<Message>,
    limits: SampleLimits,
    path: Arc<FilePath>,
}

/// The writer thread, to be [finished](Closing::finish) when every [`Recorder`] has been dropped.
#[derive(Debug)]
pub struct Closing {
    sender: SyncSender<Message>,
    writer: JoinHandle<Summary>,
    path: PathBuf,
}

/// Makes the file and starts the writer thread.
///
/// Watchers are shown everything that the writer takes from the queue, on the writer's thread.
///
/// # Errors
/// When the file exists, or cannot be made.
pub fn create(
    path: &FilePath,
    facts: &RunFacts,
    options: &Options,
    watchers: Vec<Box<dyn Watcher>>,
) -> Result<(RecordingHandle, Closing), RecordingError> {
    let shared = Arc::new(Shared {
        losses: LossCounters::default(),
        paths: facts.paths.len(),
        workers: AtomicUsize::new(0),
        recorders: AtomicUsize::new(0),
    });
    let (sender, receiver) = sync_channel(options.queue.max(1));
    let writer = writer::start(path, facts, options, watchers, receiver, Arc::clone(&shared))?;
    let handle = RecordingHandle {
        shared,
        sender: sender.clone(),
        limits: SampleLimits {
            per_cell: options.sample_per_cell,
            per_second: options.sample_per_second,
        },
        path: path.into(),
    };
    Ok((
        handle,
        Closing {
            sender,
            writer,
            path: path.to_path_buf(),
        },
    ))
}

impl RecordingHandle {
    /// A recorder for one worker thread.
    pub fn recorder(&self) -> Recorder {
        let worker = self.shared.workers.fetch_add(1, Ordering::Relaxed);
        self.shared.recorders.fetch_add(1, Ordering::AcqRel);
        Recorder::new(Arc::clone(&self.shared), self.sender.clone(), self.limits, worker)
    }

    /// The file.
    pub fn path(&self) -> &FilePath {
        &self.path
    }

    /// What was lost so far.
    pub fn losses(&self) -> Losses {
        self.shared.losses.read()
    }

    /// A route's name. Waits for room in the queue: a recording without its routes' names says nothing.
    pub fn route(&self, route: RouteId, name: &str) {
        if self.sender.send(Message::Route(route, name.to_owned())).is_err() {
            self.shared.losses.add(LossKind::Counted, 0);
        }
    }

    /// How far a tunnel path's forwarder is watched. Until then it is not watched at all.
    pub fn tunnel_watched(&self, path: PathId, watch: Observation<TunnelWatch>) {
        let row = match watch {
            Observation::Seen(watch) => TunnelRow {
                watched: Observation::Seen(()),
                watch,
            },
            Observation::Unseen(why) => TunnelRow {
                watched: Observation::Unseen(why),
                watch: TunnelWatch::default(),
            },
        };
        self.offer(Message::TunnelWatched(path, row), LossKind::Tunnel);
    }

    /// A process that carries a forward.
    pub fn tunnel_process(&self, path: PathId, process: TunnelProcess) {
        self.offer(Message::TunnelProcess(path, Box::new(process)), LossKind::Tunnel);
    }

    /// A line that kubectl wrote.
    pub fn tunnel_line(&self, path: PathId, line: TunnelLine) {
        self.offer(Message::TunnelLine(path, line), LossKind::Tunnel);
    }

    /// A sample of kubectl's sockets and process.
    pub fn tunnel_gauge(&self, path: PathId, gauge: TunnelGauge) {
        self.offer(Message::TunnelGauge(path, Box::new(gauge)), LossKind::Tunnel);
    }

    /// A turn in kubectl's life.
    pub fn tunnel_life(&self, path: PathId, event: TunnelLifeEvent) {
        self.offer(Message::TunnelLife(path, event), LossKind::Tunnel);
    }

    /// A second of hopscope's own state.
    pub fn observer_sample(&self, sample: ObserverSample) {
        self.offer(Message::Observer(sample), LossKind::Observer);
    }

    /// An event loop of hopscope's that came late.
    pub fn observer_delay(&self, delay: ObserverDelay) {
        self.offer(Message::Delay(delay), LossKind::Observer);
    }

    /// What a reader of the report must know first, in the place of what was known when the run began. Waits for room in
    /// the queue: it is told once.
    pub fn notes(&self, notes: Vec<String>) {
        if self.sender.send(Message::Notes(notes)).is_err() {
            self.shared.losses.add(LossKind::Observer, 1);
        }
    }

    /// What the load generator reported of the run.
    pub fn generator(&self, result: GeneratorResult) {
        self.offer(Message::Generator(result), LossKind::Observer);
    }

    fn offer(&self, message: Message, kind: LossKind) {
        match self.sender.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.shared.losses.add(kind, 1),
        }
    }
}

impl Closing {
    /// Ends a recording of which nothing came, and removes it.
    pub fn discard(self) {
        let path = self.path.clone();
        match self.finish(FinalFacts::default()) {
            Ok(_) | Err(_) => store::remove(&path),
        }
    }

    /// Writes what is still queued, closes the file properly and says what it holds. Waits for the writer.
    ///
    /// Drop every [`Recorder`] first: what one of them hands over later is lost.
    ///
    /// # Errors
    /// When the writer thread is gone. An error of the file system is not one: it is in the [`Summary`].
    pub fn finish(self, facts: FinalFacts) -> Result<Summary, RecordingError> {
        let told = self.sender.send(Message::Finish(facts));
        drop(self.sender);
        match (told, self.writer.join()) {
            (Ok(()), Ok(summary)) => Ok(summary),
            (Ok(()) | Err(_), Ok(_) | Err(_)) => Err(RecordingError::WriterGone(self.path)),
        }
    }
}
