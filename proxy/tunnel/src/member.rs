//! The life of one member of the pool: started, watched, replaced when damaged, restarted when lost.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hopscope_attribution::evidence::Observation;
use hopscope_attribution::evidence::tunnel::{TunnelLife, TunnelMeaning};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::forward::Forward;
use super::gauge::{self, Sampling};
use super::placing::{self, Placed};
use super::report::Reporter;
use super::start_error::TunnelStartError;
use super::target::Target;
use super::upstreams::Upstreams;

/// What to do when a kubectl was lost or is damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Start another: at once for the first time, then after waits that double up to 10 s.
    #[default]
    WhenLost,
    /// Leave it as it is, so that the fault can be studied.
    Never,
}

/// The first wait before another attempt, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// A kubectl that stood for this long was healthy: the next loss is met at once again.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// A replaced kubectl is ended when no connection is left on it, at the latest after this.
const DRAIN_LIMIT: Duration = Duration::from_mins(15);

/// How long the end of a run waits for what is being found out of a kubectl.
pub(super) const DESCRIPTION_LIMIT: Duration = Duration::from_secs(4);

/// How often a replaced kubectl is looked at.
const DRAIN_LOOK: Duration = Duration::from_millis(500);

/// Everything that one member needs.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) target: Arc<Target>,
    pub(super) policy: RestartPolicy,
    pub(super) reporter: Reporter,
    pub(super) upstreams: Arc<Upstreams>,
    pub(super) version: watch::Receiver<Observation<String>>,
    pub(super) stop: watch::Receiver<bool>,
    /// Why the last forward was lost or has to be replaced, as kubectl said it.
    pub(super) because: Option<TunnelMeaning>,
}

/// A forward that takes connections, and what watches it.
#[derive(Debug)]
struct Standing {
    forward: Forward,
    port: u16,
    since: Instant,
    /// Finds out what it is, and tells it once.
    described: JoinHandle<()>,
    /// Ends the sampling when it is dropped.
    _sampling: Sampling,
}

/// How the wait for a forward went.
enum Raised {
    Standing(Standing),
    Failed(TunnelStartError),
    Stopped,
}

/// Why a standing forward needs something done.
enum Turn {
    Lost,
    Damaged,
    Stopped,
}

impl Member {
    /// Lives until it is told to stop, or is left down. `first` learns how the first start went; when that failed,
    /// this is the end of it.
    pub(super) async fn live(mut self, first: oneshot::Sender<Result<(), TunnelStartError>>) {
        let mut first = Some(first);
        let mut current = None;
        let mut pace = Pace::default();
        loop {
            match self.raise(&mut current).await {
                Raised::Standing(fresh) => {
                    self.upstreams.set(self.reporter.member(), Some(fresh.port));
                    if let Some(damaged) = current.replace(fresh) {
                        self.reporter.life_because(TunnelLife::Replaced, self.because);
                        self.retire(damaged);
                    }
                    self.reporter.life(TunnelLife::Ready);
                    answer(&mut first, Ok(()));
                    match self.watch(&mut current).await {
                        Turn::Lost | Turn::Damaged => {}
                        Turn::Stopped => break,
                    }
                    if self.policy == RestartPolicy::Never {
                        self.reporter.life_because(TunnelLife::LeftDown, self.because);
                        return;
                    }
                }
                Raised::Failed(error) => {
                    tracing::warn!(%error, "kubectl did not open the forward");
                    if first.is_some() {
                        self.reporter.life(TunnelLife::LeftDown);
                        answer(&mut first, Err(error));
                        return;
                    }
                }
                Raised::Stopped => break,
            }
            let stood = current.as_ref().map(|standing| standing.since.elapsed());
            if !self.unless_stopped(pace.wait(stood)).await {
                break;
            }
        }
        self.upstreams.set(self.reporter.member(), None);
        if let Some(standing) = current {
            standing.forward.end().await;
            // A short run shall not lose what was found out at its start.
            if tokio::time::timeout(DESCRIPTION_LIMIT, standing.described)
                .await
                .is_err()
            {
                tracing::debug!("what kubectl forwards to was not found out in time");
            }
            self.reporter.life(TunnelLife::Stopped);
        }
    }

