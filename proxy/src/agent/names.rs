//! The pods of this node as the Kubernetes API tells them: names for what cgroups call by uid, and what became of the
//! pods. No I/O; [`super::kubernetes`] asks.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Event, Pod};

/// What the API told.
#[derive(Clone, Debug)]
pub enum Told {
    /// All pods of the node.
    Pods(Vec<Pod>),
    /// A pod is new or has changed.
    Pod(Box<Pod>),
    /// A pod was deleted.
    Gone(Box<Pod>),
    /// An event of some pod, perhaps of another node's.
    Event(Box<Event>),
}

/// A pod's place in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodName {
    /// Its namespace.
    pub namespace: String,
    /// Its own name.
    pub pod: String,
    /// What it is one of: its Deployment, StatefulSet, DaemonSet, Job or CronJob; itself where nobody owns it.
    pub workload: String,
}

macro_rules! changes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)+) => {
        /// What happened to a pod.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum PodChange { $($(#[$doc])* $variant,)+ }

        impl PodChange {
            /// The word used in metrics and evidence.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

changes! {
    /// A container was started again.
    Restarted = "restarted",
    /// The kernel killed a container for want of memory.
    OomKilled = "oom-killed",
    /// It takes no traffic any more.
    NotReady = "not-ready",
    /// It takes traffic again, or for the first time.
    Ready = "ready",
    /// The node put it out.
    Evicted = "evicted",
    /// It is gone.
    Deleted = "deleted",
    /// A readiness, liveness or startup probe failed.
    ProbeFailed = "probe-failed",
    /// A container crashes again and again: the node waits before it starts it once more.
    BackOff = "back-off",
    /// The node stops a container.
    Killing = "killing",
}

/// Something that happened to a pod of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodEvent {
    /// What.
    pub change: PodChange,
    /// To whom.
    pub name: PodName,
    /// To which container, where it was one's.
    pub container: Option<String>,
    /// The API's own word for why; empty where it has none.
    pub reason: String,
    /// What the container's process ended with.
    pub exit_code: Option<i32>,
}

/// The pods of the node, by uid.
#[derive(Debug, Default)]
pub struct Names {
    pods: HashMap<String, Known>,
    /// The cgroup of a static pod bears a hash from its file; its mirror in the API has another uid.
    mirrors: HashMap<String, String>,
}

#[derive(Debug)]
struct Known {
    name: PodName,
    ready: bool,
    evicted: bool,
    containers: BTreeMap<String, Lives>,
}

/// How often a container was started, and which of its lives ended for want of memory.
#[derive(Clone, Copy, Debug, Default)]
struct Lives {
    restarts: i32,
    out_of_memory: Option<i32>,
}

/// Pods that are remembered: a node has some hundreds at most, and nobody's mistake may cost more than this.
const REMEMBERED: usize = 10_000;

impl Names {
    /// Takes in what the API told, and says what that means for pods that were known.
    pub fn hear(&mut self, told: &Told) -> Vec<PodEvent> {
        match told {
            Told::Pods(pods) => {
                let listed: BTreeSet<&str> = pods
                    .iter()
                    .filter_map(|pod| pod.metadata.uid.as_deref())
                    .collect();
                let missing: Vec<String> = self
                    .pods
                    .keys()
                    .filter(|uid| !listed.contains(uid.as_str()))
                    .cloned()
                    .collect();
                let gone: Vec<_> = missing.iter().filter_map(|uid| self.forget(uid)).collect();
                gone.into_iter()
                    .chain(pods.iter().flat_map(|pod| self.learn(pod)).collect::<Vec<_>>())
                    .collect()
            }
            Told::Pod(pod) => self.learn(pod),
            Told::Gone(pod) => {
                let uid = pod.metadata.uid.as_deref().unwrap_or_default();
                self.forget(uid).into_iter().collect()
            }
            Told::Event(event) => self.happened(event).into_iter().collect(),
        }
    }

    /// The name of the pod whose cgroup bears this uid.
    pub fn of(&self, uid: &str) -> Option<&PodName> {
        let uid = self.mirrors.get(uid).map_or(uid, String::as_str);
        self.pods.get(uid).map(|known| &known.name)
    }

    /// How many pods are known.
    pub fn count(&self) -> usize {
        self.pods.len()
    }

    fn forget(&mut self, uid: &str) -> Option<PodEvent> {
        let known = self.pods.remove(uid)?;
        self.mirrors.retain(|_, mirrored| mirrored != uid);
        Some(PodEvent::of(PodChange::Deleted, &known.name))
    }

    fn learn(&mut self, pod: &Pod) -> Vec<PodEvent> {
        let Some(uid) = pod.metadata.uid.clone() else {
            return Vec::new();
        };
        let name = name(pod);
        let status = pod.status.clone().unwrap_or_default();
        let ready = status
            .conditions
            .iter()
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True");
        let evicted = status.reason.as_deref() == Some("Evicted");
        let mut events = Vec::new();
        let before = self.pods.get(&uid);
        if before.is_none() && self.pods.len() >= REMEMBERED {
            return Vec::new();
        }
        let mut containers = BTreeMap::new();
        for container in status.container_statuses.iter().flatten() {
            let known = before.map(|before| {
                before
                    .containers
                    .get(&container.name)
                    .copied()
                    .unwrap_or_default()
            });
            containers.insert(
                container.name.clone(),
                lives(container, known, &name, &mut events),
            );
        }
        if let Some(before) = before {
            if evicted && !before.evicted {
                events.push(PodEvent::of(PodChange::Evicted, &name));
            }
            match (before.ready, ready) {
                (true, false) => events.push(PodEvent::of(PodChange::NotReady, &name)),
                (false, true) => events.push(PodEvent::of(PodChange::Ready, &name)),
                (true, true) | (false, false) => {}
            }
        }
        let annotations = pod.metadata.annotations.iter().flatten();
        for (_, hash) in annotations.filter(|(key, _)| *key == "kubernetes.io/config.hash") {
            if *hash != uid {
                self.mirrors.insert(hash.clone(), uid.clone());
            }
        }
        let known = Known {
            name,
            ready,
            evicted,
            containers,
        };
        self.pods.insert(uid, known);
        events
    }

    /// The events that say something of a hop; what pods' status says better is left out.
    fn happened(&self, event: &Event) -> Option<PodEvent> {
        let about = &event.involved_object;
        let name = self.of(about.uid.as_deref()?)?;
        let change = match event.reason.as_deref()? {
            "Unhealthy" => PodChange::ProbeFailed,
            "BackOff" => PodChange::BackOff,
            "Killing" => PodChange::Killing,
            "Evicted" => PodChange::Evicted,
            _ => return None,
        };
        let message = event.message.as_deref().unwrap_or_default();
        let probe = ["Readiness", "Liveness", "Startup"]
            .into_iter()
            .find(|probe| message.starts_with(probe));
        // `spec.containers{name}`
        let container = about.field_path.as_deref().and_then(|path| {
            let (_, rest) = path.split_once('{')?;
            rest.strip_suffix('}')
        });
        Some(PodEvent {
            container: container.map(ToOwned::to_owned),
            reason: probe.unwrap_or_default().to_owned(),
            ..PodEvent::of(change, name)
        })
    }
}

impl PodEvent {
    fn of(change: PodChange, name: &PodName) -> Self {
        Self {
            change,
            name: name.clone(),
            container: None,
            reason: String::new(),
            exit_code: None,
        }
    }
}

/// What a container's status adds to what was known of it; one that was never seen before has no past to tell.
fn lives(now: &ContainerStatus, known: Option<Lives>, name: &PodName, events: &mut Vec<PodEvent>) -> Lives {
    let ended = now.state.as_ref().and_then(|state| state.terminated.as_ref());
    let before = now
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    let restarts = now.restart_count;
    let killed = |end: &&ContainerStateTerminated| end.reason.as_deref() == Some("OOMKilled");
    let mut told = known.unwrap_or(Lives {
        restarts,
        out_of_memory: None,
    });
    let mut tell = |change, end: Option<&ContainerStateTerminated>| {
        if known.is_some() {
            events.push(PodEvent {
                container: Some(now.name.clone()),
                reason: end.and_then(|end| end.reason.clone()).unwrap_or_default(),
                exit_code: end.map(|end| end.exit_code),
                ..PodEvent::of(change, name)
            });
        }
    };
    let earlier = before.filter(killed).map(|end| (restarts.saturating_sub(1), end));
    let latest = ended.filter(killed).map(|end| (restarts, end));
    for (life, end) in earlier.into_iter().chain(latest) {
        if told.out_of_memory.is_none_or(|last| last < life) {
            told.out_of_memory = Some(life);
            tell(PodChange::OomKilled, Some(end));
        }
    }
    if restarts > told.restarts {
        tell(PodChange::Restarted, before);
    }
    Lives { restarts, ..told }
}

fn name(pod: &Pod) -> PodName {
    let meta = &pod.metadata;
    let own = meta.name.clone().unwrap_or_default();
    let owner = meta
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true));
    let hash = meta
        .labels
        .as_ref()
        .and_then(|labels| labels.get("pod-template-hash"));
    let workload = match owner {
        None => own.clone(),
        Some(owner) => match owner.kind.as_str() {
            // A Deployment names its ReplicaSets after itself and its template's hash.
            "ReplicaSet" => hash
                .and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'))
                .unwrap_or(&owner.name)
                .to_owned(),
            // A CronJob names its Jobs after itself and the minute, counted since 1970.
            "Job" => match owner.name.rsplit_once('-') {
                Some((cron, minute)) if minute.len() == 8 && minute.bytes().all(|b| b.is_ascii_digit()) => {
                    cron.to_owned()
                }
                Some(_) | None => owner.name.clone(),
            },
            // A static pod's mirror belongs to its node.
            "Node" => own.clone(),
            _ => owner.name.clone(),
        },
    };
    PodName {
        namespace: meta.namespace.clone().unwrap_or_default(),
        pod: own,
        workload,
    }
}

#[cfg(test)]
mod tests;
