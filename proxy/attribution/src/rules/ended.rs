//! Who ended a connection first, where the path itself says who that can have been.

use super::Rule;
use super::client::taken_no_more;
use crate::case::Case;
use crate::cause::Cause;
use crate::confidence::{FAIR, GOOD, Ruling, STRONG};
use crate::court::left_its_body;
use crate::evidence::{Connection, Cut, Ending, Exchange, PathId, PathKind, Span};
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
const RACE: Span = Span::from_micros(50_000);

/// The container runtime's drain, and room for those who pass its end on.
pub(super) const DRAIN: Span = Span::from_micros(1_150_000);

/// A wait that outlasts this was not short.
pub(super) const LONG: Span = Span::from_micros(10_000_000);

/// The same of an upload of which the other side takes no more.
const UNTAKEN: Span = Span::from_micros(1_000_000);

fn apply(case: &mut Case<'_>) {
    let races = Races::of(case);
    case.judge_open(RULE.name, |case, failure| {
        let ruling = judge(
            failure.what,
            case.exchange(failure).as_ref(),
            case.connection(failure).as_ref(),
            case.kind(failure.path),
        )?;
        // Alone it looks like a race; among the others it does not.
        let no_race = ruling.cause == Cause::BackendKeepAliveRace && !races.possible(failure.path);
        Some(if no_race {
            Ruling::charge(Cause::BackendReset, STRONG)
        } else {
            ruling
        })
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
            let waited = exchange.map_or(Span::ZERO, |exchange| exchange.phases.total);
            // What had been silent for long when the run ended was not failed by the end of the run. A generator that
            // left behind bytes that nobody takes cannot be seen to leave: such a wait need not be as long.
            let untaken = exchange.is_some_and(|exchange| !exchange.request_complete)
                && taken_no_more(connection, waited);
            let long = if untaken { UNTAKEN } else { LONG };
            (waited < long).then_some(Ruling::charge(Cause::ObserverStopped, STRONG))
        }
        Cut::UpstreamFin | Cut::UpstreamReset if kind == PathKind::Direct => (!connection
            .is_some_and(ended_together))
        .then(|| direct(begun, by == Cut::UpstreamReset, exchange, connection)),
        Cut::UpstreamErrno(ETIMEDOUT) if kind == PathKind::Direct => {
            Some(Ruling::charge(Cause::BackendUnreachable, GOOD))
        }
        Cut::UpstreamFin
        | Cut::UpstreamReset
        | Cut::UpstreamErrno(_)
        | Cut::Unreadable
        | Cut::NotConnected
        | Cut::DownstreamFin
        | Cut::DownstreamReset
        | Cut::UpstreamStream(_)
        | Cut::DownstreamStream(_)
        | Cut::GoAway(_) => None,
    }
}

fn direct(begun: bool, reset: bool, exchange: Option<&Exchange>, connection: Option<&Connection>) -> Ruling {
    if reset && exchange.is_some_and(left_its_body) {
        return Ruling::charge(Cause::BackendUnreadBody, GOOD);
    }
    if !begun && exchange.is_some_and(|exchange| raced(exchange, connection, false)) {
        return Ruling::charge(Cause::BackendKeepAliveRace, FAIR);
    }
    let cause = if begun && !reset {
        Cause::BackendTruncated
    } else {
        Cause::BackendReset
    };
    Ruling::charge(cause, STRONG)
}

/// The connection had been used before, was idle, and was gone about a round trip after it was used again; behind a
/// forward whose runtime drains, up to a second later.
pub(super) fn raced(exchange: &Exchange, connection: Option<&Connection>, drains: bool) -> bool {
    let tcp = connection.and_then(|connection| connection.upstream_tcp.seen());
    // The round trip that the kernel measured, twice and with room for hopscope's own wake-up.
    let at_once = tcp.map_or(RACE, |tcp| {
        Span::from_micros(u64::from(tcp.rtt_us).saturating_mul(2).saturating_add(10_000)).min(RACE)
    });
    exchange.ordinal > 0
        && exchange.bytes_down == 0
        && exchange.phases.idle.is_some_and(|idle| idle >= RACE)
        && exchange.phases.total <= if drains { DRAIN } else { at_once }
}

/// On which paths connections can have been closed for being idle: where those that were cut had been idle for longer
/// than nearly all that were answered. Who resets whatever the pause resets for another reason.
pub(super) struct Races(Vec<bool>);

/// Fewer pauses than this say nothing of what is usual.
const PAUSES: usize = 20;

impl Races {
    pub(super) fn of(case: &Case<'_>) -> Self {
        let paths = case.evidence.paths.len();
        let (mut cut, mut answered) = (vec![Vec::new(); paths], vec![Vec::new(); paths]);
        for failure in case.failures.iter().filter(|failure| failure.cut_by_upstream()) {
            let exchange = case.exchange(failure);
            let raced = exchange.filter(|exchange| {
                let drains = case.kind(failure.path) == PathKind::Tunnel && case.laws(failure.path).drains();
                raced(exchange, case.connection(failure).as_ref(), drains)
            });
            if let (Some(idle), Some(cut)) = (
                raced.and_then(|exchange| exchange.phases.idle),
                cut.get_mut(usize::from(failure.path.0)),
            ) {
                cut.push(idle);
            }
        }
        for exchange in case.evidence.exchanges.iter().filter(|e| !e.delivery.failed()) {
            if let (Some(idle), Some(answered)) = (
                exchange.phases.idle,
                answered.get_mut(usize::from(exchange.path.0)),
            ) {
                answered.push(idle);
            }
        }
        Self(
            cut.into_iter()
                .zip(answered)
                .map(|(mut cut, mut answered)| {
                    cut.sort_unstable();
                    answered.sort_unstable();
                    let usual = answered.get(answered.len() * 9 / 10);
                    cut.len() < 3
                        || answered.len() < PAUSES
                        || usual.is_none_or(|usual| cut.get(cut.len() / 2).is_some_and(|idle| idle >= usual))
                })
                .collect(),
        )
    }

    pub(super) fn possible(&self, path: PathId) -> bool {
        self.0.get(usize::from(path.0)).copied().unwrap_or(true)
    }
}

/// Both sides ended of themselves and were seen to in the same wake-up: no order can be claimed.
pub(crate) fn ended_together(connection: &Connection) -> bool {
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
