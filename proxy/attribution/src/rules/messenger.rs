//! A refusal, or a 502, 503 or 504, by an address that stands for others: it mostly reports what happened behind it.
//!
//! Alone it stays open between the load balancer and the backend. What closes it: the node of the pod that was chosen,
//! the EndpointSlices, a listener that was shown to be a balancer's, and a second path in the same seconds.

mod balancer_queue;
mod behind;
mod beside;
mod counted;
mod front;

use balancer_queue::Queues;
use behind::Behind;
use beside::Beside;
use counted::Counted;
use front::Fronts;
pub(super) use front::addresses;

use super::Rule;
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::confidence::Ruling;
use crate::evidence::{ConnectFailure, Cut, PathKind};
use crate::failure::{Failure, What};
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "messenger",
    symptom: "a refusal or a silent connect, an answer of 502, 503 or 504, or an end before any answer, on a path through a load balancer",
    evidence: "what the node of the chosen pod saw of the SYN, by the addresses after translation; the ready endpoints at that moment; a mark or a process that shows whose listener the address is; how many of the balancer's own connections to its targets failed; what another path to the same application met in the same seconds",
    verdict: "backend-refused by a RST without a socket in the pod's network namespace; backend-accept-queue by a full queue there; backend-not-ready without a ready endpoint; the backend where as many of the balancer's connections to its targets failed as it wrote such answers; lb-queue-timeout for HAProxy's 503 of one age beside answers that had waited nearly as long; lb-refused or lb-unreachable with ready endpoints and no SYN in the chosen pod, or by a listener shown to be a balancer's; the backend's cause on another path that failed in the same seconds; lb by a direct path that reached every ready pod and was answered; otherwise open between lb and backend",
    proves: "on which side of the balancer the connection or the answer was refused",
    cannot_prove: "anything by a RST or an ICMP error alone, by a port range, by a name or by how long it took; anything by the absence of a SYN while events were lost; that a balancer is at fault because a single other address was well",
    apply,
};

fn apply(case: &mut Case<'_>) {
    if case.paths_of(PathKind::Lb).is_empty() {
        return;
    }
    let behind = Behind::of(case);
    let fronts = Fronts::of(case);
    let counted = Counted::of(case);
    let queues = Queues::of(case);
    let trust = case.kernel_trust();
    let mut told: Vec<(Cause, String, u64)> = Vec::new();
    let mut failures = std::mem::take(&mut case.failures);
    let open = |case: &Case<'_>, failure: &Failure| {
        failure.is_open() && case.kind(failure.path) == PathKind::Lb && carried(failure.what)
    };
    for failure in &mut failures {
        if !open(case, failure) {
            continue;
        }
        let found = behind
            .judge(case, failure)
            .or_else(|| fronts.judge(case, failure))
            .or_else(|| counted.as_ref()?.judge(failure))
            .or_else(|| queues.judge(case, failure));
        if let Some(mut found) = found {
            found.confidence *= trust;
            charge(failure, found, &mut told);
        }
    }
    case.failures = failures;
    // The other paths are judged by now, but for what this rule itself has just found.
    let beside = Beside::of(case, &behind);
    let mut failures = std::mem::take(&mut case.failures);
    for failure in &mut failures {
        if open(case, failure)
            && let Some(found) = beside.judge(case, failure)
        {
            charge(failure, found, &mut told);
        }
    }
    case.failures = failures;
    for (cause, statement, times) in told {
        let finding = Finding {
            rule: RULE.name,
            statement,
            numbers: vec![("failures", crate::figures::real(times))],
        };
        case.note(About::Cause(cause), Speaks::For, finding);
    }
    behind.tell_unwatched(case);
}

/// What was found of one failure: who, how sure, and why as a sentence.
struct Found {
    cause: Cause,
    confidence: f64,
    why: String,
}

/// Sentences that a cause tells, at most: a run of an hour meets many pods.
const TOLD: usize = 4;

fn charge(failure: &mut Failure, found: Found, told: &mut Vec<(Cause, String, u64)>) {
    failure.charge(Ruling::charge(found.cause, found.confidence), RULE.name);
    let known = told
        .iter_mut()
        .find(|(cause, why, _)| *cause == found.cause && *why == found.why);
    if let Some((_, _, times)) = known {
        *times += 1;
    } else if told.iter().filter(|(cause, _, _)| *cause == found.cause).count() < TOLD {
        told.push((found.cause, found.why, 1));
    }
}

/// What an address that stands for others hands on from whoever is behind it.
const fn carried(what: What) -> bool {
    match what {
        What::NotConnected(failure) => no_connection(failure),
        What::Abandoned { .. } => true,
        What::Answered { status, .. } => matches!(status, 502..=504),
        What::Broken { begun, by } => !begun && matches!(by, Cut::UpstreamFin | Cut::UpstreamReset),
        What::FrontTls(_) => false,
    }
}

const fn no_connection(failure: ConnectFailure) -> bool {
    matches!(
        failure,
        ConnectFailure::Refused
            | ConnectFailure::TimedOut
            | ConnectFailure::Unreachable
            | ConnectFailure::Reset
    )
}

/// What the balancer is charged with once it is shown that nothing behind it was.
const fn its_own(what: What) -> Cause {
    match what {
        What::NotConnected(ConnectFailure::Refused) => Cause::LbRefused,
        What::NotConnected(_) | What::Abandoned { .. } => Cause::LbUnreachable,
        What::Answered { status: 502, .. } => Cause::LbBadGateway,
        What::Answered { status: 504, .. } => Cause::LbGatewayTimeout,
        What::Answered { .. } => Cause::LbNoTarget,
        What::Broken { .. } => Cause::LbReset,
        What::FrontTls(_) => Cause::ClientTls,
    }
}
