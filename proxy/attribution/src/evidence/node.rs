//! What the kernels on the path saw: the agent's evidence, joined to connections where that was possible.

use super::arrival::Arrival;
use super::connection::ConnectionId;
use super::cpu::CpuThrottle;
use super::endpoints::ServiceEndpoints;
use super::observation::Observation;
use super::pod::PodEvidence;
use super::time::{Moment, Span};
use crate::hop::Hop;

/// The kernel evidence of all hosts that were watched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeEvidence {
    /// Sockets that failed, or that belong to a connection on record.
    pub sockets: Vec<KernelSocket>,
    /// Counts per window that cannot be tied to one socket.
    pub windows: Vec<KernelWindow>,
    /// What the Kubernetes API told the agents of their nodes' pods. Not watched where no agent asked one, as the probes
    /// of a run do not.
    pub pods: Observation<PodEvidence>,
    /// Connections of the load as the nodes of their pods saw them arrive, joined through address translation.
    pub arrivals: Vec<Arrival>,
    /// The Services whose EndpointSlices were watched.
    pub services: Observation<Vec<ServiceEndpoints>>,
    /// How CPU limits held pods back. Seen and empty where the accounting was read and nothing was held back.
    pub throttling: Observation<Vec<CpuThrottle>>,
    /// The nodes that an agent told of.
    pub nodes: Vec<WatchedNode>,
    /// Error of the estimated clock offset between the agent's host and hopscope's.
    pub clock_error: Span,
}

/// A node that an agent told of, and what that agent no longer knew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchedNode {
    /// Its name in the cluster; its host name where it is in none.
    pub name: String,
    /// Kernel events of this run that were lost before the agent saw them.
    pub events_lost: u64,
    /// Records of this run that the agent had dropped before it was asked, because newer ones took their place.
    pub records_dropped: u64,
}

/// The end of one socket, as its own kernel saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSocket {
    /// When it ended, on hopscope's clock.
    pub at: Moment,
    /// The connection that it carried a part of, where that is known.
    pub connection: Observation<ConnectionId>,
    /// The hop whose process owns the socket, where that is known.
    pub owner: Observation<Hop>,
    /// The hop at the other end, where that is known.
    pub peer: Observation<Hop>,
    /// How it ended.
    pub end: KernelEnd,
    /// What had passed through it: one side of the byte ledger.
    pub bytes: Observation<SocketBytes>,
    /// What else its kernel saw of it.
    pub marks: Marks,
}

/// What a kernel saw beside the end of a socket. What was not seen is not marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The other side had said FIN before the end.
    pub after_fin: bool,
    /// The owner had said FIN before the end: it hurt nobody any more.
    pub after_own_fin: bool,
    /// The netfilter of the socket's own namespace dropped packets of the connection.
    pub dropped_at_home: bool,
}

/// Payload that passed through one socket over its life (`tcp_sock.bytes_received` and `bytes_acked`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketBytes {
    /// Bytes that arrived, in order, whether or not the owner read them.
    pub received: u64,
    /// Bytes that the owner wrote and the other end's kernel acknowledged.
    pub acknowledged: u64,
}

/// How the kernel says that a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KernelEnd {
    /// A connect was answered by RST.
    ConnectRefused,
    /// A connect got no answer, after this many SYN retransmits.
    ConnectTimedOut {
        /// SYN segments sent again.
        retransmits: u32,
    },
    /// A connect was answered by ICMP: a router, or the own kernel when no neighbour answers, says that the host cannot
    /// be reached.
    ConnectUnreachable,
    /// A connect failed for want of a local port.
    NoLocalPort,
    /// The owner closed with bytes unread: the kernel sent RST.
    ResetSentUnread,
    /// The owner reset on purpose (linger 0) or was killed.
    ResetSent,
    /// RST arrived, and the host that must have sent it is not watched.
    ResetReceived,
    /// Data was sent again until the kernel gave up.
    RetransmitTimeout,
    /// A SYN or the last ACK met a full accept queue.
    AcceptQueueFull,
    /// A clean end; the owner closed first.
    ClosedFirst,
    /// A clean end; the other side closed first.
    ClosedByPeer,
}

impl KernelEnd {
    /// One of each kind; the connect that timed out is one whose SYN was never sent again.
    pub const ALL: [Self; 11] = [
        Self::ConnectRefused,
        Self::ConnectTimedOut { retransmits: 0 },
        Self::ConnectUnreachable,
        Self::NoLocalPort,
        Self::ResetSentUnread,
        Self::ResetSent,
        Self::ResetReceived,
        Self::RetransmitTimeout,
        Self::AcceptQueueFull,
        Self::ClosedFirst,
        Self::ClosedByPeer,
    ];
}

/// Kernel counts of one window of time and one hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelWindow {
    /// Start of the window, on hopscope's clock.
    pub from: Moment,
    /// Its length.
    pub length: Span,
    /// The hop that was counted.
    pub hop: Hop,
    /// SYN segments sent again.
    pub syn_retransmits: u64,
    /// Accept-queue overflows at the hop's listeners.
    pub accept_queue_overflows: u64,
    /// Kernel events lost in the window: with any, absence proves nothing.
    pub events_lost: u64,
}
