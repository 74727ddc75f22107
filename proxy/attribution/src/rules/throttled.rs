//! Requests that waited while the CPU limit of their pod held the application back.

use std::collections::{BTreeMap, BTreeSet};

use super::Rule;
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::confidence::{GOOD, Ruling, STRONG};
use crate::evidence::{
    ConnectFailure, ConnectionId, CpuThrottle, Moment, PathId, PathKind, PodId, TunnelProcess,
};
use crate::failed::Failed;
use crate::failure::{Failure, What};
use crate::figures::{count, counted, real, share};
use crate::rules::due;
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "cpu-throttled",
    symptom: "requests that wait for an answer, or for a connection, longer than usual",
    evidence: "`cpu.stat` of the pod's cgroup: of the quota's periods in that time, those in which the pod was held back; the pod that the connection led to",
    verdict: "backend-cpu-throttled, for what was charged to the backend's slowness or left open, where its pod was held back in most periods",
    proves: "the application had work and was not allowed to run while these waited",
    cannot_prove: "that it would have answered in time without the limit; anything by the figures of another pod, or where nobody knows which pod a path leads to",
    apply,
};

/// Held back in as large a part of its periods, a pod is slow because of that.
const MOST: f64 = 0.5;
/// Fewer periods than this, of 100 ms each, say nothing of a wait.
const PERIODS: u64 = 5;

fn apply(case: &mut Case<'_>) {
    let Some(throttling) = case.evidence.node.seen().and_then(|node| node.throttling.seen()) else {
        return;
    };
    let mut windows: BTreeMap<&PodId, Vec<&CpuThrottle>> = BTreeMap::new();
    for window in throttling.iter().filter(|window| window.periods > 0) {
        windows.entry(&window.pod).or_default().push(window);
    }
    if windows.is_empty() {
        return;
    }
    let pods = Pods::of(case);
    let mut found: BTreeMap<(PathId, PodId), (Failed, Held)> = BTreeMap::new();
    let mut failures = std::mem::take(&mut case.failures);
    for failure in failures.iter_mut().filter(|failure| slow(case, failure)) {
        let held = pods.of_failure(failure).and_then(|candidates| {
            let mut all = candidates.into_iter().map(|pod| {
                (
                    pod,
                    Held::within(windows.get(pod).map_or(&[], Vec::as_slice), failure),
                )
            });
            // Where several pods may have had it, all of them must have been held back.
            let first = all.next()?;
            (first.1.most() && all.all(|(_, held)| held.most())).then_some(first)
        });
        let Some((pod, held)) = held else { continue };
        let confidence = if failure.is_open() { GOOD } else { STRONG };
        failure.charge(Ruling::charge(Cause::BackendCpuThrottled, confidence), RULE.name);
        let entry = found
            .entry((failure.path, pod.clone()))
            .or_insert((Failed::default(), held));
        entry.0.add(failure);
        if held.throttled > entry.1.throttled {
            entry.1 = held;
        }
    }
    case.failures = failures;
    for ((path, pod), (failed, held)) in found {
        let statement = format!(
            "Pod {}/{}, which path {} leads to, was held back by its CPU limit in {} of {} while the slowest of {} waited.",
            pod.namespace,
            pod.name,
            case.path_name(path),
            count(held.throttled),
            counted(held.periods, "period", "periods"),
            failed.described(),
        );
        let finding = Finding {
            rule: RULE.name,
            statement,
            numbers: vec![
                ("periods", real(held.periods)),
                ("throttled", real(held.throttled)),
                ("failures", real(failed.all())),
            ],
        };
        case.note(About::Cause(Cause::BackendCpuThrottled), Speaks::For, finding);
    }
}

