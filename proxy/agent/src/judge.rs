//! From what the kernel said of both ends of a connection to the hop and cause that are charged. Pure.

use hopscope_attribution::cause::Cause;
use hopscope_attribution::evidence::node::{KernelEnd, SocketBytes};
use hopscope_attribution::hop::Hop;

const EPIPE: u32 = 32;
const ECONNRESET: u32 = 104;
const ETIMEDOUT: u32 = 110;
const ECONNREFUSED: u32 = 111;
/// What ICMP, a dead neighbour or a withdrawn route make of a connect: `ENETDOWN`, `ENETUNREACH`, `EHOSTDOWN`,
/// `EHOSTUNREACH`, and `EACCES` and `EPERM` of prohibitions.
const UNREACHABLE: [u32; 6] = [100, 101, 112, 113, 13, 1];

/// TCP states as the probes give them.
mod state {
    pub(super) use hopscope_abi::state::{CLOSE_WAIT, ESTABLISHED, SYN_RECV, SYN_SENT};
}

/// The end of one socket as its kernel saw it, with what happened around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Opened by `connect`.
    pub active: bool,
    /// The state before CLOSE.
    pub state: u8,
    /// `sk_err`.
    pub error: u32,
    /// `sk_shutdown`.
    pub shutdown: u8,
    /// It never had a local port.
    pub no_port: bool,
    /// Segments sent again.
    pub retransmits: u32,
    /// RST arrived for it.
    pub reset_received: bool,
    /// Its kernel sent RST of its owner's doing.
    pub reset_sent: Option<Abort>,
}

/// Why the owner's kernel sent RST unprovoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// Closed with bytes unread.
    Unread,
    /// Any other reason: linger 0, a killed process, a closed listener, keep-alive that gave up.
    Other,
    /// This kernel does not say (before 6.10).
    Untold,
}

/// Who the ends belong to, and what else was seen of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Around {
    /// The hop that owns the socket.
    pub owner: Hop,
    /// The hop at the other end.
    pub peer: Hop,
    /// An accept queue that it may have gone to overflowed meanwhile.
    pub queue_overflowed: bool,
    /// The netfilter of the socket's own namespace dropped packets of the connection.
    pub dropped_at_home: bool,
}

/// How the kernel says that a socket ended; `None` for an end that cannot be classed.
pub fn kernel_end(end: &End) -> Option<KernelEnd> {
    if end.state == state::SYN_SENT {
        return Some(match (end.error, end.shutdown) {
            (0, 0) if end.no_port => KernelEnd::NoLocalPort,
            // Cancelled by its owner, who had waited long enough for a SYN to be sent again: his time-out.
            (0, _) if end.retransmits > 0 => KernelEnd::ConnectTimedOut {
                retransmits: end.retransmits,
            },
            (0, _) => return None,
            (ECONNREFUSED, _) => KernelEnd::ConnectRefused,
            (ECONNRESET, _) => KernelEnd::ResetReceived,
            (error, _) if UNREACHABLE.contains(&error) => KernelEnd::ConnectUnreachable,
            // ETIMEDOUT, or what no kernel that we know gives a connect.
            _ => KernelEnd::ConnectTimedOut {
                retransmits: end.retransmits,
            },
        });
    }
    Some(match (end.error, end.reset_sent) {
        (ETIMEDOUT, _) => KernelEnd::RetransmitTimeout,
        (_, Some(Abort::Unread)) => KernelEnd::ResetSentUnread,
        (_, Some(Abort::Other | Abort::Untold)) => KernelEnd::ResetSent,
        (ECONNRESET | EPIPE, None) => KernelEnd::ResetReceived,
        (0, None) if matches!(end.state, state::ESTABLISHED | state::CLOSE_WAIT) => KernelEnd::ResetSent,
        (0, None) if end.state == hopscope_abi::state::LAST_ACK => KernelEnd::ClosedByPeer,
        (0, None) => KernelEnd::ClosedFirst,
        (_, None) => return None,
    })
}

/// Whether an end is one that someone suffered from. Errors that come after both sides said FIN hurt nobody.
fn hurts(end: &End) -> bool {
    matches!(
        end.state,
        state::SYN_SENT | state::SYN_RECV | state::ESTABLISHED | state::CLOSE_WAIT
    )
}

