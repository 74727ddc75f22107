//! What the pods' own nodes and the EndpointSlices say of a connection that an address translation sent there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::{Found, RULE, its_own};
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::confidence::{PROVEN, STRONG};
use crate::evidence::{
    Arrival, Arrived, ConnectFailure, ConnectionId, EndpointTurn, Known, PathId, PodId, ServiceEndpoints,
};
use crate::failure::{Failure, What};
use crate::verdict::Finding;

/// What is known behind the load balancers of a run.
pub(super) struct Behind<'e> {
    /// By connection.
    arrivals: BTreeMap<ConnectionId, Vec<&'e Arrival>>,
    /// The Service of each path, where one is known.
    services: Vec<Option<&'e ServiceEndpoints>>,
}

impl<'e> Behind<'e> {
    pub(super) fn of(case: &Case<'e>) -> Self {
        let node = case.evidence.node.seen();
        let mut arrivals: BTreeMap<ConnectionId, Vec<&Arrival>> = BTreeMap::new();
        for arrival in node.into_iter().flat_map(|node| &node.arrivals) {
            arrivals.entry(arrival.connection).or_default().push(arrival);
        }
        let services = node.and_then(|node| node.services.seen());
        Self {
            services: services.map_or_else(Vec::new, |services| of_paths(case, services, &arrivals)),
            arrivals,
        }
    }

    /// The Service that a path leads to.
    pub(super) fn service(&self, path: PathId) -> Option<&'e ServiceEndpoints> {
        self.services.get(usize::from(path.0)).copied().flatten()
    }

    /// The endpoints of the Service behind a failure, where they are known for its moment.
    pub(super) fn endpoints(&self, failure: &Failure) -> Option<&'e EndpointTurn> {
        match self.service(failure.path)?.at(failure.at) {
            Known::Settled(turn) => Some(turn),
            Known::Nothing | Known::Changing => None,
        }
    }

    pub(super) fn judge(&self, case: &Case<'_>, failure: &Failure) -> Option<Found> {
        let arrivals = self.arrivals.get(&failure.id).map_or(&[][..], Vec::as_slice);
        let connecting = matches!(failure.what, What::NotConnected(_) | What::Abandoned { .. });
        let saw = |what: Arrived| {
            arrivals
                .iter()
                .find(|arrival| arrival.seen.seen() == Some(&what))
                .copied()
        };
        if connecting && let Some(arrival) = saw(Arrived::ResetWithoutSocket) {
            return Some(Found {
                cause: Cause::BackendRefused,
                confidence: PROVEN,
                why: format!(
                    "In the network namespace of {} the kernel answered with a RST and no socket: nothing listened on {}.",
                    pod(arrival),
                    arrival.destination
                ),
            });
        }
        if connecting && let Some(arrival) = saw(Arrived::QueueFull) {
            return Some(Found {
                cause: Cause::BackendAcceptQueue,
                confidence: PROVEN,
                why: format!("The SYN met a full accept queue in {}.", pod(arrival)),
            });
        }
        let service = self.service(failure.path)?;
        let turn = self.endpoints(failure)?;
        if turn.ready.is_empty() {
            return Some(Found {
                cause: Cause::BackendNotReady,
                confidence: STRONG,
                why: format!(
                    "The Service {}/{}, which path {} leads to, had no ready endpoint then ({} not ready).",
                    service.namespace,
                    service.name,
                    case.path_name(failure.path),
                    turn.not_ready.len()
                ),
            });
        }
        let no_syn = saw(Arrived::NoSyn).filter(|arrival| {
            let others = arrivals
                .iter()
                .all(|other| other.seen.seen() == Some(&Arrived::NoSyn));
            let ready = turn
                .ready
                .iter()
                .any(|ready| ready.address == arrival.destination);
            others && ready && arrival.events_lost == 0 && !lost(case, arrival)
        });
        let refused = matches!(
            failure.what,
            What::NotConnected(
                ConnectFailure::Refused | ConnectFailure::TimedOut | ConnectFailure::Unreachable
            )
        );
        no_syn.filter(|_| refused).map(|arrival| Found {
            cause: its_own(failure.what),
            confidence: STRONG,
            why: format!(
                "Endpoints were ready, and no SYN arrived in {}, which the translation had chosen.",
                pod(arrival)
            ),
        })
    }

    /// Names the nodes of pods that a path led to and on which no agent ran: there the charge stays open.
    pub(super) fn tell_unwatched(&self, case: &mut Case<'_>) {
        let mut unwatched: BTreeMap<PathId, BTreeSet<&str>> = BTreeMap::new();
        for failure in case
            .failures
            .iter()
            .filter(|failure| failure.cause == Cause::Undetermined)
        {
            let arrivals = self.arrivals.get(&failure.id).into_iter().flatten();
            let of_arrivals = arrivals
                .filter(|arrival| arrival.seen.seen().is_none())
                .filter_map(|arrival| arrival.node.seen().map(String::as_str));
            let watched = |name: &str| {
                let node = case.evidence.node.seen();
                node.is_some_and(|node| node.nodes.iter().any(|node| node.name == name))
            };
            let endpoints = self.endpoints(failure);
            let of_endpoints = endpoints
                .into_iter()
                .flat_map(|turn| &turn.ready)
                .filter_map(|endpoint| endpoint.node.as_deref())
                .filter(|name| !watched(name));
            unwatched
                .entry(failure.path)
                .or_default()
                .extend(of_arrivals.chain(of_endpoints));
        }
        for (path, nodes) in unwatched.into_iter().filter(|(_, nodes)| !nodes.is_empty()) {
            let names: Vec<&str> = nodes.into_iter().collect();
            let finding = Finding {
                rule: RULE.name,
                statement: format!(
                    "No agent told of {}, where pods behind path {} run: what they did with these connections is not known.",
                    listed(&names),
                    case.path_name(path)
                ),
                numbers: Vec::new(),
            };
            case.note(About::Cause(Cause::Undetermined), Speaks::For, finding);
        }
    }
}

