//! The case under judgement: the evidence, every failure once, and what the rules have found so far.

use std::collections::BTreeMap;

use crate::cause::Cause;
use crate::confidence::Ruling;
use crate::evidence::{
    Connection, Evidence, Exchange, Forwarder, Laws, Observation, PathId, PathKind, RouteId, Span,
    TunnelEvidence,
};
use crate::failed::Failed;
use crate::failure::{self, Failure, NONE};
use crate::hop::Hop;
use crate::lateness::Late;
use crate::not_read;
use crate::verdict::{Finding, NotRead, ObserverStatement, Unknown};

/// Everything that the rules read and write.
pub(crate) struct Case<'e> {
    pub(crate) evidence: &'e Evidence,
    /// Every failure that has a row, in the order of time, ties broken by identity.
    pub(crate) failures: Vec<Failure>,
    /// Failures that are counted but have no row.
    pub(crate) unrowed: Vec<Unrowed>,
    /// How successful exchanges of each path usually went, by path index.
    pub(crate) baselines: Vec<Baseline>,
    /// The same for each route of a path.
    pub(crate) route_baselines: BTreeMap<(PathId, RouteId), Baseline>,
    /// When hopscope's own host was late.
    pub(crate) late: Late,
    pub(crate) notes: Vec<Note>,
    /// What passed and was not read.
    pub(crate) not_read: Vec<NotRead>,
    /// What differs between paths, whoever is charged.
    pub(crate) contrasts: Vec<Finding>,
    pub(crate) unknowns: Vec<Unknown>,
    pub(crate) observer: ObserverStatement,
    /// Rows that should exist and do not: each could have told against any charge.
    pub(crate) rows_lost: u64,
    /// Kernel events that were lost on their way to an agent, or that an agent had dropped before it was asked.
    pub(crate) kernel_events_lost: u64,
    /// A share of one that every confidence is multiplied by: how much is known of the whole run.
    pub(crate) trust: f64,
}

/// Failures without rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unrowed {
    /// `None` for what never reached hopscope: it was dealt to no path.
    pub(crate) path: Option<PathId>,
    pub(crate) cause: Cause,
    pub(crate) failures: u64,
    pub(crate) confidence: f64,
    pub(crate) rule: &'static str,
}

impl Unrowed {
    /// They are requests: hopscope counted them, or the generator alone did.
    pub(crate) const fn failed(&self) -> Failed {
        match self.path {
            Some(_) => Failed {
                requests: self.failures,
                connections: 0,
                never_came: 0,
            },
            None => Failed {
                requests: 0,
                connections: 0,
                never_came: self.failures,
            },
        }
    }
}

/// How the successful exchanges of a path went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Baseline {
    /// Rows that it was taken from.
    pub(crate) rows: usize,
    pub(crate) p90: Span,
    pub(crate) p99: Span,
}

/// A finding, and the charges that it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) about: About,
    pub(crate) speaks: Speaks,
    pub(crate) finding: Finding,
}

/// Which charges a finding belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    Cause(Cause),
    Hop(Hop),
}

/// Whether a finding speaks for a charge or against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    For,
    Against,
}

impl<'e> Case<'e> {
    /// Opens the case: enumerates the failures, none of them charged yet.
    pub(crate) fn open(evidence: &'e Evidence) -> Self {
        let failures = failure::enumerate(evidence);
        Self {
            evidence,
            not_read: not_read::gather(evidence, &failures),
            failures,
            unrowed: Vec::new(),
            baselines: baselines(evidence),
            route_baselines: route_baselines(evidence),
            late: Late::of(evidence),
            notes: Vec::new(),
            contrasts: Vec::new(),
            unknowns: Vec::new(),
            observer: ObserverStatement::default(),
            rows_lost: 0,
            kernel_events_lost: kernel_events_lost(evidence),
            trust: 1.0,
        }
    }

    /// How sure a kernel's word is: other events may have told against it where some were lost.
    pub(crate) fn kernel_trust(&self) -> f64 {
        let lost = self.kernel_events_lost;
        let node = self.evidence.node.seen();
        let kept = node.map_or(0, |node| node.sockets.len() + node.arrivals.len());
        let kept = u64::try_from(kept).unwrap_or(u64::MAX);
        if lost == 0 {
            1.0
        } else {
            crate::figures::share(kept, kept.saturating_add(lost)).max(KERNEL_LOST)
        }
    }

