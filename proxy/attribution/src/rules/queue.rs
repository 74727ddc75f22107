//! What a wait on a forward may have queued behind: its connections share one TCP connection, in order.
//!
//! A forward that is throttled, or slow, carries all of its bytes and shows healthy sockets while it does. Whoever asks
//! behind a long transfer then waits for that transfer, and its silence says nothing about the application.

use crate::case::Case;
use crate::evidence::{Delivery, Moment, PathId};
use crate::failure::Failure;

/// A transfer of as much as this may hold others up on a slow forward: half a second at 1 Mbit/s.
const BULK: u64 = 64 * 1024;

/// The bulk transfers and the answers of one path.
pub(super) struct Queue {
    /// Start of a bulk transfer, and the latest end of any that had started by then.
    bulk: Vec<(Moment, Moment)>,
    /// Start of an exchange that was answered, and the earliest end of any that started then or later.
    answered: Vec<(Moment, Moment)>,
}

impl Queue {
    pub(super) fn of(case: &Case<'_>, path: PathId) -> Self {
        let mut bulk: Vec<(Moment, Moment)> = case
            .evidence
            .connections
            .iter()
            .filter(|connection| connection.path == path)
            .filter(|connection| connection.bytes_up.saturating_add(connection.bytes_down) >= BULK)
            .map(|connection| {
                let end = connection.closed.seen().copied();
                (connection.opened, end.unwrap_or(Moment(u64::MAX)))
            })
            .collect();
        bulk.sort_unstable();
        let mut latest = Moment(0);
        for (_, end) in &mut bulk {
            latest = latest.max(*end);
            *end = latest;
        }
        let mut answered: Vec<(Moment, Moment)> = case
            .evidence
            .exchanges
            .iter()
            .filter(|exchange| {
                exchange.path == path && matches!(exchange.delivery, Delivery::Complete { .. })
            })
            .map(|exchange| (exchange.began, exchange.began + exchange.phases.total))
            .collect();
        answered.sort_unstable();
        let mut earliest = Moment(u64::MAX);
        for (_, end) in answered.iter_mut().rev() {
            earliest = earliest.min(*end);
            *end = earliest;
        }
        Self { bulk, answered }
    }

    /// Whether a bulk transfer was under way during a wait, and nobody who asked after it began was answered before it
    /// ended.
    pub(super) fn may_explain(&self, failure: &Failure) -> bool {
        let started = self.bulk.partition_point(|(start, _)| *start <= failure.at);
        let bulk = started.checked_sub(1).and_then(|index| self.bulk.get(index));
        if bulk.is_none_or(|(_, end)| *end < failure.began) {
            return false;
        }
        let later = self.answered.partition_point(|(began, _)| *began < failure.began);
        self.answered.get(later).is_none_or(|(_, end)| *end > failure.at)
    }
}
