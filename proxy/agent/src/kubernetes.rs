//! Asks the Kubernetes API for the pods of this node and for pods' events, and goes on asking.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::de::DeserializeOwned;

use super::names::Told;

/// Between two questions when the API does not answer: at first, and at most.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The API is asked to end a watch after so long, and to be asked again; client-go asks for five to ten minutes.
const WATCH_SECONDS: u32 = 240;
/// A watch that says nothing for longer than it was to last is not there any more.
const SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 30);

/// Where names come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Asking {
    /// From cgroups alone.
    #[default]
    Nobody,
    /// The API of the cluster that we are a pod of, if we are one's.
    OwnCluster {
        /// The node's name in it.
        node: Option<String>,
    },
    /// The API that a kubeconfig leads to.
    Kubeconfig {
        /// The file.
        file: PathBuf,
        /// The node's name there.
        node: Option<String>,
    },
}

/// Why the API cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// The kubeconfig.
    #[error("{} is no kubeconfig that can be used: {why}", file.display())]
    Kubeconfig {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The service account.
    #[error("the pod's service account cannot be used: {0}; mount its token (automountServiceAccountToken)")]
    Account(String),
    /// Whose pods?
    #[error("the node's name is not known; give it with --node, or as HOPSCOPE_NODE from spec.nodeName")]
    NoNode,
    /// The client.
    #[error("no client for the Kubernetes API: {0}")]
    Client(#[from] kube::Error),
}

/// A client for the API, and the node whose pods it asks for.
#[derive(Clone)]
pub struct Kubernetes {
    client: Client,
    server: String,
    node: String,
}

impl std::fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubernetes")
            .field("server", &self.server)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Display for Kubernetes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pods of node {} from {}", self.node, self.server)
    }
}

impl Kubernetes {
    /// Reads what leads to the API; `None` where nobody is to be asked, or we are no cluster's pod.
    ///
    /// # Errors
    /// When what was named cannot be used. That the API does not answer is found out later, and again and again.
    pub async fn find(asking: &Asking) -> Result<Option<Self>, KubernetesError> {
        let (config, node) = match asking {
            Asking::Nobody => return Ok(None),
            Asking::OwnCluster { node } => {
                if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
                    return Ok(None);
                }
                let config =
                    Config::incluster().map_err(|error| KubernetesError::Account(error.to_string()))?;
                (config, node)
            }
            Asking::Kubeconfig { file, node } => {
                let unusable = |why: String| KubernetesError::Kubeconfig {
                    file: file.clone(),
                    why,
                };
                let read = Kubeconfig::read_from(file).map_err(|error| unusable(error.to_string()))?;
                let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
                    .await
                    .map_err(|error| unusable(error.to_string()))?;
                (config, node)
            }
        };
        let node = node.clone().ok_or(KubernetesError::NoNode)?;
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config)?;
        Ok(Some(Self { client, server, node }))
    }

    /// Asks for as long as it is polled, and tells what it hears.
    pub async fn follow(self, hear: impl Fn(Told)) {
        let pods = follow_pods(Api::all(self.client.clone()), &self.node, &hear);
        let events = follow_events(Api::all(self.client), &hear);
        tokio::join!(pods, events);
    }
}

async fn follow_pods(api: Api<Pod>, node: &str, hear: &impl Fn(Told)) {
    let ours = format!("spec.nodeName={node}");
    let mut pause = PAUSE;
    loop {
        match api.list(&ListParams::default().fields(&ours)).await {
            Ok(list) => {
                let version = list.metadata.resource_version.clone().unwrap_or_default();
                hear(Told::Pods(list.items));
                pause = PAUSE;
                let from = WatchParams::default().fields(&ours);
                watch(&api, from, version, |change| match change {
                    Change::Is(pod) => hear(Told::Pod(pod)),
                    Change::Gone(pod) => hear(Told::Gone(pod)),
                })
                .await;
            }
            Err(error) => {
                tracing::warn!(%error, "the Kubernetes API does not tell the node's pods");
            }
        }
        rest(&mut pause).await;
    }
}

/// Events cannot be asked for by node: all pods' are watched from now on, and who knows the node's pods picks theirs.
async fn follow_events(api: Api<Event>, hear: &impl Fn(Told)) {
    const OF_PODS: &str = "involvedObject.kind=Pod";
    let mut pause = PAUSE;
    loop {
        // What happened before is not asked for: one is enough to learn where now is.
        match api.list(&ListParams::default().fields(OF_PODS).limit(1)).await {
            Ok(list) => {
                let version = list.metadata.resource_version.clone().unwrap_or_default();
                pause = PAUSE;
                watch(&api, WatchParams::default().fields(OF_PODS), version, |change| {
                    if let Change::Is(event) = change {
                        hear(Told::Event(event));
                    }
                })
                .await;
            }
            Err(error) => {
                tracing::warn!(%error, "the Kubernetes API does not tell pods' events");
            }
        }
        rest(&mut pause).await;
    }
}

async fn rest(pause: &mut Duration) {
    tokio::time::sleep(*pause).await;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
}

enum Change<K> {
    Is(Box<K>),
    Gone(Box<K>),
}

/// Watches from a version on, again and again, until the API has forgotten where we were: then all is to be listed anew.
async fn watch<K>(api: &Api<K>, from: WatchParams, mut version: String, hear: impl Fn(Change<K>))
where
    K: Clone + DeserializeOwned + std::fmt::Debug + kube::Resource,
{
    let from = from.timeout(WATCH_SECONDS);
    loop {
        let mut changes = match api.watch(&from, &version).await {
            Ok(changes) => Box::pin(changes),
            Err(error) => {
                tracing::warn!(%error, "the Kubernetes API ends a watch");
                return;
            }
        };
        loop {
            let change = match tokio::time::timeout(SILENCE, changes.next()).await {
                Ok(Some(Ok(change))) => change,
                // The end that was asked for: from here on again.
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    tracing::debug!(%error, "a watch of the Kubernetes API broke");
                    return;
                }
                Err(_silent) => return,
            };
            let at = |object: &K| object.meta().resource_version.clone();
            let newer = match change {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    let newer = at(&object);
                    hear(Change::Is(Box::new(object)));
                    newer
                }
                WatchEvent::Deleted(object) => {
                    let newer = at(&object);
                    hear(Change::Gone(Box::new(object)));
                    newer
                }
                WatchEvent::Bookmark(bookmark) => Some(bookmark.metadata.resource_version),
                // 410: it has forgotten.
                WatchEvent::Error(status) => {
                    tracing::debug!(code = status.code, "the Kubernetes API wants to be asked anew");
                    return;
                }
            };
            if let Some(newer) = newer {
                version = newer;
            }
        }
        // A server that ends every watch at once is not asked without pause.
        tokio::time::sleep(PAUSE).await;
    }
}
