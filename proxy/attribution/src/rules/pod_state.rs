//! What the Kubernetes API told of pods, beside the failures of the same moment.
//!
//! An event of the API's never convicts anybody. A failure that its own evidence charged to the backend, and whose
//! connection is known to have led to the pod, is told what became of that pod; where moment and symptom agree with the
//! pod's end, the cause is called by its name. One conviction is taken back ([`gone`]). Everything else is listed as
//! worth reading, or not at all.

mod gone;
mod target;
mod trouble;

use std::collections::BTreeMap;

use super::Rule;
use super::forward::failures_between;
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::confidence::{GOOD, Ruling, STRONG};
use crate::evidence::{Moment, PathId, PodChange, PodTurn, Span};
use crate::failed::Failed;
use crate::failure::Failure;
use crate::figures::real;
use crate::hop::Hop;
use crate::verdict::Finding;
use target::{Match, Targets};
use trouble::{Agreement, Kind, Trouble};

pub(super) const RULE: Rule = Rule {
    name: "pod-state",
    symptom: "any failure, while a pod of a watched node restarted, was killed, evicted or deleted, or was not ready",
    evidence: "what the Kubernetes API told the agents of their nodes' pods, and when; the pod that a connection led to: by its address, by the forward's own words, or by the socket that a kernel saw in it",
    verdict: "backend-oom-killed, backend-evicted or backend-not-ready, for what was charged to the backend as refused, unreachable, reset, truncated or left unread, where the pod is the connection's own and its end or unreadiness agrees in time; tunnel-lost by a forward whose own pod was deleted or evicted in this run: undetermined; otherwise no charge: the event stands for or against what others found, or is listed as worth reading",
    proves: "that the pod which the connection led to ended, or was not ready, when the connection was cut or refused, within the error of the clocks",
    cannot_prove: "any hop: it moves no charge from one hop to another, and decides nothing that is open; anything by an event of another pod, of another time, or where nobody knows which pod a path leads to; anything by the absence of events",
    apply,
};

/// An event whose moment is not known better than this sharpens nothing.
const SHARP: Span = Span::from_micros(2_000_000);
/// Pairs of an event and a failure that are compared, and that are kept: with more the cluster is in turmoil, and a
/// few of them say as much as all.
const COMPARED: usize = 20_000_000;
const KEPT: usize = 1_000_000;
/// Events of the connection's own pod that a cause tells, and of pods that it may have led to.
const TOLD: (usize, usize) = (3, 2);

fn apply(case: &mut Case<'_>) {
    let Some(pods) = case.evidence.node.seen().and_then(|node| node.pods.seen()) else {
        return;
    };
    let troubles = trouble::all(&pods.turns);
    if troubles.is_empty() || case.failures.is_empty() {
        return;
    }
    let targets = Targets::of(case, pods);
    gone::doubt(case, &pods.turns, &targets);
    let pairs = pairs(case, &troubles, &targets);
    sharpen(case, &troubles, &pairs);
    tell(case, &troubles, &pairs);
}

/// An event, a failure of its time, and how far they belong together.
#[derive(Clone, Copy)]
struct Pair {
    trouble: u32,
    failure: u32,
    agreement: Agreement,
    known: bool,
}

fn pairs(case: &Case<'_>, troubles: &[Trouble<'_>], targets: &Targets<'_>) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut compared = 0_usize;
    for (number, trouble) in (0_u32..).zip(troubles) {
        let around = failures_between(&case.failures, trouble.from, trouble.last_look());
        let failures = (0_u32..).zip(&case.failures);
        for (index, failure) in failures.take(around.end).skip(around.start) {
            compared += 1;
            if compared > COMPARED || pairs.len() >= KEPT {
                return pairs;
            }
            let Some(agreement) = trouble.agrees(failure) else {
                continue;
            };
            let known = match targets.compare(case, failure, trouble.turn) {
                Match::Same => true,
                // What an application depends on runs in other pods than its own.
                Match::Other if failure.cause == Cause::BackendDependency => false,
                Match::Unknown => false,
                Match::Other => continue,
            };
            if known || trouble.near(failure) {
                pairs.push(Pair {
                    trouble: number,
                    failure: index,
                    agreement,
                    known,
                });
            }
        }
    }
    pairs
}

