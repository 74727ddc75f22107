//! What the generator did to itself: aborts.

use super::Rule;
use super::ended::ended_together;
use super::half_close::half_closed;
use crate::case::{Baseline, Case};
use crate::cause::Cause;
use crate::confidence::{FAIR, GOOD, Ruling};
use crate::evidence::{Connection, Cut, Exchange, Span};
use crate::failure::{Failure, What};

pub(super) const ABORT: Rule = Rule {
    name: "client-ended-first",
    symptom: "the generator closed or reset before its answer was complete",
    evidence: "the order of ends, and how long it had waited compared with the path's successful exchanges",
    verdict: "client-abort when it left before an answer was due; left open when the answer was late",
    proves: "the generator ended the connection, and no hop had been slower than usual when it did",
    cannot_prove: "why it left; who was silent when it left after a long wait; how long it had waited where hopscope's own host was late",
    apply: apply_abort,
};

/// What a live figure may call the generator's own: nobody is expected to answer sooner than this in every case.
const PATIENCE: Span = Span::from_micros(1_000_000);
/// Who waited longer than this did not leave too early, however slow the others' answers were.
const LONG_ENOUGH: Span = Span::from_micros(2_000_000);
/// Leaving sooner than this is early whatever answers take.
const AT_ONCE: Span = Span::from_micros(50_000);

fn apply_abort(case: &mut Case<'_>) {
    case.judge_open(ABORT.name, |case, failure| {
        let (exchange, connection) = (case.exchange(failure)?, case.connection(failure));
        if connection.is_some_and(|connection| half_closed(&exchange, &connection)) {
            return None;
        }
        judge_abort_due(
            failure.what,
            Some(&exchange),
            connection.as_ref(),
            failure.age(),
            // Who looked late cannot say that somebody left early.
            (!case.late.host.touches(failure.began, failure.at)).then(|| early(case.usual(failure))),
        )
    });
}

/// Until when leaving is early: twice what nine in ten of the successful ones took, and never long. The slowest tenth
/// may have been held up by the very fault that this one left.
fn early(usual: Baseline) -> Span {
    if usual.rows >= 20 {
        Span::from_micros(usual.p90.as_micros().saturating_mul(2)).clamp(AT_ONCE, LONG_ENOUGH)
    } else {
        AT_ONCE
    }
}

/// From when on an answer is late: twice the 99th percentile of the successful ones, and no sooner than twice what the
/// few of its own route took; where there are few of all, no sooner than after a second.
pub(crate) fn due(case: &Case<'_>, failure: &Failure) -> Span {
    let usual = case.usual(failure);
    let slowest = usual.p99.max(case.of_route(failure).p99);
    let least = if usual.rows >= 20 { AT_ONCE } else { PATIENCE };
    Span::from_micros(slowest.as_micros().saturating_mul(2)).clamp(least, Span::from_micros(30_000_000))
}

/// From when on leaving is no longer early, however long it took: the generator was kept waiting. As [`due`], by what
/// nine in ten of the answers took.
pub(crate) fn kept_waiting(case: &Case<'_>, failure: &Failure) -> Span {
    let usual = case.usual(failure);
    if usual.rows < 20 {
        return due(case, failure);
    }
    Span::from_micros(usual.p90.as_micros().saturating_mul(2)).max(AT_ONCE)
}

/// Without the other exchanges: a second is what a generator may be expected to wait.
pub(super) fn judge_abort(
    what: What,
    exchange: Option<&Exchange>,
    connection: Option<&Connection>,
) -> Option<Ruling> {
    let waited = exchange.map_or(Span::ZERO, |exchange| exchange.phases.total);
    judge_abort_due(what, exchange, connection, waited, Some(PATIENCE))
}

fn judge_abort_due(
    what: What,
    exchange: Option<&Exchange>,
    connection: Option<&Connection>,
    waited: Span,
    early: Option<Span>,
) -> Option<Ruling> {
    let exchange = exchange?;
    let begun = match what {
        What::Broken {
            begun,
            by: Cut::DownstreamFin | Cut::DownstreamReset,
        } => begun,
        // Until the upstream stands nothing says how long an answer takes: only who left at once left early.
        What::Abandoned { .. } => {
            return early
                .is_some_and(|early| waited <= early.min(AT_ONCE))
                .then_some(Ruling::charge(Cause::ClientAbort, GOOD));
        }
        What::Broken { .. } | What::Answered { .. } | What::NotConnected(_) | What::FrontTls(_) => {
            return None;
        }
    };
    if connection.is_some_and(ended_together) {
        return None;
    }
    if !exchange.request_complete && !held_up(exchange, connection, waited) {
        return Some(Ruling::charge(Cause::ClientAbort, GOOD));
    }
    let confidence = if begun { FAIR } else { GOOD };
    early
        .is_some_and(|early| waited <= early)
        .then_some(Ruling::charge(Cause::ClientAbort, confidence))
}

/// Whether a request is incomplete for the other side's sake: it took no more bytes for most of the wait, or was asked
/// for a `100 Continue` and sent none. Who held it up is then judged by time, as of a complete one.
pub(super) fn held_up(exchange: &Exchange, connection: Option<&Connection>, waited: Span) -> bool {
    exchange.waits_to_continue() || taken_no_more(connection, waited)
}

/// Whether the other side took no more bytes for most of the wait.
pub(super) fn taken_no_more(connection: Option<&Connection>, waited: Span) -> bool {
    let blocked = connection.map_or(Span::ZERO, |connection| connection.blocked_up);
    blocked > Span::ZERO && blocked.as_micros().saturating_mul(2) >= waited.as_micros()
}

/// Whether the other side's kernel said for most of the wait that it has no room: what was sent had arrived.
pub(super) fn window_was_full(connection: Option<&Connection>, waited: Span) -> bool {
    let tcp = connection.and_then(|connection| connection.upstream_tcp.seen());
    tcp.is_some_and(|tcp| {
        tcp.rwnd_limited_ms > 0 && u64::from(tcp.rwnd_limited_ms).saturating_mul(2_000) >= waited.as_micros()
    })
}
