//! The node agent: probes, metrics, evidence.
//!
//! In reading order: [`loader`] attaches what this kernel allows, on the best [`rung`] that holds ([`btf`] and
//! [`layout`], or [`tracefs`] and [`format`](mod@format), tell the probes where things lie, [`reasons`] what numbers
//! mean); [`parse`] reads what they say, [`correlate`] gathers it by connection;
//! [`world`] knows who is who on the host ([`hops`], [`cgroup`], [`procfs`](hopscope_host::procfs), and of [`kubernetes`] the [`names`]); the [court](hopscope_attribution::court) charges; [`observe`] holds it
//! together; [`metrics`] and [`evidence`] tell it, through [`routes`]. A report [`ask`]s, and joins the [`answer`].
//!
//! **Invariant:** it and the relay do not know each other; struct offsets come from the running kernel's BTF, never from constants.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

pub mod answer;
pub mod ask;
pub mod btf;
pub mod cgroup;
pub mod correlate;
pub mod evidence;
pub mod format;
pub mod homes;
pub mod hops;
pub mod host;

pub mod join;
pub mod kubernetes;
pub mod layout;
pub mod loader;
pub mod local;
pub mod metrics;
pub mod names;
pub mod observe;
pub mod parse;
pub mod reasons;
pub mod routes;
pub mod rung;
pub mod services;
pub mod snapshot;
pub mod throttle;
pub mod tracefs;
pub mod whereabouts;
pub mod world;

use evidence::Journal;
use hops::HopTable;
use kubernetes::{Asking, Kubernetes, KubernetesError};
use layout::Wishes;
use loader::{Climbed, Order, Probes};
use observe::Observer;
use routes::Routes;
use rung::Rung;
use world::{Mounts, World};

use hopscope_metrics::serve::{Access, Question, serve};

/// How often the ring buffer is read and gathered connections are looked at. Its 4 MiB hold 26,000 records: more than
/// a million a second can come before one is lost, and no record costs a wake-up.
const DRAIN_EVERY: Duration = Duration::from_millis(20);
/// How often the kernel's counts are taken over.
const TALLY_EVERY: Duration = Duration::from_secs(1);
/// How often new namespaces and workloads are looked for, and a window of counts ends.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often the sockets that live are listed: the listing costs a few microseconds a socket.
const WALK_EVERY: Duration = Duration::from_secs(15);
/// Records that are read before anyone else gets a turn; more than the ring holds.
const AT_A_TIME: usize = 32_768;

/// What the agent is asked to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to answer.
    pub listen: SocketAddr,
    /// Who may ask.
    pub access: Access,
    /// Who is which hop.
    pub table: HopTable,
    /// Where the host's file systems are.
    pub mounts: Mounts,
    /// Where the names of pods come from.
    pub kubernetes: Asking,
    /// Sockets opened by `connect` that are followed at a time.
    pub connections: u32,
    /// Workloads that have series of their own.
    pub workloads: usize,
    /// Clean ends become evidence too.
    pub every_close: bool,
    /// The best rung of the ladder that is tried.
    pub rung: Rung,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9464)),
            access: Access::default(),
            table: HopTable::default(),
            mounts: Mounts {
                proc: PathBuf::from("/proc"),
                cgroup: PathBuf::from("/sys/fs/cgroup"),
            },
            kubernetes: Asking::Nobody,
            connections: 65_536,
            workloads: metrics::WORKLOADS,
            every_close: false,
            rung: Rung::BtfTracepoints,
        }
    }
}

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {source}; choose another with --listen")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The Kubernetes API cannot be asked as was wished.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
    /// The event loop or the ring buffer could not be set up.
    #[error("cannot watch the probes: {0}")]
    Watch(#[from] io::Error),
}

/// An agent that listens and watches, ready to run.
#[derive(Debug)]
pub struct Agent {
    answering: Option<(TcpListener, Access)>,
    observer: Rc<RefCell<Observer>>,
    probes: Option<Probes>,
    kubernetes: Option<Kubernetes>,
}

impl Agent {
    /// Takes the address, loads the probes and looks around.
    ///
    /// # Errors
    /// When the address cannot be had, or what leads to the Kubernetes API cannot be used. Probes that cannot be loaded are no error: they are told of.
    pub async fn start(config: Config) -> Result<Self, AgentError> {
        let address = config.listen;
        let listener = listen(address).map_err(|source| AgentError::Listen { address, source })?;
        let access = config.access.clone();
        let kubernetes = Kubernetes::find(&config.kubernetes).await?;
        let mut agent = Self::watch(config);
        agent.answering = Some((listener, access));
        if let Some(api) = &kubernetes {
            agent
                .observer
                .borrow_mut()
                .ask_names_of(api.to_string(), api.node());
        }
        agent.kubernetes = kubernetes;
        Ok(agent)
    }

