//! The pods of this node as the Kubernetes API tells them: names for what cgroups call by uid, and what became of the
//! pods. No I/O; [`super::kubernetes`] asks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use hopscope_attribution::evidence::PodChange;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Event, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// What the API told.
#[derive(Clone, Debug)]
pub enum Told {
    /// All pods of the node.
    Pods(Vec<Pod>),
    /// A pod is new or has changed.
    Pod(Box<Pod>),
    /// A pod was deleted.
    Gone(Box<Pod>),
    /// All pods that no node has taken yet, of any node's.
    Unscheduled(Vec<Pod>),
    /// Such a pod is new or has changed.
    Waiting(Box<Pod>),
    /// Such a pod is gone, or a node took it.
    Taken(Box<Pod>),
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
    /// The addresses that are its alone; none where it has none yet, or uses its node's.
    pub addresses: Vec<IpAddr>,
}

/// Something that happened to a pod of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodEvent {
    /// What.
    pub change: PodChange,
    /// When, as the API states it in whole seconds of the node's clock: microseconds since 1970. `None` where it does not.
    pub happened_unix_us: Option<u64>,
    /// A list told it, after a time in which nobody listened: without a date, it happened at any time of that.
    pub missed: bool,
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
    /// Pods that no node takes, with why, by uid.
    unscheduled: BTreeMap<String, PodEvent>,
}

#[derive(Debug)]
struct Known {
    name: PodName,
    ready: bool,
    evicted: bool,
    /// Its deletion was asked for, and told.
    deleting: bool,
    /// Containers that wait and do not get on, each with the event that says why.
    stuck: BTreeMap<String, PodEvent>,
    containers: BTreeMap<String, Lives>,
}

/// How often a container was started, and which of its lives ended because memory ran out.
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
                let mut events: Vec<_> = gone
                    .into_iter()
                    .chain(pods.iter().flat_map(|pod| self.learn(pod)).collect::<Vec<_>>())
                    .collect();
                for event in &mut events {
                    event.missed = true;
                }
                events
            }
            Told::Pod(pod) => self.learn(pod),
            Told::Gone(pod) => {
                let uid = pod.metadata.uid.as_deref().unwrap_or_default();
                let asked = asked_to_go(pod);
                self.forget(uid)
                    .map(|event| event.at(asked))
                    .into_iter()
                    .collect()
            }
            Told::Event(event) => self.happened(event).into_iter().collect(),
            Told::Unscheduled(pods) => {
                let listed: BTreeSet<&str> = pods
                    .iter()
                    .filter_map(|pod| pod.metadata.uid.as_deref())
                    .collect();
                self.unscheduled.retain(|uid, _| listed.contains(uid.as_str()));
                pods.iter().filter_map(|pod| self.waits(pod)).collect()
            }
            Told::Waiting(pod) => self.waits(pod).into_iter().collect(),
            Told::Taken(pod) => {
                self.unscheduled
                    .remove(pod.metadata.uid.as_deref().unwrap_or_default());
                Vec::new()
            }
        }
    }

    /// The name of the pod whose cgroup bears this uid.
    pub fn of(&self, uid: &str) -> Option<&PodName> {
        let uid = self.mirrors.get(uid).map_or(uid, String::as_str);
        self.pods.get(uid).map(|known| &known.name)
    }

    /// The only pod that has this address for its own.
    pub fn at(&self, address: IpAddr) -> Option<&PodName> {
        let address = address.to_canonical();
        let mut found = self.pods.values().map(|known| &known.name);
        let mut found = found.by_ref().filter(|name| name.addresses.contains(&address));
        found.next().filter(|_| found.next().is_none())
    }

    /// How many pods are known.
    pub fn count(&self) -> usize {
        self.pods.len()
    }

    /// Its deletion, where that was not told before.
    fn forget(&mut self, uid: &str) -> Option<PodEvent> {
        let known = self.pods.remove(uid)?;
        self.mirrors.retain(|_, mirrored| mirrored != uid);
        (!known.deleting).then(|| PodEvent::of(PodChange::Deleted, &known.name))
    }

    /// The pods that stand in a state that they do not get out of by themselves: who waits for a node, and whose container
    /// is not started any more for a while.
    pub fn standing(&self) -> impl Iterator<Item = &PodEvent> {
        let stuck = self.pods.values().flat_map(|known| known.stuck.values());
        stuck.chain(self.unscheduled.values())
    }

    /// A pod that no node has taken: told once it is known that none will for now.
    fn waits(&mut self, pod: &Pod) -> Option<PodEvent> {
        let uid = pod.metadata.uid.clone()?;
        let status = pod.status.as_ref()?;
        let scheduled = status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
        if scheduled.reason.as_deref() != Some("Unschedulable")
            || (self.unscheduled.len() >= REMEMBERED && !self.unscheduled.contains_key(&uid))
        {
            return None;
        }
        let message = scheduled.message.as_deref().unwrap_or("Unschedulable");
        let event = PodEvent {
            reason: first_words(message),
            ..PodEvent::of(PodChange::Pending, &name(pod))
        }
        .at(scheduled.last_transition_time.as_ref().and_then(unix_us));
        let before = self.unscheduled.insert(uid, event.clone());
        before.is_none().then_some(event)
    }

    fn learn(&mut self, pod: &Pod) -> Vec<PodEvent> {
        let Some(uid) = pod.metadata.uid.clone() else {
            return Vec::new();
        };
        let mut name = name(pod);
        let status = pod.status.clone().unwrap_or_default();
        let conditions = status.conditions.iter().flatten();
        let readiness = conditions.clone().find(|condition| condition.type_ == "Ready");
        let ready = readiness.is_some_and(|condition| condition.status == "True");
        let turned = readiness.and_then(|condition| unix_us(condition.last_transition_time.as_ref()?));
        let evicted = status.reason.as_deref() == Some("Evicted");
        let mut events = Vec::new();
        let before = self.pods.get(&uid);
        if name.addresses.is_empty()
            && let Some(before) = before
        {
            // A pod that has ended has no address any more; it is known by the one that it had.
            name.addresses.clone_from(&before.name.addresses);
        }
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
        let deleting = pod.metadata.deletion_timestamp.is_some();
        if deleting && before.is_some_and(|before| !before.deleting) {
            events.push(PodEvent::of(PodChange::Deleted, &name).at(asked_to_go(pod)));
        }
        let stuck = stuck(&status, &name);
        for (container, event) in &stuck {
            let told = before.and_then(|before| before.stuck.get(container));
            // A pod that is met for the first time has no past to tell; that it is stuck is told of those that stand so.
            if before.is_some() && told.is_none_or(|told| told.reason != event.reason) {
                events.push(event.clone());
            }
        }
        if let Some(before) = before {
            if evicted && !before.evicted {
                events.push(PodEvent::of(PodChange::Evicted, &name));
            }
            match (before.ready, ready) {
                (true, false) => events.push(PodEvent::of(PodChange::NotReady, &name).at(turned)),
                (false, true) => events.push(PodEvent::of(PodChange::Ready, &name).at(turned)),
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
            deleting,
            stuck,
            containers,
        };
        self.unscheduled.remove(&uid);
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
        let stated = event
            .event_time
            .as_ref()
            .and_then(|time| micros(time.0.as_microsecond()));
        let stated = event.last_timestamp.as_ref().and_then(unix_us).or(stated);
        Some(PodEvent {
            happened_unix_us: stated,
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
            happened_unix_us: None,
            missed: false,
            name: name.clone(),
            container: None,
            reason: String::new(),
            exit_code: None,
        }
    }

    fn at(self, happened_unix_us: Option<u64>) -> Self {
        Self {
            happened_unix_us,
            ..self
        }
    }
}

/// Words in which the API says that a container is not started for now; `ContainerCreating` is the way to being started.
const STUCK: [&str; 8] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "ErrImageNeverPull",
];

