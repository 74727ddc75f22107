//! A load balancer: layer 4 or 7, round robin over healthy targets, with the troubles that balancers have.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hopscope_attribution::cause::Cause;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};

use crate::door::{Arrival, Door, DoorPlan};
use crate::draw::{Draws, Latency};
use crate::fault::{Fault, GroundTruth};
use crate::upstream::UpstreamServer;

mod layer4;
mod layer7;
mod pages;

pub use pages::Pages;

/// What a balancer carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Bytes: one connection to a target for each of a client's.
    Four,
    /// HTTP requests, with error pages of its own.
    Seven(Pages),
}

/// What can be wrong with a balancer itself, besides its door and its targets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    /// It takes no target for healthy: 503 on layer 7, RST on layer 4.
    NoTarget,
    /// It answers this status itself, whatever its target would say. Layer 7 only.
    Page(u16),
    /// It resets the client's connection after this long.
    Reset {
        /// How long after the request, or on layer 4 after the connection was accepted.
        after: Latency,
    },
}

/// A balancer that is to be started.
#[derive(Debug)]
pub struct Balancer {
    layer: Layer,
    seed: u64,
    targets: Vec<SocketAddr>,
    forget_after: Option<Duration>,
    answer_timeout: Duration,
    check_every: Option<Duration>,
    faults: Vec<Fault<Trouble>>,
    door: DoorPlan,
}

/// A balancer that runs until this is dropped.
#[derive(Debug)]
pub struct RunningBalancer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    name: Arc<str>,
    layer: Layer,
    targets: Vec<Target>,
    next: AtomicUsize,
    forget_after: Option<Duration>,
    draws: Draws,
    faults: Vec<(Fault<Trouble>, Draws)>,
    truth: GroundTruth,
}

#[derive(Debug)]
struct Target {
    server: UpstreamServer,
    healthy: AtomicBool,
}

impl Balancer {
    /// A healthy balancer over these targets.
    pub fn new(layer: Layer, targets: Vec<SocketAddr>, seed: u64) -> Self {
        Self {
            layer,
            seed,
            targets,
            forget_after: None,
            answer_timeout: Duration::from_mins(1),
            check_every: None,
            faults: Vec::new(),
            door: DoorPlan::default(),
        }
    }

    /// Forgets a layer-4 flow that was idle for so long (AWS's network load balancer: 350 s), and answers the next
    /// byte of either side by RST.
    #[must_use]
    pub const fn forget_after(mut self, idle: Duration) -> Self {
        self.forget_after = Some(idle);
        self
    }

    /// How long it waits for a target before it answers 504 (AWS's application load balancer: 60 s).
    #[must_use]
    pub const fn answer_timeout(mut self, patience: Duration) -> Self {
        self.answer_timeout = patience;
        self
    }

    /// Checks its targets by connecting to them this often, and uses only those that accept.
    #[must_use]
    pub const fn check_every(mut self, interval: Duration) -> Self {
        self.check_every = Some(interval);
        self
    }

    /// Adds a trouble. The first that strikes wins.
    #[must_use]
    pub fn fault(mut self, fault: Fault<Trouble>) -> Self {
        self.faults.push(fault);
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
    pub fn start(self, truth: &GroundTruth) -> io::Result<RunningBalancer> {
        let door = Door::open(self.door, truth)?;
        let address = door.address();
        let seed = self.seed;
        let patience = self.answer_timeout;
        let target = |address| Target {
            server: UpstreamServer::new(address, patience.min(Duration::from_secs(1)), patience),
            healthy: AtomicBool::new(true),
        };
        let faults = self.faults.into_iter().enumerate();
        let shared = Arc::new(Shared {
            name: "load balancer".into(),
            layer: self.layer,
            targets: self.targets.into_iter().map(target).collect(),
            next: AtomicUsize::new(0),
            forget_after: self.forget_after,
            draws: Draws::new(seed, "balancer"),
            faults: faults
                .map(|(nth, fault)| (fault, Draws::new(seed, &format!("balancer fault {nth}"))))
                .collect(),
            truth: truth.clone(),
        });
        let task = tokio::spawn(serve(door, self.check_every, shared));
        Ok(RunningBalancer { address, task })
    }
}

impl RunningBalancer {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for RunningBalancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut door: Door, check_every: Option<Duration>, shared: Arc<Shared>) {
    let mut tasks = JoinSet::new();
    if let Some(interval) = check_every {
        let shared = Arc::clone(&shared);
        tasks.spawn(async move { shared.check(interval).await });
    }
    loop {
        while tasks.try_join_next().is_some() {}
        match door.accept().await {
            Ok(Arrival::Connection(stream, _)) => {
                let shared = Arc::clone(&shared);
                tasks.spawn(async move {
                    match shared.layer {
                        Layer::Four => layer4::carry(&shared, stream).await,
                        Layer::Seven(pages) => layer7::converse(&shared, pages, stream).await,
                    }
                });
            }
            Ok(Arrival::Gone) => tasks.abort_all(),
            Err(error) => {
                tracing::warn!(%error, "the balancer lost its port");
                return;
            }
        }
    }
}

impl Shared {
    /// The next healthy target, in turn.
    fn target(&self) -> Option<&Target> {
        let from = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.targets.len();
        (0..count)
            .filter_map(|step| self.targets.get((from + step) % count))
            .find(|target| target.healthy.load(Ordering::Relaxed))
    }

    /// The trouble that strikes this request or connection, if one does.
    fn trouble(&self, path: &str) -> Option<(Trouble, Cause)> {
        let now = self.truth.now();
        let (fault, _) = self
            .faults
            .iter()
            .find(|(fault, draws)| fault.strikes(now, path, draws))?;
        Some((fault.kind, fault.cause))
    }

    fn hit(&self, cause: Cause) {
        self.truth.hit(cause, &self.name);
    }

    async fn check(&self, interval: Duration) {
        loop {
            for target in &self.targets {
                let connecting = TcpStream::connect(target.server.address());
                let healthy = matches!(tokio::time::timeout(interval, connecting).await, Ok(Ok(_)));
                target.healthy.store(healthy, Ordering::Relaxed);
            }
            tokio::time::sleep(interval).await;
        }
    }
}

#[cfg(test)]
mod tests;
