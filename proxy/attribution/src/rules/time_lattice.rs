//! Time-outs that left a spike: told as findings, with the owner of each and the setting that changes it.

use super::Rule;
use crate::case::{About, Case, Speaks};
use crate::evidence::{PathId, PathKind, Span};
use crate::failed::Failed;
use crate::failure::{Failure, What};
use crate::figures::{count, counted, length, percent, real};
use crate::hop::Hop;
use crate::lattice;
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "time-lattice",
    symptom: "failures or answers of the same age, to a fraction of a per cent",
    evidence: "ages of failures and durations of answers, against the known time-outs of everything on such a path",
    verdict: "none of its own: it names the timer, its owner and its setting",
    proves: "a timer ended these: load alone does not make spikes",
    cannot_prove: "whose timer, when several owners wait as long by default; anything from a broad lump near a known length",
    apply,
};

/// Answers within these bounds, on a tunnel path, waited for the runtime's drain of 1.00 s.
const DRAIN: (Span, Span) = (Span::from_micros(1_000_000), Span::from_micros(1_060_000));

fn apply(case: &mut Case<'_>) {
    for index in 0..case.evidence.paths.len() {
        let Ok(path) = u8::try_from(index).map(PathId) else {
            continue;
        };
        spikes(case, path);
        if case.kind(path) == PathKind::Tunnel && case.laws(path).drains() {
            drain(case, path);
        }
    }
}

fn spikes(case: &mut Case<'_>, path: PathId) {
    let broken: Vec<&Failure> = case
        .failures
        .iter()
        .filter(|failure| failure.path == path && matches!(failure.what, What::Broken { .. }))
        .collect();
    let mut sorted: Vec<Span> = broken.iter().map(|failure| failure.age()).collect();
    sorted.sort_unstable();
    let Some(spike) = lattice::spike(&sorted, 5).filter(|spike| spike.at >= Span::from_micros(500_000))
    else {
        return;
    };
    let in_spike = || {
        broken
            .iter()
            .copied()
            .filter(|failure| spike.contains(failure.age()))
    };
    let failed = Failed::of(in_spike());
    let mut charged: Vec<Hop> = in_spike().map(|failure| failure.cause.hop()).collect();
    charged.sort_unstable();
    charged.dedup();
    let present = |hop: Hop| match hop {
        Hop::Tunnel => case.kind(path) == PathKind::Tunnel,
        Hop::Lb => case.kind(path) == PathKind::Lb,
        Hop::Client | Hop::Backend | Hop::Observer | Hop::Unknown => true,
    };
    let known: Vec<String> = lattice::known(spike.at)
        .filter(|constant| present(constant.owner))
        .map(|constant| {
            format!(
                "{} ({}; set by {})",
                constant.what, constant.owner, constant.setting
            )
        })
        .collect();
    if known.is_empty() {
        return;
    }
    let statement = format!(
        "{} on path {} ended {} after they began, within {}: as long as {}.",
        failed.described(),
        case.path_name(path),
        spike.at,
        spike.to - spike.at,
        known.join(", or ")
    );
    let numbers = vec![
        ("at_seconds", spike.at.as_secs_f64()),
        ("count", length(spike.count)),
    ];
    for hop in charged {
        let finding = Finding {
            rule: RULE.name,
            statement: statement.clone(),
            numbers: numbers.clone(),
        };
        case.note(About::Hop(hop), Speaks::For, finding);
    }
}

/// A second that the runtime waits is not the application's latency.
fn drain(case: &mut Case<'_>, path: PathId) {
    let answered = case
        .evidence
        .exchanges
        .iter()
        .filter(|exchange| exchange.path == path && !exchange.delivery.failed());
    let (mut all, mut drained, mut around) = (0_u64, 0_u64, 0_u64);
    for exchange in answered {
        let total = exchange.phases.total;
        all += 1;
        if total >= DRAIN.0 && total <= DRAIN.1 {
            drained += 1;
        } else if total >= Span::from_micros(850_000) && total <= Span::from_micros(1_250_000) {
            around += 1;
        }
    }
    // The window is 60 ms wide, its surroundings 340 ms.
    if drained < 10 || drained < around {
        return;
    }
    let statement = format!(
        "{} of {} on path {} took 1.00 to 1.06 s: the container runtime's drain after the application had closed, not the application's latency.",
        count(drained),
        counted(all, "sampled answer", "sampled answers"),
        case.path_name(path)
    );
    let numbers = vec![("drained", real(drained)), ("answers", real(all))];
    let finding = Finding {
        rule: RULE.name,
        statement,
        numbers,
    };
    case.note(About::Hop(Hop::Backend), Speaks::Against, finding.clone());
    case.note(About::Hop(Hop::Tunnel), Speaks::Against, finding);
    let share = percent(drained, all);
    case.ask(
        format!(
            "How fast is the application without the tunnel's drain, which {share} of the answers waited for?"
        ),
        format!(
            "hopscope run --via {}={} --via direct=POD-IP:PORT -- COMMAND",
            case.path_name(path),
            case.path_target(path)
        ),
    );
}
