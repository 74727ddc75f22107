//! A load balancer that forgets idle connections: resets by how long a connection had been idle.

use super::Rule;
use super::client::due;
use super::ended::ended_together;
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::confidence::{FAIR, GOOD, Ruling, STRONG};
use crate::evidence::{Cut, Delivery, PathId, PathKind, Span};
use crate::failure::{Failure, What};
use crate::figures::{counted, length};
use crate::lattice::{self, Spike};
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "idle-age",
    symptom: "a connection through a load balancer is cut, or goes silent, when it is used again after a pause, or is cut in the middle of a silence",
    evidence: "how long each connection had been idle when it was used: of the cut ones, and of those that were answered",
    verdict: "lb-idle-timeout, when all that were idle for longer than a sharp limit were cut, or never acknowledged, and all others answered, or the ages are as tight as only a timer's",
    proves: "a timer on idle connections cut these, and how long it runs",
    cannot_prove: "that the timer is the load balancer's and not the application's behind a load balancer that passes connections through, unless its length is one that only the load balancer has",
    apply,
};

/// Used again and cut within this time: it was gone before.
const AT_ONCE: Span = Span::from_micros(1_000_000);

/// A pause as long as this that was answered shows that idling by itself is allowed.
const ANSWERED_PAUSE: Span = Span::from_micros(100_000);

fn apply(case: &mut Case<'_>) {
    for path in case.paths_of(PathKind::Lb) {
        after_pause(case, path);
        in_silence(case, path);
        dropped(case, path);
    }
}

/// How long the connection had been idle, of a failure that was cut as soon as it was used again.
fn idle_of(case: &Case<'_>, failure: &Failure) -> Option<Span> {
    let What::Broken {
        begun: false,
        by: Cut::UpstreamReset | Cut::UpstreamFin,
    } = failure.what
    else {
        return None;
    };
    let exchange = case.exchange(failure)?;
    if case.connection(failure).as_ref().is_some_and(ended_together) {
        return None;
    }
    let at_once = exchange.ordinal > 0 && exchange.phases.total <= AT_ONCE;
    at_once
        .then_some(exchange.phases.idle)
        .flatten()
        .filter(|idle| *idle >= AT_ONCE)
}

fn after_pause(case: &mut Case<'_>, path: PathId) {
    let of_path = |failure: &&Failure| failure.path == path && failure.is_open();
    let mut cut: Vec<Span> = case
        .failures
        .iter()
        .filter(of_path)
        .filter_map(|failure| idle_of(case, failure))
        .collect();
    if cut.len() < 3 {
        return;
    }
    cut.sort_unstable();
    let answered = case.evidence.exchanges.iter().filter(|exchange| {
        exchange.path == path
            && matches!(exchange.delivery, Delivery::Complete { .. })
            && exchange.ordinal > 0
    });
    let idle: Vec<Span> = answered.filter_map(|exchange| exchange.phases.idle).collect();
    // A sharp limit: all but a few that were idle for longer are cut, all but a few that were idle for less are not.
    // Those few are hopscope's own delays on a busy host.
    let shortest_cut = cut.get(cut.len() / 20).copied().unwrap_or_default();
    let crossing = idle.iter().filter(|idle| **idle >= shortest_cut).count();
    let longest_answered = idle.iter().filter(|idle| **idle < shortest_cut).max().copied();
    let paused = longest_answered.is_some_and(|answered| answered >= Span::from_micros(1_000));
    let sharp = paused && crossing.saturating_mul(20) <= cut.len();
    let spike = lattice::spike(&cut, 3);
    let Some((limit, mut confidence)) = limit(shortest_cut, sharp, spike) else {
        return;
    };
    let resets = case.failures.iter().filter(of_path).filter(|failure| {
        idle_of(case, failure).is_some()
            && matches!(
                failure.what,
                What::Broken {
                    by: Cut::UpstreamReset,
                    ..
                }
            )
    });
    let all_reset = resets.count() == cut.len();
    let known = lattice::balancer_idle(limit);
    // An application that is done with an idle connection says FIN; a load balancer that has forgotten it says RST.
    if !all_reset && known.is_none() {
        return;
    }
    if known.is_some() && all_reset {
        confidence = STRONG;
    } else if !all_reset {
        confidence = FAIR;
    }
    case.judge_where(
        RULE.name,
        |failure| failure.path == path && failure.is_open(),
        |case, failure| {
            let idle = idle_of(case, failure)?;
            (idle.as_micros().saturating_add(idle.as_micros() / 100) >= limit.as_micros())
                .then_some(Ruling::charge(Cause::LbIdleTimeout, confidence))
        },
    );
    let owner = known.map_or_else(String::new, |constant| {
        format!("; that is {}, set by {}", constant.what, constant.setting)
    });
    let against = longest_answered.map_or_else(
        || "no connection was answered after a pause".to_owned(),
        |answered| format!("the longest pause after which a request was answered is {answered}"),
    );
    let statement = format!(
        "{} cut at once when used again after {shortest_cut} or more of silence; {against}{owner}.",
        counted(cut.len() as u64, "connection was", "connections were")
    );
    let numbers = vec![("cut", length(cut.len())), ("limit_seconds", limit.as_secs_f64())];
    case.note(
        About::Cause(Cause::LbIdleTimeout),
        Speaks::For,
        Finding {
            rule: RULE.name,
            statement,
            numbers,
        },
    );
}

