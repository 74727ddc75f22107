//! How a kernel says that a socket ended, in the words of the evidence.

use super::Opened;
use crate::evidence::node::{KernelEnd, Marks, SocketBytes};

/// The state of a TCP socket (include/net/tcp_states.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TcpState {
    /// `TCP_ESTABLISHED`.
    Established,
    /// `TCP_SYN_SENT`.
    SynSent,
    /// `TCP_SYN_RECV`.
    SynRecv,
    /// `TCP_FIN_WAIT1`.
    FinWait1,
    /// `TCP_FIN_WAIT2`.
    FinWait2,
    /// `TCP_TIME_WAIT`.
    TimeWait,
    /// `TCP_CLOSE`.
    Close,
    /// `TCP_CLOSE_WAIT`: the other side has said FIN, the owner has not.
    CloseWait,
    /// `TCP_LAST_ACK`.
    LastAck,
    /// `TCP_LISTEN`.
    Listen,
    /// `TCP_CLOSING`.
    Closing,
}

/// The error of a socket (`sk_err`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SocketError {
    /// None.
    #[default]
    None,
    /// `ECONNREFUSED`.
    Refused,
    /// `ECONNRESET`.
    Reset,
    /// `EPIPE`: reset after the other side had said FIN.
    BrokenPipe,
    /// `ETIMEDOUT`.
    TimedOut,
    /// `EHOSTUNREACH` and what else ICMP, a dead neighbour, a withdrawn route or a prohibition make of a connect.
    Unreachable(i32),
    /// Any other.
    Other(i32),
}

/// What errno.h calls them on Linux (include/uapi/asm-generic/errno.h), but for those of a socket that stood or was
/// refused.
const UNREACHABLE: [(i32, &str); 6] = [
    (1, "EPERM"),
    (13, "EACCES"),
    (100, "ENETDOWN"),
    (101, "ENETUNREACH"),
    (112, "EHOSTDOWN"),
    (113, "EHOSTUNREACH"),
];

impl SocketError {
    /// No neighbour, or ICMP, says that a host cannot be reached.
    pub const NO_HOST: Self = Self::Unreachable(113);

    /// The error with this number on Linux; 0 is none.
    #[must_use]
    pub fn from_errno(errno: i32) -> Self {
        match errno {
            0 => Self::None,
            32 => Self::BrokenPipe,
            104 => Self::Reset,
            110 => Self::TimedOut,
            111 => Self::Refused,
            errno if UNREACHABLE.iter().any(|(number, _)| *number == errno) => Self::Unreachable(errno),
            errno => Self::Other(errno),
        }
    }

    /// Its name in errno.h, or its number; `None` for no error.
    #[must_use]
    pub fn name(self) -> Option<String> {
        let named = |errno: i32| UNREACHABLE.iter().find(|(number, _)| *number == errno);
        Some(match self {
            Self::None => return None,
            Self::Refused => "ECONNREFUSED".to_owned(),
            Self::Reset => "ECONNRESET".to_owned(),
            Self::BrokenPipe => "EPIPE".to_owned(),
            Self::TimedOut => "ETIMEDOUT".to_owned(),
            Self::Unreachable(errno) | Self::Other(errno) => {
                named(errno).map_or_else(|| errno.to_string(), |(_, name)| (*name).to_owned())
            }
        })
    }
}

/// Why the owner's kernel sent RST unprovoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// Closed with bytes unread.
    Unread,
    /// Any other reason: linger 0, a killed process, a closed listener, keep-alive that gave up.
    Other,
    /// This kernel does not say (before 6.10).
    NotSaid,
}

/// The end of one socket as its kernel saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketEnd {
    /// Who connected.
    pub opened: Opened,
    /// The state before CLOSE.
    pub state: TcpState,
    /// Its error.
    pub error: SocketError,
    /// Its owner had shut it down, one direction or both (`sk_shutdown`).
    pub shut_down: bool,
    /// It never had a local port.
    pub no_port: bool,
    /// Segments sent again.
    pub retransmits: u32,
    /// RST arrived for it.
    pub reset_received: bool,
    /// Its kernel sent RST of its owner's doing.
    pub reset_sent: Option<Abort>,
}

/// What came of a connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectOutcome {
    /// Its owner gave up at once.
    Cancelled,
    /// Answered by RST, or by ICMP port unreachable.
    Refused,
    /// Reset in the handshake.
    Reset,
    /// There was no local port.
    NoLocalPort,
    /// Answered by ICMP, or no neighbour answers.
    Unreachable,
    /// Nobody answered.
    TimedOut,
}

impl ConnectOutcome {
    /// The word used in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::NoLocalPort => "no-local-port",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed-out",
        }
    }
}

/// Who said no to a connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusedBy {
    /// A RST.
    Reset,
    /// ICMP: no RST came.
    Icmp,
}

impl RefusedBy {
    /// The word used in evidence.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Icmp => "icmp",
        }
    }
}