    pub(crate) fn kind(&self, path: PathId) -> PathKind {
        kind_of(self.evidence, path)
    }

    pub(crate) fn path_name(&self, path: PathId) -> &'e str {
        self.evidence
            .paths
            .get(usize::from(path.0))
            .map_or("an unnamed path", |path| path.name.as_str())
    }

    pub(crate) fn path_target(&self, path: PathId) -> &'e str {
        self.evidence
            .paths
            .get(usize::from(path.0))
            .map_or("TARGET", |path| path.target.as_str())
    }

    pub(crate) fn connection(&self, failure: &Failure) -> Option<Connection> {
        self.evidence.connections.get(failure.connection as usize)
    }

    pub(crate) fn exchange(&self, failure: &Failure) -> Option<Exchange> {
        if failure.exchange == NONE {
            return None;
        }
        self.evidence.exchanges.get(failure.exchange as usize)
    }

    pub(crate) fn baseline(&self, path: PathId) -> Baseline {
        self.baselines
            .get(usize::from(path.0))
            .copied()
            .unwrap_or_default()
    }

    /// How exchanges such as this failed one usually went: those of its route, where there are enough, else its path's.
    pub(crate) fn usual(&self, failure: &Failure) -> Baseline {
        let of_route = self.of_route(failure);
        if of_route.rows >= 20 {
            of_route
        } else {
            self.baseline(failure.path)
        }
    }

    /// How the exchanges of its own route went, few as they may be.
    pub(crate) fn of_route(&self, failure: &Failure) -> Baseline {
        self.exchange(failure)
            .and_then(|exchange| self.route_baselines.get(&(failure.path, exchange.route)))
            .copied()
            .unwrap_or_default()
    }

    /// What was seen of a path's forwarder.
    pub(crate) fn tunnel(&self, path: PathId) -> Observation<&'e TunnelEvidence> {
        self.evidence.tunnels.iter().find(|(id, _)| *id == path).map_or(
            Observation::default(),
            |(_, seen)| match seen {
                Observation::Seen(tunnel) => Observation::Seen(tunnel),
                Observation::Unseen(why) => Observation::Unseen(*why),
            },
        )
    }

    /// Which forwarder carries a path; unseen where nothing says it.
    pub(crate) fn forwarder(&self, path: PathId) -> Observation<Forwarder> {
        // hopscope runs it itself.
        if self.path_target(path).starts_with("kubectl:") {
            return Observation::Seen(Forwarder::Kubectl);
        }
        let Observation::Seen(tunnel) = self.tunnel(path) else {
            return Observation::default();
        };
        let mut all = tunnel.processes.iter().filter_map(|process| {
            let forwarder = Forwarder::of_process(process);
            forwarder.seen().copied()
        });
        match all.next() {
            Some(first) if all.all(|other| other == first) => Observation::Seen(first),
            Some(_) => Observation::Seen(Forwarder::Other),
            // Only a kubectl's words are read.
            None if tunnel.lines.seen().is_some() => Observation::Seen(Forwarder::Kubectl),
            None => Observation::default(),
        }
    }

    /// The laws that hold for a path's forwarder.
    pub(crate) fn laws(&self, path: PathId) -> Laws {
        self.forwarder(path)
            .seen()
            .map_or(Laws::Any, |forwarder| forwarder.laws())
    }

    /// A path's forwarder in a sentence.
    pub(crate) fn forwarder_name(&self, path: PathId) -> &'static str {
        self.forwarder(path)
            .seen()
            .map_or(Forwarder::Other.name(), |forwarder| forwarder.name())
    }

    /// The forwarder of these paths in a sentence: its name where they have one and the same.
    pub(crate) fn forwarder_of(&self, paths: impl IntoIterator<Item = PathId>) -> &'static str {
        let tunnels = paths
            .into_iter()
            .filter(|path| self.kind(*path) == PathKind::Tunnel);
        let mut names = tunnels.map(|path| self.forwarder_name(path));
        match names.next() {
            Some(first) if names.all(|other| other == first) => first,
            Some(_) | None => Forwarder::Other.name(),
        }
    }

    /// The paths of one kind, in order.
    pub(crate) fn paths_of(&self, kind: PathKind) -> Vec<PathId> {
        (0..self.evidence.paths.len())
            .filter_map(|index| u8::try_from(index).ok().map(PathId))
            .filter(|path| self.kind(*path) == kind)
            .collect()
    }

    /// Charges every failure that `judge` has a ruling on and that nothing has decided yet.
    pub(crate) fn judge_open(
        &mut self,
        rule: &'static str,
        judge: impl Fn(&Self, &Failure) -> Option<Ruling>,
    ) {
        self.judge_where(rule, Failure::is_open, judge);
    }

    /// Charges every failure that passes `when` and that `judge` has a ruling on.
    pub(crate) fn judge_where(
        &mut self,
        rule: &'static str,
        when: impl Fn(&Failure) -> bool,
        judge: impl Fn(&Self, &Failure) -> Option<Ruling>,
    ) {
        let mut failures = std::mem::take(&mut self.failures);
        for failure in failures.iter_mut().filter(|failure| when(failure)) {
            if let Some(ruling) = judge(self, failure) {
                failure.charge(ruling, rule);
            }
        }
        self.failures = failures;
    }

    pub(crate) fn note(&mut self, about: About, speaks: Speaks, finding: Finding) {
        self.notes.push(Note {
            about,
            speaks,
            finding,
        });
    }

    pub(crate) fn ask(&mut self, question: String, experiment: String) {
        let unknown = Unknown { question, experiment };
        if !self.unknowns.contains(&unknown) {
            self.unknowns.push(unknown);
        }
    }

    /// All requests of a path that the exact counts know, and those of them that failed.
    pub(crate) fn requests(&self, path: PathId) -> (u64, u64) {
        let cells = self.evidence.traffic.iter().filter(|cell| cell.path == path);
        cells.fold((0, 0), |(all, failed), cell| {
            (
                all.saturating_add(cell.requests),
                failed.saturating_add(failed_in(cell)),
            )
        })
    }
}

