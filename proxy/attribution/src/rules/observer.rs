//! hopscope itself: what it failed, what it missed, and for which part of the run nobody else may be charged.

use super::Rule;
use crate::case::{Case, Unrowed, failed_in};
use crate::cause::Cause;
use crate::confidence::{GOOD, PROVEN, Ruling};
use crate::evidence::{ConnectFailure, Moment, ObserverSample, PathId, Span};
use crate::failed::Failed;
use crate::failure::{Failure, NONE, What};
use crate::figures::{count, counted, share};

pub(super) const RULE: Rule = Rule {
    name: "observer-first",
    symptom: "any failure without a complete answer",
    evidence: "hopscope's own samples of loop delay, accept queue and descriptors; its books of rows written and lost",
    verdict: "observer-saturated or observer-fd-limit for failures in a second in which hopscope could not keep up; observer-evidence-lost for failures that were counted and have no row",
    proves: "hopscope was late itself while the failure happened, so nobody else can be convicted of it",
    cannot_prove: "that hopscope caused it; that it was well in seconds of which no sample exists",
    apply,
};

/// A worker that is this late reads, accepts and times others too late.
const LATE: Span = Span::from_micros(250_000);
/// Connections waiting in hopscope's own accept queue.
const QUEUE: u32 = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Saturated,
    NoDescriptor,
}

fn trouble(sample: &ObserverSample) -> Option<Trouble> {
    let spent = sample.descriptor_limit > 0 && sample.descriptors >= sample.descriptor_limit;
    if sample.accepts_refused > 0 || spent {
        Some(Trouble::NoDescriptor)
    } else if sample.loop_lag >= LATE || sample.accept_queue >= QUEUE {
        Some(Trouble::Saturated)
    } else {
        None
    }
}

fn apply(case: &mut Case<'_>) {
    account(case);
    void(case);
}

fn account(case: &mut Case<'_>) {
    let books = case.evidence.observer.accounting;
    let missing = books
        .accepts
        .abs_diff(books.connection_rows.saturating_add(books.connections_lost));
    if missing > 0 {
        case.observer.reasons.push(format!(
            "The books do not balance: {} accepted, {} on record, {} counted as lost.",
            count(books.accepts),
            count(books.connection_rows),
            count(books.connections_lost)
        ));
    }
    let kernel_lost = case.kernel_events_lost;
    if books.connections_left_out > 0 || books.exchanges_left_out > 0 {
        case.observer.reasons.push(format!(
            "This is a sample: {} and {} were left out evenly, so that the recording (--record-limit) or the report stays \
             within its limit. Every one of them is counted, and totals, routes and latencies are exact.",
            counted(books.connections_left_out, "connection", "connections"),
            counted(books.exchanges_left_out, "failed request", "failed requests"),
        ));
    }
    let connections_lost = books.connections_lost.saturating_sub(books.connections_left_out);
    let exchanges_lost = books.exchanges_lost.saturating_sub(books.exchanges_left_out);
    if connections_lost > 0 || exchanges_lost > 0 || kernel_lost > 0 {
        case.observer.reasons.push(format!(
            "Evidence was lost: {}, {}, {}.",
            counted(connections_lost, "connection", "connections"),
            counted(exchanges_lost, "exchange", "exchanges"),
            counted(kernel_lost, "kernel event", "kernel events")
        ));
    }
    let without_row = count_without_row(case);
    if without_row > 0 {
        case.observer.reasons.push(format!(
            "{} counted and their rows are missing: nobody is charged with them.",
            counted(without_row, "failed request was", "failed requests were")
        ));
    }
    case.rows_lost = books
        .exchanges_lost
        .max(without_row)
        .saturating_add(books.connections_lost)
        .saturating_add(missing);
    // Of the failures that were counted, the share whose rows are there; of all rows, the share that was not lost.
    let failed = u64::try_from(case.failures.len()).unwrap_or(u64::MAX);
    let connections = u64::try_from(case.evidence.connections.len()).unwrap_or(u64::MAX);
    let exchanges = u64::try_from(case.evidence.exchanges.len()).unwrap_or(u64::MAX);
    case.trust *= kept(failed, without_row)
        * kept(connections, books.connections_lost.saturating_add(missing))
        * kept(exchanges, books.exchanges_lost.saturating_sub(without_row));
    if !case.evidence.observer.closed_properly {
        case.trust *= 0.9;
        case.observer.reasons.push(
            "The recording was not closed properly: what came after its last row is not known.".to_owned(),
        );
    }
    if case.evidence.observer.samples.is_empty() {
        case.trust *= 0.95;
        case.observer
            .reasons
            .push("hopscope's own state was not sampled in this run.".to_owned());
    }
}

