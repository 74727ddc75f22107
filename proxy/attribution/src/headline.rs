//! The one sentence.

use crate::between::Between;
use crate::case::{About, Case, Speaks};
use crate::catalogue;
use crate::cause::Cause;
use crate::evidence::PathKind;
use crate::failed::Failed;
use crate::failure::What;
use crate::figures::{count, counted};
use crate::hop::Hop;
use crate::tally::looks;
use crate::verdict::{CauseCharge, Confidence, HopCharge};

/// Nothing failed: how much was looked at.
pub(crate) fn healthy(case: &Case<'_>) -> String {
    let requests = case
        .evidence
        .traffic
        .iter()
        .fold(0_u64, |sum, cell| sum.saturating_add(cell.requests));
    let connections = u64::try_from(case.evidence.connections.len()).unwrap_or(u64::MAX);
    let seen = format!(
        "{} on {}",
        counted(requests, "request", "requests"),
        counted(connections, "connection", "connections")
    );
    if requests == 0 && connections == 0 {
        "Nothing failed, and nothing was tried: no connection reached hopscope.".to_owned()
    } else if case.rows_lost > 0 {
        format!(
            "No failure is on record in {seen}, but {} lost.",
            counted(case.rows_lost, "row was", "rows were")
        )
    } else {
        format!("Nothing failed: {seen}.")
    }
}

/// The hop charged with most failures, in one honest sentence.
pub(crate) fn charged(
    case: &Case<'_>,
    hop: &HopCharge,
    cause: &CauseCharge,
    total: Failed,
    confidence: Confidence,
) -> String {
    let part = hop.failed.part_of(total);
    let why = reasons(case, hop, cause);
    match hop.hop {
        Hop::Unknown if cause.cause == Cause::RequestRejected => {
            let (are, rejected) = match hop.failures {
                1 => ("is an answer", "the request itself was"),
                _ => ("are answers", "the requests themselves were"),
            };
            format!("Every hop delivered: {part} {are} of 4xx, {rejected} rejected.")
        }
        Hop::Unknown if cause.between != Between::Any => between(case, hop, cause, total),
        Hop::Unknown => format!("The evidence does not decide {part}: {}.", open(case)),
        Hop::Observer => format!("Nobody else is charged with {part}: {why}."),
        Hop::Client | Hop::Tunnel | Hop::Lb | Hop::Backend => {
            let (noun, hedge, victims) = (noun(hop.hop), hedge(confidence), victims(cause));
            // Who is cleared comes first: on a small screen the end of a long sentence is cut.
            match cleared(case, hop.hop) {
                Some(cleared) => {
                    format!(
                        "The {noun} {hedge} {part}, and {cleared}. {}{victims}.",
                        capital(&why)
                    )
                }
                None => format!("The {noun} {hedge} {part}: {why}{victims}."),
            }
        }
    }
}

/// Two hops are left: who they are comes first, then who it was not, and what it looked like.
fn between(case: &Case<'_>, hop: &HopCharge, cause: &CauseCharge, total: Failed) -> String {
    let noun = cause.between.noun().unwrap_or("path");
    let open = || {
        case.failures
            .iter()
            .filter(|failure| failure.between == cause.between)
    };
    let rest = match hop.failures.saturating_sub(cause.failures) {
        0 => String::new(),
        rest => format!(
            "; {} more {} open",
            count(rest),
            if rest == 1 { "is" } else { "are" }
        ),
    };
    format!(
        "The {noun} caused {}; not the client: {}{rest}.",
        cause.failed.part_of(total),
        looks(open())
    )
}

/// Why, of each cause its own share: the largest must not speak for all.
fn reasons(case: &Case<'_>, hop: &HopCharge, main: &CauseCharge) -> String {
    let forwarder = case.forwarder_of(case.paths_of(PathKind::Tunnel));
    let reason = |cause: Cause| catalogue::with_forwarder(catalogue::of(cause).reason, forwarder);
    let shown = hop.causes.iter().take(3);
    let told: Vec<String> = match hop.causes.len() {
        0 | 1 => return reason(main.cause),
        _ => shown
            .map(|cause| format!("in {} {}", count(cause.failures), reason(cause.cause)))
            .collect(),
    };
    let rest = hop
        .causes
        .iter()
        .skip(3)
        .fold(0_u64, |sum, cause| sum.saturating_add(cause.failures));
    let rest = if rest > 0 {
        format!("; {} for other reasons", count(rest))
    } else {
        String::new()
    };
    format!("{}{rest}", told.join("; "))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A hop in the middle of a sentence.
const fn noun(hop: Hop) -> &'static str {
    match hop {
        Hop::Client => "load generator",
        Hop::Observer => "observer",
        Hop::Tunnel => "tunnel",
        Hop::Lb => "load balancer",
        Hop::Backend => "backend",
        Hop::Unknown => "unknown",
    }
}

