//! Connections that failed before the generator had asked for anything.

use std::collections::BTreeSet;

use super::{What, stood};
use crate::evidence::{Connection, Cut, Delivery, Evidence, Moment, Opaque, PathId, Protocol, Span};

/// Who ends a connection this soon after it stood never meant to serve it.
const AT_ONCE: Span = Span::from_micros(100_000);

/// Whether the path's side ended it as soon as it stood, before the generator had asked for anything. No server's timer
/// for unused connections is that short: it accepted, and wanted none.
pub(super) fn turned_away(connection: &Connection) -> bool {
    connection.bytes_up == 0
        && connection.bytes_down == 0
        && connection.upstream_end.at.since(stood(connection)) <= AT_ONCE
}

/// The paths on which a request was answered with what is no HTTP.
pub(super) fn garbled(evidence: &Evidence) -> BTreeSet<PathId> {
    let unreadable = Delivery::Nothing { cut: Cut::Unreadable };
    let exchanges = evidence.exchanges.iter();
    exchanges
        .filter(|exchange| exchange.delivery == unreadable)
        .map(|exchange| exchange.path)
        .collect()
}

/// On a path where requests were answered with what is no HTTP: a connection whose far side spoke that before it was
/// asked. A generator that reads while it writes leaves at its sight, with its request unsent.
pub(super) fn spoke_first(connection: &Connection, garbled: &BTreeSet<PathId>) -> Option<(What, Moment)> {
    let unread = connection.unread?;
    let spoke = connection.protocol == Protocol::Opaque(Opaque::NotHttp)
        && unread.down > 0
        && connection.bytes_up == 0
        && connection.exchanges == 0;
    let broken = What::Broken {
        begun: false,
        by: Cut::Unreadable,
    };
    let at = connection.downstream_end.at.min(connection.upstream_end.at);
    (spoke && garbled.contains(&connection.path)).then_some((broken, at))
}
