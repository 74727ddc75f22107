//! One thread's share of the proxy: its own event loop, its own listener, its own recorder.
//!
//! What a connection's task needs of its worker lives in the thread, not in the task: tasks stay small, nothing on
//! the way of a byte takes a lock, and nothing is shared between the cores.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hopscope_attribution::evidence::{ConnectionId, Exchange, PathId};

use super::clock::RunClock;
use super::deal::Deal;
use super::flow::LARGEST_READ;
use super::front::authority::Subject;
use super::front::terminator::Terminator;
use super::splice;
use super::upstream::{Addresses, Attempt, Connector, ForwardConnector, Name};
use hopscope_http::{HostRewriter, HostRule, ObserverConfig, Proxied};
use hopscope_recording::Recorder;
use hopscope_tunnel::Tunnel;
use rustls::ServerConfig;

/// What all workers count together.
#[derive(Debug)]
pub(super) struct Counters {
    next_id: AtomicU64,
    open: AtomicU64,
    limit: u64,
    turned_away: AtomicU64,
}

impl Counters {
    /// At most `limit` connections may be open at a time.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            next_id: AtomicU64::new(0),
            open: AtomicU64::new(0),
            limit,
            turned_away: AtomicU64::new(0),
        }
    }

    /// Connections open now.
    pub(super) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections turned away for want of descriptors since this was last asked.
    pub(super) fn take_turned_away(&self) -> u64 {
        self.turned_away.swap(0, Ordering::Relaxed)
    }
}

/// The thread's share.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) clock: RunClock,
    pub(super) recorder: Recorder,
    counters: Arc<Counters>,
    deal: Deal,
    ways: Vec<Way>,
    /// One entry a path: which `Host` is replaced there.
    hosts: Vec<Option<Arc<HostRule>>>,
    names: Arc<[String]>,
    observing: Arc<ObserverConfig>,
    /// Where the generator's TLS ends, if it ends here.
    terminator: Option<Terminator>,
    random: fastrand::Rng,
    /// Connections of this thread with something under way.
    busy: usize,
}

/// One path, as a worker reaches it.
#[derive(Debug)]
pub(super) enum Way {
    /// An endpoint that somebody else keeps up.
    Endpoint {
        connector: Connector,
        /// Whether the bytes are read as HTTP.
        observed: bool,
    },
    /// A forward that hopscope runs: its local port changes whenever it is restarted.
    Forward(Arc<Tunnel>, ForwardConnector),
}

impl Worker {
    pub(super) fn new(
        clock: RunClock,
        recorder: Recorder,
        counters: Arc<Counters>,
        deal: Deal,
        paths: Vec<(Way, Option<Arc<HostRule>>)>,
        names: Arc<[String]>,
        observing: Arc<ObserverConfig>,
    ) -> Self {
        let (ways, hosts) = paths.into_iter().unzip();
        Self {
            clock,
            recorder,
            counters,
            deal,
            ways,
            hosts,
            names,
            observing,
            terminator: None,
            random: fastrand::Rng::new(),
            busy: 0,
        }
    }

    /// Ends the generator's TLS.
    pub(super) fn ending_tls(self, terminator: Option<Terminator>) -> Self {
        Self { terminator, ..self }
    }

    /// What a TLS handshake of the generator's is to meet: a server of that name, agreeing on that application protocol.
    /// `None` where there can be none for such a name.
    pub(super) fn server(&mut self, subject: Subject, protocol: Option<&[u8]>) -> Option<Arc<ServerConfig>> {
        match self.terminator.as_mut()?.server(subject, protocol) {
            Ok(server) => Some(server),
            Err(error) => {
                tracing::warn!(%error, "a generator's TLS handshake cannot be answered");
                None
            }
        }
    }

