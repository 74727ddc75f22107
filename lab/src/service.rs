//! An HTTP service of the application under test, with the faults that such services have.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hopscope_attribution::cause::Cause;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use crate::deal::Deal;
use crate::door::{Arrival, Door, DoorPlan};
use crate::draw::{Draws, Latency};
use crate::fault::{Fault, GroundTruth};

mod conversation;

pub(crate) use conversation::{error_body, message};

/// What a service does to a request that a fault hits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Misbehaviour {
    /// Answers this status with a JSON error body, after this long instead of the service's own latency.
    Status {
        /// The status code.
        status: u16,
        /// How long the answer takes.
        after: Latency,
    },
    /// Answers well, after this long instead.
    Slow(Latency),
    /// Takes the request and never answers.
    Silence,
    /// Resets the connection (linger 0) after this long.
    Reset {
        /// How long after the request.
        after: Latency,
    },
    /// Closes the connection cleanly without a byte of answer.
    CloseUnanswered,
    /// Announces a body, sends half of it and closes.
    Truncate,
    /// Answers 413 before the body was read, and closes: the unread bytes make the kernel reset the connection.
    AnswerEarly,
}

/// A service that is to be started.
#[derive(Debug)]
pub struct Service {
    name: Arc<str>,
    seed: u64,
    latency: Latency,
    body: usize,
    large: Option<(&'static str, usize)>,
    workers: usize,
    idle: Duration,
    rate_limit: Option<RateLimit>,
    faults: Vec<Fault<Misbehaviour>>,
    deals: Vec<Dealt>,
    door: DoorPlan,
}

/// So many requests a second from one client address; above it, 429.
#[derive(Clone, Copy, Debug, PartialEq)]
struct RateLimit {
    per_second: f64,
    burst: f64,
}

/// What comes of a request, where outcomes are dealt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// How often it comes, relative to the others.
    pub weight: u64,
    /// What is done to the request, and what that counts as; `None` is a healthy answer.
    pub misbehaviour: Option<(Misbehaviour, Cause)>,
}

/// The outcomes of the requests under a path.
#[derive(Debug)]
struct Dealt {
    prefix: String,
    outcomes: Vec<Outcome>,
    deal: Deal,
}

/// A service that runs until this is dropped.
#[derive(Debug)]
pub struct RunningService {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    name: Arc<str>,
    latency: Latency,
    latency_draws: Draws,
    body: Vec<u8>,
    large: Option<(&'static str, Vec<u8>)>,
    idle: Duration,
    rate_limit: Option<RateLimit>,
    buckets: Mutex<HashMap<IpAddr, (f64, Instant)>>,
    faults: Vec<(Fault<Misbehaviour>, Draws)>,
    deals: Vec<Dealt>,
    truth: GroundTruth,
    answered: AtomicU64,
}

impl Service {
    /// A healthy service that answers at once with a body of 512 bytes.
    pub fn new(name: &str, seed: u64) -> Self {
        Self {
            name: name.into(),
            seed,
            latency: Latency::None,
            body: 512,
            large: None,
            workers: Semaphore::MAX_PERMITS,
            idle: Duration::from_mins(2),
            rate_limit: None,
            faults: Vec::new(),
            deals: Vec::new(),
            door: DoorPlan::default(),
        }
    }

    /// How long its healthy answers take.
    #[must_use]
    pub const fn latency(mut self, latency: Latency) -> Self {
        self.latency = latency;
        self
    }

    /// Size of its healthy answers' bodies, in bytes.
    #[must_use]
    pub const fn body(mut self, bytes: usize) -> Self {
        self.body = bytes;
        self
    }

    /// Answers this path with a body of so many bytes.
    #[must_use]
    pub const fn large(mut self, path: &'static str, bytes: usize) -> Self {
        self.large = Some((path, bytes));
        self
    }