    /// Starts a kubectl and waits until it listens. A damaged one may go on serving meanwhile, and may end.
    async fn raise(&mut self, damaged: &mut Option<Standing>) -> Raised {
        self.reporter.life_because(TunnelLife::Started, self.because);
        let mut forward = match Forward::start(&self.target, &self.reporter) {
            Ok(forward) => forward,
            Err(error) => return Raised::Failed(error),
        };
        let target = self.target.clone();
        let mut stop = self.stop.clone();
        let readiness = loop {
            tokio::select! {
                readiness = forward.ready(&target) => break Some(readiness),
                code = ended(damaged) => self.note_end(damaged, code),
                () = told(&mut stop) => break None,
            }
        };
        match readiness {
            Some(Ok(port)) => {
                let placed = Placed {
                    pid: forward.pid(),
                    command: forward.command.clone(),
                    port,
                    said: forward.said(),
                };
                let described = placing::tell(placed, &self.target, &self.reporter, self.version.clone());
                Raised::Standing(Standing {
                    _sampling: gauge::sample(forward.pid(), port, forward.counts.clone(), &self.reporter),
                    forward,
                    port,
                    since: Instant::now(),
                    described,
                })
            }
            Some(Err(error)) => {
                let code = forward.exit_code();
                self.because = forward.complaint().or(self.because);
                forward.end().await;
                self.reporter.life_because(TunnelLife::Exited(code), self.because);
                Raised::Failed(error)
            }
            None => {
                forward.end().await;
                self.reporter.life(TunnelLife::Stopped);
                Raised::Stopped
            }
        }
    }

    /// Waits until something has to be done about the standing forward.
    async fn watch(&mut self, current: &mut Option<Standing>) -> Turn {
        let mut stop = self.stop.clone();
        let replaces = self.policy == RestartPolicy::WhenLost;
        let Some(standing) = current else {
            return Turn::Lost;
        };
        let damage = {
            let said = standing.forward.said();
            async move { Forward::damaged(said).await }
        };
        tokio::select! {
            code = standing.forward.ended() => {
                self.note_end(current, code);
                Turn::Lost
            }
            () = damage, if replaces => {
                self.because = standing.forward.reason(self.reporter.now());
                Turn::Damaged
            }
            () = told(&mut stop) => Turn::Stopped,
        }
    }

    /// A forward has ended by itself: nobody is sent there any more.
    fn note_end(&mut self, gone: &mut Option<Standing>, code: Option<i32>) {
        self.upstreams.set(self.reporter.member(), None);
        let now = self.reporter.now();
        self.because = gone.as_ref().and_then(|gone| gone.forward.reason(now));
        self.reporter.life_because(TunnelLife::Exited(code), self.because);
        *gone = None;
    }

    /// Lets the connections of a replaced forward end by themselves, then ends it.
    fn retire(&self, old: Standing) {
        let reporter = self.reporter.clone();
        let mut stop = self.stop.clone();
        tokio::spawn(async move {
            let Standing {
                mut forward,
                port,
                _sampling: sampling,
                ..
            } = old;
            // The member's gauge is the new one's from now on.
            drop(sampling);
            let drained = async {
                let deadline = Instant::now() + DRAIN_LIMIT;
                while Instant::now() < deadline
                    && gauge::local_connections(port).is_none_or(|count| count > 0)
                {
                    tokio::time::sleep(DRAIN_LOOK).await;
                }
            };
            tokio::select! {
                () = drained => {}
                _code = forward.ended() => {}
                () = told(&mut stop) => {}
            }
            forward.end().await;
            reporter.life(TunnelLife::Drained);
        });
    }

    /// Waits for something; `false` when told to stop meanwhile.
    async fn unless_stopped(&mut self, wait: impl Future<Output = ()>) -> bool {
        tokio::select! {
            () = wait => true,
            () = told(&mut self.stop) => false,
        }
    }
}

/// Returns once it is told to stop, or there is nobody left to tell it.
async fn told(stop: &mut watch::Receiver<bool>) {
    let told = stop.wait_for(|stop| *stop).await;
    drop(told);
}

/// Returns when the forward has ended; never where there is none.
async fn ended(standing: &mut Option<Standing>) -> Option<i32> {
    match standing {
        Some(standing) => standing.forward.ended().await,
        None => std::future::pending().await,
    }
}

fn answer(
    first: &mut Option<oneshot::Sender<Result<(), TunnelStartError>>>,
    how: Result<(), TunnelStartError>,
) {
    // Whoever asked may have stopped waiting.
    if let Some(first) = first.take()
        && first.send(how).is_err()
    {
        tracing::debug!("nobody waits for the forward any more");
    }
}

/// How fast one kubectl may follow another.
#[derive(Debug, Default)]
struct Pace {
    wait: Duration,
}

impl Pace {
    /// Waits: not at all for the first time and after a healthy one, else twice as long as before.
    fn wait(&mut self, stood: Option<Duration>) -> impl Future<Output = ()> + use<> {
        if stood.is_some_and(|stood| stood >= HEALTHY_AFTER) {
            self.wait = Duration::ZERO;
        }
        let wait = self.wait;
        self.wait = (wait * 2).clamp(BACKOFF.0, BACKOFF.1);
        tokio::time::sleep(wait)
    }
}
