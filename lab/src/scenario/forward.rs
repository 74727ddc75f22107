//! A port-forward on a scenario's path: a cluster, the stand-in for kubectl, and somebody who starts it again.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

use crate::apiserver::Cluster;
use crate::kubectl::{Line, PortForward, Version};
use crate::node::{Faults, Pod, PodHandle, Runtime};

/// The pod's name, and the port that is forwarded.
const POD: (&str, u16) = ("web", 8080);

/// How a forward is to be set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) version: Version,
    pub(super) runtime: Runtime,
    /// In place of kubectl's 30 s.
    pub(super) reply_timeout: Duration,
    /// In place of the node's 30 s.
    pub(super) pair_timeout: Duration,
    /// How long after its end kubectl is started again; `None` is never.
    pub(super) restart_after: Option<Duration>,
}

/// What becomes known of a forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// kubectl was started.
    Started,
    /// It listens.
    Ready,
    /// It wrote a line.
    Line(Line),
    /// It ended with this code.
    Exited(i32),
}

/// A forward that runs until this is dropped.
#[derive(Debug)]
pub struct Forward {
    /// Where it listens.
    pub local: SocketAddr,
    /// Where the API server listens.
    pub server: SocketAddr,
    /// The version of kubectl that it stands for, such as `v1.32`.
    pub version: String,
    /// What becomes known of it, as it happens.
    pub news: UnboundedReceiver<News>,
    cluster: Cluster,
    task: JoinHandle<()>,
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Forward {
    /// Starts a cluster with one pod whose port is at `application`, and a forward to it.
    pub(super) async fn start(plan: Plan, application: SocketAddr) -> io::Result<Self> {
        let cluster = Cluster::builder()
            .pod(Pod::new(POD.0).port(POD.1, application))
            .runtime(plan.runtime)
            .pair_timeout(plan.pair_timeout)
            .start()
            .await?;
        let (tell, news) = mpsc::unbounded_channel();
        let server = cluster.addr();
        let mut first = Runner {
            plan,
            server,
            tell,
            port: 0,
        };
        let (forward, lines) = first.start().await.map_err(io::Error::other)?;
        let local = forward.local_addr();
        first.port = local.port();
        let task = tokio::spawn(async move { first.supervise(forward, lines).await });
        Ok(Self {
            local,
            server,
            version: format!("v1.{}", plan.version.minor()),
            news,
            cluster,
            task,
        })
    }

    /// What can be made to go wrong with it.
    pub(super) fn faults(&self) -> Faults {
        self.cluster.faults().clone()
    }

    /// The pod behind it.
    pub(super) fn pod(&self) -> Option<PodHandle> {
        self.cluster.pod(POD.0)
    }
}

/// Whoever starts kubectl.
struct Runner {
    plan: Plan,
    server: SocketAddr,
    tell: UnboundedSender<News>,
    port: u16,
}

type Started = (PortForward, mpsc::Receiver<Line>);

impl Runner {
    async fn start(&self) -> Result<Started, crate::kubectl::StartError> {
        self.say(News::Started);
        let started = PortForward::to(self.server, POD.0, POD.1)
            .local_port(self.port)
            .version(self.plan.version)
            .reply_timeout(self.plan.reply_timeout)
            .start()
            .await;
        match &started {
            Ok(_) => self.say(News::Ready),
            Err(error) => {
                let text = error.to_string();
                self.say(News::Line(Line {
                    is_stderr: true,
                    text,
                }));
                self.say(News::Exited(1));
            }
        }
        started
    }

    async fn supervise(self, mut forward: PortForward, mut lines: mpsc::Receiver<Line>) {
        loop {
            // The pipe is always drained: a kubectl whose output nobody reads stops.
            while let Some(line) = lines.recv().await {
                self.say(News::Line(line));
            }
            self.say(News::Exited(forward.exited().await));
            drop(forward);
            (forward, lines) = loop {
                let Some(pause) = self.plan.restart_after else {
                    return std::future::pending().await;
                };
                tokio::time::sleep(pause).await;
                if let Ok(started) = self.start().await {
                    break started;
                }
            };
        }
    }

    fn say(&self, news: News) {
        if self.tell.send(news).is_err() {
            tracing::trace!("nobody asks after the forward");
        }
    }
}