/// Calls a charge of the backend's by the name of what became of its pod.
fn sharpen(case: &mut Case<'_>, troubles: &[Trouble<'_>], pairs: &[Pair]) {
    let mut failures = std::mem::take(&mut case.failures);
    let exact = |pair: &&Pair| pair.known && pair.agreement == Agreement::Exact;
    // The graver one first: what it says is surer.
    for (kind, agreed) in [(Kind::Ended, STRONG), (Kind::NotReady, GOOD)] {
        for pair in pairs.iter().filter(exact) {
            let trouble = troubles
                .get(pair.trouble as usize)
                .filter(|trouble| trouble.kind == kind && trouble.turn.error <= SHARP);
            let (Some(_), Some(failure)) = (trouble, failures.get_mut(pair.failure as usize)) else {
                continue;
            };
            let change = trouble.map(|trouble| trouble.turn);
            if can_be_sharpened(failure)
                && let Some(turn) = change
            {
                let confidence = agreed.max(failure.confidence);
                let ruling = Ruling {
                    victim: failure.victim,
                    ..Ruling::charge(named(turn), confidence)
                };
                failure.charge(ruling, RULE.name);
            }
        }
    }
    case.failures = failures;
}

/// The cause that is called by what became of the pod.
fn named(turn: &PodTurn) -> Cause {
    match turn.change {
        PodChange::OomKilled => Cause::BackendOomKilled,
        _ if turn.reason == OOM_KILLED => Cause::BackendOomKilled,
        PodChange::Evicted => Cause::BackendEvicted,
        PodChange::Restarted
        | PodChange::NotReady
        | PodChange::Ready
        | PodChange::Deleted
        | PodChange::ProbeFailed
        | PodChange::BackOff
        | PodChange::Killing
        | PodChange::Pending => Cause::BackendNotReady,
    }
}

/// The kubelet's word for a container that the kernel killed at its memory limit.
const OOM_KILLED: &str = "OOMKilled";

/// What names something else than an end keeps its name.
fn can_be_sharpened(failure: &Failure) -> bool {
    let ended = matches!(
        failure.cause,
        Cause::BackendRefused
            | Cause::BackendUnreachable
            | Cause::BackendReset
            | Cause::BackendTruncated
            | Cause::BackendUnreadBody
            | Cause::BackendNotReady
    );
    ended && failure.rule != RULE.name && !failure.contradicted
}

/// What an event has to say of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Says {
    /// The connections led to this pod.
    Known,
    /// The pod is the connections' own, and somebody else is charged.
    Contrary,
    /// Nobody knows which pod they led to.
    Perhaps,
}

fn says(cause: Cause, known: bool) -> Option<Says> {
    let of_its_target = matches!(
        cause,
        Cause::LbNoTarget | Cause::LbBadGateway | Cause::LbGatewayTimeout
    );
    match cause.hop() {
        Hop::Unknown if cause == Cause::RequestRejected => None,
        Hop::Backend | Hop::Unknown if known => Some(Says::Known),
        Hop::Lb if of_its_target && known => Some(Says::Known),
        Hop::Lb | Hop::Tunnel if known => Some(Says::Contrary),
        Hop::Backend if matches!(cause, Cause::BackendRateLimited | Cause::BackendTls) => None,
        Hop::Backend | Hop::Unknown => Some(Says::Perhaps),
        Hop::Lb => of_its_target.then_some(Says::Perhaps),
        Hop::Client | Hop::Observer | Hop::Tunnel => None,
    }
}

/// The failures that an event is told beside.
#[derive(Clone, Copy)]
struct Beside {
    failed: Failed,
    first: Moment,
}

