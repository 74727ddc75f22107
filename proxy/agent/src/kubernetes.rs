//! Asks the Kubernetes API for the pods of this node, for pods that wait for one, for pods' events, and for Services with
//! their endpoints; and goes on asking.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{Event, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::de::DeserializeOwned;

use super::names::Told;
use super::services;

/// What is heard of the API.
#[derive(Clone, Debug)]
pub enum Heard {
    /// Of pods.
    Pods(Told),
    /// Of Services.
    Services(services::Told),
}

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

    /// What the cluster calls the node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Asks for as long as it is polled, and tells what it hears.
    pub async fn follow(self, hear: impl Fn(Heard)) {
        let ours = format!("spec.nodeName={}", self.node);
        let pods = follow_all::<Pod>(
            Api::all(self.client.clone()),
            Some(&ours),
            "the node's pods",
            |told| {
                hear(Heard::Pods(match told {
                    All::Are(pods) => Told::Pods(pods),
                    All::Is(pod) => Told::Pod(pod),
                    All::Gone(pod) => Told::Gone(pod),
                }));
            },
        );
        let waiting = follow_all::<Pod>(
            Api::all(self.client.clone()),
            Some("spec.nodeName=,status.phase=Pending"),
            "pods that wait for a node",
            |told| {
                hear(Heard::Pods(match told {
                    All::Are(pods) => Told::Unscheduled(pods),
                    All::Is(pod) => Told::Waiting(pod),
                    All::Gone(pod) => Told::Taken(pod),
                }));
            },
        );
        let services = follow_all::<Service>(Api::all(self.client.clone()), None, "Services", |told| {
            hear(Heard::Services(match told {
                All::Are(all) => services::Told::Services(all),
                All::Is(one) => services::Told::Service(one),
                All::Gone(one) => services::Told::ServiceGone(one),
            }));
        });
        let slices =
            follow_all::<EndpointSlice>(Api::all(self.client.clone()), None, "EndpointSlices", |told| {
                hear(Heard::Services(match told {
                    All::Are(all) => services::Told::Slices(all),
                    All::Is(one) => services::Told::Slice(one),
                    All::Gone(one) => services::Told::SliceGone(one),
                }));
            });
        let events = follow_events(Api::all(self.client), &hear);
        tokio::join!(pods, waiting, services, slices, events);
    }
}

/// What is heard of one kind of object.
enum All<K> {
    /// All of them.
    Are(Vec<K>),
    /// One that is new or has changed.
    Is(Box<K>),
    /// One that is gone.
    Gone(Box<K>),
}

/// Objects of a list that is asked for at a time.
const PAGE: u32 = 500;
/// Objects of one kind that are taken; a cluster with more is followed in part.
const MOST: usize = 50_000;

/// Lists all objects of a kind, in pages, then watches, and lists anew when the API has forgotten where we were.
async fn follow_all<K>(api: Api<K>, fields: Option<&str>, what: &str, hear: impl Fn(All<K>))
where
    K: Clone + DeserializeOwned + std::fmt::Debug + kube::Resource,
{
    let mut pause = PAUSE;
    loop {
        match list(&api, fields).await {
            Ok((all, version)) => {
                hear(All::Are(all));
                pause = PAUSE;
                let from = fields.map_or_else(WatchParams::default, |fields| {
                    WatchParams::default().fields(fields)
                });
                watch(&api, from, version, |change| match change {
                    Change::Is(one) => hear(All::Is(one)),
                    Change::Gone(one) => hear(All::Gone(one)),
                })
                .await;
            }
            Err(error) => {
                tracing::warn!(%error, "the Kubernetes API does not tell {what}");
            }
        }
        rest(&mut pause).await;
    }
}

async fn list<K>(api: &Api<K>, fields: Option<&str>) -> kube::Result<(Vec<K>, String)>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut all = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    params.field_selector = fields.map(ToOwned::to_owned);
    loop {
        let page = api.list(&params).await?;
        all.extend(page.items);
        let version = page.metadata.resource_version.unwrap_or_default();
        match page.metadata.continue_.filter(|more| !more.is_empty()) {
            Some(more) if all.len() < MOST => params.continue_token = Some(more),
            Some(_) | None => return Ok((all, version)),
        }
    }
}

/// Events cannot be asked for by node: all pods' are watched from now on, and who knows the node's pods picks theirs.
async fn follow_events(api: Api<Event>, hear: &impl Fn(Heard)) {
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
                        hear(Heard::Pods(Told::Event(event)));
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
