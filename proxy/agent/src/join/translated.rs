//! Which connection an application's socket was the far end of, where an address translation lies between. Pure.
//!
//! A translation of the address that was dialled leaves the dialling side's address and port as they are: the pod's
//! kernel sees them as the other side's. Within the connection's life nobody else can have them towards the same place,
//! and where hopscope itself had them twice, nothing is joined.

use std::collections::HashMap;
use std::net::SocketAddr;

use hopscope_attribution::evidence::node::KernelSocket;
use hopscope_attribution::evidence::{Connection, ConnectionId, Observation, PathKind, Span};
use hopscope_attribution::hop::Hop;

use super::{Placed, Recorded, lived_at};

/// Joins the sockets of applications that no address pair has joined.
pub(super) fn join(sockets: &mut [KernelSocket], placed: &[Placed<'_>], recorded: Recorded<'_>, slack: Span) {
    let by_dialler = by_dialler(recorded);
    if by_dialler.is_empty() {
        return;
    }
    for (socket, placed) in sockets.iter_mut().zip(placed) {
        let remote = placed.seen.remote;
        // Every namespace has a loopback of its own.
        let open = socket.connection.seen().is_none() && !remote.ip().is_loopback();
        if !open || placed.owner != Some(Hop::Backend) || placed.seen.age_us.is_some() {
            continue;
        }
        if let Some(id) = only_one(by_dialler.get(&canonical(remote)), placed, slack) {
            socket.connection = Observation::Seen(id);
        }
    }
}

fn by_dialler(recorded: Recorded<'_>) -> HashMap<SocketAddr, Vec<Connection>> {
    let mut found: HashMap<SocketAddr, Vec<Connection>> = HashMap::new();
    for connection in recorded.connections {
        let path = recorded.paths.get(usize::from(connection.path.0));
        // Of all kinds of path this one alone has an address that stands for others.
        let stands_for_others = path.is_some_and(|path| match path.kind {
            PathKind::Lb => true,
            PathKind::Tunnel | PathKind::Direct | PathKind::Unstated => false,
        });
        if let Some(tuple) = connection.upstream_tuple.filter(|_| stands_for_others) {
            found.entry(canonical(tuple.local)).or_default().push(connection);
        }
    }
    found
}

fn only_one(candidates: Option<&Vec<Connection>>, placed: &Placed<'_>, slack: Span) -> Option<ConnectionId> {
    let mut alive = candidates?.iter().filter(|one| lived_at(one, placed.at, slack));
    let first = alive.next()?;
    alive.next().is_none().then_some(first.id)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests;
