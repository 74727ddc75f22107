//! One forward, by the real kubectl or by its stand-in, watched the same way.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hopscope_lab::apiserver::Cluster;
use hopscope_lab::kubectl::{PortForward, Transport, Version};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::kubectl::Kubectl;

/// Everything on a loaded machine happens within this, unless a test says otherwise.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Who forwards.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    Real(Kubectl, Transport),
    StandIn(Version, Transport, Duration),
}

impl Who {
    /// The newest kubectl and its stand-in, each over both transports.
    pub(crate) fn four() -> Vec<Self> {
        [Transport::WebSocket, Transport::Spdy]
            .into_iter()
            .flat_map(Self::both)
            .collect()
    }

    /// The newest kubectl and its stand-in.
    pub(crate) fn both(transport: Transport) -> [Self; 2] {
        let kubectl = crate::kubectl::newest();
        let version = Version::new(kubectl.minor);
        [Self::Real(kubectl, transport), Self::stand_in(version, transport)]
    }

    pub(crate) fn stand_in(version: Version, transport: Transport) -> Self {
        Self::StandIn(version, transport, hopscope_lab::kubectl::REPLY_TIMEOUT)
    }

    pub(crate) fn version(&self) -> Version {
        match self {
            Self::Real(kubectl, _) => Version::new(kubectl.minor),
            Self::StandIn(version, ..) => *version,
        }
    }
}

enum Running {
    Real(Child),
    StandIn(PortForward),
}

/// A forward and the lines that it wrote so far.
pub(crate) struct Forward {
    running: Running,
    lines: Arc<Mutex<Vec<String>>>,
    pub(crate) who: Who,
    _home: TempDir,
}

impl Forward {
    /// Starts it without waiting for anything.
    pub(crate) async fn try_start(cluster: &Cluster, who: Who, target: &str, port: u16) -> Self {
        let home = tempfile::tempdir().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let running = match &who {
            Who::Real(kubectl, transport) => {
                let kubeconfig = home.path().join("kubeconfig");
                std::fs::write(&kubeconfig, cluster.kubeconfig()).unwrap();
                let mut child = Command::new(&kubectl.path)
                    .arg("--kubeconfig")
                    .arg(&kubeconfig)
                    .args(["port-forward", target, &format!(":{port}")])
                    .env("HOME", home.path())
                    .env(
                        "KUBECTL_PORT_FORWARD_WEBSOCKETS",
                        (*transport == Transport::WebSocket).to_string(),
                    )
                    .env_remove("HTTP_PROXY")
                    .env_remove("http_proxy")
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .kill_on_drop(true)
                    .spawn()
                    .unwrap();
                collect(child.stdout.take().unwrap(), &lines);
                collect(child.stderr.take().unwrap(), &lines);
                Running::Real(child)
            }
            Who::StandIn(version, transport, reply_timeout) => {
                let pod = target.strip_prefix("pod/").unwrap_or("web");
                let forward = PortForward::to(cluster.addr(), pod, port)
                    .version(*version)
                    .transport(*transport)
                    .reply_timeout(*reply_timeout);
                let (forward, mut output) = forward.start().await.unwrap();
                let lines = Arc::clone(&lines);
                tokio::spawn(async move {
                    while let Some(line) = output.recv().await {
                        lines.lock().unwrap().push(line.text);
                    }
                });
                Running::StandIn(forward)
            }
        };
        Self {
            running,
            lines,
            who,
            _home: home,
        }
    }

    /// Starts a forward to `pod/web` and waits until it listens.
    pub(crate) async fn start(cluster: &Cluster, who: Who) -> Self {
        let forward = Self::try_start(cluster, who, "pod/web", 8080).await;
        forward.expect_line("Forwarding from 127.0.0.1:", SOON).await;
        forward
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        let line = self
            .lines()
            .into_iter()
            .find(|line| line.starts_with("Forwarding from 127.0.0.1:"))
            .unwrap();
        let port = line.split([':', ' ']).find_map(|word| word.parse().ok()).unwrap();
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Lines that have `part` in them, in any letter case: the first letter changed with 1.37.
    pub(crate) fn lines_with(&self, part: &str) -> usize {
        let part = part.to_lowercase();
        self.lines()
            .iter()
            .filter(|line| line.to_lowercase().contains(&part))
            .count()
    }

    pub(crate) async fn expect_line(&self, part: &str, within: Duration) {
        let said = eventually(within, || self.lines_with(part) > 0).await;
        assert!(
            said,
            "{:?} did not write {part:?} but {:#?}",
            self.who,
            self.lines()
        );
    }

    /// Waits until it ends by itself, and gives its exit code.
    pub(crate) async fn exit_code(&mut self) -> i32 {
        let ended = tokio::time::timeout(SOON, async {
            match &mut self.running {
                Running::Real(child) => child.wait().await.unwrap().code().unwrap(),
                Running::StandIn(forward) => forward.exited().await,
            }
        });
        let ended = ended.await;
        assert!(
            ended.is_ok(),
            "{:?} did not end; it wrote {:#?}",
            self.who,
            self.lines()
        );
        ended.unwrap()
    }
}

fn collect(output: impl AsyncRead + Send + Unpin + 'static, lines: &Arc<Mutex<Vec<String>>>) {
    let lines = Arc::clone(lines);
    tokio::spawn(async move {
        let mut output = BufReader::new(output).lines();
        while let Ok(Some(line)) = output.next_line().await {
            lines.lock().unwrap().push(line);
        }
    });
}

/// Waits for a condition, and says whether it came.
pub(crate) async fn eventually(within: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < within {
        if condition() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    condition()
}
