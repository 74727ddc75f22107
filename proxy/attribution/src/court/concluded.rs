//! The error of a socket where the probes could not see it: concluded from the records around it, or left open.

use super::{SocketError, TcpState};

/// What a probe could not see of a close.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unseen {
    /// All was seen.
    #[default]
    Nothing,
    /// The socket's error and its bytes were not; resets are records of their own.
    Error,
    /// Neither the error nor resets were.
    Resets,
}

/// What a probe did see of a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenClose {
    /// The state before CLOSE.
    pub state: TcpState,
    /// What could not be seen.
    pub unseen: Unseen,
    /// The socket's error, where it was seen.
    pub error: SocketError,
    /// Its owner had shut it down.
    pub shut_down: bool,
    /// Segments sent again.
    pub retransmits: u32,
}

/// What is known beside the close itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// RST was seen to arrive for the socket.
    pub reset_received: bool,
    /// Its kernel was seen to send RST for it.
    pub reset_sent: bool,
    /// The socket at the other end.
    pub other_end: OtherEnd,
    /// What the kernel counted meanwhile.
    pub counted: Counted,
}

/// A counter of the kernel's that moved, of those that explain a connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// None of them.
    Nothing,
    /// A failed attempt to connect.
    FailedAttempt,
    /// An ICMP "destination unreachable" in the socket's namespace.
    Unreachable,
}

/// When the other end of the connection closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherEnd {
    /// It is not on this host, or did not fail.
    Unseen,
    /// Before this one.
    Earlier,
    /// After this one.
    Later,
}

impl SeenClose {
    /// The socket's error: seen, or concluded. `None` where nothing can be concluded, and so nothing must be claimed.
    #[must_use]
    pub fn error(&self, around: Surroundings) -> Option<SocketError> {
        let connecting = self.state == TcpState::SynSent;
        let reset = if self.state == TcpState::CloseWait {
            SocketError::BrokenPipe
        } else {
            SocketError::Reset
        };
        Some(match self.unseen {
            // Whoever connects without blocking hears of it first, asks for the error, which clears it, and closes.
            Unseen::Nothing
                if self.error == SocketError::None
                    && self.given_up_at_once()
                    && around.counted == Counted::Unreachable =>
            {
                SocketError::NO_HOST
            }
            Unseen::Nothing => self.error,
            Unseen::Error if around.reset_received && connecting => SocketError::Refused,
            Unseen::Error if around.reset_received => reset,
            Unseen::Error if around.reset_sent || connecting || self.retransmits == 0 => SocketError::None,
            // It gave up in silence: who aborts says so, and that would have been seen.
            Unseen::Error => SocketError::TimedOut,
            Unseen::Resets
                if connecting && self.retransmits == 0 && around.counted == Counted::FailedAttempt =>
            {
                SocketError::Refused
            }
            Unseen::Resets if connecting => SocketError::None,
            Unseen::Resets => match around.other_end {
                // A kernel changes the state first and sends its RST then, so who closed first is who reset.
                OtherEnd::Later => SocketError::None,
                OtherEnd::Earlier => reset,
                OtherEnd::Unseen if self.retransmits > 0 => SocketError::TimedOut,
                OtherEnd::Unseen => return None,
            },
        })
    }

    /// A connect that its owner closed before a SYN was sent again.
    #[must_use]
    pub fn given_up_at_once(&self) -> bool {
        self.state == TcpState::SynSent && self.shut_down && self.retransmits == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Surroundings = Surroundings {
        reset_received: false,
        reset_sent: false,
        other_end: OtherEnd::Unseen,
        counted: Counted::Nothing,
    };

    const fn close(state: TcpState, unseen: Unseen, retransmits: u32) -> SeenClose {
        SeenClose {
            state,
            unseen,
            error: SocketError::None,
            shut_down: false,
            retransmits,
        }
    }

    #[test]
    fn an_error_that_was_seen_stands() {
        let seen = SeenClose {
            error: SocketError::NO_HOST,
            ..close(TcpState::SynSent, Unseen::Nothing, 0)
        };
        let noisy = Surroundings {
            reset_received: true,
            ..QUIET
        };
        assert_eq!(seen.error(noisy), Some(SocketError::NO_HOST));
    }

    #[test]
    fn a_connect_closed_at_once_was_unreachable_only_if_the_kernel_counted_it() {
        let counted = Surroundings {
            counted: Counted::Unreachable,
            ..QUIET
        };
        let closed = SeenClose {
            shut_down: true,
            ..close(TcpState::SynSent, Unseen::Nothing, 0)
        };
        assert_eq!(closed.error(counted), Some(SocketError::NO_HOST));
        assert_eq!(closed.error(QUIET), Some(SocketError::None));
        let stood = SeenClose {
            state: TcpState::Established,
            ..closed
        };
        assert_eq!(stood.error(counted), Some(SocketError::None));
        let waited = SeenClose {
            retransmits: 1,
            ..closed
        };
        assert_eq!(waited.error(counted), Some(SocketError::None));
    }

    #[test]
    fn a_reset_that_arrived_is_a_refusal_a_reset_or_a_broken_pipe_by_the_state() {
        let reset = Surroundings {
            reset_received: true,
            ..QUIET
        };
        let concluded = |state| close(state, Unseen::Error, 1).error(reset);
        assert_eq!(concluded(TcpState::SynSent), Some(SocketError::Refused));
        assert_eq!(concluded(TcpState::Established), Some(SocketError::Reset));
        assert_eq!(concluded(TcpState::CloseWait), Some(SocketError::BrokenPipe));
    }

    #[test]
    fn an_end_without_resets_after_retransmits_gave_up() {
        let stood = close(TcpState::Established, Unseen::Error, 3);
        assert_eq!(stood.error(QUIET), Some(SocketError::TimedOut));
        let own = Surroundings {
            reset_sent: true,
            ..QUIET
        };
        assert_eq!(stood.error(own), Some(SocketError::None));
        // A connect that sent its SYN again is known by that.
        let connecting = close(TcpState::SynSent, Unseen::Error, 3);
        assert_eq!(connecting.error(QUIET), Some(SocketError::None));
    }

    #[test]
    fn without_resets_who_closed_first_has_reset_and_a_lone_end_stays_open() {
        let stood = close(TcpState::Established, Unseen::Resets, 0);
        let other = |other_end| stood.error(Surroundings { other_end, ..QUIET });
        assert_eq!(other(OtherEnd::Later), Some(SocketError::None));
        assert_eq!(other(OtherEnd::Earlier), Some(SocketError::Reset));
        assert_eq!(other(OtherEnd::Unseen), None);
        let resent = close(TcpState::Established, Unseen::Resets, 6);
        assert_eq!(resent.error(QUIET), Some(SocketError::TimedOut));
    }

    #[test]
    fn without_resets_a_connect_was_refused_only_if_the_kernel_counted_a_failure() {
        let counted = Surroundings {
            counted: Counted::FailedAttempt,
            ..QUIET
        };
        let connecting = close(TcpState::SynSent, Unseen::Resets, 0);
        assert_eq!(connecting.error(counted), Some(SocketError::Refused));
        assert_eq!(connecting.error(QUIET), Some(SocketError::None));
        let resent = close(TcpState::SynSent, Unseen::Resets, 2);
        assert_eq!(resent.error(counted), Some(SocketError::None));
    }
}