/// The cause to charge, which says the hop; `None` when nothing failed, or the failure is only a consequence of
/// another that is charged where it happened.
pub fn charge(end: &End, around: Around) -> Option<Cause> {
    if !hurts(end) {
        return None;
    }
    let ended = kernel_end(end)?;
    match ended {
        KernelEnd::NoLocalPort => Some(no_port(around.owner)),
        KernelEnd::ConnectRefused => Some(refused(around)),
        KernelEnd::ConnectTimedOut { .. } | KernelEnd::ConnectUnreachable => Some(unanswered(around)),
        KernelEnd::ResetReceived if end.active => Some(reset_by(around, end.error == EPIPE)),
        KernelEnd::ResetReceived => Some(abandoned_by(around.peer)),
        KernelEnd::ResetSentUnread | KernelEnd::ResetSent => aborted(end, around, ended),
        KernelEnd::RetransmitTimeout => Some(fell_silent(end, around)),
        KernelEnd::AcceptQueueFull => Some(Cause::BackendAcceptQueue),
        KernelEnd::ClosedFirst | KernelEnd::ClosedByPeer => None,
    }
}

/// An application's own outbound failure is its dependency's.
fn is_dependency(around: Around) -> bool {
    around.owner == Hop::Backend
}

fn no_port(owner: Hop) -> Cause {
    match owner {
        Hop::Client => Cause::ClientPortsExhausted,
        Hop::Observer => Cause::ObserverPortsExhausted,
        Hop::Tunnel => Cause::TunnelPortsExhausted,
        Hop::Lb => Cause::LbPortsExhausted,
        Hop::Backend => Cause::BackendPortsExhausted,
        Hop::Unknown => Cause::Undetermined,
    }
}

fn refused(around: Around) -> Cause {
    match around.peer {
        Hop::Backend if is_dependency(around) => Cause::BackendDependency,
        Hop::Backend => Cause::BackendRefused,
        Hop::Tunnel => Cause::TunnelDown,
        Hop::Lb => Cause::LbRefused,
        Hop::Client | Hop::Observer | Hop::Unknown => Cause::Undetermined,
    }
}

fn unanswered(around: Around) -> Cause {
    if around.dropped_at_home {
        return own_firewall(around.owner);
    }
    match around.peer {
        Hop::Backend if is_dependency(around) => Cause::BackendDependency,
        Hop::Backend if around.queue_overflowed => Cause::BackendAcceptQueue,
        Hop::Backend => Cause::BackendUnreachable,
        Hop::Tunnel => Cause::TunnelBlackhole,
        Hop::Lb => Cause::LbUnreachable,
        Hop::Client | Hop::Observer | Hop::Unknown => Cause::Undetermined,
    }
}

/// What a socket's own host dropped never came to the other side, or came from it.
fn own_firewall(owner: Hop) -> Cause {
    match owner {
        Hop::Client => Cause::ClientFirewall,
        Hop::Tunnel => Cause::TunnelBlackhole,
        Hop::Lb => Cause::LbFirewall,
        Hop::Backend => Cause::BackendDependency,
        Hop::Observer | Hop::Unknown => Cause::Undetermined,
    }
}

/// The side that was connected to reset the connection; with `after_fin`, after it had said that it was done.
fn reset_by(around: Around, after_fin: bool) -> Cause {
    match around.peer {
        Hop::Backend if is_dependency(around) => Cause::BackendDependency,
        // A listener that resets what it has no room for: its own side of the handshake was never over.
        Hop::Backend if around.queue_overflowed => Cause::BackendAcceptQueue,
        Hop::Backend if after_fin => Cause::BackendTruncated,
        Hop::Backend => Cause::BackendReset,
        Hop::Tunnel => Cause::TunnelLost,
        Hop::Lb => Cause::LbReset,
        Hop::Client | Hop::Observer | Hop::Unknown => Cause::Undetermined,
    }
}

/// The side that had connected reset the connection.
fn abandoned_by(peer: Hop) -> Cause {
    match peer {
        Hop::Client => Cause::ClientAbort,
        Hop::Lb => Cause::LbReset,
        Hop::Tunnel => Cause::TunnelLost,
        Hop::Backend | Hop::Observer | Hop::Unknown => Cause::Undetermined,
    }
}

