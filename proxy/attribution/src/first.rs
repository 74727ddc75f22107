//! The provisional charge of one failure, for figures that cannot wait for the end of the run.

use crate::cause::Cause;
use crate::evidence::{Connection, Exchange, PathKind};
use crate::{failure, rules};

/// What a failed exchange is charged with when nothing but itself and its connection is known; `None` when it did not
/// fail. The diagnosis at the end of the run knows more: it charges much of what is `undetermined` here, and it voids
/// what was observed badly.
pub fn first_charge(exchange: &Exchange, connection: &Connection, kind: PathKind) -> Option<Cause> {
    let what = failure::what_of(exchange, Some(connection))?;
    let ruling = rules::alone(what, Some(exchange), Some(connection), kind);
    Some(ruling.map_or(Cause::Undetermined, |ruling| ruling.cause))
}

/// The same for a connection that has ended without any exchange, or without one that was read last; `None` when it
/// failed nobody.
pub fn first_charge_without_exchange(connection: &Connection, kind: PathKind) -> Option<Cause> {
    let (what, _) = failure::connection_failure(connection)?;
    let ruling = rules::alone(what, None, Some(connection), kind);
    Some(ruling.map_or(Cause::Undetermined, |ruling| ruling.cause))
}
