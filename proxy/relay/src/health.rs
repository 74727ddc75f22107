//! How hopscope itself is doing: one sample a second, for the record.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hopscope_attribution::evidence::{Observation, ObserverDelay, ObserverSample, RouteId, Span};

use super::clock::RunClock;
use super::socket;
use super::worker::Counters;
use hopscope_http::ObserverConfig;
use hopscope_recording::RecordingHandle;

/// A worker's own worst figures since they were last taken.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    lag_us: AtomicU64,
    accept_queue: AtomicU64,
}

/// How often a worker's event loop is tried.
const BEAT: Duration = Duration::from_micros(ObserverDelay::BEAT.as_micros());
/// Timers of the event loop are a millisecond coarse (tokio::time), which is no lag of ours.
const TIMER_COARSENESS: Duration = Duration::from_millis(2);

/// From here on a late event loop is worth a row of its own: half of what casts doubt on a wait.
const NOTABLE: Duration = Duration::from_millis(50);

/// Measures, for ever, how late this thread's event loop comes to what is due, and how long its accept queue is.
pub(super) async fn beat(
    pulse: Arc<Pulse>,
    listener: Arc<tokio::net::TcpListener>,
    clock: RunClock,
    recording: RecordingHandle,
) {
    loop {
        let due = Instant::now() + BEAT;
        tokio::time::sleep_until(due.into()).await;
        let lag = due.elapsed().saturating_sub(TIMER_COARSENESS);
        if lag >= NOTABLE {
            recording.observer_delay(ObserverDelay {
                at: clock.now(),
                by: lag.into(),
            });
        }
        pulse.lag_us.fetch_max(
            u64::try_from(lag.as_micros()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
        if let Observation::Seen(waiting) = socket::accept_queue(listener.as_ref()) {
            pulse
                .accept_queue
                .fetch_max(u64::from(waiting), Ordering::Relaxed);
        }
    }
}

/// The thread that takes the samples, until told to stop.
#[derive(Debug)]
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the samples are taken from.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) clock: RunClock,
    pub(super) pulses: Vec<Arc<Pulse>>,
    pub(super) counters: Arc<Counters>,
    pub(super) descriptor_limit: u64,
    pub(super) recording: RecordingHandle,
    pub(super) observing: Arc<ObserverConfig>,
}

impl Watch {
    /// Begins to take samples.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(watched: Watched) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("hopscope-health".into())
            .spawn(move || {
                let mut before = hopscope_host::limits::cpu_time();
                let mut since = Instant::now();
                let mut named = 0;
                loop {
                    thread::park_timeout(Duration::from_secs(1).saturating_sub(since.elapsed()));
                    let last = stopped.load(Ordering::Acquire);
                    if !last && since.elapsed() < Duration::from_secs(1) {
                        continue;
                    }
                    let used = hopscope_host::limits::cpu_time();
                    watched
                        .recording
                        .observer_sample(watched.sample(used.saturating_sub(before), since.elapsed()));
                    named = watched.name_new_routes(named);
                    (before, since) = (used, Instant::now());
                    if last {
                        return;
                    }
                }
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Takes the last sample and ends.
    pub(super) fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the thread that watches hopscope itself has failed");
            }
        }
    }
}

impl Watched {
    /// Tells the recording the names of the routes beyond the first `known`, and says how many there are.
    fn name_new_routes(&self, known: u16) -> u16 {
        let mut next = known;
        while let Some(name) = self.observing.routes.name(RouteId(next)) {
            self.recording.route(RouteId(next), name);
            next += 1;
        }
        next
    }

    fn sample(&self, cpu: Duration, over: Duration) -> ObserverSample {
        let narrow = |wide: u64| u32::try_from(wide).unwrap_or(u32::MAX);
        let worst = |figure: fn(&Pulse) -> &AtomicU64| {
            self.pulses
                .iter()
                .map(|pulse| figure(pulse).swap(0, Ordering::Relaxed))
                .max()
                .unwrap_or(0)
        };
        let cpu_millis = cpu.as_micros().saturating_mul(1_000) / over.as_micros().max(1);
        ObserverSample {
            at: self.clock.now(),
            loop_lag: Span::from_micros(worst(|pulse| &pulse.lag_us)),
            cpu_millis: u32::try_from(cpu_millis).unwrap_or(u32::MAX),
            cpu_limit_millis: narrow(self.pulses.len() as u64 * 1_000),
            accept_queue: narrow(worst(|pulse| &pulse.accept_queue)),
            descriptors: narrow(
                hopscope_host::limits::open_descriptors().unwrap_or_else(|| self.counters.open() * 2),
            ),
            descriptor_limit: narrow(self.descriptor_limit),
            accepts_refused: narrow(self.counters.take_turned_away()),
        }
    }
}
