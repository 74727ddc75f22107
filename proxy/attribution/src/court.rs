//! What the end of one socket proves, and whom it charges: the only judge of what kernels say.
//!
//! Two ask it. The agent's metrics do within 200 ms, and know one connection; the report does with the whole run, and
//! knows what the connection carried. So [`charge`] says what one end proves whatever else is known: the hop that the
//! report charges for the same end, or [`Cause::Undetermined`]. What may have a trigger elsewhere stays undetermined: a
//! balancer or a forward that refuses or resets may hand on what happened behind it.

mod concluded;
mod socket;

pub use concluded::{Counted, OtherEnd, SeenClose, Surroundings, Unseen};
pub use socket::{Abort, ConnectOutcome, RefusedBy, SocketEnd, SocketError, TcpState};

use crate::cause::Cause;
use crate::evidence::Exchange;
use crate::evidence::node::{KernelEnd, KernelSocket, Marks};
use crate::hop::Hop;

/// One end of a connection: who stands at both sides, how it ended, and what else was seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The hop that owns the socket.
    pub owner: Hop,
    /// The hop at the other end.
    pub peer: Hop,
    /// Who connected.
    pub opened: Opened,
    /// How it ended.
    pub end: KernelEnd,
    /// What happened beside it.
    pub marks: Marks,
    /// An accept queue that it may have gone to overflowed meanwhile.
    pub queue_overflowed: bool,
}

/// Which side of a connection called `connect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Opened {
    /// The socket's owner.
    Here,
    /// The other side.
    There,
}

impl From<&KernelSocket> for Witness {
    fn from(socket: &KernelSocket) -> Self {
        let known = |hop: Option<&Hop>| hop.copied().unwrap_or(Hop::Unknown);
        let (owner, peer) = (known(socket.owner.seen()), known(socket.peer.seen()));
        Self {
            owner,
            peer,
            opened: opened(owner),
            end: socket.end,
            marks: socket.marks,
            queue_overflowed: false,
        }
    }
}

/// Who opened a connection that carries a part of the load: the side that is nearer to the generator. The application's
/// socket was accepted; what it opens itself leads to its dependencies, and carries no part of the load.
const fn opened(owner: Hop) -> Opened {
    match owner {
        Hop::Backend => Opened::There,
        Hop::Client | Hop::Observer | Hop::Tunnel | Hop::Lb | Hop::Unknown => Opened::Here,
    }
}

/// The cause to charge, which says the hop; `None` where nobody suffered, or where the end is only a consequence of
/// another one, which is charged where it happened.
#[must_use]
pub fn charge(witness: &Witness) -> Option<Cause> {
    // Its owner was done with the connection.
    if witness.marks.after_own_fin {
        return None;
    }
    match witness.end {
        KernelEnd::NoLocalPort => Some(no_port(witness.owner)),
        KernelEnd::ConnectRefused => Some(refused(witness)),
        KernelEnd::ConnectTimedOut { .. } => Some(unanswered(witness, Cause::Undetermined)),
        KernelEnd::ConnectUnreachable => Some(unanswered(witness, Cause::BackendUnreachable)),
        KernelEnd::ResetReceived => Some(reset_received(witness)),
        KernelEnd::ResetSentUnread | KernelEnd::ResetSent => reset_sent(witness),
        KernelEnd::RetransmitTimeout => Some(fell_silent(witness)),
        KernelEnd::AcceptQueueFull => Some(Cause::BackendAcceptQueue),
        KernelEnd::ClosedFirst | KernelEnd::ClosedByPeer => None,
    }
}

/// An application that resets with bytes unread: what these bytes were, the exchange says where there is one. Bytes that
/// were unread say nothing of a body where no request was read.
#[must_use]
pub fn reset_by_the_application(exchange: Option<&Exchange>) -> Cause {
    match exchange {
        // Unread may be a request that came when the application had closed already.
        Some(exchange) if exchange.ordinal > 0 && exchange.bytes_down == 0 && !exchange.answered_early => {
            Cause::BackendKeepAliveRace
        }
        Some(exchange) if left_its_body(exchange) => Cause::BackendUnreadBody,
        Some(_) | None => Cause::BackendReset,
    }
}

/// Answered before its body was sent, and not because of its head: that one was read as far as it was wanted.
pub(crate) fn left_its_body(exchange: &Exchange) -> bool {
    let for_its_head = matches!(
        exchange.delivery.status(),
        Some(400 | 408 | 414 | 431 | 494 | 505)
    );
    exchange.answered_early && !for_its_head
}

/// An application's own outbound failure is its dependency's.
const fn to_a_dependency(witness: &Witness) -> bool {
    matches!((witness.owner, witness.opened), (Hop::Backend, Opened::Here))
}

const fn no_port(owner: Hop) -> Cause {
    match owner {
        Hop::Client => Cause::ClientPortsExhausted,
        Hop::Observer => Cause::ObserverPortsExhausted,
        Hop::Tunnel => Cause::TunnelPortsExhausted,
        Hop::Lb => Cause::LbPortsExhausted,
        Hop::Backend => Cause::BackendPortsExhausted,
        Hop::Unknown => Cause::Undetermined,
    }
}

