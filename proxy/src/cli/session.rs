//! What `run`, `proxy` and `demo` share: how a session is typed, watched, stopped and told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::files::Named;
use super::front::FrontOptions;
use super::output::{OutputError, OutputOptions};
use hopscope_host::trust::Trust;
use hopscope_http::{ObserverConfig, Pattern, RouteTable};
use hopscope_metrics::serve::{AccessFiles, Open};
use hopscope_relay::{AuthorityError, Config, HostHeader, OnRefusal};
use hopscope_tunnel::RestartPolicy;
use hopscope_tunnel::paths::Via;

/// Heads longer than this turn a connection opaque. Servers refuse them long before: nginx at 8 KiB a line by default.
const HEAD_LIMIT: usize = 64 * 1024;

/// Whether the kernel of this host is watched during a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ProbesWish {
    /// Where that is permitted; where it is not, one line says so and the run goes on
    #[default]
    Auto,
    /// Not even tried
    Off,
    /// Or there is no run
    Require,
}

/// Options that guard the metrics.
#[derive(Clone, Debug, Default, Args)]
pub struct MetricsAccess {
    /// A file with the bearer token that /metrics requires
    #[arg(
        long = "metrics-token-file",
        value_name = "FILE",
        requires = "metrics",
        help_heading = "Metrics"
    )]
    token_file: Option<PathBuf>,

    /// Answer over TLS, with this certificate chain (PEM)
    #[arg(long = "metrics-tls-cert", value_name = "FILE", requires_all = ["metrics", "tls_key"], help_heading = "Metrics")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key (PEM)
    #[arg(
        long = "metrics-tls-key",
        value_name = "FILE",
        requires = "tls_cert",
        help_heading = "Metrics"
    )]
    tls_key: Option<PathBuf>,
}

impl MetricsAccess {
    /// The same, as they were named.
    fn named(&self) -> Vec<Named<'_>> {
        let all = [
            ("--metrics-token-file", &self.token_file),
            ("--metrics-tls-cert", &self.tls_cert),
            ("--metrics-tls-key", &self.tls_key),
        ];
        all.into_iter()
            .filter_map(|(by, file)| Some(Named::read(by, file.as_deref()?)))
            .collect()
    }

    /// The files that were named.
    pub fn files(&self) -> AccessFiles {
        AccessFiles {
            token: self.token_file.clone(),
            open: Open::Everything,
            tls: self.tls_cert.clone().zip(self.tls_key.clone()),
        }
    }
}

/// How the load travels and how it is read.
#[derive(Clone, Debug, Args)]
pub struct SessionOptions {
    /// A path to the application: NAME=TARGET. NAME starts with tunnel, lb or direct and says what is on the way.
    /// TARGET is HOST:PORT, http://HOST:PORT or https://HOST:PORT (80 and 443 where none is given), tcp://HOST:PORT
    /// (bytes are not read), or kubectl:[NAMESPACE/]svc/NAME:PORT (hopscope runs kubectl port-forward). More than once: new connections are
    /// dealt out over the paths at random
    #[arg(long, value_name = "PATH", required = true, help_heading = "Paths")]
    pub via: Vec<Via>,

    /// How the generator reaches hopscope.
    #[command(flatten)]
    pub front: FrontOptions,

    /// Shares of the paths, in their order, such as 9,1 [default: even]
    #[arg(long, value_name = "N,N...", value_delimiter = ',', help_heading = "Paths")]
    pub weights: Vec<u32>,

