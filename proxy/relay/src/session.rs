//! A run of the proxy from its first listener to its closed recording.

mod start_error;

use std::net::{SocketAddr, TcpListener as StdListener, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hopscope_attribution::evidence::{Path, RunFacts};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::watch;
use tokio::time::Instant;

use super::arrival::Stamping;
use super::clock::RunClock;
use super::connection::proxied::Reception;
use super::deal::Deal;
use super::front::{Door, Front};
use super::health::{self, Pulse, Watched};
use super::host_header::HostHeader;
use super::listener::Admission;
use super::refusal::OnRefusal;
use super::tls::UpstreamTls;
use super::tunnels::Tunnels;
use super::upstream::{Addresses, Connector, ForwardConnector, OwnAddress, Terms};
use super::worker::{self, Counters, Way, Worker};
use super::{listener, splice};
use hopscope_host::limits;
use hopscope_host::trust::Trust;
use hopscope_http::ObserverConfig;
use hopscope_recording::{Closing, FinalFacts, RecordingError, RecordingHandle, Summary, Watcher};
use hopscope_tunnel::RestartPolicy;
use hopscope_tunnel::paths::{Target, Transport, Via};

pub use start_error::StartError;

/// How a run is to be made.
#[derive(Debug)]
pub struct Config {
    /// Where the generator connects to; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// The paths, at least one.
    pub vias: Vec<Via>,
    /// One weight a path; empty for even shares.
    pub weights: Vec<u32>,
    /// The longest that connecting upstream may take, name and TLS included.
    pub connect_timeout: Duration,
    /// How the generator reaches hopscope.
    pub front: Front,
    /// What the generator is told when no upstream connection stands.
    pub on_refusal: OnRefusal,
    /// Whose certificates are believed on `https://` paths.
    pub upstream_trust: Trust,
    /// Which `Host` requests carry.
    pub host_header: HostHeader,
    /// What to do when a kubectl that hopscope runs was lost.
    pub tunnel_restart: RestartPolicy,
    /// Whether the owner of a forward that hopscope does not run is looked for and watched. Not in a demo: there
    /// the forward is a part of this very process.
    pub watch_forwards: bool,
    /// How HTTP is read.
    pub observing: Arc<ObserverConfig>,
    /// Worker threads.
    pub workers: usize,
    /// The file to record to; it must not exist.
    pub recording: PathBuf,
    /// How the recording is made.
    pub recording_options: hopscope_recording::Options,
    /// The generator's command line, where hopscope runs it.
    pub command: Option<Vec<String>>,
}

/// How a run is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// Not yet.
    Running,
    /// Nothing new; what is under way may end until then.
    By(Instant),
}

/// A run that is under way.
#[derive(Debug)]
pub struct Session {
    address: SocketAddr,
    clock: RunClock,
    stop: watch::Sender<Stop>,
    workers: Vec<JoinHandle<()>>,
    health: health::Watch,
    recording: RecordingHandle,
    closing: Closing,
    tunnels: Tunnels,
    front: Front,
    notes: Vec<String>,
    _stamping: Stamping,
}

impl Session {
    /// Binds, begins the recording and starts the workers. `watchers` see all that is recorded.
    ///
    /// # Errors
    /// When something that every run needs cannot be had; nothing is left behind then.
    pub fn start(config: &Config, watchers: Vec<Box<dyn Watcher>>) -> Result<Self, StartError> {
        let system = |what| move |source| StartError::System { what, source };
        let descriptor_limit = hopscope_host::limits::raise_descriptor_limit()
            .map_err(system("read the limit on descriptors"))?;
        let endpoints = Endpoints::prepare(config)?;
        let listeners =
            listener::bind(config.listen, config.workers).map_err(|source| StartError::Listen {
                address: config.listen,
                source,
            })?;
        let address = listeners
            .first()
            .map_or(Ok(config.listen), StdListener::local_addr)
            .map_err(system("read the listening address"))?;
        let own = OwnAddress::new(address);
        endpoints.refuse_own(config, own)?;

        let clock = RunClock::start();
        let facts = facts(config, clock, address);
        let (recording, closing) =
            hopscope_recording::create(&config.recording, &facts, &recording_options(config), watchers)?;

        let tunnels = match Tunnels::start(config, clock, &recording) {
            Ok(tunnels) => tunnels,
            Err(error) => {
                closing.discard();
                return Err(error);
            }
        };
        splice::allow(limits::pipes_within(descriptor_limit));
        let counters = Arc::new(Counters::new(limits::connections_within(descriptor_limit)));
        let (stop, stopping) = watch::channel(Stop::Running);
        let mut workers: Vec<JoinHandle<()>> = Vec::new();
        let mut pulses = Vec::new();
        for (index, listener) in listeners.into_iter().enumerate() {
            let pulse = Arc::new(Pulse::default());
            pulses.push(Arc::clone(&pulse));
            let worker = endpoints.worker(
                config,
                &tunnels,
                Terms {
                    limit: config.connect_timeout,
                    clock,
                    workers: config.workers,
                    own,
                    listening: address,
                },
                recording.recorder(),
                Arc::clone(&counters),
            );
            let (stopping, handle) = (stopping.clone(), recording.clone());
            let (on_refusal, limit) = (config.on_refusal, config.connect_timeout);
            let door = config.front.door(on_refusal, limit);
            let proxy = config.front.reception(on_refusal, limit, own);
            let thread = thread::Builder::new()
                .name(format!("hopscope-{index}"))
                .spawn(move || work(listener, worker, &pulse, handle, stopping, door, proxy.as_ref()));
            match thread {
                Ok(thread) => workers.push(thread),
                Err(source) => {
                    drop((tunnels, recording));
                    undo(&stop, workers, closing);
                    return Err(system("start a worker thread")(source));
                }
            }
        }
        let watched = Watched {
            clock,
            pulses,
            counters,
            descriptor_limit,
            recording: recording.clone(),
            observing: Arc::clone(&config.observing),
        };
        let health = match health::Watch::start(watched) {
            Ok(health) => health,
            Err(source) => {
                drop((tunnels, recording));
                undo(&stop, workers, closing);
                return Err(system("start a thread")(source));
            }
        };
        Ok(Self {
            address,
            clock,
            stop,
            workers,
            health,
            recording,
            closing,
            tunnels,
            front: config.front.clone(),
            notes: facts.notes,
            _stamping: Stamping::on(),
        })
    }

