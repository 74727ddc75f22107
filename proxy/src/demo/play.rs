//! One scenario from its first connection to its closed recording.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hopscope_attribution::cause::Cause;
use hopscope_attribution::evidence::{GeneratorResult, PathId, Span};
use hopscope_lab::generator::Totals;
use hopscope_lab::scenario::{self, Ordeal, Parameters, Scenario, Staged};
use tokio::task::JoinSet;

use super::forward;
use super::starve::Starvation;
use crate::cli::session::StopSignals;
use crate::live::{Display, Live, Mode};
use hopscope_http::{ObserverConfig, RouteTable};
use hopscope_recording::{RecordingError, Summary};
use hopscope_relay::{Config, OnRefusal, Session, StartError};
use hopscope_tunnel::RestartPolicy;
use hopscope_tunnel::paths::{Via, ViaError};

/// How long hopscope waits for an upstream connection in a demo: less than a minute's patience of a person.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(700);
/// How often it is looked whether hopscope's ordeal begins or ends.
const LOOK: Duration = Duration::from_millis(100);

/// How a scenario is to be played.
#[derive(Debug)]
pub struct Options {
    /// Of every choice that the lab makes.
    pub seed: u64,
    /// Share of the scenario's own number of users.
    pub level: f64,
    /// How many times shorter than the scenario's own length.
    pub speed: f64,
    /// What the scenario's own figures are multiplied by.
    pub parameters: Parameters,
    /// The recording's file; it must not exist.
    pub recording: PathBuf,
    /// The size that the recording stays below, where it has a limit.
    pub record_limit: Option<u64>,
    /// Worker threads of hopscope's.
    pub workers: usize,
    /// How the run is shown while it lasts.
    pub live: Mode,
}

/// What is known when the path stands and the load has not begun.
#[derive(Clone, Debug)]
pub struct Curtain {
    /// How long the load will last.
    pub length: Duration,
    /// Users at work at most.
    pub users: u32,
    /// The paths' names, which say their kinds.
    pub paths: Vec<&'static str>,
}

/// What came of it.
#[derive(Debug)]
pub struct Played {
    /// What the client saw.
    pub totals: Totals,
    /// The true cause of every failure that it saw.
    pub truth: BTreeMap<Cause, u64>,
    /// What the recording holds.
    pub summary: Summary,
    /// Whether it was ended before its time.
    pub interrupted: bool,
}