/// Confidence that is left to what kernels say when events of theirs were lost, however many.
const KERNEL_LOST: f64 = 0.85;

fn kernel_events_lost(evidence: &Evidence) -> u64 {
    let booked = evidence.observer.accounting.kernel_events_lost;
    let Some(node) = evidence.node.seen() else {
        return booked;
    };
    let sum = |counts: &mut dyn Iterator<Item = u64>| counts.fold(0_u64, u64::saturating_add);
    let in_windows = sum(&mut node.windows.iter().map(|window| window.events_lost));
    let of_nodes = sum(&mut node.nodes.iter().map(|node| node.events_lost));
    let dropped = sum(&mut node.nodes.iter().map(|node| node.records_dropped));
    // The same loss may stand in a window, with its node and in the books.
    booked.max(in_windows).max(of_nodes).saturating_add(dropped)
}

/// A cell's failures; the counts are somebody else's, so their sum must not overflow.
pub(crate) const fn failed_in(cell: &crate::evidence::TrafficCell) -> u64 {
    cell.delivered_errors.saturating_add(cell.undelivered)
}

pub(crate) fn kind_of(evidence: &Evidence, path: PathId) -> PathKind {
    evidence
        .paths
        .get(usize::from(path.0))
        .map_or(PathKind::Unstated, |path| path.kind)
}

pub(crate) fn baselines(evidence: &Evidence) -> Vec<Baseline> {
    let mut totals: Vec<Vec<u64>> = vec![Vec::new(); evidence.paths.len()];
    for exchange in evidence
        .exchanges
        .iter()
        .filter(|exchange| !exchange.delivery.failed())
    {
        if let Some(totals) = totals.get_mut(usize::from(exchange.path.0)) {
            totals.push(exchange.phases.total.as_micros());
        }
    }
    totals.into_iter().map(baseline).collect()
}

pub(crate) fn route_baselines(evidence: &Evidence) -> BTreeMap<(PathId, RouteId), Baseline> {
    let mut totals: BTreeMap<(PathId, RouteId), Vec<u64>> = BTreeMap::new();
    for exchange in evidence
        .exchanges
        .iter()
        .filter(|exchange| !exchange.delivery.failed())
    {
        totals
            .entry((exchange.path, exchange.route))
            .or_default()
            .push(exchange.phases.total.as_micros());
    }
    totals
        .into_iter()
        .map(|(key, totals)| (key, baseline(totals)))
        .collect()
}

fn baseline(mut totals: Vec<u64>) -> Baseline {
    totals.sort_unstable();
    let rank = |share: usize| {
        let rank = totals.len().saturating_sub(1) * share / 100;
        Span::from_micros(totals.get(rank).copied().unwrap_or(0))
    };
    Baseline {
        rows: totals.len(),
        p90: rank(90),
        p99: rank(99),
    }
}
