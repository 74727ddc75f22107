//! The client's side with kubectl's habits, in this process: for the demo, where no kubectl is at hand.
//!
//! It accepts local connections, opens an error stream and a data stream for each, copies, and dies of what kubectl of the chosen
//! [`Version`] dies of. It writes kubectl's own lines into a pipe of bounded length; **a pipe that nobody reads stops it**, as it stops
//! kubectl.
//!
//! ```no_run
//! # async fn example(cluster: &hopscope_lab::apiserver::Cluster) -> Result<(), hopscope_lab::kubectl::StartError> {
//! use hopscope_lab::kubectl::{PortForward, Version};
//!
//! let (forward, mut lines) = PortForward::to(cluster.addr(), "web", 8080).version(Version::V1_32).start().await?;
//! let load_goes_to = forward.local_addr();
//! while let Some(line) = lines.recv().await {
//!     println!("{}", line.text);
//! }
//! let exit_code = forward.exited().await;
//! # Ok(())
//! # }
//! ```

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::spdy::connection::{Connection, Start, Valves};

mod connection;
mod dial;
mod line;
mod version;

pub use line::{Line, Output};
pub use version::Version;

/// `createStreamResponseTimeout` of apimachinery's httpstream/spdy/connection.go.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// How often plain SPDY is pinged (kubectl's `defaultSPDYPingPeriod`).
pub const SPDY_PING: Duration = Duration::from_secs(5);
/// How often a tunnel over WebSocket is pinged (`PingPeriod` of client-go's `tunneling_dialer.go`).
pub const WEBSOCKET_PING: Duration = Duration::from_secs(10);
/// Lines that a pipe of 64 KiB holds when each is `Handling connection for 12345`.
pub const PIPE: usize = 2180;

/// How the tunnel travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Over WebSocket; on a bad handshake over SPDY instead.
    WebSocket,
    /// Over plain SPDY/3.1.
    Spdy,
}

/// Why a forward did not begin. The text is the line that kubectl writes to standard error before it exits with 1.
#[derive(Debug, Error)]
pub enum StartError {
    /// The API server could not be reached, or broke off.
    #[error("error: error upgrading connection: {0}")]
    Connection(#[source] io::Error),
    /// The object was refused.
    #[error("Error from server ({reason}): {message}")]
    Object {
        /// The API's word, such as `NotFound`.
        reason: String,
        /// The API's sentence.
        message: String,
    },
    /// The pod is there and does not run.
    #[error("error: unable to forward port because pod is not running. Current status={0}")]
    NotRunning(String),
    /// The upgrade was refused.
    #[error("error: error upgrading connection: {0}")]
    Upgrade(String),
    /// The 101 named no protocol that kubectl speaks.
    #[error(
        "error: unable to negotiate protocol: client supports [\"portforward.k8s.io\"], server returned \"{0}\""
    )]
    Protocol(String),
    /// Neither 127.0.0.1 nor ::1 has the port free.
    #[error("error: unable to listen on any of the requested ports: [{{{local} {remote}}}]")]
    Listen {
        /// The local port that was asked for.
        local: u16,
        /// The pod's port.
        remote: u16,
    },
}

/// Says what to forward and how.
#[derive(Clone, Debug)]
pub struct Builder {
    server: SocketAddr,
    namespace: String,
    pod: String,
    remote_port: u16,
    local_port: u16,
    version: Version,
    transport: Option<Transport>,
    reply_timeout: Duration,
    ping_every: Option<Duration>,
    pipe: usize,
}

impl Builder {
    /// The pod's namespace; `default` unless said.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// The local port; a free one unless said.
    #[must_use]
    pub fn local_port(mut self, port: u16) -> Self {
        self.local_port = port;
        self
    }

    /// Which kubectl to be; [`Version::V1_32`] unless said.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// How the tunnel travels; what the version prefers unless said.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = Some(transport);
        self
    }

    /// The wait for a reply to a stream, in place of [`REPLY_TIMEOUT`]: for a demo in a hurry.
    #[must_use]
    pub fn reply_timeout(mut self, timeout: Duration) -> Self {
        self.reply_timeout = timeout;
        self
    }

    /// The time between pings, in place of [`SPDY_PING`] and [`WEBSOCKET_PING`].
    #[must_use]
    pub fn ping_every(mut self, period: Duration) -> Self {
        self.ping_every = Some(period);
        self
    }

    /// How many lines the pipe holds, in place of [`PIPE`].
    #[must_use]
    pub fn pipe(mut self, lines: usize) -> Self {
        self.pipe = lines.max(1);
        self
    }

    /// Looks the pod up, opens the tunnel, listens. The lines come out of the channel; it ends when the forward has ended.
    ///
    /// # Errors
    /// When kubectl would exit before it listens; the error's text is its last line.
    pub async fn start(self) -> Result<(PortForward, mpsc::Receiver<Line>), StartError> {
        let preferred = self.transport.unwrap_or(self.version.prefers());
        dial::require_running(self.server, &self.namespace, &self.pod).await?;
        let (socket, framing, head) =
            dial::tunnel(self.server, &self.namespace, &self.pod, preferred, self.version).await?;
        let ping_every = self.ping_every.unwrap_or(match framing {
            crate::spdy::connection::Framing::Raw => SPDY_PING,
            crate::spdy::connection::Framing::WebSocket(_) => WEBSOCKET_PING,
        });
        let valves = Arc::new(Valves::default());
        let tunnel = Connection::client(Start {
            socket,
            framing,
            head,
            idle: None,
            valves,
        });
        let (listeners, local) = listen(self.local_port).await.ok_or(StartError::Listen {
            local: self.local_port,
            remote: self.remote_port,
        })?;
        let (output, lines) = mpsc::channel(self.pipe);
        let client = Arc::new(Client {
            version: self.version,
            reply_timeout: self.reply_timeout,
            remote_port: self.remote_port,
            local_port: local.port(),
            tunnel,
            requests: AtomicU64::new(0),
            output: Output::new(output, self.version),
        });
        for listener in &listeners {
            if let Ok(address) = listener.local_addr() {
                client
                    .output
                    .stdout(format!("Forwarding from {address} -> {}", self.remote_port))
                    .await;
            }
        }
        let exited = watch::Sender::new(None);
        let forward = PortForward {
            local,
            exited: exited.subscribe(),
            tasks: Mutex::new(JoinSet::new()),
        };
        forward
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .spawn(run(client, listeners, ping_every, exited));
        Ok((forward, lines))
    }
}

