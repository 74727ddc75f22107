//! The one thread that writes the file.
//!
//! An error of the file system costs the rows of one transaction, which are counted as lost; the next transaction is
//! tried again. Nothing that goes wrong here reaches the traffic.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hopscope_attribution::evidence::{Exchange, Moment};

use super::batch::{Batch, Message};
use super::error::RecordingError;
use super::facts::{FinalFacts, Options, Summary};
use super::handle::Shared;
use super::losses::{LossKind, Losses};
use super::schema::{
    ADDED, CONNECTION, DELAY, EXCHANGE, FAILED_ADDRESS, OBSERVER, TRAFFIC, TUNNEL, TUNNEL_GAUGE, TUNNEL_LIFE,
    TUNNEL_LINE, TUNNEL_PROCESS,
};
use super::sparing::Sparing;
use super::store::{self, Store};
use super::traffic::Assembly;
use super::watcher::Watcher;
use hopscope_attribution::evidence::RunFacts;

/// Commits between two checkpoints.
const COMMITS_PER_CHECKPOINT: u32 = 10;
/// How long the end waits for recorders that have not been dropped.
const PATIENCE: Duration = Duration::from_secs(2);
/// Seconds after which the counts of a second are written although a worker has not handed its own over.
const STRAGGLE_SECONDS: u32 = 3;

/// Makes the file and starts the thread.
pub(super) fn start(
    path: &FilePath,
    facts: &RunFacts,
    options: &Options,
    watchers: Vec<Box<dyn Watcher>>,
    queue: Receiver<Message>,
    shared: Arc<Shared>,
) -> Result<JoinHandle<Summary>, RecordingError> {
    let store = Store::create(path, facts, options)?;
    let writer = Writer::new(store, options, watchers, shared);
    std::thread::Builder::new()
        .name("recording".to_owned())
        .spawn(move || writer.run(&queue))
        .map_err(|error| {
            // Nobody will write it.
            store::remove(path);
            RecordingError::Create {
                path: path.to_path_buf(),
                reason: error.to_string(),
            }
        })
}

struct Writer {
    store: Store,
    watchers: Vec<Box<dyn Watcher>>,
    shared: Arc<Shared>,
    commit_every: Duration,
    assembly: Assembly,
    /// How far each worker has told, by its number; what a worker that has ended told is no limit any more.
    told: Vec<Moment>,
    until: Moment,
    /// Rows in the transaction that is under way, as losses if it fails.
    under_way: Losses,
    /// Connection and exchange rows in the transaction that is under way.
    rows_under_way: (u64, u64),
    routes: Vec<(u16, String)>,
    routes_written: usize,
    commits: u32,
    sparing: Sparing,
    summary: Summary,
}

impl Writer {
    fn new(store: Store, options: &Options, watchers: Vec<Box<dyn Watcher>>, shared: Arc<Shared>) -> Self {
        Self {
            store,
            watchers,
            shared,
            commit_every: options.commit_every,
            assembly: Assembly::default(),
            told: Vec::new(),
            until: Moment(0),
            under_way: Losses::default(),
            rows_under_way: (0, 0),
            routes: Vec::new(),
            routes_written: 0,
            commits: 0,
            sparing: Sparing::within(options.limit),
            summary: Summary::default(),
        }
    }

    fn run(mut self, queue: &Receiver<Message>) -> Summary {
        let mut next_commit = Instant::now() + self.commit_every;
        let end = loop {
            match queue.recv_timeout(next_commit.saturating_duration_since(Instant::now())) {
                Ok(Message::Finish(facts)) => break Some(facts),
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                // Everybody who could record or finish is gone: the recording ends without its last words.
                Err(RecvTimeoutError::Disconnected) => break None,
            }
            let now = Instant::now();
            if now >= next_commit {
                self.commit();
                next_commit = now + self.commit_every;
            }
        };
        self.drain(queue);
        self.end(end)
    }