    /// Where the generator connects to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The run's clock.
    pub fn clock(&self) -> RunClock {
        self.clock
    }

    /// The way into the recording for what the workers do not see.
    pub fn recording(&self) -> &RecordingHandle {
        &self.recording
    }

    /// Takes no new connections, lets exchanges under way end for at most `grace`, ends the rest, and closes the
    /// recording. A later call to [`Hurry::now`] cuts the grace short. `exit_code` is that of a generator that has just
    /// exited, as a shell counts it.
    ///
    /// # Errors
    /// When the recording could not be closed.
    pub fn finish(mut self, grace: Duration, exit_code: Option<i32>) -> Result<Summary, RecordingError> {
        let exited = exit_code.map(|_| self.clock.now());
        self.stop_all(grace);
        drop(self.tunnels);
        let ended = self.clock.now();
        if let Some(last) = self.front.last_note() {
            self.notes.push(last);
            self.recording.notes(self.notes);
        }
        drop(self.recording);
        self.closing.finish(FinalFacts {
            ended,
            exit_code,
            exited,
        })
    }

    /// Ends a run that did not come about, and leaves no recording of it.
    pub fn abandon(mut self) {
        self.stop_all(Duration::ZERO);
        drop((self.tunnels, self.recording));
        self.closing.discard();
    }

    fn stop_all(&mut self, grace: Duration) {
        self.stop.send_replace(Stop::By(Instant::now() + grace));
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                tracing::error!("a worker has failed; its connections are counted as lost");
            }
        }
        self.health.stop();
    }

    /// Something that can cut the grace of [`Self::finish`] short from elsewhere.
    pub fn hurry(&self) -> Hurry {
        Hurry(self.stop.clone())
    }
}

/// What was changed on the way, or not checked: what a reader of the report must know first.
fn notes(config: &Config, listening: SocketAddr) -> Vec<String> {
    let encrypted = config
        .vias
        .iter()
        .any(|via| matches!(&via.target, Target::Endpoint(endpoint) if endpoint.transport == Transport::Tls));
    let unchecked = (encrypted && config.upstream_trust == Trust::Anybody)
        .then(|| "Certificates were not checked (--insecure): who answered is not known.".to_owned());
    let hosts = config
        .vias
        .iter()
        .filter_map(|via| config.host_header.note(via, listening));
    let fronts = config
        .vias
        .iter()
        .filter_map(|via| config.front.note(via, &config.host_header, listening));
    fronts.chain(hosts).chain(unchecked).collect()
}

/// Ends what was begun of a run that did not come about, and leaves no recording of it.
fn undo(stop: &watch::Sender<Stop>, workers: Vec<JoinHandle<()>>, closing: Closing) {
    stop.send_replace(Stop::By(Instant::now()));
    for worker in workers {
        if worker.join().is_err() {
            tracing::error!("a worker has failed");
        }
    }
    closing.discard();
}

/// How the recording is made, within what the system lets a file grow to.
fn facts(config: &Config, clock: RunClock, listening: SocketAddr) -> RunFacts {
    RunFacts {
        started_unix_us: clock.started_unix_micros(),
        paths: config.vias.iter().map(Via::path).collect::<Vec<Path>>(),
        command: config.command.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        notes: notes(config, listening),
    }
}

fn recording_options(config: &Config) -> hopscope_recording::Options {
    let mut options = config.recording_options.clone();
    options.max_bytes = options
        .max_bytes
        .into_iter()
        .chain(hopscope_host::limits::file_size_limit())
        .min();
    options
}

/// Cuts the grace of a session's end short.
#[derive(Clone, Debug)]
pub struct Hurry(watch::Sender<Stop>);