/// `node a`, `nodes a, b and 3 more`.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 4;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match (names.len(), names.len().saturating_sub(SHOWN)) {
        (1, _) => format!("node {shown}"),
        (_, 0) => format!("nodes {shown}"),
        (_, more) => format!("nodes {shown} and {more} more"),
    }
}

fn pod(arrival: &Arrival) -> String {
    arrival.pod.seen().map_or_else(
        || format!("the pod at {}", arrival.destination.ip()),
        |PodId { namespace, name }| format!("pod {namespace}/{name}"),
    )
}

/// Whether the agent of that node lost anything in this run.
fn lost(case: &Case<'_>, arrival: &Arrival) -> bool {
    let Some(node) = case.evidence.node.seen() else {
        return true;
    };
    let name = arrival.node.seen();
    let told = node.nodes.iter().find(|node| Some(&node.name) == name);
    told.is_some_and(|node| node.events_lost > 0 || node.records_dropped > 0)
}

/// The Service of each path: the one that its address stands for, or the only one that the pods belong to in which its
/// connections were seen to end.
fn of_paths<'e>(
    case: &Case<'e>,
    services: &'e [ServiceEndpoints],
    arrivals: &BTreeMap<ConnectionId, Vec<&'e Arrival>>,
) -> Vec<Option<&'e ServiceEndpoints>> {
    let mut pods: Vec<BTreeSet<&PodId>> = vec![BTreeSet::new(); case.evidence.paths.len()];
    let homes = case.evidence.node.seen().and_then(|node| node.pods.seen());
    let mut ended_in: BTreeMap<ConnectionId, Vec<&PodId>> = BTreeMap::new();
    for (id, pod) in homes.into_iter().flat_map(|pods| &pods.homes) {
        ended_in.entry(*id).or_default().push(pod);
    }
    for connection in &case.evidence.connections {
        let arrived = arrivals.get(&connection.id).into_iter().flatten();
        let ended_in = ended_in.get(&connection.id).into_iter().flatten().copied();
        let known = arrived.filter_map(|arrival| arrival.pod.seen()).chain(ended_in);
        if let Some(pods) = pods.get_mut(usize::from(connection.path.0)) {
            pods.extend(known);
        }
    }
    (0..case.evidence.paths.len())
        .map(|index| {
            let path = u8::try_from(index).ok().map(PathId)?;
            let addresses = super::front::addresses(case, path);
            let by_address = |service: &&ServiceEndpoints| {
                addresses
                    .iter()
                    .any(|address: &SocketAddr| service.answers_at(*address))
            };
            let pods = pods.get(index)?;
            let by_pods = |service: &&ServiceEndpoints| {
                let mut endpoints = service
                    .turns
                    .iter()
                    .flat_map(|turn| turn.ready.iter().chain(&turn.not_ready));
                endpoints.any(|endpoint| endpoint.pod.as_ref().is_some_and(|pod| pods.contains(pod)))
            };
            services.iter().find(by_address).or_else(|| {
                let mut all = services.iter().filter(by_pods);
                all.next().filter(|_| all.next().is_none())
            })
        })
        .collect()
}
