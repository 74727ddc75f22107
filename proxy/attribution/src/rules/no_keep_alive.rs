//! A server that closes after so many answers and does not say so: whoever uses the connection again finds it closed.

use std::collections::BTreeMap;

use super::Rule;
use super::ended::DRAIN;
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::confidence::{GOOD, Ruling};
use crate::evidence::{Delivery, PathId, PathKind, Span};
use crate::failure::{Failure, What};
use crate::figures::{count, counted, length, real};
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "no-keep-alive",
    symptom: "connections are cut at their second use, or at another fixed one, however short the pause before it",
    evidence: "how many answers each connection had carried when it was cut, and how many requests were ever answered at that place or later",
    verdict: "backend-no-keep-alive on a direct path, and on a tunnel path whose forwarder ends no connection by itself",
    proves: "the connection is closed after so many answers, and whoever closes it does not announce it",
    cannot_prove: "on a path through a load balancer or an unknown forwarder, whether that or the application closes it",
    apply,
};

/// Cut within this time of its request, it was closed before.
const AT_ONCE: Span = Span::from_micros(100_000);
/// A pause that no server's keep-alive time-out is as short as.
const PAUSE: Span = Span::from_micros(250_000);
/// Fewer cuts at one place than this are a coincidence.
const ENOUGH: u64 = 5;

fn apply(case: &mut Case<'_>) {
    for index in 0..case.evidence.paths.len() {
        let Ok(path) = u8::try_from(index).map(PathId) else {
            continue;
        };
        let limit = match case.kind(path) {
            PathKind::Direct => AT_ONCE,
            PathKind::Tunnel if case.laws(path).shared() => DRAIN,
            PathKind::Tunnel | PathKind::Lb | PathKind::Unstated => continue,
        };
        let Some(found) = place(case, path, limit) else {
            continue;
        };
        case.judge_where(
            RULE.name,
            |failure| failure.path == path && may_be_renamed(failure),
            |_, failure| {
                (failure.ordinal == found.ordinal && cut_at_once(failure, limit))
                    .then_some(Ruling::charge(Cause::BackendNoKeepAlive, GOOD))
            },
        );
        tell(case, path, &found);
    }
}

/// What other rules say of such a cut: that the application ended it, for want of a better word.
fn may_be_renamed(failure: &Failure) -> bool {
    failure.is_open()
        || (!failure.victim
            && matches!(
                failure.cause,
                Cause::BackendReset | Cause::BackendUnreadBody | Cause::BackendKeepAliveRace
            ))
}

fn cut_at_once(failure: &Failure, limit: Span) -> bool {
    let nothing = matches!(failure.what, What::Broken { begun: false, .. });
    nothing && failure.cut_by_upstream() && failure.ordinal > 0 && failure.age() <= limit
}

/// Where connections are cut.
struct Place {
    ordinal: u32,
    cut: u64,
    answered: u64,
}

/// The one place at which nearly all cuts of a path stand, where next to nothing was ever answered from there on.
fn place(case: &Case<'_>, path: PathId, limit: Span) -> Option<Place> {
    let mut cuts: BTreeMap<u32, u64> = BTreeMap::new();
    let mut pauses: Vec<Span> = Vec::new();
    let here = case.failures.iter().filter(|failure| failure.path == path);
    for failure in here.filter(|failure| may_be_renamed(failure) && cut_at_once(failure, limit)) {
        *cuts.entry(failure.ordinal).or_default() += 1;
        pauses.extend(case.exchange(failure).and_then(|exchange| exchange.phases.idle));
    }
    pauses.sort_unstable();
    // After pauses only, a time-out for idle connections explains it as well.
    if pauses.get(pauses.len() / 2).is_some_and(|pause| *pause >= PAUSE) {
        return None;
    }
    let all: u64 = cuts.values().sum();
    let (ordinal, cut) = cuts.into_iter().max_by_key(|(_, times)| *times)?;
    let whole = |exchange: &crate::evidence::Exchange| {
        exchange.path == path && matches!(exchange.delivery, Delivery::Complete { .. })
    };
    let (mut before, mut answered) = (0_u64, 0_u64);
    for exchange in case.evidence.exchanges.iter().filter(whole) {
        if exchange.ordinal >= ordinal {
            answered += 1;
        } else {
            before += 1;
        }
    }
    let sharp = cut.saturating_mul(10) >= all.saturating_mul(9) && answered.saturating_mul(20) <= cut;
    (cut >= ENOUGH && sharp && before > 0).then_some(Place {
        ordinal,
        cut,
        answered,
    })
}

fn tell(case: &mut Case<'_>, path: PathId, place: &Place) {
    let statement = format!(
        "{} on path {} were cut when they were used again after {}; {} ever answered from there on.",
        counted(place.cut, "connection", "connections"),
        case.path_name(path),
        counted(u64::from(place.ordinal), "answer", "answers"),
        match place.answered {
            0 => "no request was".to_owned(),
            1 => "one request was".to_owned(),
            many => format!("{} requests were", count(many)),
        }
    );
    let numbers = vec![
        ("cut", real(place.cut)),
        ("after_answers", length(place.ordinal as usize)),
    ];
    case.note(
        About::Cause(Cause::BackendNoKeepAlive),
        Speaks::For,
        Finding {
            rule: RULE.name,
            statement,
            numbers,
        },
    );
}