const fn refused(witness: &Witness) -> Cause {
    if to_a_dependency(witness) {
        return Cause::BackendDependency;
    }
    match (witness.peer, witness.owner) {
        (Hop::Backend, _) => Cause::BackendRefused,
        // Within the tunnel nothing stands for anybody else.
        (Hop::Tunnel, Hop::Tunnel) => Cause::TunnelDown,
        // A forward that its pod has ended refuses as one that never ran; a balancer's address, a Service's and a node's
        // port refuse for whoever is behind them.
        (Hop::Tunnel | Hop::Lb | Hop::Client | Hop::Observer | Hop::Unknown, _) => Cause::Undetermined,
    }
}

/// Nobody answered a connect; `said` is what the backend is charged with where it was dialled itself.
const fn unanswered(witness: &Witness, said: Cause) -> Cause {
    if witness.marks.dropped_at_home {
        return own_firewall(witness);
    }
    if to_a_dependency(witness) {
        return Cause::BackendDependency;
    }
    match (witness.peer, witness.owner) {
        (Hop::Backend, _) if witness.queue_overflowed => Cause::BackendAcceptQueue,
        // Loopback of the pod's own network: nothing lies between.
        (Hop::Backend, Hop::Tunnel) => Cause::BackendUnreachable,
        (Hop::Backend, _) => said,
        (Hop::Tunnel, Hop::Tunnel) => Cause::TunnelBlackhole,
        (Hop::Tunnel | Hop::Lb | Hop::Client | Hop::Observer | Hop::Unknown, _) => Cause::Undetermined,
    }
}

/// What a socket's own host dropped never came to the other side, or came from it.
const fn own_firewall(witness: &Witness) -> Cause {
    match (witness.owner, witness.opened) {
        (Hop::Client, _) => Cause::ClientFirewall,
        (Hop::Tunnel, _) => Cause::TunnelBlackhole,
        (Hop::Lb, _) => Cause::LbFirewall,
        (Hop::Backend, Opened::Here) => Cause::BackendDependency,
        // The pod's own rules, or its node's.
        (Hop::Backend, Opened::There) | (Hop::Observer | Hop::Unknown, _) => Cause::Undetermined,
    }
}

/// A RST came from the other side.
const fn reset_received(witness: &Witness) -> Cause {
    if to_a_dependency(witness) {
        return Cause::BackendDependency;
    }
    match (witness.opened, witness.peer, witness.owner) {
        // A listener that resets what it has no room for: its own side of the handshake was never over.
        (Opened::Here, Hop::Backend, _) if witness.queue_overflowed => Cause::BackendAcceptQueue,
        (Opened::Here, Hop::Backend, _) if witness.marks.after_fin => Cause::BackendTruncated,
        (Opened::Here, Hop::Backend, _) => Cause::BackendReset,
        (Opened::Here, Hop::Tunnel, Hop::Tunnel) => Cause::TunnelLost,
        // Whoever had connected may hand on what happened before it.
        (Opened::Here | Opened::There, _, _) => Cause::Undetermined,
    }
}

/// The owner's kernel sent a RST of its owner's doing.
fn reset_sent(witness: &Witness) -> Option<Cause> {
    match (witness.opened, witness.owner) {
        // Who connected and then gives up hands on what happened to him, or changed his mind.
        (Opened::Here, Hop::Backend | Hop::Lb | Hop::Tunnel | Hop::Observer | Hop::Unknown)
        | (Opened::There, Hop::Observer) => None,
        // Who ended it first is who ended it, and that was the other side.
        (_, Hop::Client | Hop::Backend) if witness.marks.after_fin => Some(Cause::Undetermined),
        (_, Hop::Client) => Some(Cause::ClientAbort),
        (Opened::There, Hop::Backend) => Some(reset_by_the_application(None)),
        // Within the tunnel nothing stands for anybody else.
        (Opened::There, Hop::Tunnel) if matches!(witness.peer, Hop::Tunnel) => Some(Cause::TunnelLost),
        // Both may hand on what happened behind them.
        (Opened::There, Hop::Lb | Hop::Tunnel | Hop::Unknown) => Some(Cause::Undetermined),
    }
}

/// Not even the other side's kernel answers: its host is gone, or cannot be reached any more.
const fn fell_silent(witness: &Witness) -> Cause {
    // After the other side's FIN it is not the first to end.
    if witness.marks.dropped_at_home && !witness.marks.after_fin {
        return own_firewall(witness);
    }
    if to_a_dependency(witness) {
        return Cause::BackendDependency;
    }
    match (witness.opened, witness.peer, witness.owner) {
        (Opened::Here, Hop::Backend, _) if witness.queue_overflowed => Cause::BackendAcceptQueue,
        (Opened::Here, Hop::Backend, _) => Cause::BackendUnreachable,
        (Opened::Here, Hop::Tunnel, Hop::Tunnel) => Cause::TunnelBlackhole,
        (Opened::Here | Opened::There, _, _) => Cause::Undetermined,
    }
}

#[cfg(test)]
mod tests;