/// Why a scenario could not be played.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The lab could not be built.
    #[error("cannot stage {scenario}: {source}; are ports and descriptors left on this machine?")]
    Stage {
        /// The scenario.
        scenario: String,
        /// What the system said.
        source: io::Error,
    },
    /// hopscope could not begin.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A path of the lab's is none of ours.
    #[error(transparent)]
    Path(#[from] ViaError),
    /// The recording could not be closed.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The system refuses what every demo needs.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Plays a scenario; `introduce` is called when everything stands and nothing runs.
///
/// # Errors
/// When the path cannot be built, or hopscope cannot begin or keep what it saw.
pub fn play(
    scenario: &Scenario,
    options: &Options,
    introduce: &dyn Fn(&Curtain),
) -> Result<Played, PlayError> {
    let system = |what| move |source| PlayError::System { what, source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start an event loop"))?;
    runtime.block_on(async {
        let mut signals = StopSignals::catch().map_err(system("catch signals"))?;
        let mut staged = scenario
            .stage(options.seed, options.level, options.speed, options.parameters)
            .await
            .map_err(|source| PlayError::Stage {
                scenario: scenario.name.clone(),
                source,
            })?;
        let config = config(&staged, options)?;
        let paths: Vec<_> = config.vias.iter().map(Via::path).collect();
        let live = Live::new(&paths);
        let frames = live.source();
        let session = Session::start(&config, vec![Box::new(live)])?;
        let mut load = staged.load.clone();
        load.address = session.address();
        let (length, timeout) = (load.stages.length(), load.timeout);
        introduce(&Curtain {
            length,
            users: load.stages.most(),
            paths: staged.paths.iter().map(|path| path.name).collect(),
        });
        let display = Display::start(frames, options.live);
        let mut beside = JoinSet::new();
        if let Some(forward) = staged.forward.take() {
            // The lab's forward is always on the first path.
            beside.spawn(forward::watch(
                forward,
                PathId(0),
                session.clock(),
                session.recording().clone(),
            ));
        }
        if let Some(window) = staged.hog {
            let (address, truth) = (session.address(), staged.truth.clone());
            beside.spawn(async move {
                if let Err(error) = scenario::hog(address, "/export", &truth, window).await {
                    tracing::warn!(%error, "the client that does not read could not begin");
                }
            });
        }
        let running = load.start();
        let interrupted = watch(&staged, length, &mut signals).await?;
        if interrupted {
            running.stop();
        }
        let totals = running.finish(timeout + Duration::from_secs(1)).await;
        drop(display);
        session.recording().generator(result_of(&totals, timeout));
        let truth = staged.true_causes(&totals);
        let summary = tokio::task::spawn_blocking(move || session.finish(Duration::from_secs(2), None))
            .await
            .map_err(|error| PlayError::System {
                what: "close the recording",
                source: io::Error::other(error),
            })??;
        beside.shutdown().await;
        drop(staged);
        Ok(Played {
            totals,
            truth,
            summary,
            interrupted,
        })
    })
}

/// Waits until the load's time is over; true when somebody ended it before. Does to hopscope what is to be done to it.
async fn watch(staged: &Staged, length: Duration, signals: &mut StopSignals) -> Result<bool, PlayError> {
    let began = Instant::now();
    let mut starvation = None;
    loop {
        let elapsed = began.elapsed();
        if elapsed >= length {
            return Ok(false);
        }
        let starve = matches!(staged.ordeal, Ordeal::Starved(window) if window.holds(staged.truth.now()));
        if starve && starvation.is_none() {
            let starved = Starvation::begin().map_err(|source| PlayError::System {
                what: "starve hopscope of CPU time",
                source,
            })?;
            starvation = Some(starved);
        } else if !starve {
            starvation = None;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK.min(length.saturating_sub(elapsed))) => {}
            _asked = signals.next() => return Ok(true),
        }
    }
}

fn config(staged: &Staged, options: &Options) -> Result<Config, ViaError> {
    let vias = staged
        .paths
        .iter()
        .map(|path| format!("{}={}", path.name, path.address).parse::<Via>())
        .collect::<Result<_, _>>()?;
    Ok(Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        vias,
        weights: Vec::new(),
        connect_timeout: CONNECT_TIMEOUT,
        front: hopscope_relay::Front::Plain,
        on_refusal: OnRefusal::default(),
        host_header: hopscope_relay::HostHeader::Keep,
        upstream_trust: hopscope_host::trust::Trust::Host,
        tunnel_restart: RestartPolicy::Never,
        watch_forwards: false,
        observing: Arc::new(ObserverConfig {
            routes: RouteTable::new(Vec::new(), false),
            head_limit: 64 * 1024,
            inject_id: false,
        }),
        workers: options.workers,
        recording: options.recording.clone(),
        recording_options: hopscope_recording::Options {
            limit: options.record_limit,
            ..hopscope_recording::Options::default()
        },
        command: None,
    })
}

/// What a generator's own result file would say.
fn result_of(totals: &Totals, timeout: Duration) -> GeneratorResult {
    let failed = totals.seen().into_iter().filter(|(seen, _)| seen.failed());
    GeneratorResult {
        tool: "hopscope-lab".to_owned(),
        requests: totals.requests(),
        failed: totals.failed(),
        timeout: Some(Span::from(timeout)),
        errors: failed.map(|(seen, count)| (seen.to_string(), count)).collect(),
    }
}
