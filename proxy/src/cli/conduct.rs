//! A session from its start to its diagnosis, for `run` and `proxy`.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::SystemTime;

use hopscope_attribution::evidence::Span;
use hopscope_secret::command;

use super::Exit;
use super::generator::{self, Reach};
use super::nodes;
use super::output::OutputError;
use super::result::{Given, ResultOptions};
use super::session::{SessionOptions, SessionOptionsError, StopSignals};
use super::{manner, tell, warn};
use crate::diagnosis::{Witnesses, of_recording_with};
use crate::live::{Display, Live, Mode};
use hopscope_metrics::Metrics;
use hopscope_metrics::serve::{self, AccessError, ServerError};
use hopscope_recording::{Recording, RecordingError, Summary, Watcher};
use hopscope_relay::{Front, Session, StartError};
use hopscope_report::Report;
use hopscope_tunnel::paths::Via;

/// Where the load comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Load {
    /// Somebody else makes it, until we are told to stop.
    Elsewhere,
    /// A command that hopscope runs.
    Command {
        /// Its words; `{url}` and its like in them are filled in.
        words: Vec<String>,
        /// Whether they are kept as they are, with the secrets in them.
        keep: bool,
    },
}

/// Why there is no diagnosis.
#[derive(Debug, thiserror::Error)]
pub enum ConductError {
    /// The options contradict one another.
    #[error(transparent)]
    Options(#[from] SessionOptionsError),
    /// The session could not begin.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The load generator could not be run.
    #[error("cannot run {program}: {source}; is it installed, and in PATH?")]
    Command {
        /// What was to be run.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system refuses what every run needs.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The metrics cannot be served.
    #[error(transparent)]
    Metrics(#[from] ServerError),
    /// Who may ask for the metrics cannot be told.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The probes were required, and cannot be loaded.
    #[error(
        "{0}; `hopscope doctor` tells what is missing, and without --probes require the run goes on unwatched"
    )]
    Unwatched(String),
    /// The recording could not be closed, or read again.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The report could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl ConductError {
    /// How the program ends on it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Options(SessionOptionsError::Output(error)) | Self::Output(error) => error.exit(),
            Self::Options(SessionOptionsError::Front(_))
            | Self::Start(_)
            | Self::Command { .. }
            | Self::System { .. }
            | Self::Metrics(_)
            | Self::Access(_)
            | Self::Unwatched(_)
            | Self::Recording(_) => Exit::CouldNotRun,
            Self::Options(_) => Exit::Usage,
        }
    }
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conducted {
    /// What hopscope itself has to say.
    pub exit: Exit,
    /// The load generator's exit code as a shell counts it, where hopscope ran one.
    pub generator: Option<i32>,
}