    pub(super) fn next_id(&self) -> ConnectionId {
        ConnectionId(self.counters.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes a place for a connection; false when there are no descriptors for it.
    pub(super) fn enter(&self) -> bool {
        let before = self.counters.open.fetch_add(1, Ordering::Relaxed);
        if before + splice::open() >= self.counters.limit {
            splice::close_kept();
        }
        let admitted = before + splice::open() < self.counters.limit;
        if !admitted {
            self.counters.turned_away.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// Whether a pipe may take descriptors: while connections need less than half of them.
    pub(super) fn has_room_for_pipes(&self) -> bool {
        self.counters.open() < self.counters.limit / 2
    }

    /// Gives a connection's place back.
    pub(super) fn left(&self) {
        self.counters.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections of this thread with something under way.
    pub(super) fn busy(&self) -> usize {
        self.busy
    }

    /// A connection has something under way, or nothing any more.
    pub(super) fn turned(&mut self, busy: bool) {
        self.busy = if busy {
            self.busy + 1
        } else {
            self.busy.saturating_sub(1)
        };
    }

    /// The path of the next connection.
    pub(super) fn deal(&mut self) -> PathId {
        self.deal.next(&mut self.random)
    }

    /// A path that leads to this host and port, drawn by weight where several do.
    pub(super) fn path_to(&mut self, host: &str, port: u16) -> Option<PathId> {
        let leads = |way: &Way| match way {
            Way::Endpoint { connector, .. } => connector.leads_to(host, port),
            Way::Forward(..) => false,
        };
        let paths = (0_u8..).zip(&self.ways).filter(|(_, way)| leads(way));
        let paths: Vec<_> = paths.map(|(path, _)| PathId(path)).collect();
        self.deal.next_of(&paths, &mut self.random)
    }

    /// Whether TLS is spoken to a path's target.
    pub(super) fn is_secured(&self, path: PathId) -> bool {
        match self.ways.get(usize::from(path.0)) {
            Some(Way::Endpoint { connector, .. }) => connector.is_secured(),
            Some(Way::Forward(..)) | None => false,
        }
    }

    /// What brings the requests of a proxy's connection into their origin's form.
    pub(super) fn proxied_rewriter(&self, path: PathId, to: Proxied) -> HostRewriter {
        let rule = self.hosts.get(usize::from(path.0)).cloned().flatten();
        HostRewriter::of_proxy(to, rule, self.observing.head_limit)
    }

    /// A reader for a connection, unless its path is not to be read.
    pub(super) fn observer(&self, id: ConnectionId, path: PathId) -> Option<hopscope_http::Observer> {
        let observed = match self.ways.get(usize::from(path.0)) {
            Some(Way::Endpoint { observed, .. }) => *observed,
            Some(Way::Forward(..)) => true,
            None => false,
        };
        observed.then(|| hopscope_http::Observer::new(&self.observing, id, path))
    }

    /// What replaces the `Host` of a connection's requests, where its path wants that.
    pub(super) fn host_rewriter(&self, path: PathId) -> Option<Box<HostRewriter>> {
        let rule = self.hosts.get(usize::from(path.0))?.clone()?;
        Some(Box::new(HostRewriter::new(rule, self.observing.head_limit)))
    }

    /// An attempt to connect on that path.
    pub(super) fn attempt(&mut self, path: PathId) -> Option<Attempt> {
        self.ways.get_mut(usize::from(path.0)).map(|way| match way {
            Way::Endpoint { connector, .. } => {
                if let Some(name) = connector.name_to_renew() {
                    drop(tokio::spawn(renew(path, name)));
                }
                connector.attempt()
            }
            Way::Forward(tunnel, connector) => connector.attempt(tunnel.upstream()),
        })
    }

    /// Remembers what the path's name resolved to.
    pub(super) fn remember(&mut self, path: PathId, addresses: &Addresses) {
        if let Some(Way::Endpoint { connector, .. }) = self.ways.get_mut(usize::from(path.0)) {
            connector.remember(addresses);
        }
    }

    /// Remembers that one of the path's addresses failed while another one took the connection.
    pub(super) fn avoid(&mut self, path: PathId, address: SocketAddr) {
        if let Some(Way::Endpoint { connector, .. }) = self.ways.get_mut(usize::from(path.0)) {
            connector.avoid(address);
        }
    }
}

/// Asks for a path's name again, beside the connections that go where they went.
async fn renew(path: PathId, name: Name) {
    if let Some(addresses) = name.resolve().await {
        with(|worker| worker.remember(path, &addresses));
    }
}

thread_local! {
    static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; LARGEST_READ]);
}

/// Makes this thread a worker until [`resign`].
pub(super) fn appoint(worker: Worker) {
    WORKER.with_borrow_mut(|slot| *slot = Some(worker));
}

/// Ends this thread's time as a worker: its recorder hands over what it has.
pub(super) fn resign() {
    drop(WORKER.take());
}

/// Does something with this thread's worker; nothing on a thread that is none.
pub(super) fn with<R>(act: impl FnOnce(&mut Worker) -> R) -> Option<R> {
    WORKER.with_borrow_mut(|slot| slot.as_mut().map(act))
}

/// Lends this thread's buffer, which every connection of the thread reads into.
pub(super) fn with_scratch<R>(act: impl FnOnce(&mut [u8]) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| act(scratch))
}

/// Whether a body may go through a pipe: see [`Worker::has_room_for_pipes`].
pub(super) fn has_room_for_pipes() -> bool {
    with(|worker| worker.has_room_for_pipes()).unwrap_or(true)
}

/// Hands a finished exchange to this thread's recorder.
pub(super) fn record_exchange(exchange: Exchange) {
    with(|worker| worker.recorder.exchange(&exchange));
}

/// A path's name, for messages.
pub(super) fn path_name(path: PathId) -> String {
    with(|worker| worker.names.get(usize::from(path.0)).cloned())
        .flatten()
        .unwrap_or_default()
}

/// Hands over what is finished, ten times a second.
pub(super) async fn keep_recording(clock: RunClock) {
    let mut beat = tokio::time::interval(Duration::from_millis(100));
    loop {
        beat.tick().await;
        with(|worker| worker.recorder.tick(clock.now()));
    }
}