impl Hurry {
    /// Ends what is still under way.
    pub fn now(&self) {
        self.0.send_replace(Stop::By(Instant::now()));
    }
}

/// What all workers connect to.
struct Endpoints {
    tls: Option<UpstreamTls>,
    /// What each path's host stood for when the run began; `None` for a forward that hopscope runs.
    resolved: Vec<Option<Addresses>>,
}

impl Endpoints {
    /// Checks what can be checked before the first connection: names resolve, TLS can be set up.
    fn prepare(config: &Config) -> Result<Self, StartError> {
        let mut tls = None;
        let mut resolved = Vec::new();
        for via in &config.vias {
            let Target::Endpoint(endpoint) = &via.target else {
                resolved.push(None);
                continue;
            };
            if endpoint.transport == Transport::Tls && tls.is_none() {
                tls = Some(UpstreamTls::new(&config.upstream_trust)?);
            }
            let known = (endpoint.host.as_str(), endpoint.port).to_socket_addrs();
            let addresses = known.ok().and_then(Addresses::of);
            if addresses.is_none() {
                return Err(StartError::Unresolvable {
                    path: via.name.clone(),
                    host: endpoint.host.clone(),
                });
            }
            resolved.push(addresses);
        }
        Ok(Self { tls, resolved })
    }

    /// Makes sure that no path leads to where hopscope itself listens.
    fn refuse_own(&self, config: &Config, own: OwnAddress) -> Result<(), StartError> {
        for (via, addresses) in config.vias.iter().zip(&self.resolved) {
            let mut addresses = addresses.iter().flat_map(Addresses::iter);
            if let Some(address) = addresses.find(|address| own.is_reached_by(*address)) {
                return Err(StartError::OwnAddress {
                    path: via.name.clone(),
                    address,
                });
            }
        }
        Ok(())
    }

    fn worker(
        &self,
        config: &Config,
        tunnels: &Tunnels,
        terms: Terms,
        recorder: hopscope_recording::Recorder,
        counters: Arc<Counters>,
    ) -> Worker {
        let paths = config.vias.iter().enumerate().filter_map(|(index, via)| {
            let way = match &via.target {
                Target::Endpoint(endpoint) => Some(Way::Endpoint {
                    observed: endpoint.transport != Transport::Unread,
                    connector: Connector::new(
                        endpoint.clone(),
                        self.tls.clone(),
                        self.resolved.get(index).cloned().flatten(),
                        terms,
                    ),
                }),
                Target::Kubectl(_) => tunnels
                    .of(index)
                    .map(|tunnel| Way::Forward(tunnel, ForwardConnector::new(terms))),
            };
            Some((way?, config.host_header.rule(via, terms.listening)))
        });
        let weights = if config.weights.is_empty() {
            vec![1; config.vias.len()]
        } else {
            config.weights.clone()
        };
        Worker::new(
            terms.clock,
            recorder,
            counters,
            Deal::by_weights(&weights),
            paths.collect(),
            config.vias.iter().map(|via| via.name.clone()).collect(),
            Arc::clone(&config.observing),
        )
        .ending_tls(config.front.terminator())
    }
}

/// A worker thread's life.
fn work(
    listener: StdListener,
    worker: Worker,
    pulse: &Arc<Pulse>,
    recording: RecordingHandle,
    mut stopping: watch::Receiver<Stop>,
    door: Door,
    proxy: Option<&Reception>,
) {
    let admission = Admission { door, proxy };
    let clock = worker.clock;
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "a worker could not start its event loop");
            return;
        }
    };
    worker::appoint(worker);
    runtime.block_on(async {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => Arc::new(listener),
            Err(error) => {
                tracing::error!(%error, "a worker could not listen");
                return;
            }
        };
        drop(tokio::spawn(worker::keep_recording(clock)));
        let beating = tokio::spawn(health::beat(
            Arc::clone(pulse),
            Arc::clone(&listener),
            clock,
            recording,
        ));
        tokio::select! {
            () = listener::accept(&listener, admission) => {}
            _changed = stopping.wait_for(|stop| *stop != Stop::Running) => {}
        }
        beating.abort();
        listener::accept_the_last(&listener, admission).await;
        drop(listener);
        drain(&mut stopping).await;
    });
    // Every task that is left is dropped here, and writes its record as it goes.
    drop(runtime);
    worker::resign();
}

/// Waits until nothing is under way any more, or the time given for it is over.
async fn drain(stopping: &mut watch::Receiver<Stop>) {
    const LOOK_EVERY: Duration = Duration::from_millis(10);
    loop {
        let until = match *stopping.borrow_and_update() {
            Stop::By(until) => until,
            Stop::Running => return,
        };
        let busy = worker::with(|worker| worker.busy()).unwrap_or(0);
        if busy == 0 || Instant::now() >= until {
            return;
        }
        tokio::time::sleep(LOOK_EVERY.min(until.saturating_duration_since(Instant::now()))).await;
    }
}
