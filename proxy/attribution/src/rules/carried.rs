//! Whether a forward carried anything while somebody waited on it: silence behind one that carried nothing is nobody's yet.
//!
//! A far end that takes bytes and passes nothing on looks healthy from the forwarder's sockets: the other kernel
//! acknowledges all of it. Only what comes back shows that the forward stands: answers to others, or whatever else.

use std::collections::BTreeMap;

use super::client::due;
use super::gauges::Timeline;
use crate::case::Case;
use crate::evidence::{Connection, Delivery, Moment, PathId, Span};
use crate::failure::Failure;

/// Who gave up connects again, and its new stream is acknowledged, within this time.
const NEXT: Span = Span::from_micros(300_000);
/// Answers that come again so soon after a silence may have been held up by the forward.
const AGAIN: Span = Span::from_micros(1_000_000);

/// When the exchanges of each forward of a path were answered.
pub(super) struct Carried(BTreeMap<Option<u16>, Vec<Moment>>);

impl Carried {
    pub(super) fn of(case: &Case<'_>, path: PathId) -> Self {
        let connections: BTreeMap<_, _> = case
            .evidence
            .connections
            .iter()
            .filter(|connection| connection.path == path)
            .map(|connection| (connection.id, forward_of(&connection)))
            .collect();
        let mut answered: BTreeMap<Option<u16>, Vec<Moment>> = BTreeMap::new();
        for exchange in &case.evidence.exchanges {
            if exchange.path == path && matches!(exchange.delivery, Delivery::Complete { .. }) {
                let forward = connections.get(&exchange.connection).copied().flatten();
                answered
                    .entry(forward)
                    .or_default()
                    .push(exchange.began + exchange.phases.total);
            }
        }
        for moments in answered.values_mut() {
            moments.sort_unstable();
        }
        Self(answered)
    }

    /// Whether the forward that a silent connection went through brought something when its answer was due and had not
    /// come; or right after the wait, when the next stream was opened, unless all was answered again from then on.
    pub(super) fn during(&self, case: &Case<'_>, failure: &Failure, timeline: &Timeline) -> bool {
        let forward = case.connection(failure).as_ref().and_then(forward_of);
        let due = failure.began + due(case, failure);
        let answered = |from: Moment, to: Moment| {
            self.0.get(&forward).is_some_and(|moments| {
                let first = moments.partition_point(|at| *at < from);
                moments.get(first).is_some_and(|at| *at <= to)
            })
        };
        let at = failure.at;
        answered(due, at)
            || timeline.heard(due, at)
            || timeline.heard(at, at + NEXT) && !answered(at, at + AGAIN)
    }
}

/// A forward is known by its local port.
fn forward_of(connection: &Connection) -> Option<u16> {
    connection.upstream_tuple.map(|tuple| tuple.remote.port())
}