    /// Loads the probes and looks around, and answers nobody.
    pub fn watch(config: Config) -> Self {
        let wishes = Wishes {
            balancers: !config.table.balancer_addresses.is_empty(),
            every_close: config.every_close,
        };
        let climbed = loader::climb(&Order {
            wishes,
            balancers: config.table.balancer_addresses.clone(),
            connections: config.connections,
            from: config.rung,
            cgroup: config.mounts.cgroup.clone(),
        });
        give_back();
        // The probes first: what begins while we look around is not missed.
        let world = World::look(config.mounts, config.table);
        let observer = Observer::new(world, config.workloads, &climbed);
        let Climbed { probes, .. } = climbed;
        Self {
            answering: None,
            observer: Rc::new(RefCell::new(observer)),
            probes,
            kubernetes: None,
        }
    }

    /// Where it answers; `None` for one that answers nobody.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn address(&self) -> io::Result<Option<SocketAddr>> {
        self.answering
            .as_ref()
            .map(|(listener, _)| listener.local_addr())
            .transpose()
    }

    /// Whether any probe runs.
    pub const fn has_probes(&self) -> bool {
        self.probes.is_some()
    }

    /// What works and what does not, a line each.
    pub fn told(&self) -> Vec<String> {
        self.observer.borrow().told()
    }

    /// Watches and answers until `stop` is done, and gives what it has seen. Must run within a `LocalSet`.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Journal {
        let Self {
            answering,
            observer,
            mut probes,
            kubernetes,
        } = self;
        let serving = answering.map(|(listener, access)| {
            let routes = Routes::new(Rc::clone(&observer), access.clone());
            let answer = move |question: Question<'_>| routes.answer(question);
            tokio::task::spawn_local(serve(listener, access, answer))
        });
        let asking = kubernetes.map(|kubernetes| {
            let observer = Rc::clone(&observer);
            let hear = move |heard| observer.borrow_mut().hear(&heard);
            tokio::task::spawn_local(kubernetes.follow(hear))
        });
        let mut drain_ring = ticks(DRAIN_EVERY);
        let mut tally = ticks(TALLY_EVERY);
        let mut look = ticks(LOOK_EVERY);
        let mut walk = ticks(WALK_EVERY);
        // Nobody reads the gauges of an agent that answers nobody.
        let walking = serving.is_some();
        let (listed, mut living) = mpsc::channel(1);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = drain_ring.tick() => {
                    let mut observer = observer.borrow_mut();
                    if let Some(probes) = &mut probes {
                        drain(probes, &mut observer);
                    }
                    observer.judge_due(monotonic_ns());
                }
                _ = tally.tick() => {
                    let mut observer = observer.borrow_mut();
                    observer.throttled();
                    observer.poll();
                    if let Some(probes) = &mut probes {
                        for key in observer.tally(probes) {
                            probes.forget(&key);
                        }
                    }
                }
                _ = look.tick() => {
                    let mut observer = observer.borrow_mut();
                    observer.refresh();
                    observer.end_window();
                }
                _ = walk.tick(), if walking => {
                    let (proc, namespaces) = observer.borrow().namespaces();
                    let listed = listed.clone();
                    // One that takes longer than the next tick is one too many: its list finds no room.
                    spawn_blocking(move || drop(listed.try_send(snapshot::look(&proc, &namespaces))));
                }
                Some(all) = living.recv() => observer.borrow_mut().living(&all),
            }
        }
        for task in serving.into_iter().chain(asking) {
            task.abort();
        }
        let mut observer = observer.borrow_mut();
        if let Some(probes) = &mut probes {
            drain(probes, &mut observer);
            observer.poll();
            observer.tally(probes);
        }
        // What was still being gathered is judged with what there is.
        observer.judge_due(u64::MAX);
        observer.end_window();
        std::mem::take(&mut observer.journal)
    }
}

/// Connections that wait to be accepted, as far as the kernel allows: a storm of them delays a health probe, and drops none.
const BACKLOG: u32 = 4_096;

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn drain(probes: &mut Probes, observer: &mut Observer) {
    for _ in 0..AT_A_TIME {
        let Some(record) = probes.ring.next() else { return };
        observer.record(&record);
    }
}

/// Gives freed memory back to the kernel: its types, which were read to load the probes, take more than all that comes
/// after, and the allocator keeps what it was once given.
fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(unsafe_code, reason = "no safe call asks glibc's allocator")]
        // SAFETY: takes a plain number and touches only free memory.
        let _whether_any_was = unsafe { libc::malloc_trim(0) };
    }
}

/// `CLOCK_MONOTONIC`, which the probes stamp their records with, in nanoseconds.
fn monotonic_ns() -> u64 {
    // Rust's Instant is this clock on Linux, but does not tell its number; /proc/uptime is CLOCK_BOOTTIME.
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    #[expect(
        unsafe_code,
        reason = "no safe call gives the number that the kernel's records carry"
    )]
    // SAFETY: writes one timespec that we own.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) } != 0;
    let part = |part: i64| u64::try_from(part).unwrap_or(0);
    if failed {
        0
    } else {
        part(now.tv_sec)
            .saturating_mul(1_000_000_000)
            .saturating_add(part(now.tv_nsec))
    }
}