impl SocketEnd {
    /// How the kernel says that it ended; `None` for an end that cannot be classed.
    #[must_use]
    pub const fn kind(&self) -> Option<KernelEnd> {
        if matches!(self.state, TcpState::SynSent) {
            return self.of_connect();
        }
        Some(match (self.error, self.reset_sent) {
            (SocketError::TimedOut, _) => KernelEnd::RetransmitTimeout,
            (_, Some(Abort::Unread)) => KernelEnd::ResetSentUnread,
            (_, Some(Abort::Other | Abort::NotSaid)) => KernelEnd::ResetSent,
            (SocketError::Reset | SocketError::BrokenPipe, None) => KernelEnd::ResetReceived,
            (SocketError::None, None) => match self.state {
                TcpState::Established | TcpState::CloseWait => KernelEnd::ResetSent,
                TcpState::LastAck => KernelEnd::ClosedByPeer,
                TcpState::SynSent
                | TcpState::SynRecv
                | TcpState::FinWait1
                | TcpState::FinWait2
                | TcpState::TimeWait
                | TcpState::Close
                | TcpState::Listen
                | TcpState::Closing => KernelEnd::ClosedFirst,
            },
            (SocketError::Refused | SocketError::Unreachable(_) | SocketError::Other(_), None) => {
                return None;
            }
        })
    }

    const fn of_connect(&self) -> Option<KernelEnd> {
        let timed_out = KernelEnd::ConnectTimedOut {
            retransmits: self.retransmits,
        };
        Some(match self.error {
            SocketError::None if self.no_port && !self.shut_down => KernelEnd::NoLocalPort,
            // Closed by its owner, who had waited long enough for a SYN to be sent again: his time-out. Not every rung
            // sees that it was shut down.
            SocketError::None if self.retransmits > 0 => timed_out,
            SocketError::None => return None,
            SocketError::Refused => KernelEnd::ConnectRefused,
            SocketError::Reset => KernelEnd::ResetReceived,
            SocketError::Unreachable(_) => KernelEnd::ConnectUnreachable,
            // Also what no kernel that we know gives a connect.
            SocketError::TimedOut | SocketError::BrokenPipe | SocketError::Other(_) => timed_out,
        })
    }

    /// What its state says of what came before. `dropped_at_home` is for others to say.
    #[must_use]
    pub const fn marks(&self, dropped_at_home: bool) -> Marks {
        use TcpState::{CloseWait, Closing, FinWait1, FinWait2, LastAck, TimeWait};
        Marks {
            after_fin: matches!(self.state, CloseWait | LastAck | Closing | TimeWait)
                || matches!(self.error, SocketError::BrokenPipe),
            after_own_fin: matches!(self.state, FinWait1 | FinWait2 | Closing | LastAck | TimeWait),
            dropped_at_home,
        }
    }

    /// What came of a connect that failed; `None` for a connection that stood.
    #[must_use]
    pub const fn connect_outcome(&self) -> Option<ConnectOutcome> {
        if !matches!(self.state, TcpState::SynSent) {
            return None;
        }
        Some(match self.kind() {
            None => ConnectOutcome::Cancelled,
            Some(KernelEnd::ConnectRefused) => ConnectOutcome::Refused,
            Some(KernelEnd::ResetReceived) => ConnectOutcome::Reset,
            Some(KernelEnd::NoLocalPort) => ConnectOutcome::NoLocalPort,
            Some(KernelEnd::ConnectUnreachable) => ConnectOutcome::Unreachable,
            Some(
                KernelEnd::ConnectTimedOut { .. }
                | KernelEnd::ResetSentUnread
                | KernelEnd::ResetSent
                | KernelEnd::RetransmitTimeout
                | KernelEnd::AcceptQueueFull
                | KernelEnd::ClosedFirst
                | KernelEnd::ClosedByPeer,
            ) => ConnectOutcome::TimedOut,
        })
    }

    /// Who said no to a connect; `None` where nobody did.
    #[must_use]
    pub const fn refused_by(&self) -> Option<RefusedBy> {
        match self.connect_outcome() {
            Some(ConnectOutcome::Refused) if !self.reset_received => Some(RefusedBy::Icmp),
            Some(ConnectOutcome::Refused | ConnectOutcome::Reset) => Some(RefusedBy::Reset),
            Some(ConnectOutcome::Unreachable) => Some(RefusedBy::Icmp),
            Some(ConnectOutcome::Cancelled | ConnectOutcome::NoLocalPort | ConnectOutcome::TimedOut)
            | None => None,
        }
    }

    /// What passed through it without what is no payload: the kernel counts SYN and FIN as a byte each where they are
    /// acknowledged (`tcp_snd_una_update`) or received (`tcp_rcv_nxt_update`), except those of a handshake that was
    /// accepted.
    #[must_use]
    pub fn payload(&self, acknowledged: u64, received: u64) -> SocketBytes {
        use TcpState::{CloseWait, Closing, FinWait2, LastAck, SynSent};
        let stood = self.state != SynSent;
        let own_fin = matches!(self.state, FinWait2 | Closing)
            || (self.state == LastAck && self.error == SocketError::None);
        let others_fin = matches!(self.state, CloseWait | FinWait2 | Closing | LastAck);
        SocketBytes {
            acknowledged: acknowledged
                .saturating_sub(u64::from(self.opened == Opened::Here && stood))
                .saturating_sub(u64::from(own_fin)),
            received: received.saturating_sub(u64::from(others_fin)),
        }
    }
}

#[cfg(test)]
mod tests;