    /// Give an upstream connection up after this many seconds, name and TLS included
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, help_heading = "Paths")]
    pub connect_timeout: Duration,

    /// What the generator is told when no upstream connection stands: a reset, as without hopscope, or a 502 that
    /// names the failure
    #[arg(long, value_enum, default_value_t, help_heading = "Paths")]
    pub on_refusal: OnRefusal,

    /// Believe only the authorities in this PEM file for https:// paths, and the certificates in it themselves, as curl
    /// does with --cacert [default: the host's own authorities]
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Paths",
        conflicts_with = "insecure"
    )]
    pub upstream_ca: Option<PathBuf>,

    /// Do not check the certificates of https:// paths: for a staging system, where they are not what is tested
    #[arg(long, help_heading = "Paths")]
    pub insecure: bool,

    /// The Host that requests carry: NAME, the target's (target), or the generator's (keep). By default only a Host that
    /// is hopscope's own address is replaced, by the target's, and only where the target is a name. HTTP/2 carries its
    /// name elsewhere, and keeps it: --front proxy sends it the right one
    #[arg(
        long,
        value_name = "NAME|target|keep",
        default_value = "auto",
        hide_default_value = true,
        help_heading = "HTTP"
    )]
    pub host_header: HostHeader,

    /// What to do with a kubectl that hopscope runs when it is lost or damaged: start another, or leave it as it is
    #[arg(long, value_name = "WHEN", default_value = "lost", value_parser = restart_policy, help_heading = "Paths")]
    pub tunnel_restart: RestartPolicy,

    /// A route, such as /products/:id; more than once. Other paths are folded by themselves: numbers, UUIDs and
    /// hashes become :id, :uuid and :hex
    #[arg(long, value_name = "PATTERN", help_heading = "HTTP")]
    pub route: Vec<Pattern>,

    /// Keep query strings as a part of the route; they are never stored otherwise
    #[arg(long, help_heading = "HTTP")]
    pub keep_query: bool,

    /// Put X-Hopscope-Id: CONNECTION-ORDINAL into every request. Without it, no byte is changed
    #[arg(long, help_heading = "HTTP")]
    pub inject_id: bool,

    /// Worker threads [default: half as many as there are cores: the load generator, and what it loads, need the others]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,

    /// On the first Ctrl-C or SIGTERM, let what is under way end for this many seconds; a second one ends it at once
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub grace: Duration,

    /// eBPF probes on this host while it runs: the kernel then says who sent a reset, who refused, and whose queue was
    /// full. They need CAP_BPF and CAP_PERFMON (`hopscope doctor` tells)
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub probes: ProbesWish,

    /// Serve Prometheus metrics at http://ADDR/metrics while it runs
    #[arg(long, value_name = "ADDR", help_heading = "Metrics")]
    pub metrics: Option<SocketAddr>,

    /// Who may ask for the metrics.
    #[command(flatten)]
    pub metrics_access: MetricsAccess,

    /// Where the recording and the report go.
    #[command(flatten)]
    pub output: OutputOptions,
}

/// A time in seconds, with fractions.
fn seconds(text: &str) -> Result<Duration, String> {
    let refused = || format!("`{text}` is no time: give seconds, such as 5 or 0.5");
    let number: f64 = text.parse().ok().ok_or_else(refused)?;
    Duration::try_from_secs_f64(number).ok().ok_or_else(refused)
}

/// `lost` or `never`.
fn restart_policy(text: &str) -> Result<RestartPolicy, String> {
    match text {
        "lost" => Ok(RestartPolicy::WhenLost),
        "never" => Ok(RestartPolicy::Never),
        other => Err(format!("`{other}` is not known: write lost or never")),
    }
}

/// Half of the cores, at least one: generator and upstream often run on the same machine, and fewer workers that have
/// more to do each turn spend less CPU on a request (docs/performance.md).
fn default_workers() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (cores / 2).max(1)
}