/// The containers, those that initialise included, that wait and are not started for now.
fn stuck(status: &PodStatus, name: &PodName) -> BTreeMap<String, PodEvent> {
    let all = status.container_statuses.iter().flatten();
    let all = all.chain(status.init_container_statuses.iter().flatten());
    let waiting = all.filter_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting
            .reason
            .as_deref()
            .filter(|reason| STUCK.contains(reason))?;
        let ended = container
            .last_state
            .as_ref()
            .and_then(|state| state.terminated.as_ref());
        let event = PodEvent {
            container: Some(container.name.clone()),
            reason: reason.to_owned(),
            exit_code: ended.map(|ended| ended.exit_code),
            ..PodEvent::of(PodChange::BackOff, name)
        };
        let since = ended.and_then(|ended| unix_us(ended.finished_at.as_ref()?));
        Some((container.name.clone(), event.at(since)))
    });
    waiting.collect()
}

/// When a pod's deletion was asked for: its `deletionTimestamp` is that and the time that it was given.
fn asked_to_go(pod: &Pod) -> Option<u64> {
    let meta = &pod.metadata;
    let gone_at = unix_us(meta.deletion_timestamp.as_ref()?)?;
    let given = u64::try_from(meta.deletion_grace_period_seconds.unwrap_or(0)).unwrap_or(0);
    gone_at.checked_sub(given.saturating_mul(1_000_000))
}

/// The first sentence of a message, bounded: what the scheduler found of the nodes.
fn first_words(message: &str) -> String {
    const ENOUGH: usize = 160;
    let message: String = message.chars().take(ENOUGH).collect();
    let sentence = message.split(". ").next().unwrap_or_default();
    hopscope_host::label::shown(sentence.trim_end_matches('.'))
}

fn unix_us(time: &Time) -> Option<u64> {
    micros(time.0.as_microsecond())
}

/// What is before 1970 is no time that an API means.
fn micros(since_1970: i64) -> Option<u64> {
    u64::try_from(since_1970).ok().filter(|micros| *micros > 0)
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
                happened_unix_us: end.and_then(|end| unix_us(end.finished_at.as_ref()?)),
                container: Some(now.name.clone()),
                reason: end
                    .and_then(|end| end.reason.as_deref())
                    .map(hopscope_host::label::shown)
                    .unwrap_or_default(),
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
        addresses: addresses(pod),
    }
}

fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let of_the_node = pod
        .spec
        .as_ref()
        .is_some_and(|spec| spec.host_network == Some(true));
    let status = pod.status.as_ref().filter(|_| !of_the_node);
    let all = |status: &PodStatus| {
        let several = status.pod_ips.iter().flatten().map(|address| address.ip.clone());
        let several: BTreeSet<String> = several.chain(status.pod_ip.clone()).collect();
        several.iter().filter_map(|text| text.parse().ok()).collect()
    };
    status.map(all).unwrap_or_default()
}

#[cfg(test)]
mod tests;
