//! The load: closed-loop virtual users in stages, in the manner of k6, that know exactly what each of them saw.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::deal::Deal;
use crate::draw::Latency;

mod mix;
mod seen;
mod source;
mod stages;
mod totals;
mod user;

pub use mix::{Mix, RouteShare};
pub use seen::{NotConnected, Seen};
pub use source::Limits;
pub use stages::{Stage, Stages};
pub use totals::{RouteTotals, Totals};

use source::Source;
use user::User;

/// What a run of the generator does.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where the requests go.
    pub address: SocketAddr,
    /// How many users, and when.
    pub stages: Stages,
    /// What they ask for.
    pub mix: Mix,
    /// The pause between two requests of a user: evenly drawn between these two.
    pub think: (Duration, Duration),
    /// When a user gives up on a request, connecting included. k6's own is 60 s.
    pub timeout: Duration,
    /// The share of requests that a user breaks off by itself, and how soon, as a person who closes the tab does.
    pub aborts: Option<(f64, Latency)>,
    /// What becomes of a connection after its answer.
    pub reuse: Reuse,
    /// Limits of the generator's host.
    pub limits: Limits,
    /// Of every choice that it makes.
    pub seed: u64,
}

/// What becomes of a connection after its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// It carries the user's next request.
    KeepAlive,
    /// The request says `connection: close`, and the server closes first.
    ServerCloses,
    /// The user closes first, so that its port waits in `TIME_WAIT` (60 s on Linux, `TCP_TIMEWAIT_LEN`).
    ClientCloses,
}

/// A run under way.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    users: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    load: Load,
    source: Arc<Source>,
    started: Instant,
    /// Where the routes come from, when they are dealt.
    deal: Option<Deal>,
    totals: Mutex<Totals>,
}

impl Load {
    /// Starts the users.
    pub fn start(self) -> Running {
        let (stop, stopped) = watch::channel(false);
        let users_at_most = self.stages.most();
        let shared = Arc::new(Shared {
            source: Arc::new(Source::new(self.limits.clone())),
            totals: Mutex::new(Totals::of(&self.mix)),
            started: Instant::now(),
            deal: self.mix.deal(),
            load: self,
        });
        let mut users = JoinSet::new();
        for number in 0..users_at_most {
            users.spawn(User::new(number, Arc::clone(&shared), stopped.clone()).live());
        }
        Running { shared, stop, users }
    }
}

impl Running {
    /// What was seen so far.
    pub fn totals(&self) -> Totals {
        self.shared.lock().clone()
    }

    /// Users that the stages ask for now.
    pub fn users(&self) -> u32 {
        self.shared.load.stages.at(self.shared.started.elapsed())
    }

    /// Ends the run before its stages do: requests under way are finished, no new ones begun.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the stages are over and every request under way has ended; what has not ended `grace` after the
    /// last stage is broken off and counted as interrupted, as k6 does after its `gracefulStop`.
    pub async fn finish(mut self, grace: Duration) -> Totals {
        let left = self
            .shared
            .load
            .stages
            .length()
            .saturating_sub(self.shared.started.elapsed());
        let all = async { while self.users.join_next().await.is_some() {} };
        if tokio::time::timeout(left + grace, all).await.is_err() {
            self.users.shutdown().await;
        }
        self.shared.lock().clone()
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
