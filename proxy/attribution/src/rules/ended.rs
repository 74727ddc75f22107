//! Who ended a connection first, where the path itself says who that can have been.

use super::Rule;
use crate::case::Case;
use crate::cause::Cause;
use crate::confidence::{FAIR, GOOD, Ruling, STRONG};
use crate::evidence::{Connection, Cut, Ending, Exchange, PathKind, Span};
use crate::failure::{ETIMEDOUT, What};

pub(super) const RULE: Rule = Rule {
    name: "ended-first",
    symptom: "an answer that did not come, or did not come whole, because one side ended the connection",
    evidence: "the order of FIN and RST on hopscope's two sockets, and the kind of the path",
    verdict: "direct path: backend (reset, truncated, unread body, keep-alive race); hopscope's own stop: observer; lb, tunnel and unstated paths: left to other rules",
    proves: "on a direct path, that the application's address ended the connection before its answer was complete",
    cannot_prove: "who ended it where several hops speak with one socket; anything where both sides were seen to end in the same wake-up; a firewall on a direct path that resets in the application's name",
    apply,
};

/// A connection used again and cut within this time was closed while the request was under way.
const RACE: Span = Span(50_000);

/// A wait that outlasts this was not short.
pub(super) const LONG: Span = Span(10_000_000);

fn apply(case: &mut Case<'_>) {
    case.judge_open(RULE.name, |case, failure| {
        judge(
            failure.what,
            case.exchange(failure),
            case.connection(failure),
            case.kind(failure.path),
        )
    });
}

pub(super) fn judge(
    what: What,
    exchange: Option<&Exchange>,
    connection: Option<&Connection>,
    kind: PathKind,
) -> Option<Ruling> {
    let What::Broken { begun, by } = what else {
        return None;
    };
    match by {
        Cut::Stopped => {
            let waited = exchange.map_or(Span(0), |exchange| exchange.phases.total);
            // What had been silent for long when the run ended was not failed by the end of the run.
            (waited < LONG).then_some(Ruling::charge(Cause::ObserverStopped, STRONG))
        }
        Cut::UpstreamFin | Cut::UpstreamReset if kind == PathKind::Direct => (!connection
            .is_some_and(ended_together))
        .then(|| direct(begun, by == Cut::UpstreamReset, exchange)),
        Cut::UpstreamErrno(ETIMEDOUT) if kind == PathKind::Direct => {
            Some(Ruling::charge(Cause::BackendUnreachable, GOOD))
        }
        Cut::Unreadable if kind == PathKind::Direct => Some(Ruling::charge(Cause::BackendError, GOOD)),
        Cut::UpstreamFin
        | Cut::UpstreamReset
        | Cut::UpstreamErrno(_)
        | Cut::Unreadable
        | Cut::NotConnected
        | Cut::DownstreamFin
        | Cut::DownstreamReset => None,
    }
}

fn direct(begun: bool, reset: bool, exchange: Option<&Exchange>) -> Ruling {
    if reset && exchange.is_some_and(|exchange| exchange.answered_early) {
        return Ruling::charge(Cause::BackendUnreadBody, GOOD);
    }
    if !begun && exchange.is_some_and(raced) {
        return Ruling::charge(Cause::BackendKeepAliveRace, FAIR);
    }
    let cause = if begun && !reset {
        Cause::BackendTruncated
    } else {
        Cause::BackendReset
    };
    Ruling::charge(cause, STRONG)
}

/// The connection had been used before, was idle, and was gone as soon as it was used again.
pub(super) fn raced(exchange: &Exchange) -> bool {
    exchange.ordinal > 0
        && exchange.phases.idle.is_some_and(|idle| idle >= RACE)
        && exchange.phases.total <= RACE
}

/// Both sides ended of themselves and were seen to in the same wake-up: no order can be claimed.
pub(super) fn ended_together(connection: &Connection) -> bool {
    let by_itself = |how: Ending| {
        matches!(
            how,
            Ending::Fin | Ending::Reset | Ending::TimedOut | Ending::Errno(_)
        )
    };
    connection.downstream_end.at == connection.upstream_end.at
        && by_itself(connection.downstream_end.how)
        && by_itself(connection.upstream_end.how)
}