fn hedge(confidence: Confidence) -> &'static str {
    match confidence.get() {
        sure if sure >= 0.85 => "caused",
        sure if sure >= 0.65 => "most likely caused",
        sure if sure >= 0.5 => "probably caused",
        _ => "may have caused",
    }
}

fn victims(cause: &CauseCharge) -> String {
    if cause.victims == 0 {
        return String::new();
    }
    match cause.failures.saturating_sub(cause.victims) {
        0 => "; no single connection was seen to trigger it".to_owned(),
        triggers => format!(
            " ({}, {} dragged along)",
            counted(triggers, "trigger", "triggers"),
            counted(cause.victims, "victim", "victims")
        ),
    }
}

/// What the answers themselves, and a contrast of routes, cleared on the way.
fn cleared(case: &Case<'_>, hop: Hop) -> Option<String> {
    if hop != Hop::Backend {
        return None;
    }
    let (mut failed, mut delivered) = (0_u64, 0_u64);
    let mut on = [false; 4];
    for failure in case
        .failures
        .iter()
        .filter(|failure| failure.cause.hop() == Hop::Backend)
    {
        failed += 1;
        delivered += u64::from(matches!(failure.what, What::Answered { .. }));
        if let Some(on) = on.get_mut(case.kind(failure.path) as usize) {
            *on = true;
        }
    }
    let is_on = |kind: PathKind| on.get(kind as usize).copied().unwrap_or(false);
    let charged = |hop: Hop| case.failures.iter().any(|failure| failure.cause.hop() == hop);
    let carriers = match (is_on(PathKind::Tunnel), is_on(PathKind::Lb)) {
        (true, true) if !charged(Hop::Tunnel) && !charged(Hop::Lb) => "the tunnel and the load balancer are",
        (true, false) if !charged(Hop::Tunnel) => "the tunnel is",
        (false, true) if !charged(Hop::Lb) => "the load balancer is",
        _ => return None,
    };
    let contrast = contrast(case).filter(|_| is_on(PathKind::Tunnel));
    let delivery = if delivered == failed {
        let it = if carriers.ends_with("are") { "they" } else { "it" };
        match failed {
            1 => format!("{it} delivered the answer"),
            _ => format!("{it} delivered all {} answers", count(failed)),
        }
    } else {
        String::new()
    };
    match (delivery.as_str(), contrast) {
        ("", None) => None,
        ("", Some(contrast)) => Some(format!("{carriers} cleared, {contrast}")),
        (delivery, None) => Some(format!("{carriers} cleared: {delivery}")),
        (delivery, Some(contrast)) => Some(format!("{carriers} cleared: {delivery}, and {contrast}")),
    }
}

/// Other routes that went on in the same seconds.
fn contrast(case: &Case<'_>) -> Option<String> {
    let contrast = case.notes.iter().find(|note| {
        note.about == About::Hop(Hop::Tunnel)
            && note.speaks == Speaks::Against
            && note.finding.rule == "route-contrast"
    });
    let number = |name: &str| {
        let numbers = contrast
            .map(|note| note.finding.numbers.as_slice())
            .unwrap_or_default();
        numbers
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, number)| *number)
    };
    let (Some(failed), Some(requests)) = (number("clean_routes_failed"), number("clean_routes_requests"))
    else {
        return None;
    };
    Some(format!(
        "other routes failed {} of {} in the same seconds",
        figure(failed),
        figure(requests)
    ))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it was a count before"
)]
fn figure(number: f64) -> String {
    count(number.max(0.0) as u64)
}

/// Why the evidence leaves it open, by what kind of path most of it lies on.
fn open(case: &Case<'_>) -> &'static str {
    if case.failures.iter().any(|failure| failure.contradicted) {
        return "a witness contradicts what it would otherwise show";
    }
    let mut kinds = [0_u64; 4];
    for failure in case
        .failures
        .iter()
        .filter(|failure| failure.cause == Cause::Undetermined)
    {
        let index = match case.kind(failure.path) {
            PathKind::Tunnel => 0,
            PathKind::Lb => 1,
            PathKind::Direct => 2,
            PathKind::Unstated => 3,
        };
        if let Some(count) = kinds.get_mut(index) {
            *count += 1;
        }
    }
    let most = kinds.iter().copied().max().unwrap_or(0);
    match kinds.iter().position(|count| *count == most && most > 0) {
        Some(0) => "the forward and the pod behind it would look the same from here",
        Some(1) => "the load balancer and the application behind it would look the same from here",
        Some(2) => "no order or owner of the end can be claimed",
        Some(_) => "what stands between hopscope and the application was not stated",
        None => "they never reached hopscope",
    }
}
