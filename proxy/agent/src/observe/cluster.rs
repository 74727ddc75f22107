//! What the cluster tells and what the node does to its pods: pods, Services, CPU limits.

use hopscope_abi::{PROBES, slot};

use super::super::evidence::{PodSeen, Pods, Seen, ThrottleSeen};
use super::super::homes::Workload;
use super::super::kubernetes::Heard;
use super::super::names::PodEvent;
use super::super::rung::Rung;
use super::super::services::Services;
use super::{Observer, unix_us};

/// What the Kubernetes API told.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    /// Whom the names of pods are asked of; `None` where nobody is.
    asked: Option<String>,
    /// What the cluster calls the node.
    node: Option<String>,
    /// Pods that the API names; `None` as long as it has not answered.
    pods: Option<usize>,
    services: Services,
}

impl Cluster {
    /// How far the API has answered, a line each.
    pub(super) fn told(&self) -> Vec<String> {
        let Some(source) = &self.asked else {
            return Vec::new();
        };
        let pods = match self.pods {
            Some(pods) => format!("{pods} pods known"),
            None => "no answer yet; it needs `list` and `watch` of pods".to_owned(),
        };
        let services = if self.services.is_told() {
            "Services and their endpoints: known"
        } else {
            "Services and their endpoints: no answer yet; it needs `list` and `watch` of services and endpointslices"
        };
        vec![format!("names of {source}: {pods}"), services.to_owned()]
    }
}

fn seen(event: &PodEvent) -> PodSeen {
    let name = event.name.clone();
    PodSeen {
        unix_us: unix_us(),
        happened_unix_us: event.happened_unix_us,
        missed: event.missed,
        event: event.change.word().to_owned(),
        namespace: name.namespace,
        workload: name.workload,
        pod: name.pod,
        addresses: name.addresses,
        container: event.container.clone().unwrap_or_default(),
        reason: event.reason.clone(),
        exit_code: event.exit_code,
    }
}

impl Observer {
    /// The names of pods are asked of this API from now on, for this node.
    pub fn ask_names_of(&mut self, api: String, node: &str) {
        self.cluster.asked = Some(api);
        self.cluster.node = Some(node.to_owned());
        self.journal.pods = Some(Pods::NoAnswer);
        self.journal.services = Some(Pods::NoAnswer);
    }

    /// What the cluster calls the node, where one was named.
    pub fn node(&self) -> Option<&str> {
        self.cluster.node.as_deref()
    }

    /// Takes in what the Kubernetes API told.
    pub fn hear(&mut self, heard: &Heard) {
        match heard {
            Heard::Pods(told) => {
                for event in self.world.names.hear(told) {
                    let workload = Workload::from(&event.name);
                    self.metrics.pod_event(event.change.word(), &workload);
                    self.journal.push(Seen::Pod(Box::new(seen(&event))));
                }
                self.cluster.pods = Some(self.world.names.count());
                self.journal.pods = Some(Pods::Told);
            }
            Heard::Services(told) => {
                for service in self.cluster.services.hear(told, unix_us()) {
                    self.journal.push(Seen::Service(Box::new(service)));
                }
                self.world.stand_ins(self.cluster.services.stand_ins());
                if self.cluster.services.is_told() {
                    self.journal.services = Some(Pods::Told);
                }
            }
        }
    }

    /// Pods that stand in a state that they do not get out of.
    pub fn standing(&self) -> Vec<PodSeen> {
        /// More than that is a cluster that has other worries.
        const NAMED: usize = 256;
        self.world.names.standing().take(NAMED).map(seen).collect()
    }

    /// Whether a SYN that no socket takes is seen here, with its namespace.
    pub fn sees_refusals(&self) -> bool {
        let attached = |slot: u32| {
            let name = usize::try_from(slot).ok().and_then(|at| PROBES.get(at));
            self.status
                .iter()
                .any(|probe| Some(&probe.probe) == name && probe.refused.is_none())
        };
        // Without a reason the tracepoint does not tell of resets that no socket sent; the drop does.
        self.rung == Rung::BtfTracepoints && attached(slot::DROP) && attached(slot::SEND_RESET)
    }

    /// Whether the CPU accounting of pods can be read.
    pub fn sees_throttling(&self) -> bool {
        self.world.has_cgroups()
    }

    pub(super) fn look_for_limits(&mut self) {
        let (root, paths) = self.world.pod_cgroups();
        self.limited.look(root, paths);
    }

    /// Takes over by how much CPU limits held containers back since the last call.
    pub fn throttled(&mut self) {
        let now = unix_us();
        let from = std::mem::replace(&mut self.limited_at, now);
        for held in self.limited.turn() {
            let name = self.world.names.of(&held.pod.uid);
            let workload = name.map_or_else(
                || Workload {
                    name: held.pod.uid.clone(),
                    in_pod: true,
                    ..Workload::default()
                },
                Workload::from,
            );
            let pod = name.map_or_else(|| held.pod.uid.clone(), |name| name.pod.clone());
            self.metrics.throttled(&workload, held.added.throttled);
            self.journal.push(Seen::Throttle(Box::new(ThrottleSeen {
                from_unix_us: from,
                length_us: now.saturating_sub(from),
                namespace: workload.namespace,
                pod,
                workload: workload.name,
                container: held.pod.container,
                periods: held.added.periods,
                throttled: held.added.throttled,
                held_back_us: held.added.held_back_us,
                used_us: held.added.used_us,
            })));
        }
    }
}
