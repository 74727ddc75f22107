//! Why silence was held against nobody, where that is for want of a host that was well.

use super::Rule;
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::evidence::{PathKind, Span};
use crate::failure::Failure;
use crate::figures::{count, real};
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "late-host",
    symptom: "requests without an answer are left open, and hopscope's own host was late while they waited",
    evidence: "the turns of hopscope's event loops that came late, its samples of itself and of the forwarder, and handshakes on loopback",
    verdict: "none of its own: it says how many were left open while the host was late, and for how long",
    proves: "that time of these waits was not held against anybody",
    cannot_prove: "that anybody would have been convicted on a host that was well",
    apply,
};

fn apply(case: &mut Case<'_>) {
    let open = |failure: &&Failure| failure.is_open() && failure.is_silence();
    if !case.failures.iter().any(|failure| open(&failure)) {
        return;
    }
    let (mut number, mut most) = (0_u64, Span::ZERO);
    for failure in case.failures.iter().filter(open) {
        let lateness = match case.kind(failure.path) {
            PathKind::Tunnel => &case.late.forward,
            PathKind::Direct | PathKind::Lb | PathKind::Unstated => &case.late.host,
        };
        if lateness.touches(failure.began, failure.at) {
            number = number.saturating_add(1);
            most = most.max(lateness.within(failure.began, failure.at));
        }
    }
    if number == 0 {
        return;
    }
    let statement = format!(
        "hopscope's own host was late while {} of these waited, for up to {most} of a wait: silence in that time is held against nobody.",
        count(number)
    );
    let finding = Finding {
        rule: RULE.name,
        statement,
        numbers: vec![("failures", real(number)), ("late_seconds", most.as_secs_f64())],
    };
    case.note(About::Cause(Cause::Undetermined), Speaks::For, finding);
}