    /// Connections that it serves at a time; it accepts no other while all are busy, as a pool of threads would.
    #[must_use]
    pub const fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Closes a kept-alive connection after this long without a request.
    #[must_use]
    pub const fn idle_close(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Answers 429 to a client address that asks more often than this.
    #[must_use]
    pub const fn rate_limit(mut self, per_second: f64, burst: f64) -> Self {
        self.rate_limit = Some(RateLimit { per_second, burst });
        self
    }

    /// Adds a fault of its answers. The first that strikes wins.
    #[must_use]
    pub fn fault(mut self, fault: Fault<Misbehaviour>) -> Self {
        self.faults.push(fault);
        self
    }

    /// Deals the outcomes of requests under this path out, so that each comes as often as its weight says. The longest
    /// prefix that fits wins, and comes before every fault.
    #[must_use]
    pub fn dealing(mut self, prefix: &str, outcomes: impl Into<Vec<Outcome>>) -> Self {
        let outcomes = outcomes.into();
        let weights: Vec<u64> = outcomes.iter().map(|outcome| outcome.weight).collect();
        self.deals.push(Dealt {
            prefix: prefix.to_owned(),
            deal: Deal::new(weights),
            outcomes,
        });
        self.deals
            .sort_by_key(|dealt| std::cmp::Reverse(dealt.prefix.len()));
        self
    }

    /// Its listening socket, in place of one with a long queue and without a fault.
    #[must_use]
    pub fn door(mut self, door: DoorPlan) -> Self {
        self.door = door;
        self
    }

    /// Starts it on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port or descriptor is left.
    pub fn start(self, truth: &GroundTruth) -> io::Result<RunningService> {
        let door = Door::open(self.door, truth)?;
        let address = door.address();
        let seed = self.seed;
        let name = &self.name;
        let faults = self.faults.into_iter().enumerate();
        let shared = Arc::new(Shared {
            latency: self.latency,
            latency_draws: Draws::new(seed, &format!("{name} latency")),
            body: body_of(self.body),
            large: self.large.map(|(path, bytes)| (path, body_of(bytes))),
            idle: self.idle,
            rate_limit: self.rate_limit,
            buckets: Mutex::default(),
            faults: faults
                .map(|(nth, fault)| (fault, Draws::new(seed, &format!("{name} fault {nth}"))))
                .collect(),
            deals: self.deals,
            truth: truth.clone(),
            answered: AtomicU64::new(0),
            name: self.name,
        });
        let task = tokio::spawn(serve(
            door,
            Arc::new(Semaphore::new(self.workers)),
            Arc::clone(&shared),
        ));
        Ok(RunningService {
            address,
            shared,
            task,
        })
    }
}

impl RunningService {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests that it answered in full, with any status.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }
}

impl Drop for RunningService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut door: Door, workers: Arc<Semaphore>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&workers).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        match door.accept().await {
            Ok(Arrival::Connection(stream, peer)) => {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    conversation::converse(&shared, stream, peer.ip()).await;
                    drop(permit);
                });
            }
            Ok(Arrival::Gone) => connections.abort_all(),
            Err(error) => {
                tracing::warn!(service = %shared.name, %error, "lost its port");
                return;
            }
        }
    }
}

impl Shared {
    /// The body of a healthy answer.
    fn body_for(&self, path: &str) -> &[u8] {
        match &self.large {
            Some((large, body)) if *large == path => body,
            Some(_) | None => &self.body,
        }
    }

    /// What is done to this request, if anything; it is then on record.
    fn misbehaviour(&self, path: &str) -> Option<Misbehaviour> {
        if let Some(dealt) = self.deals.iter().find(|dealt| path.starts_with(&dealt.prefix)) {
            let (kind, cause) = dealt.outcomes.get(dealt.deal.next()?)?.misbehaviour?;
            self.truth.hit(cause, &self.name);
            return Some(kind);
        }
        let now = self.truth.now();
        let (fault, _) = self
            .faults
            .iter()
            .find(|(fault, draws)| fault.strikes(now, path, draws))?;
        // A slow answer is not a failure by itself: whoever gives up on it is on record there.
        if !matches!(fault.kind, Misbehaviour::Slow(_)) {
            self.truth.hit(fault.cause, &self.name);
        }
        Some(fault.kind)
    }

    /// Whether this address has asked too often. Counts the request.
    fn over_the_limit(&self, client: IpAddr) -> bool {
        let Some(limit) = self.rate_limit else {
            return false;
        };
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, filled) = buckets.entry(client).or_insert((limit.burst, now));
        *tokens = (*tokens + now.duration_since(*filled).as_secs_f64() * limit.per_second).min(limit.burst);
        *filled = now;
        let over = *tokens < 1.0;
        if over {
            self.truth.hit(Cause::BackendRateLimited, &self.name);
        } else {
            *tokens -= 1.0;
        }
        over
    }
}

/// A body of so many bytes that looks like the JSON it is announced as.
fn body_of(bytes: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(bytes.max(2));
    body.push(b'"');
    body.resize(bytes.max(2) - 1, b'x');
    body.push(b'"');
    body
}

#[cfg(test)]
mod tests;