/// Why the options do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum SessionOptionsError {
    /// Two paths of one name could not be told apart.
    #[error("two paths are called {0}: give each its own name, such as {0}-a and {0}-b")]
    SameName(String),
    /// A path's identity is one byte in the recording.
    #[error("{0} paths are too many: give at most 64")]
    TooManyPaths(usize),
    /// The weights do not match the paths.
    #[error("--weights has {weights} shares for {paths} paths: give one a path")]
    Weights {
        /// Weights given.
        weights: usize,
        /// Paths given.
        paths: usize,
    },
    /// Nothing would be sent anywhere.
    #[error("--weights are all 0: no path would get a connection")]
    NoWeight,
    /// A proxy would never lead anything to this path.
    #[error(
        "--front proxy chooses a path by the host that the script names, and path {0} has none: use --front https or http, \
         and {{url}} in the command"
    )]
    NoHost(String),
    /// The outcome could not be kept.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The generator's TLS cannot be ended.
    #[error(transparent)]
    Front(#[from] AuthorityError),
}

impl SessionOptions {
    fn trust(&self) -> Trust {
        match &self.upstream_ca {
            _ if self.insecure => Trust::Anybody,
            Some(file) => Trust::Only(file.clone()),
            None => Trust::Host,
        }
    }

    /// The files that a session reads.
    fn files(&self) -> Vec<Named<'_>> {
        let files = self.metrics_access.named();
        let authorities = self.upstream_ca.iter();
        files
            .into_iter()
            .chain(authorities.map(|file| Named::read("--upstream-ca", file)))
            .collect()
    }

    /// Checks what can be checked without touching the network, and makes the configuration.
    ///
    /// # Errors
    /// When options contradict one another, or the outputs cannot be written.
    pub fn config(
        &self,
        listen: SocketAddr,
        started_unix_us: u64,
        command: Option<Vec<String>>,
    ) -> Result<Config, SessionOptionsError> {
        for (at, via) in self.via.iter().enumerate() {
            if self.via[..at].iter().any(|earlier| earlier.name == via.name) {
                return Err(SessionOptionsError::SameName(via.name.clone()));
            }
        }
        if self.via.len() > 64 {
            return Err(SessionOptionsError::TooManyPaths(self.via.len()));
        }
        if !self.weights.is_empty() && self.weights.len() != self.via.len() {
            return Err(SessionOptionsError::Weights {
                weights: self.weights.len(),
                paths: self.via.len(),
            });
        }
        if !self.weights.is_empty() && self.weights.iter().all(|&weight| weight == 0) {
            return Err(SessionOptionsError::NoWeight);
        }
        if let Some(via) = self.front.unreachable(&self.via) {
            return Err(SessionOptionsError::NoHost(via.name.clone()));
        }
        self.output.check(&self.files())?;
        let workers = self.workers.map_or_else(default_workers, usize::from);
        Ok(Config {
            listen,
            vias: self.front.paths(&self.via),
            weights: self.weights.clone(),
            connect_timeout: self.connect_timeout,
            front: self.front.make()?,
            on_refusal: self.on_refusal,
            upstream_trust: self.trust(),
            host_header: self.front.host(&self.host_header),
            tunnel_restart: self.tunnel_restart,
            watch_forwards: true,
            observing: Arc::new(ObserverConfig {
                routes: RouteTable::new(self.route.clone(), self.keep_query),
                head_limit: HEAD_LIMIT,
                inject_id: self.inject_id,
            }),
            workers,
            recording: self.output.recording_file(started_unix_us),
            recording_options: hopscope_recording::Options {
                limit: self.output.record_limit,
                ..hopscope_recording::Options::default()
            },
            command,
        })
    }
}

/// Ctrl-C and SIGTERM, as they come.
#[derive(Debug)]
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Catches them from now on. To be called on an event loop.
    ///
    /// A file that grew to the limit on its size (`ulimit -f`) is an error of a write from now on, as a full disk is:
    /// by itself SIGXFSZ would end the process, and the traffic with it. Children do not inherit that.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn catch() -> std::io::Result<Self> {
        // The handler stays when what it tells is dropped.
        drop(signal(SignalKind::from_raw(libc::SIGXFSZ))?);
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one, and says which it was.
    pub async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        }
    }
}