/// The share that is left of what there was.
fn kept(here: u64, lost: u64) -> f64 {
    if lost == 0 {
        1.0
    } else {
        share(here, here.saturating_add(lost))
    }
}

/// Charges the failures that the exact counts know and no row tells of; returns how many.
fn count_without_row(case: &mut Case<'_>) -> u64 {
    let mut counted = [0_u64; 256];
    for cell in &case.evidence.traffic {
        if let Some(counted) = counted.get_mut(usize::from(cell.path.0)) {
            *counted = counted.saturating_add(failed_in(cell));
        }
    }
    for failure in case.failures.iter().filter(|failure| failure.exchange != NONE) {
        if let Some(counted) = counted.get_mut(usize::from(failure.path.0)) {
            *counted = counted.saturating_sub(1);
        }
    }
    let mut all = 0_u64;
    for (path, failures) in (0..=u8::MAX).zip(counted).filter(|(_, failures)| *failures > 0) {
        all = all.saturating_add(failures);
        case.unrowed.push(Unrowed {
            path: Some(PathId(path)),
            cause: Cause::ObserverEvidenceLost,
            failures,
            confidence: PROVEN,
            rule: RULE.name,
        });
    }
    all
}

fn void(case: &mut Case<'_>) {
    let samples = case.evidence.observer.samples.iter();
    let mut troubled: Vec<(u32, Trouble)> = samples
        .filter_map(|sample| trouble(sample).map(|trouble| (sample.at.second(), trouble)))
        .collect();
    if troubled.is_empty() {
        return;
    }
    troubled.sort_unstable_by_key(|(second, trouble)| (*second, *trouble == Trouble::Saturated));
    case.judge_where(
        RULE.name,
        |failure| !matches!(failure.what, What::Answered { .. }),
        |_, failure| {
            // What was wanting is known of the failure itself, and no matter of how busy hopscope was besides.
            if matches!(failure.what, What::NotConnected(ConnectFailure::NoDescriptor)) {
                return Some(Ruling::charge(Cause::ObserverFdLimit, PROVEN));
            }
            let cause = match during(&troubled, failure.began, failure.at)? {
                Trouble::Saturated => Cause::ObserverSaturated,
                Trouble::NoDescriptor => Cause::ObserverFdLimit,
            };
            Some(Ruling::charge(cause, GOOD))
        },
    );
    let voided = |failure: &&Failure| failure.rule == RULE.name;
    let voided = Failed::of(case.failures.iter().filter(voided));
    case.observer.saturated = true;
    troubled.dedup_by_key(|(second, _)| *second);
    case.observer.reasons.push(format!(
        "hopscope could not keep up in {}: {} of that time without a complete answer {} charged to nobody else.",
        counted(u64::try_from(troubled.len()).unwrap_or(0), "second", "seconds"),
        voided.described(),
        if voided.all() == 1 { "is" } else { "are" }
    ));
}

/// The trouble of the first troubled second that the failure overlaps; a sample speaks for the second before it too.
fn during(troubled: &[(u32, Trouble)], began: Moment, at: Moment) -> Option<Trouble> {
    let start = troubled.partition_point(|(second, _)| *second < began.second());
    let (second, trouble) = troubled.get(start)?;
    (*second <= at.second().saturating_add(1)).then_some(*trouble)
}
