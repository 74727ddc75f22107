//! A Kubernetes API server on loopback, as far as the real `kubectl port-forward` asks: discovery, the objects on the way to a pod, and the tunnel.
//!
//! ```no_run
//! # async fn example(backend: std::net::SocketAddr) -> std::io::Result<()> {
//! use hopscope_lab::apiserver::{Cluster, Service};
//! use hopscope_lab::node::{Pod, Runtime, Selection, StreamFault, TunnelFault};
//!
//! let cluster = Cluster::builder()
//!     .pod(Pod::new("web").port(8080, backend))
//!     .service(Service::new("web", &[("app", "web")]).port(80, 8080))
//!     .runtime(Runtime::Containerd17)
//!     .start()
//!     .await?;
//! std::fs::write("kubeconfig", cluster.kubeconfig())?;
//! // ... kubectl --kubeconfig kubeconfig port-forward pod/web :8080 ...
//! cluster.faults().stream(Selection::Share(0.1), StreamFault::NoErrorReply);
//! cluster.faults().tunnel(TunnelFault::Reset).await;
//! for event in cluster.faults().truth().events() {
//!     println!("{}", event.to_json());
//! }
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::node::{DRAIN, Faults, Node, PAIR_TIMEOUT, Pod, PodHandle, Runtime};

mod bulletin;
mod front;
mod http;
mod object;
mod rest;
mod upgrade;

#[cfg(test)]
mod tests;

pub use bulletin::Resource;
pub use front::{Front, Refusal, Scope};
pub use object::{Deployment, Service};
pub(crate) use upgrade::{SPDY_PROTOCOL, WEBSOCKET_PROTOCOL};

/// Says what is in a cluster, and starts it.
#[derive(Debug, Default)]
pub struct Builder {
    pods: Vec<Pod>,
    services: Vec<Service>,
    deployments: Vec<Deployment>,
    runtime: Runtime,
    front: Front,
    pair_timeout: Option<Duration>,
    drain: Option<Duration>,
}

impl Builder {
    /// Adds a pod.
    #[must_use]
    pub fn pod(mut self, pod: Pod) -> Self {
        self.pods.push(pod);
        self
    }

    /// Adds a service.
    #[must_use]
    pub fn service(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }

    /// Adds a deployment.
    #[must_use]
    pub fn deployment(mut self, deployment: Deployment) -> Self {
        self.deployments.push(deployment);
        self
    }

    /// The node's runtime; [`Runtime::Containerd17`] unless said.
    #[must_use]
    pub fn runtime(mut self, runtime: Runtime) -> Self {
        self.runtime = runtime;
        self
    }

    /// How the API server receives its callers at first; see [`Cluster::set_front`] for later.
    #[must_use]
    pub fn front(mut self, front: Front) -> Self {
        self.front = front;
        self
    }

    /// The node's wait for a second stream, in place of [`PAIR_TIMEOUT`].
    #[must_use]
    pub fn pair_timeout(mut self, pair_timeout: Duration) -> Self {
        self.pair_timeout = Some(pair_timeout);
        self
    }

    /// The node's drain, in place of [`DRAIN`].
    #[must_use]
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = Some(drain);
        self
    }

    /// Listens on a free port of 127.0.0.1 and serves until the cluster is dropped.
    ///
    /// # Errors
    /// When the machine gives no socket.
    pub async fn start(self) -> io::Result<Cluster> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let faults = Faults::default();
        let node = Node {
            runtime: self.runtime,
            pair_timeout: self.pair_timeout.unwrap_or(PAIR_TIMEOUT),
            drain: self.drain.unwrap_or(DRAIN),
            faults: faults.clone(),
        };
        let pods = self.pods.into_iter().map(|pod| {
            let name = (pod.namespace.clone(), pod.name.clone());
            (name, PodHandle::new(pod))
        });
        let state = Arc::new(State {
            pods: pods.collect(),
            services: self.services,
            deployments: self.deployments,
            front: Mutex::new(self.front),
            node: Arc::new(node),
            tunnels: AtomicU64::new(0),
            bulletin: bulletin::Bulletin::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Cluster {
            addr,
            state,
            faults,
            accepting,
        })
    }
}

/// A running cluster of one node. Dropped, it closes everything.
#[derive(Debug)]
pub struct Cluster {
    addr: SocketAddr,
    state: Arc<State>,
    faults: Faults,
    accepting: JoinHandle<()>,
}

/// What all connections to the API server share.
#[derive(Debug)]
struct State {
    /// By namespace and name.
    pods: BTreeMap<(String, String), PodHandle>,
    services: Vec<Service>,
    deployments: Vec<Deployment>,
    front: Mutex<Front>,
    node: Arc<Node>,
    tunnels: AtomicU64,
    bulletin: bulletin::Bulletin,
}

impl State {
    fn front(&self) -> Front {
        self.front.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn next_tunnel(&self) -> u64 {
        self.tunnels.fetch_add(1, Ordering::Relaxed)
    }
}

impl Cluster {
    /// An empty cluster to be filled.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where the API server listens; plain HTTP.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What `kubectl --server` takes.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What is to go wrong on the node and with tunnels, and the record of what happened.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// A pod of the namespace `default`, to change its phase or its ports.
    pub fn pod(&self, name: &str) -> Option<PodHandle> {
        self.state
            .pods
            .get(&("default".to_owned(), name.to_owned()))
            .cloned()
    }

    /// Tells whoever lists or watches a resource all over the cluster of a change: `ADDED`, `MODIFIED` or `DELETED`.
    /// These objects are beside the pods that can be forwarded to.
    pub fn post(&self, resource: Resource, change: &str, object: serde_json::Value) {
        self.state.bulletin.post(resource, change, object);
    }

    /// Changes how the API server receives its callers from now on.
    pub fn set_front(&self, change: impl FnOnce(&mut Front)) {
        change(&mut self.state.front.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A kubeconfig for this cluster. The token means nothing; without one kubectl asks for a name.
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\n\
             kind: Config\n\
             clusters:\n- name: lab\n  cluster:\n    server: {}\n\
             users:\n- name: lab\n  user:\n    token: lab\n\
             contexts:\n- name: lab\n  context:\n    cluster: lab\n    user: lab\n    namespace: default\n\
             current-context: lab\n",
            self.url()
        )
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.accepting.abort();
        self.faults.abandon();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    // Aborted with this task when the cluster is dropped.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _from)) => {
                    connections.spawn(serve(socket, Arc::clone(&state)));
                }
                Err(error) => {
                    // Out of descriptors, most likely: let some connections end.
                    tracing::warn!(%error, "the API server cannot accept");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            },
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn serve(socket: TcpStream, state: Arc<State>) {
    if let Err(error) = rest::serve(socket, &state).await {
        tracing::debug!(%error, "a connection to the API server ended");
    }
}