fn aborted(end: &End, around: Around, how: KernelEnd) -> Option<Cause> {
    match (around.owner, end.active) {
        // Who connected and then gives up hands on what happened to him, or changed his mind.
        (Hop::Backend | Hop::Lb | Hop::Tunnel | Hop::Observer | Hop::Unknown, true)
        | (Hop::Observer, false) => None,
        (Hop::Client, _) => Some(Cause::ClientAbort),
        (Hop::Backend, false) if how == KernelEnd::ResetSentUnread => Some(Cause::BackendUnreadBody),
        (Hop::Backend, false) => Some(Cause::BackendReset),
        (Hop::Lb, false) => Some(Cause::LbReset),
        (Hop::Tunnel, false) => Some(Cause::TunnelLost),
        (Hop::Unknown, false) => Some(Cause::Undetermined),
    }
}

/// Not even the other side's kernel answers: its host is gone, or cannot be reached any more.
fn fell_silent(end: &End, around: Around) -> Cause {
    if around.dropped_at_home {
        return own_firewall(around.owner);
    }
    match around.peer {
        Hop::Backend if is_dependency(around) => Cause::BackendDependency,
        Hop::Backend if around.queue_overflowed => Cause::BackendAcceptQueue,
        Hop::Backend if end.active => Cause::BackendUnreachable,
        Hop::Tunnel => Cause::TunnelBlackhole,
        Hop::Lb => Cause::LbUnreachable,
        Hop::Client => Cause::ClientAbort,
        Hop::Backend | Hop::Observer | Hop::Unknown => Cause::Undetermined,
    }
}

/// Who said no to a connect: `reset`, or `icmp` where no RST came.
pub fn told_by(end: &End) -> Option<&'static str> {
    if end.state != state::SYN_SENT {
        return None;
    }
    match kernel_end(end)? {
        KernelEnd::ConnectRefused if !end.reset_received => Some("icmp"),
        KernelEnd::ConnectRefused | KernelEnd::ResetReceived => Some("reset"),
        KernelEnd::ConnectUnreachable => Some("icmp"),
        KernelEnd::ConnectTimedOut { .. }
        | KernelEnd::NoLocalPort
        | KernelEnd::ResetSentUnread
        | KernelEnd::ResetSent
        | KernelEnd::RetransmitTimeout
        | KernelEnd::AcceptQueueFull
        | KernelEnd::ClosedFirst
        | KernelEnd::ClosedByPeer => None,
    }
}

/// What passed through a socket without what is no payload: the kernel counts SYN and FIN as a byte each where they
/// are acknowledged (`tcp_snd_una_update`) or received (`tcp_rcv_nxt_update`), except those of a handshake that was
/// accepted.
pub fn payload(end: &End, acknowledged: u64, received: u64) -> SocketBytes {
    use hopscope_abi::state::{CLOSING, FIN_WAIT2, LAST_ACK};
    let stood = end.state != state::SYN_SENT;
    let own_fin = matches!(end.state, FIN_WAIT2 | CLOSING) || (end.state == LAST_ACK && end.error == 0);
    let others_fin = matches!(end.state, state::CLOSE_WAIT | FIN_WAIT2 | CLOSING | LAST_ACK);
    SocketBytes {
        acknowledged: acknowledged
            .saturating_sub(u64::from(end.active && stood))
            .saturating_sub(u64::from(own_fin)),
        received: received.saturating_sub(u64::from(others_fin)),
    }
}

/// The name of an error that TCP sockets have, else its number; `None` for no error.
pub fn errno(error: u32) -> Option<String> {
    Some(match error {
        0 => return None,
        1 => "EPERM".to_owned(),
        13 => "EACCES".to_owned(),
        EPIPE => "EPIPE".to_owned(),
        100 => "ENETDOWN".to_owned(),
        101 => "ENETUNREACH".to_owned(),
        ECONNRESET => "ECONNRESET".to_owned(),
        ETIMEDOUT => "ETIMEDOUT".to_owned(),
        ECONNREFUSED => "ECONNREFUSED".to_owned(),
        112 => "EHOSTDOWN".to_owned(),
        113 => "EHOSTUNREACH".to_owned(),
        other => other.to_string(),
    })
}

/// The outcome word of a failed connect; `None` for ends of connections that stood.
pub fn connect_outcome(end: &End) -> Option<&'static str> {
    if end.state != state::SYN_SENT {
        return None;
    }
    Some(match (end.error, kernel_end(end)) {
        (_, None) => "cancelled",
        (ECONNREFUSED, _) => "refused",
        (ECONNRESET, _) => "reset",
        (_, Some(KernelEnd::NoLocalPort)) => "no-local-port",
        (_, Some(KernelEnd::ConnectUnreachable)) => "unreachable",
        _ => "timed-out",
    })
}

#[cfg(test)]
mod tests;
