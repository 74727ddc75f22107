//! `hopscope agent`: typed words → [`hopscope_agent::Config`].

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::tell;
use hopscope_agent::kubernetes::Asking;
use hopscope_agent::loader::Prefix;
use hopscope_agent::rung::Rung;
use hopscope_agent::world::Mounts;
use hopscope_agent::{Agent, AgentError, Config};
use hopscope_metrics::serve::{AccessError, AccessFiles, Open};

mod file;

pub use file::FileError;

/// The node agent: eBPF probes, Prometheus metrics, evidence for the report.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hopscope agent
      Watches this host and answers on 127.0.0.1:9464: /metrics, /healthz, /readyz, /v1/evidence?since=0
  hopscope agent --workload-port 8080 --balancer-address 10.0.0.0/28
      Connections into port 8080 are the backend's; from 10.0.0.0/28 they come through the load balancer
  hopscope agent --config agent.toml --kubeconfig ~/.kube/config --node worker-3
      Who is which hop stands in a file; pods are called as the Kubernetes API calls them
  hopscope agent --listen 0.0.0.0:9464 --token-file /etc/hopscope/token --tls-cert cert.pem --tls-key key.pem
      For scrapers on other hosts: TLS, and a bearer token required
  hopscope agent --listen 10.0.0.5:9464 --open metrics
      Whoever reaches the address may scrape it; evidence is for this host alone

It needs CAP_BPF and CAP_PERFMON (root has them) and the host's /proc. A probe that cannot be attached is named with
the reason and the remedy; without any, the kernel's counters in /proc still give metrics with fewer claims.")]
pub struct Args {
    /// Where to answer.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:9464",
        env = "HOPSCOPE_AGENT_LISTEN"
    )]
    listen: SocketAddr,
    /// A file with the bearer token that /metrics and /v1/evidence require. It is read again every five seconds; while
    /// it is missing, this host alone is answered.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Answer metrics, or evidence, to everybody who reaches the address. Without this and without a token, only this
    /// host is answered; /healthz and /readyz are answered to all. Evidence names every connection that failed.
    #[arg(long, value_name = "WHAT", value_enum, value_delimiter = ',')]
    open: Vec<Opened>,
    /// Answer over TLS, with this certificate chain (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A file that says who is which hop (TOML, see docs/agent.md); options of the same meaning add to it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Ask the Kubernetes API that this kubeconfig leads to for the pods of this node. A pod of a cluster asks its own
    /// API without it.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// What Kubernetes calls this node [default: the host's name].
    #[arg(long, value_name = "NAME", env = "HOPSCOPE_NODE")]
    node: Option<String>,
    /// Ask no Kubernetes API, not even one's own.
    #[arg(long, conflicts_with = "kubeconfig")]
    without_kubernetes: bool,
    /// A port on which the workload listens; may be given several times.
    #[arg(long, value_name = "PORT")]
    workload_port: Vec<u16>,
    /// An address or prefix of load balancers or of node NAT; may be given several times.
    #[arg(long, value_name = "CIDR")]
    balancer_address: Vec<Prefix>,
    /// The name of a process that is a load balancer, beside haproxy, envoy, traefik, kube-proxy and ingress.
    #[arg(long, value_name = "NAME")]
    balancer_process: Vec<String>,
    /// The name of a process that is tunnel, beside kubectl and its like, the kubelet, the runtimes and konnectivity.
    #[arg(long, value_name = "NAME")]
    tunnel_process: Vec<String>,
    /// The name of a process that generates load, beside k6, wrk, oha, hey, vegeta, ab, locust, bombardier and fortio.
    #[arg(long, value_name = "NAME")]
    generator_process: Vec<String>,
    /// Where the host's /proc is.
    #[arg(long, value_name = "DIR", default_value = "/proc")]
    proc: PathBuf,
    /// Where the host's cgroup tree is.
    #[arg(long, value_name = "DIR", default_value = "/sys/fs/cgroup")]
    cgroup: PathBuf,
    /// Connecting sockets that are followed at a time; more are counted as lost.
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1_024..=4_194_304))]
    max_connections: u32,
    /// Workloads that have series of their own; the rest share the label `overflow` [default: 200].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    max_workloads: Option<u16>,
    /// Keep clean ends as evidence too, to join them to a recording; costs an event each.
    #[arg(long)]
    every_close: bool,
    /// Do not load the probes: sock_diag and /proc alone, the same as --rung procfs.
    #[arg(long)]
    without_ebpf: bool,
    /// The best way of watching that is tried: tp_btf, tracepoint, sock_ops or procfs; each does with less of the kernel
    /// than the one before, and claims less.
    #[arg(long, value_name = "RUNG", default_value_t = Rung::BtfTracepoints, env = "HOPSCOPE_AGENT_RUNG")]
    rung: Rung,
}

/// What may be answered to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Opened {
    /// `/metrics`.
    Metrics,
    /// `/v1/evidence`.
    Evidence,
}

/// Why the agent did not run.
#[derive(Debug, thiserror::Error)]
pub enum AgentFailure {
    /// The configuration file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Token, certificate or key.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The agent itself.
    #[error(transparent)]
    Agent(#[from] AgentError),
}

/// Runs the agent until it is told to stop.
///
/// # Errors
/// When it cannot start; every message says what to do.
pub fn execute(args: Args) -> Result<(), AgentFailure> {
    let config = config(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(AgentError::from)?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let agent = Agent::start(config).await?;
        for line in agent.told() {
            tell(&format!("hopscope agent: {line}"));
        }
        if let Some(address) = agent.address().map_err(AgentError::from)? {
            tell(&format!("hopscope agent: listening on {address}"));
        }
        let mut terminate = signal(SignalKind::terminate()).map_err(AgentError::from)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(AgentError::from)?;
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let _journal = agent.run(stop).await;
        Ok(())
    })
}

fn config(args: Args) -> Result<Config, AgentFailure> {
    let access = AccessFiles {
        token: args.token_file,
        open: Open::Only {
            metrics: args.open.contains(&Opened::Metrics),
            evidence: args.open.contains(&Opened::Evidence),
        },
        tls: args.tls_cert.zip(args.tls_key),
    };
    let written = args
        .config
        .as_deref()
        .map(file::read)
        .transpose()?
        .unwrap_or_default();
    let node = args.node.or_else(host_name);
    let kubernetes = match args.kubeconfig {
        _ if args.without_kubernetes => Asking::Nobody,
        Some(file) => Asking::Kubeconfig { file, node },
        None => Asking::OwnCluster { node },
    };
    let mut table = written.table;
    table.workload_ports.extend(args.workload_port);
    table.balancer_addresses.extend(args.balancer_address);
    table.balancers.extend(args.balancer_process);
    table.tunnel.extend(args.tunnel_process);
    table.generators.extend(args.generator_process);
    let defaults = Config::default();
    Ok(Config {
        listen: args.listen,
        access: access.read()?,
        table,
        mounts: Mounts {
            proc: args.proc,
            cgroup: args.cgroup,
        },
        kubernetes,
        connections: args.max_connections,
        workloads: args
            .max_workloads
            .map(usize::from)
            .or(written.workloads)
            .unwrap_or(defaults.workloads),
        every_close: args.every_close,
        rung: if args.without_ebpf {
            Rung::Procfs
        } else {
            args.rung
        },
    })
}

/// What the kubelet takes for the node's name, where nobody gave it another.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_lowercase()).filter(|name| !name.is_empty())
}
