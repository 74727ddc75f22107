//! An API gateway: routes by prefix to services, and answers 502, 503 or 504 itself when one of them fails.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hopscope_attribution::cause::Cause;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};

use crate::door::{Arrival, Door, DoorPlan};
use crate::fault::GroundTruth;
use crate::service::{error_body, message};
use crate::upstream::{NoAnswer, UpstreamServer, whole_body};
use crate::wire::{RequestHead, Wire};

/// A gateway that is to be started. It answers `/health` itself, and 404 to what no prefix takes.
#[derive(Debug)]
pub struct Gateway {
    routes: Vec<(String, SocketAddr)>,
    answer_timeout: Duration,
    door: DoorPlan,
}

/// A gateway that runs until this is dropped.
#[derive(Debug)]
pub struct RunningGateway {
    address: SocketAddr,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    name: Arc<str>,
    routes: Vec<(String, UpstreamServer)>,
    truth: GroundTruth,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            routes: Vec::new(),
            answer_timeout: Duration::from_secs(10),
            door: DoorPlan::default(),
        }
    }
}

impl Gateway {
    /// Hands requests under `prefix` on to `service`. The longest prefix that fits wins.
    #[must_use]
    pub fn route(mut self, prefix: &str, service: SocketAddr) -> Self {
        self.routes.push((prefix.to_owned(), service));
        self.routes
            .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        self
    }

    /// How long it waits for a service before it answers 504.
    #[must_use]
    pub const fn answer_timeout(mut self, patience: Duration) -> Self {
        self.answer_timeout = patience;
        self
    }

    /// Its listening socket, in place of one with a long queue and without a fault.
    #[must_use]
    pub fn door(mut self, door: DoorPlan) -> Self {
        self.door = door;
        self
    }

    /// Starts it on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port or descriptor is left.
    pub fn start(self, truth: &GroundTruth) -> io::Result<RunningGateway> {
        let door = Door::open(self.door, truth)?;
        let address = door.address();
        let patience = self.answer_timeout;
        let connect_patience = patience.min(Duration::from_secs(1));
        let upstream = |address| UpstreamServer::new(address, connect_patience, patience);
        let shared = Arc::new(Shared {
            name: "gateway".into(),
            routes: self
                .routes
                .into_iter()
                .map(|(prefix, address)| (prefix, upstream(address)))
                .collect(),
            truth: truth.clone(),
        });
        let task = tokio::spawn(serve(door, shared));
        Ok(RunningGateway { address, task })
    }
}

impl RunningGateway {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for RunningGateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut door: Door, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match door.accept().await {
            Ok(Arrival::Connection(stream, _)) => {
                let shared = Arc::clone(&shared);
                connections.spawn(async move { shared.converse(stream).await });
            }
            Ok(Arrival::Gone) => connections.abort_all(),
            Err(error) => {
                tracing::warn!(%error, "the gateway lost its port");
                return;
            }
        }
    }
}

impl Shared {
    async fn converse(&self, stream: TcpStream) {
        let mut wire = Wire::new(stream);
        loop {
            let head = match wire.request().await {
                Ok(Some(head)) => head,
                Ok(None) => return wire.close().await,
                Err(_broken) => return,
            };
            let Ok(body) = whole_body(&mut wire, &head).await else {
                return;
            };
            let (status, body) = self.answer(&head, &body).await;
            if wire.send(&message(status, &body, head.keep_alive)).await.is_err() {
                return;
            }
            if !head.keep_alive {
                return wire.close().await;
            }
        }
    }

    async fn answer(&self, head: &RequestHead, body: &[u8]) -> (u16, Vec<u8>) {
        if head.path == "/health" {
            return (200, br#"{"status":"ok"}"#.to_vec());
        }
        let Some((_, service)) = self
            .routes
            .iter()
            .find(|(prefix, _)| head.path.starts_with(prefix))
        else {
            return (404, error_body(404));
        };
        match service.fetch(head, body).await {
            Ok(answer) => (answer.status, answer.body),
            Err(failure) => {
                // The gateway is honest here: what it says failed is what failed.
                self.truth.hit(Cause::BackendDependency, &self.name);
                tracing::debug!(?failure, service = %service.address(), "a service did not answer");
                let status = match failure {
                    // As nginx, and most that are built on it, answers for a refused connection.
                    NoAnswer::Refused | NoAnswer::Ended | NoAnswer::Ours => 502,
                    NoAnswer::ConnectTimedOut | NoAnswer::TimedOut => 504,
                };
                (status, error_body(status))
            }
        }
    }
}

#[cfg(test)]
mod tests;
