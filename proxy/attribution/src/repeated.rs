//! Attempts that the generator probably repeated by itself, on a fresh connection.
//!
//! Go's client, and others, send an idempotent request again when a kept connection turns out to be closed. hopscope
//! sees an attempt that failed; the generator counts nothing. How many there were is told beside the failures and
//! changes no count of them.

use std::collections::BTreeMap;

use crate::case::Case;
use crate::evidence::{ConnectionId, Exchange, Method, Moment, PathId, RouteId, Span};
use crate::failure::{ById, Failure, What};
use crate::figures::count;

/// Whoever repeats does so at once: this is room for a new connection and its handshake.
const AT_ONCE: Span = Span::from_micros(100_000);

/// Attempts that failed on a kept connection without a byte of an answer, each with a request of the same method and
/// route on a connection that was opened right after. At most as many as were repeated.
pub(crate) fn repeated(case: &Case<'_>) -> u64 {
    let mut candidates = case
        .failures
        .iter()
        .filter(|failure| may_repeat(case, failure))
        .peekable();
    if candidates.peek().is_none() {
        return 0;
    }
    let by_id = ById::of(&case.evidence.connections);
    let found = |id: ConnectionId| case.evidence.connections.get(by_id.find(id)? as usize);
    // By what was asked: when fresh connections began with it.
    let mut fresh: BTreeMap<Asked, BTreeMap<(Moment, ConnectionId), bool>> = BTreeMap::new();
    for exchange in case
        .evidence
        .exchanges
        .iter()
        .filter(|exchange| exchange.ordinal == 0)
    {
        if let Some(row) = found(exchange.connection) {
            let moments = fresh.entry(asked(&exchange)).or_default();
            moments.insert((row.opened, row.id), false);
        }
    }
    let mut repeated = 0;
    for failure in candidates {
        let Some(moments) = case
            .exchange(failure)
            .and_then(|exchange| fresh.get_mut(&asked(&exchange)))
        else {
            continue;
        };
        let from = (failure.at, ConnectionId(0));
        let to = (failure.at + AT_ONCE, ConnectionId(u64::MAX));
        if let Some((_, taken)) = moments.range_mut(from..=to).find(|(_, taken)| !**taken) {
            *taken = true;
            repeated += 1;
        }
    }
    repeated
}

type Asked = (PathId, RouteId, u8);

const fn asked(exchange: &Exchange) -> Asked {
    (exchange.path, exchange.route, exchange.method as u8)
}

fn may_repeat(case: &Case<'_>, failure: &Failure) -> bool {
    let nothing = matches!(failure.what, What::Broken { begun: false, .. });
    let idempotent = case.exchange(failure).is_some_and(|exchange| {
        matches!(
            exchange.method,
            Method::Get | Method::Head | Method::Put | Method::Delete | Method::Options | Method::Trace
        )
    });
    nothing && failure.cut_by_upstream() && failure.ordinal > 0 && idempotent
}

/// What to say of it behind the headline; empty where nothing was repeated.
pub(crate) fn sentence(case: &Case<'_>, repeated: u64) -> String {
    if repeated == 0 {
        return String::new();
    }
    // Where the generator's own result is there, it says exactly how many there were.
    if case.evidence.generator.seen().is_some() {
        return String::new();
    }
    format!(
        " Up to {} of these attempts were probably repeated on a fresh connection; a generator that repeats counts no failure.",
        count(repeated)
    )
}