    /// Takes what is still queued when the end has been told.
    fn drain(&mut self, queue: &Receiver<Message>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let wait = if self.shared.recorders() == 0 {
                Duration::ZERO
            } else {
                Duration::from_millis(20)
            };
            match queue.recv_timeout(wait) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout)
                    if self.shared.recorders() > 0 && Instant::now() < deadline => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Batch(batch) => self.batch(batch),
            Message::Route(route, name) => {
                self.watchers
                    .iter_mut()
                    .for_each(|watcher| watcher.route(route, &name));
                self.routes.push((route.0, name));
            }
            Message::TunnelWatched(path, watch) => {
                self.write(LossKind::Tunnel, 1, |store| {
                    store.insert(TUNNEL, [(path, watch)].iter())
                });
            }
            Message::TunnelProcess(path, process) => {
                self.write(LossKind::Tunnel, 1, |store| {
                    store.insert(TUNNEL_PROCESS, [(path, *process)].iter())
                });
            }
            Message::TunnelLine(path, line) => {
                self.write(LossKind::Tunnel, 1, |store| {
                    store.insert(TUNNEL_LINE, [(path, line)].iter())
                });
            }
            Message::TunnelGauge(path, gauge) => {
                self.write(LossKind::Tunnel, 1, |store| {
                    store.insert(TUNNEL_GAUGE, [(path, *gauge)].iter())
                });
            }
            Message::TunnelLife(path, event) => {
                self.watchers
                    .iter_mut()
                    .for_each(|watcher| watcher.tunnel_life(path, &event));
                self.write(LossKind::Tunnel, 1, |store| {
                    store.insert(TUNNEL_LIFE, [(path, event)].iter())
                });
            }
            Message::Observer(sample) => {
                self.until = self.until.max(sample.at);
                self.write(LossKind::Observer, 1, |store| {
                    store.insert(OBSERVER, [sample].iter())
                });
            }
            Message::Delay(delay) => {
                self.write(LossKind::Observer, 1, |store| store.insert(DELAY, [delay].iter()));
            }
            Message::Generator(result) => {
                self.write(LossKind::Observer, 1, |store| store.generator(&result));
            }
            Message::Notes(notes) => {
                self.write(LossKind::Observer, 1, |store| store.set_notes(&notes));
            }
            // Told twice is told.
            Message::Finish(_) => {}
        }
    }

    fn batch(&mut self, mut batch: Box<Batch>) {
        self.watchers.iter_mut().for_each(|watcher| watcher.batch(&batch));
        self.until = self.until.max(batch.until);
        self.summary.accounting.accepts += batch.accepted.iter().sum::<u64>();

        let sparing = self.sparing;
        let connections = || {
            let all = batch.connections.iter();
            all.filter(|connection| sparing.keeps(connection.id))
        };
        let kept = connections().count() as u64;
        self.leave_out(LossKind::LeftOutConnection, batch.connections.len() as u64 - kept);
        if self.write(LossKind::Connection, kept, |store| {
            store.insert(CONNECTION, connections())
        }) {
            self.rows_under_way.0 += kept;
        }
        self.write(
            LossKind::FailedAddress,
            batch.failed_addresses.len() as u64,
            |store| store.insert(FAILED_ADDRESS, batch.failed_addresses.iter()),
        );
        self.failed(&batch.failed);
        for second in &batch.seconds {
            self.summary.exchanges += second.requests();
            self.assembly.add(second, sparing);
            let sample = || {
                let all = second.cells().flat_map(|cell| &cell.sample);
                all.filter(|exchange| sparing.keeps(exchange.connection))
            };
            let kept = sample().count() as u64;
            if self.write(LossKind::SampledExchange, kept, |store| {
                store.insert(EXCHANGE, sample())
            }) {
                self.rows_under_way.1 += kept;
            }
        }
        self.told(
            batch.worker,
            if batch.last { Moment(u64::MAX) } else { batch.until },
        );
        batch.clear();
        let home = batch.home.clone();
        // A worker that has enough empty batches, or has ended, needs this one no more.
        drop(home.try_send(batch));
    }

    fn failed(&mut self, failed: &[Exchange]) {
        let sparing = self.sparing;
        let rows = || {
            failed
                .iter()
                .filter(|exchange| sparing.keeps(exchange.connection))
        };
        let kept = rows().count() as u64;
        self.leave_out(LossKind::LeftOutExchange, failed.len() as u64 - kept);
        if self.write(LossKind::FailedExchange, kept, |store| {
            store.insert(EXCHANGE, rows())
        }) {
            self.rows_under_way.1 += kept;
        }
    }

    /// Counts rows that the recording's limit has no room for.
    fn leave_out(&self, kind: LossKind, rows: u64) {
        if rows > 0 {
            self.shared.losses.add(kind, rows);
        }
    }

    /// Keeps fewer connections from now on where the recording has grown near to its limit, and writes that down.
    fn spare(&mut self, bytes: u64) {
        if !self.sparing.heed(bytes) {
            return;
        }
        let (from, _) = self.summary.thinned.unwrap_or((self.until, 1));
        let one_in = self.sparing.one_in();
        self.summary.thinned = Some((from, one_in));
        let written = self.store.begin().and_then(|()| {
            self.store.set("thinned_from_us", from.0.cast_signed())?;
            self.store.set("thinned_one_in", one_in.cast_signed())
        });
        if let Err(error) = written {
            self.lose(&error);
        }
    }

    fn told(&mut self, worker: usize, until: Moment) {
        if self.told.len() <= worker {
            self.told.resize(worker + 1, Moment(0));
        }
        if let Some(told) = self.told.get_mut(worker) {
            *told = until;
        }
    }

    /// Writes rows of one kind; when that fails, they and all others of the transaction are counted as lost.
    fn write(
        &mut self,
        kind: LossKind,
        rows: u64,
        insert: impl FnOnce(&mut Store) -> rusqlite::Result<()>,
    ) -> bool {
        if rows == 0 {
            return false;
        }
        *self.under_way.of_mut(kind) += rows;
        let written = self.store.begin().and_then(|()| insert(&mut self.store));
        match written {
            Ok(()) => true,
            Err(error) => {
                self.lose(&error);
                false
            }
        }
    }

    /// Counts the transaction as lost.
    fn lose(&mut self, error: &rusqlite::Error) {
        self.store.roll_back();
        for &kind in LossKind::ALL {
            self.shared.losses.add(kind, self.under_way.of(kind));
        }
        self.under_way = Losses::default();
        self.rows_under_way = (0, 0);
        self.routes_written = 0;
        self.note(error);
    }

    fn note(&mut self, error: &rusqlite::Error) {
        self.summary.write_error.get_or_insert_with(|| error.to_string());
    }

    /// The end of the seconds of which every worker has told everything.
    fn complete_until(&self) -> u32 {
        let all_told = self.told.iter().min().map_or(0, |told| told.second());
        all_told.max(self.until.second().saturating_sub(STRAGGLE_SECONDS))
    }

    fn commit(&mut self) {
        self.traffic(self.complete_until());
        match self.counters().and_then(|()| self.store.commit()) {
            Ok(()) => self.committed(),
            Err(error) => self.lose(&error),
        }
        self.commits = self.commits.wrapping_add(1);
        if self.commits.is_multiple_of(COMMITS_PER_CHECKPOINT)
            && let Err(error) = self.store.checkpoint()
        {
            // What was committed is safe in the log.
            self.note(&error);
        }
        let (losses, bytes) = (self.shared.losses.read(), self.store.bytes());
        self.spare(bytes);
        let error = self.summary.write_error.as_deref();
        self.watchers
            .iter_mut()
            .for_each(|watcher| watcher.health(&losses, bytes, error));
    }

    fn committed(&mut self) {
        self.summary.accounting.connection_rows += self.rows_under_way.0;
        self.summary.exchange_rows += self.rows_under_way.1;
        self.rows_under_way = (0, 0);
        self.under_way = Losses::default();
    }

    /// Writes the counts of all seconds before `end`.
    fn traffic(&mut self, end: u32) {
        let rows = self.assembly.take_before(end);
        let exchanges = rows.iter().map(|row| row.requests).sum();
        self.write(LossKind::Counted, exchanges, |store| {
            store.insert(TRAFFIC, rows.iter())
        });
        let added = self.assembly.take_added_before(end);
        self.write(LossKind::Observer, added.len() as u64, |store| {
            store.insert(ADDED, added.iter())
        });
    }

    /// Writes what is known of the whole run so far into the transaction that is under way.
    fn counters(&mut self) -> rusqlite::Result<()> {
        self.store.begin()?;
        for (route, name) in &self.routes[self.routes_written..] {
            self.store.route(*route, name)?;
        }
        self.routes_written = self.routes.len();
        self.store.set("until_us", self.until.0.cast_signed())?;
        self.store
            .set("accepts", self.summary.accounting.accepts.cast_signed())?;
        self.store
            .set("exchanges", self.summary.exchanges.cast_signed())?;
        let losses = self.shared.losses.read();
        LossKind::ALL
            .iter()
            .try_for_each(|&kind| self.store.set_lost(kind.word(), losses.of(kind)))
    }

    fn end(mut self, facts: Option<FinalFacts>) -> Summary {
        if let Some(facts) = facts {
            self.until = self.until.max(facts.ended);
        }
        self.traffic(u32::MAX);
        self.commit();
        if self.summary.write_error.is_some() {
            self.store.release_ballast();
        }
        if let Err(error) = self.last_words(facts) {
            self.store.roll_back();
            self.note(&error);
        }
        let losses = self.shared.losses.read();
        self.summary.accounting.connections_lost = losses.connections + losses.left_out_connections;
        self.summary.accounting.exchanges_lost = losses.failed_exchanges + losses.left_out_exchanges;
        self.summary.accounting.connections_left_out = losses.left_out_connections;
        self.summary.accounting.exchanges_left_out = losses.left_out_exchanges;
        self.summary.accounting.kernel_events_lost = losses.kernel;
        self.summary.losses = losses;
        let path = self.store.path().to_path_buf();
        let Self {
            store, mut summary, ..
        } = self;
        if let Err(error) = store.close() {
            summary.write_error.get_or_insert_with(|| error.to_string());
        }
        summary.bytes = std::fs::metadata(path).map_or(0, |file| file.len());
        summary
    }

    fn last_words(&mut self, facts: Option<FinalFacts>) -> rusqlite::Result<()> {
        self.counters()?;
        if let Some(facts) = facts {
            self.store.set("ended_us", facts.ended.0.cast_signed())?;
            if let Some(code) = facts.exit_code {
                self.store.set("exit_code", i64::from(code))?;
            }
            if let Some(exited) = facts.exited {
                self.store.set("exited_us", exited.0.cast_signed())?;
            }
            self.store.set("closed_properly", 1)?;
        }
        self.store.commit()
    }
}
