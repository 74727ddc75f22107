//! A forward whose own pod went: that kubectl named no trigger then proves nothing.
//!
//! kubectl is bound to one pod, and when the pod's sandbox goes it says no more than `lost connection to pod`, as when its
//! own connection dies. The two deaths are not put in order: how the hosts' clocks stand to one another shall decide
//! nobody's guilt, so that the pod went at any time of the run is enough to convict nobody.

use std::collections::BTreeMap;

use super::RULE;
use super::target::{Match, Targets};
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::confidence::Ruling;
use crate::evidence::{PathId, PodChange, PodId, PodTurn};
use crate::failed::Failed;
use crate::figures::real;
use crate::verdict::Finding;

pub(super) fn doubt(case: &mut Case<'_>, turns: &[PodTurn], targets: &Targets<'_>) {
    let mut gone: BTreeMap<&PodId, &PodTurn> = BTreeMap::new();
    let of_sandboxes = |turn: &&PodTurn| matches!(turn.change, PodChange::Deleted | PodChange::Evicted);
    for turn in turns.iter().filter(of_sandboxes) {
        let first = gone.entry(&turn.pod).or_insert(turn);
        if turn < *first {
            *first = turn;
        }
    }
    if gone.is_empty() {
        return;
    }
    let mut doubted: BTreeMap<(PathId, &PodId), Failed> = BTreeMap::new();
    let mut failures = std::mem::take(&mut case.failures);
    for failure in failures
        .iter_mut()
        .filter(|failure| failure.cause == Cause::TunnelLost)
    {
        let own = |turn: &&&PodTurn| targets.compare(case, failure, turn) == Match::Same;
        if let Some(turn) = gone.values().find(own) {
            doubted.entry((failure.path, &turn.pod)).or_default().add(failure);
            failure.charge(Ruling::contradiction(), RULE.name);
        }
    }
    case.failures = failures;
    for ((path, pod), failed) in doubted {
        if let Some(turn) = gone.get(pod) {
            tell(case, path, turn, failed);
        }
    }
}

fn tell(case: &mut Case<'_>, path: PathId, turn: &PodTurn, failed: Failed) {
    let at = real(turn.at.0) / 1e6;
    let finding = Finding {
        rule: RULE.name,
        statement: format!(
            "Pod {}/{}, which the forward of path {} led to, {} at {at:.2} s (give or take {}): a forward ends with its \
             pod, so that {} named no trigger of {} proves nothing.",
            turn.pod.namespace,
            turn.pod.name,
            case.path_name(path),
            super::happened(turn),
            turn.error,
            case.forwarder_name(path),
            failed.described(),
        ),
        numbers: vec![
            ("at_seconds", at),
            ("error_seconds", turn.error.as_secs_f64()),
            ("failures", real(failed.all())),
        ],
    };
    case.note(About::Cause(Cause::Undetermined), Speaks::For, finding);
}