/// Listens on both loopback addresses, on one port, as far as they are free.
async fn listen(port: u16) -> Option<(Vec<TcpListener>, SocketAddr)> {
    let ipv4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let port = ipv4
        .as_ref()
        .ok()
        .and_then(|listener| listener.local_addr().ok())
        .map_or(port, |have| have.port());
    let ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await;
    let listeners: Vec<TcpListener> = [ipv4, ipv6].into_iter().flatten().collect();
    let local = listeners.first()?.local_addr().ok()?;
    Some((listeners, local))
}

/// A running forward. Dropped, it ends as kubectl ends by a signal: every socket is closed.
#[derive(Debug)]
pub struct PortForward {
    local: SocketAddr,
    exited: watch::Receiver<Option<i32>>,
    tasks: Mutex<JoinSet<()>>,
}

impl PortForward {
    /// A forward to a pod's port through the API server at `server`.
    #[must_use]
    pub fn to(server: SocketAddr, pod: &str, remote_port: u16) -> Builder {
        Builder {
            server,
            namespace: "default".to_owned(),
            pod: pod.to_owned(),
            remote_port,
            local_port: 0,
            version: Version::V1_32,
            transport: None,
            reply_timeout: REPLY_TIMEOUT,
            ping_every: None,
            pipe: PIPE,
        }
    }

    /// Where it listens: 127.0.0.1 if that was free, else `::1`.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Waits until it has ended by itself, and gives kubectl's exit code.
    pub async fn exited(&self) -> i32 {
        let mut exited = self.exited.clone();
        match exited.wait_for(Option::is_some).await {
            Ok(code) => code.unwrap_or_default(),
            // Stopped: what a shell reports for SIGTERM.
            Err(_stopped) => 143,
        }
    }

    /// Whether it has ended.
    pub fn has_exited(&self) -> bool {
        self.exited.borrow().is_some()
    }

    /// Ends it as a signal would.
    pub fn stop(&self) {
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .abort_all();
    }
}

/// What the connections of a forward share.
#[derive(Debug)]
struct Client {
    version: Version,
    reply_timeout: Duration,
    remote_port: u16,
    local_port: u16,
    tunnel: Connection,
    requests: AtomicU64,
    output: Output,
}

impl Client {
    fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }
}

/// Runs a forward until its tunnel is lost. Everything that it started ends with it.
async fn run(
    client: Arc<Client>,
    listeners: Vec<TcpListener>,
    ping_every: Duration,
    exited: watch::Sender<Option<i32>>,
) {
    let _closed_with_us = CloseOnDrop(client.tunnel.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(ping(client.tunnel.clone(), ping_every));
    for listener in listeners {
        tasks.spawn(accept(Arc::clone(&client), listener));
    }
    client.tunnel.closed().await;
    tasks.shutdown().await;
    client.output.lost().await;
    exited.send_replace(Some(client.version.exit_code_when_lost()));
}

/// Closes the tunnel when the forward is stopped from outside.
struct CloseOnDrop(Connection);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One ping at a time; the answer is awaited without a limit, so a far end that never answers stops the pings.
async fn ping(tunnel: Connection, every: Duration) {
    let mut id = 1;
    loop {
        tokio::time::sleep(every).await;
        if tunnel.ping(id).await.is_none() {
            return;
        }
        id = if id >= 0x7fff_fffd { 1 } else { id + 2 };
    }
}

/// Accepts until accepting fails; then never again, as kubectl.
async fn accept(client: Arc<Client>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, from)) => {
                    connections.spawn(connection::forward(Arc::clone(&client), socket, from));
                }
                Err(error) => {
                    let address = listener.local_addr().map_or_else(|_| String::new(), |have| have.to_string());
                    let cause = line::accept_cause(&address, &error);
                    client.output.accept_failed(client.local_port, cause).await;
                    break;
                }
            },
            Some(_ended) = connections.join_next() => {}
        }
    }
    // The listener stays open, with its queue: who connects now waits for ever.
    while connections.join_next().await.is_some() {}
    std::future::pending::<()>().await;
}