/// What an application that stands still brings about: silence, and connections that nobody takes.
fn slow(case: &Case<'_>, failure: &Failure) -> bool {
    let charged = matches!(
        failure.cause,
        Cause::BackendTimeout | Cause::BackendAcceptQueue | Cause::ClientTimeout
    );
    let late = match failure.what {
        What::Answered { status, .. } => status == 504,
        What::NotConnected(ConnectFailure::TimedOut) | What::Abandoned { .. } => true,
        What::Broken { .. } => failure.is_silence() && failure.age() >= due(case, failure),
        What::NotConnected(_) | What::FrontTls(_) => false,
    };
    let behind = case.kind(failure.path) != PathKind::Unstated;
    charged || (failure.is_open() && late && behind)
}

/// Periods of the quota around a wait.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    periods: u64,
    throttled: u64,
}

impl Held {
    fn within(windows: &[&CpuThrottle], failure: &Failure) -> Self {
        let mut held = Self::default();
        for window in windows {
            let from = Moment(window.from.0.saturating_sub(window.error.as_micros()));
            let to = window.from + window.length + window.error;
            if from <= failure.at && to >= failure.began {
                held.periods = held.periods.saturating_add(window.periods);
                held.throttled = held
                    .throttled
                    .saturating_add(window.throttled.min(window.periods));
            }
        }
        held
    }

    fn most(self) -> bool {
        self.periods >= PERIODS && share(self.throttled, self.periods) >= MOST
    }
}

/// Which pods connections led to.
struct Pods<'e> {
    of_connections: BTreeMap<ConnectionId, BTreeSet<&'e PodId>>,
    /// The pods that each path leads to, where a forward, an address or a Service names them all.
    of_paths: Vec<BTreeSet<&'e PodId>>,
}

impl<'e> Pods<'e> {
    fn of(case: &Case<'e>) -> Self {
        let mut pods = Self {
            of_connections: BTreeMap::new(),
            of_paths: vec![BTreeSet::new(); case.evidence.paths.len()],
        };
        let Some(node) = case.evidence.node.seen() else {
            return pods;
        };
        let homes = node.pods.seen().into_iter().flat_map(|pods| &pods.homes);
        let arrived = node.arrivals.iter();
        let arrived = arrived.filter_map(|arrival| Some((arrival.connection, arrival.pod.seen()?)));
        for (id, pod) in homes.map(|(id, pod)| (*id, pod)).chain(arrived) {
            pods.of_connections.entry(id).or_default().insert(pod);
        }
        for (index, of_path) in pods.of_paths.iter_mut().enumerate() {
            let Some(path) = u8::try_from(index).ok().map(PathId) else {
                continue;
            };
            let forwards = case.tunnel(path);
            let named: BTreeSet<&String> = forwards
                .seen()
                .into_iter()
                .flat_map(|tunnel| &tunnel.processes)
                .filter_map(|process: &TunnelProcess| process.pod.seen())
                .collect();
            let known = node
                .throttling
                .seen()
                .into_iter()
                .flatten()
                .map(|window| &window.pod);
            of_path.extend(known.filter(|pod| named.contains(&pod.name)));
            for address in super::messenger::addresses(case, path) {
                let endpoints = node.services.seen().into_iter().flatten().flat_map(|service| {
                    let here = service.answers_at(address);
                    let turns = service.turns.iter().flat_map(|turn| &turn.ready);
                    turns.filter(move |endpoint| here || endpoint.address == address)
                });
                of_path.extend(endpoints.filter_map(|endpoint| endpoint.pod.as_ref()));
            }
        }
        pods
    }

    /// The pods that may have had it: its own where that is one of its path's, else all of its path's; without those, its
    /// own. `None` where none is known.
    fn of_failure(&self, failure: &Failure) -> Option<Vec<&'e PodId>> {
        let own = self.of_connections.get(&failure.id);
        let of_path = self.of_paths.get(usize::from(failure.path.0));
        let of_path = of_path.filter(|pods| !pods.is_empty());
        let pods = match (own, of_path) {
            (Some(own), Some(of_path)) if own.is_subset(of_path) => own,
            (_, Some(of_path)) => of_path,
            (own, None) => own?,
        };
        (!pods.is_empty()).then(|| pods.iter().copied().collect())
    }
}