/// The limit that the ages show, by a sharp step or by a tight spike.
fn limit(shortest: Span, sharp: bool, spike: Option<Spike>) -> Option<(Span, f64)> {
    match (sharp, spike) {
        (_, Some(spike)) if spike.share >= 0.8 => Some((spike.at, GOOD)),
        (true, _) => Some((shortest, GOOD)),
        (false, _) => None,
    }
}

/// Used again after a pause and never acknowledged, let alone answered: somebody on the way has forgotten it.
fn gone_silent(case: &Case<'_>, failure: &Failure) -> Option<Span> {
    let exchange = case.exchange(failure)?;
    let connection = case.connection(failure)?;
    // A kernel that still knows the connection acknowledges what its application does not read.
    let unacknowledged = connection
        .upstream_tcp
        .seen()
        .is_some_and(|tcp| tcp.unacked_bytes > 0 && tcp.retransmits > 0);
    let silent = failure.is_silence() && failure.age() >= due(case, failure) && unacknowledged;
    exchange
        .phases
        .idle
        .filter(|idle| silent && exchange.ordinal > 0 && *idle >= AT_ONCE)
}

fn dropped(case: &mut Case<'_>, path: PathId) {
    let of_path = |failure: &&Failure| failure.path == path && failure.is_open();
    let here = || case.failures.iter().filter(of_path);
    let mut cut: Vec<Span> = here().filter_map(|failure| gone_silent(case, failure)).collect();
    cut.sort_unstable();
    let Some(shortest) = cut.get(cut.len() / 20).copied().filter(|_| cut.len() >= 3) else {
        return;
    };
    let answered = case.evidence.exchanges.iter().filter(|exchange| {
        exchange.path == path
            && matches!(exchange.delivery, Delivery::Complete { .. })
            && exchange.ordinal > 0
    });
    let idle: Vec<Span> = answered.filter_map(|exchange| exchange.phases.idle).collect();
    let crossing = idle.iter().filter(|idle| **idle >= shortest).count();
    let longest = idle.iter().filter(|idle| **idle < shortest).max().copied();
    // Without pauses that were answered it is no contrast, only a network that is down.
    let Some(longest) = longest.filter(|longest| *longest >= ANSWERED_PAUSE) else {
        return;
    };
    if crossing.saturating_mul(20) > cut.len() {
        return;
    }
    case.judge_where(
        RULE.name,
        |failure| failure.path == path && failure.is_open(),
        |case, failure| gone_silent(case, failure).map(|_| Ruling::charge(Cause::LbIdleTimeout, GOOD)),
    );
    let statement = format!(
        "{} used again after {shortest} or more of silence and never acknowledged; the longest pause after which a request was answered is {longest}.",
        counted(cut.len() as u64, "connection was", "connections were")
    );
    let numbers = vec![
        ("cut", length(cut.len())),
        ("limit_seconds", shortest.as_secs_f64()),
    ];
    case.note(
        About::Cause(Cause::LbIdleTimeout),
        Speaks::For,
        Finding {
            rule: RULE.name,
            statement,
            numbers,
        },
    );
}

/// Cut while the application was still working on the answer: only a length that no application has by default convicts.
fn in_silence(case: &mut Case<'_>, path: PathId) {
    let silent = |case: &Case<'_>, failure: &Failure| {
        let broken = matches!(
            failure.what,
            What::Broken {
                begun: false,
                by: Cut::UpstreamReset | Cut::UpstreamFin
            }
        );
        let quiet = case.exchange(failure).map(|exchange| {
            Span::from_micros(
                exchange
                    .phases
                    .total
                    .as_micros()
                    .saturating_sub(exchange.phases.request_sent.map_or(0, Span::as_micros)),
            )
        });
        quiet.filter(|quiet| broken && *quiet >= Span::from_micros(10_000_000))
    };
    let of_path = |failure: &&Failure| failure.path == path && failure.is_open();
    let mut ages: Vec<Span> = case
        .failures
        .iter()
        .filter(of_path)
        .filter_map(|failure| silent(case, failure))
        .collect();
    ages.sort_unstable();
    let Some(spike) = lattice::spike(&ages, 3) else {
        return;
    };
    let Some(constant) = lattice::balancer_idle(spike.at).filter(|constant| constant.only_here) else {
        return;
    };
    case.judge_where(
        RULE.name,
        |failure| failure.path == path && failure.is_open(),
        |case, failure| {
            let age = silent(case, failure)?;
            spike
                .contains(age)
                .then_some(Ruling::charge(Cause::LbIdleTimeout, GOOD))
        },
    );
    let statement = format!(
        "{} cut after {} of silence while an answer was awaited: {}, set by {}.",
        counted(spike.count as u64, "request was", "requests were"),
        spike.at,
        constant.what,
        constant.setting
    );
    let numbers = vec![
        ("cut", length(spike.count)),
        ("limit_seconds", spike.at.as_secs_f64()),
    ];
    case.note(
        About::Cause(Cause::LbIdleTimeout),
        Speaks::For,
        Finding {
            rule: RULE.name,
            statement,
            numbers,
        },
    );
}
