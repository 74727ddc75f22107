//! A forward that was ended by a pod that answered before it had read the request.

use super::{AFTER, BEFORE, End};
use crate::case::Case;
use crate::cause::Cause;
use crate::court::left_its_body;
use crate::evidence::Exchange;

/// A pod that answers before it has read the request and then closes resets the connection, and what kubectl says of it
/// is the same as of any reset. The request that was answered early tells the two apart.
pub(super) fn unread_body(case: &Case<'_>, end: &mut End) {
    let Some((Cause::BackendReset, confidence)) = end.blame else {
        return;
    };
    let port = |exchange: &Exchange| {
        let all = &case.evidence.connections;
        let connection = all
            .iter()
            .find(|connection| connection.id == exchange.connection)?;
        Some(connection.upstream_tuple?.remote.port())
    };
    let early = case.evidence.exchanges.iter().find(|exchange| {
        let over = exchange.began + exchange.phases.total;
        exchange.path == end.path
            && left_its_body(exchange)
            && over + BEFORE >= end.from
            && over <= end.to + AFTER
            && (end.port.is_none() || port(exchange) == end.port)
    });
    if let Some(exchange) = early {
        end.blame = Some((Cause::BackendUnreadBody, confidence));
        end.answered_trigger = !exchange.delivery.failed();
        end.statement
            .push_str(", and a request had been answered before its body was read");
    }
}
