//! What the generator did to itself: aborts.

use super::Rule;
use super::ended::ended_together;
use crate::case::{Baseline, Case};
use crate::cause::Cause;
use crate::confidence::{FAIR, GOOD, Ruling};
use crate::evidence::{Connection, Cut, Exchange, Span};
use crate::failure::What;

pub(super) const ABORT: Rule = Rule {
    name: "client-ended-first",
    symptom: "the generator closed or reset before its answer was complete",
    evidence: "the order of ends, and how long it had waited compared with the path's successful exchanges",
    verdict: "client-abort when it left before an answer was due; left open when the answer was late",
    proves: "the generator ended the connection, and no hop had been slower than usual when it did",
    cannot_prove: "why it left; who was silent when it left after a long wait",
    apply: apply_abort,
};

/// Without a baseline, a wait shorter than this is not called late.
const PATIENCE: Span = Span(1_000_000);

fn apply_abort(case: &mut Case<'_>) {
    case.judge_open(ABORT.name, |case, failure| {
        let due = due(case.usual(failure));
        judge_abort_due(
            failure.what,
            case.exchange(failure),
            case.connection(failure),
            due,
        )
    });
}

/// When an answer is due: twice the 99th percentile of the successful ones.
pub(super) fn due(baseline: Baseline) -> Span {
    if baseline.rows >= 20 {
        Span(baseline.p99.0.saturating_mul(2)).clamp(Span(50_000), Span(30_000_000))
    } else {
        PATIENCE
    }
}

/// Without the other exchanges: a second is what a generator may be expected to wait.
pub(super) fn judge_abort(
    what: What,
    exchange: Option<&Exchange>,
    connection: Option<&Connection>,
) -> Option<Ruling> {
    judge_abort_due(what, exchange, connection, PATIENCE)
}

fn judge_abort_due(
    what: What,
    exchange: Option<&Exchange>,
    connection: Option<&Connection>,
    due: Span,
) -> Option<Ruling> {
    let What::Broken {
        begun,
        by: Cut::DownstreamFin | Cut::DownstreamReset,
    } = what
    else {
        return None;
    };
    let exchange = exchange?;
    if connection.is_some_and(ended_together) {
        return None;
    }
    if !exchange.request_complete {
        return Some(Ruling::charge(Cause::ClientAbort, GOOD));
    }
    let confidence = if begun { FAIR } else { GOOD };
    (exchange.phases.total <= due).then_some(Ruling::charge(Cause::ClientAbort, confidence))
}