fn tell(case: &mut Case<'_>, troubles: &[Trouble<'_>], pairs: &[Pair]) {
    let mut beside: BTreeMap<(Cause, Says, u32, PathId), Beside> = BTreeMap::new();
    for pair in pairs {
        let Some(failure) = case.failures.get(pair.failure as usize) else {
            continue;
        };
        // Of a conviction that was taken back the reason is told already.
        if let Some(says) = says(failure.cause, pair.known)
            .filter(|_| failure.rule != RULE.name || failure.cause != Cause::Undetermined)
        {
            let entry = beside
                .entry((failure.cause, says, pair.trouble, failure.path))
                .or_insert(Beside {
                    failed: Failed::default(),
                    first: failure.at,
                });
            entry.failed.add(failure);
            entry.first = entry.first.min(failure.at);
        }
    }
    let mut all: Vec<_> = beside
        .into_iter()
        .filter_map(|((cause, says, number, path), beside)| {
            troubles
                .get(number as usize)
                .map(|trouble| (cause, says, trouble, path, beside))
        })
        .collect();
    // Those of one cause together, the gravest and the most frequent first; what is alike stays in the order of time.
    all.sort_by_key(|(cause, says, trouble, _, beside)| {
        (
            *cause,
            *says,
            trouble.kind,
            std::cmp::Reverse(beside.failed.all()),
        )
    });
    let mut told: BTreeMap<(Cause, Says), usize> = BTreeMap::new();
    for (cause, says, trouble, path, beside) in all {
        let count = told.entry((cause, says)).or_default();
        *count += 1;
        let most = if says == Says::Perhaps { TOLD.1 } else { TOLD.0 };
        if *count <= most {
            let finding = finding(case, says, trouble.turn, path, beside);
            let speaks = if says == Says::Contrary {
                Speaks::Against
            } else {
                Speaks::For
            };
            case.note(About::Cause(cause), speaks, finding);
        }
    }
}

fn finding(case: &Case<'_>, says: Says, turn: &PodTurn, path: PathId, beside: Beside) -> Finding {
    let name = case.path_name(path);
    let failures = match beside.failed.all() {
        1 => "this failure".to_owned(),
        _ => format!("the first of {}", beside.failed.described()),
    };
    let distance = if beside.first > turn.at + turn.error {
        format!("{} before {failures}", beside.first.since(turn.at))
    } else {
        format!("at the same time as {failures} as far as the clocks tell")
    };
    let reading = match says {
        Says::Known => "",
        Says::Contrary => " It is the pod that these connections led to, and it speaks for the pod's doing.",
        Says::Perhaps => " Worth reading, and no charge: it is not known that these connections led to it.",
    };
    let at = real(turn.at.0) / 1e6;
    Finding {
        rule: RULE.name,
        statement: format!(
            "Pod {}/{} {} at {at:.2} s (give or take {}), {distance} on path {name}.{reading}",
            turn.pod.namespace,
            turn.pod.name,
            happened(turn),
            turn.error,
        ),
        numbers: vec![
            ("at_seconds", at),
            ("error_seconds", turn.error.as_secs_f64()),
            ("failures", real(beside.failed.all())),
        ],
    }
}

/// `restarted (OOMKilled, exit code 137)`.
fn happened(turn: &PodTurn) -> String {
    let what = match turn.change {
        PodChange::Restarted => "restarted",
        PodChange::OomKilled => "was killed because memory ran out",
        PodChange::NotReady => "became not ready",
        PodChange::Ready => "became ready",
        PodChange::Evicted => "was evicted",
        PodChange::Deleted => "was deleted",
        PodChange::ProbeFailed => "failed a probe",
        PodChange::BackOff => "crashed again and again",
        PodChange::Killing => "was told to stop",
        PodChange::Pending => "waited for a node that takes it",
    };
    let mut details = Vec::new();
    if !turn.reason.is_empty() {
        details.push(turn.reason.clone());
    }
    details.extend(turn.exit_code.map(|code| format!("exit code {code}")));
    if details.is_empty() {
        what.to_owned()
    } else {
        format!("{what} ({})", details.join(", "))
    }
}