/// Runs a session for as long as its load lasts, and tells what came of it.
///
/// # Errors
/// When it could not begin, or its outcome could not be kept.
pub fn conduct(
    options: &SessionOptions,
    listen: SocketAddr,
    load: &Load,
    result: &ResultOptions,
) -> Result<Conducted, ConductError> {
    let began = SystemTime::now();
    options.output.check(&result.files())?;
    let config = options.config(listen, unix_us(began), command_of(load))?;
    let recording = config.recording.clone();
    let system = |what| move |source| ConductError::System { what, source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start an event loop"))?;
    let (generator, probes) = runtime.block_on(async {
        let mut signals = StopSignals::catch().map_err(system("catch signals"))?;
        let paths: Vec<_> = options.via.iter().map(Via::path).collect();
        let live = Live::new(&paths);
        let screen = live.source();
        let mut watchers: Vec<Box<dyn Watcher>> = vec![Box::new(live)];
        let metrics = match options.metrics {
            Some(address) => {
                let metrics = Metrics::new(&paths, env!("CARGO_PKG_VERSION")).map_err(|error| {
                    ConductError::System {
                        what: "make the metrics",
                        source: io::Error::other(error),
                    }
                })?;
                let router = metrics.exposition().router();
                watchers.push(Box::new(metrics));
                Some(serve::on_a_thread(
                    address,
                    options.metrics_access.files().read()?,
                    router,
                )?)
            }
            None => None,
        };
        // Before anything connects: an end whose beginning was not seen says less.
        let (probes, watching) =
            nodes::watch(options.probes, &options.via).map_err(ConductError::Unwatched)?;
        let session = Session::start(&config, watchers)?;
        announce(&session, options, &config.front, &recording);
        // Not before the run stands: what cannot begin says why in one line.
        if let Some(line) = watching {
            tell(&format!("  {line}"));
        }
        // A generator that hopscope runs draws on the same terminal: a table would be drawn over it.
        let mode = match load {
            Load::Elsewhere => manner::live(),
            Load::Command { .. } if manner::is_quiet() => Mode::Off,
            Load::Command { .. } => Mode::Lines,
        };
        let display = Display::start(screen, mode);
        let reach = Reach::of_listener(session.address(), options.front.scheme());
        let (front, url) = (&config.front, reach.url());
        let surroundings = options.front.surroundings(front, &url, &options.via);
        let exit_code = match load {
            Load::Elsewhere => {
                signals.next().await;
                None
            }
            Load::Command { words, .. } => {
                match generator::run(words, reach, &surroundings, &mut signals).await {
                    Ok(code) => code,
                    Err(error) => {
                        drop(display);
                        session.abandon();
                        return Err(error);
                    }
                }
            }
        };
        let hurry = session.hurry();
        let grace = options.grace;
        let finishing = tokio::task::spawn_blocking(move || session.finish(grace, exit_code));
        tokio::pin!(finishing);
        let summary = loop {
            tokio::select! {
                finished = &mut finishing => break finished,
                _again = signals.next() => hurry.now(),
            }
        };
        drop((display, metrics));
        let summary = summary.map_err(|error| ConductError::System {
            what: "close the recording",
            source: io::Error::other(error),
        })??;
        tell_of(&summary);
        Ok::<_, ConductError>((exit_code, probes))
    })?;
    let recorded = Recording::open(&recording)?;
    let recorded = match probes {
        Some(probes) => nodes::keep(probes, recorded, &recording).unwrap_or_else(|lost| {
            let (recorded, error) = *lost;
            warn(&format!("hopscope: what the kernel saw is lost: {error}"));
            recorded
        }),
        None => recorded,
    };
    let report = report_of(recorded, result, began);
    let exit = options.output.report.deliver(&report)?;
    tell(&format!(
        "recording: {0} (`hopscope report {0}` tells this again)",
        recording.display()
    ));
    Ok(Conducted { exit, generator })
}

/// Microseconds since 1970.
fn unix_us(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The diagnosis, joined with the generator's own result.
fn report_of(recording: Recording, result: &ResultOptions, began: SystemTime) -> Report {
    // The run is over: a result that cannot be read takes nothing from its report.
    let given = result.read(Some(began)).unwrap_or_else(|error| {
        warn(&format!("hopscope: the generator's result is left out: {error}"));
        Given::default()
    });
    of_recording_with(
        recording,
        Witnesses {
            generator: given.result,
            failures: given.failures,
            node: None,
        },
    )
}

/// The command line as it is kept.
fn command_of(load: &Load) -> Option<Vec<String>> {
    match load {
        Load::Elsewhere => None,
        Load::Command { words, keep: true } => Some(words.clone()),
        Load::Command { words, keep: false } => Some(command::redacted(words)),
    }
}

/// Says what the recording does not hold.
fn tell_of(summary: &Summary) {
    if let Some((from, one_in)) = summary.thinned {
        warn(&format!(
            "hopscope: from {:.1} s on not every connection is on record, so that the recording stays below its limit: at \
             the end one in {one_in}; {} connections and {} failed requests were left out, and all are counted",
            Span::from_micros(from.0).as_secs_f64(),
            summary.losses.left_out_connections,
            summary.losses.left_out_exchanges,
        ));
    }
    if let Some(error) = &summary.write_error {
        warn(&format!(
            "hopscope: the recording is incomplete: {error}; the report counts what was lost"
        ));
    }
}

/// Says where to send the load, and where it goes from there.
fn announce(session: &Session, options: &SessionOptions, front: &Front, recording: &Path) {
    let address = session.address();
    let what = if options.front.is_proxy() {
        "is an HTTP proxy at"
    } else {
        "listens on"
    };
    tell(&format!("hopscope {what} {}://{address}", options.front.scheme()));
    for via in &options.via {
        let path = via.path();
        tell(&format!(
            "  {} -> {} ({})",
            path.name,
            path.target,
            path.kind.word()
        ));
    }
    if let Some(authority) = front.authority() {
        tell(&format!(
            "  TLS ends here: the authority of this run, beside the host's own, is in {}",
            authority.bundle().display()
        ));
    }
    tell(&format!("  recording to {}", recording.display()));
}
