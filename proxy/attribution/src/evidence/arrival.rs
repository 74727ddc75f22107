//! What the pod's own node saw of a connection that an address translation sent there.
//!
//! A Service's address, a node port or a balancer that rewrites addresses stands for pods. Only the node of the pod that
//! was chosen can say what became of the SYN, so the records here are joined by the addresses after the translation.

use std::net::SocketAddr;

use super::connection::ConnectionId;
use super::observation::Observation;
use super::pod::PodId;
use super::time::{Moment, Span};

/// One connection of the load, as the node of its pod saw it arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The connection on record.
    pub connection: ConnectionId,
    /// When it happened, on hopscope's clock.
    pub at: Moment,
    /// By how much that may be wrong.
    pub error: Span,
    /// Where the translation sent it: the pod's address and port.
    pub destination: SocketAddr,
    /// The pod that has this address.
    pub pod: Observation<PodId>,
    /// The node of that pod, by its name in the cluster.
    pub node: Observation<String>,
    /// What the kernel of that node saw in the pod's network namespace. Not watched where no agent runs on that node.
    pub seen: Observation<Arrived>,
    /// Kernel events that this node's agent lost while the connection was tried: with any, [`Arrived::NoSyn`] proves
    /// nothing.
    pub events_lost: u64,
}

/// What became of a SYN inside a pod's network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arrived {
    /// The pod's kernel answered with a RST and no socket was involved: nothing listens on the port
    /// (`tcp_send_reset` with no socket from Linux 6.10, else `kfree_skb` with the reason `NO_SOCKET`).
    ResetWithoutSocket,
    /// It met a full accept queue.
    QueueFull,
    /// It was dropped there for another reason, such as a policy of the pod's own.
    Dropped,
    /// It was accepted.
    Accepted,
    /// No SYN of it was seen there.
    NoSyn,
}

impl Arrived {
    /// Every one of them, for stores that keep them by their word.
    pub const ALL: [Self; 5] = [
        Self::ResetWithoutSocket,
        Self::QueueFull,
        Self::Dropped,
        Self::Accepted,
        Self::NoSyn,
    ];

    /// The word used in evidence.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ResetWithoutSocket => "reset-without-socket",
            Self::QueueFull => "queue-full",
            Self::Dropped => "dropped",
            Self::Accepted => "accepted",
            Self::NoSyn => "no-syn",
        }
    }

    /// The arrival that a word names, if it names one.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|arrived| arrived.word() == word)
    }
}
