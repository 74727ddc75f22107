//! What the screen needs of everything that is recorded.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hopscope_attribution::cause::Cause;
use hopscope_attribution::evidence::Path;

use super::frame::{LiveFrame, PathFrame};
use hopscope_metrics::Provisional;
use hopscope_recording::{Batch, LossKind, Losses, Watcher};
use hopscope_text::distribution::Distribution;

/// Seconds over which rates are drawn.
const RATE_SECONDS: usize = 30;
/// Seconds over which latencies are shown: long enough to be steady, short enough to show a turn.
const LATENCY_SECONDS: usize = 10;

/// Watches the recording for the screen.
#[derive(Debug)]
pub struct Live {
    totals: Arc<Mutex<Totals>>,
    provisional: Provisional,
}

/// Where frames come from; cheap to clone.
#[derive(Clone, Debug)]
pub struct LiveSource {
    totals: Arc<Mutex<Totals>>,
    began: Instant,
}

#[derive(Debug, Default)]
struct Totals {
    paths: Vec<PathTotals>,
    causes: HashMap<Cause, u64>,
    lost: u64,
    bytes: u64,
    write_error: Option<String>,
}

#[derive(Debug, Default)]
struct PathTotals {
    frame: PathFrame,
    ended: u64,
    /// The latest seconds, oldest first, without gaps.
    seconds: VecDeque<PathSecond>,
}

#[derive(Debug, Default)]
struct PathSecond {
    second: u32,
    requests: u64,
    latencies: Distribution,
}

impl Live {
    /// For a run over these paths that begins now.
    pub fn new(paths: &[Path]) -> Self {
        let named = |path: &Path| PathTotals {
            frame: PathFrame {
                name: path.name.clone(),
                ..PathFrame::default()
            },
            ..PathTotals::default()
        };
        let totals = Totals {
            paths: paths.iter().map(named).collect(),
            ..Totals::default()
        };
        Self {
            totals: Arc::new(Mutex::new(totals)),
            provisional: Provisional::new(paths),
        }
    }

    /// Where frames come from.
    pub fn source(&self) -> LiveSource {
        LiveSource {
            totals: Arc::clone(&self.totals),
            began: Instant::now(),
        }
    }
}

impl LiveSource {
    /// This moment.
    pub fn frame(&self) -> LiveFrame {
        locked(&self.totals).frame(self.began.elapsed().into())
    }
}

fn locked(totals: &Mutex<Totals>) -> MutexGuard<'_, Totals> {
    totals.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watcher for Live {
    fn batch(&mut self, batch: &Batch) {
        let mut totals = locked(&self.totals);
        for (path, accepted) in totals.paths.iter_mut().zip(&batch.accepted) {
            path.frame.connections += accepted;
        }
        for (path, not_read) in totals.paths.iter_mut().zip(&batch.not_read) {
            path.frame.not_read += not_read;
        }
        for connection in &batch.connections {
            if let Some(path) = totals.paths.get_mut(usize::from(connection.path.0)) {
                path.ended += 1;
            }
        }
        for second in &batch.seconds {
            for cell in second.cells() {
                let Some(path) = totals.paths.get_mut(usize::from(cell.path.0)) else {
                    continue;
                };
                path.frame.requests += cell.requests;
                path.frame.failed += cell.delivered_errors + cell.undelivered;
                if let Some(of) = path.second(second.second) {
                    of.requests += cell.requests;
                    of.latencies.add(&cell.ok);
                    of.latencies.add(&cell.failed);
                }
            }
        }
        let causes = &mut totals.causes;
        self.provisional.charge(batch, |_, cause, count| {
            *causes.entry(cause).or_default() += count;
        });
    }

    fn health(&mut self, losses: &Losses, bytes: u64, write_error: Option<&str>) {
        let mut totals = locked(&self.totals);
        totals.lost = LossKind::ALL.iter().map(|&kind| losses.of(kind)).sum();
        totals.bytes = bytes;
        totals.write_error = write_error.map(str::to_owned);
    }
}

impl PathTotals {
    /// The second, if it is not too long ago.
    fn second(&mut self, second: u32) -> Option<&mut PathSecond> {
        let newest = self.seconds.back().map(|newest| newest.second);
        match newest {
            None => self.seconds.push_back(PathSecond {
                second,
                ..PathSecond::default()
            }),
            Some(newest) if second > newest => {
                let first = second
                    .saturating_sub(u32::try_from(RATE_SECONDS).unwrap_or(u32::MAX))
                    .max(newest + 1);
                self.seconds.extend((first..=second).map(|second| PathSecond {
                    second,
                    ..PathSecond::default()
                }));
                while self.seconds.len() > RATE_SECONDS + 1 {
                    self.seconds.pop_front();
                }
            }
            Some(_) => {}
        }
        self.seconds.iter_mut().find(|of| of.second == second)
    }

    fn requests_in(&self, second: u32) -> u64 {
        self.seconds
            .iter()
            .find(|of| of.second == second)
            .map_or(0, |of| of.requests)
    }
}

impl Totals {
    /// The latest second of which every worker has told: the one before the newest may still miss one.
    fn frame(&self, elapsed: hopscope_attribution::evidence::Span) -> LiveFrame {
        let now = u32::try_from(elapsed.as_micros() / 1_000_000).unwrap_or(u32::MAX);
        // A second is handed over within a fraction of the next one: what is older than that is complete.
        let complete = now.saturating_sub(2);
        let first = complete.saturating_sub(u32::try_from(RATE_SECONDS).unwrap_or(u32::MAX) - 1);
        let rates = (first..=complete)
            .map(|second| self.paths.iter().map(|path| path.requests_in(second)).sum())
            .collect();
        let mut causes: Vec<_> = self
            .causes
            .iter()
            .map(|(cause, count)| (*cause, *count))
            .collect();
        causes.sort_by_key(|(cause, count)| (std::cmp::Reverse(*count), *cause));
        LiveFrame {
            elapsed,
            paths: self.paths.iter().map(|path| path.frame(complete)).collect(),
            rates,
            causes,
            lost: self.lost,
            bytes: self.bytes,
            write_error: self.write_error.clone(),
        }
    }
}

impl PathTotals {
    fn frame(&self, complete: u32) -> PathFrame {
        let mut latencies = Distribution::default();
        for second in self.seconds.iter().rev().take(LATENCY_SECONDS) {
            latencies.merge(&second.latencies);
        }
        PathFrame {
            rate: self.requests_in(complete),
            open: self.frame.connections.saturating_sub(self.ended),
            p50: latencies.quantile(0.5),
            p99: latencies.quantile(0.99),
            ..self.frame.clone()
        }
    }
}
