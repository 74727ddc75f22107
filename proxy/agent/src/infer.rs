//! What a close must have been, where the probes could not see the socket's error: concluded from the records around
//! it, or left open. Pure.

use hopscope_abi::state::{CLOSE_WAIT, SYN_SENT};

use super::parse::{Close, Untold};

const EPIPE: u32 = 32;
const ECONNRESET: u32 = 104;
const ETIMEDOUT: u32 = 110;
const ECONNREFUSED: u32 = 111;
const EHOSTUNREACH: u32 = 113;

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

/// The socket's error: told, or concluded. `None` where nothing can be concluded, and so nothing must be claimed.
pub fn error(state: u8, close: &Close, around: Surroundings) -> Option<u32> {
    let reset = if state == CLOSE_WAIT { EPIPE } else { ECONNRESET };
    Some(match close.untold {
        // Whoever connects without blocking is told first, asks for the error, which clears it, and closes.
        Untold::Nothing
            if close.error == 0
                && given_up_at_once(state, close)
                && around.counted == Counted::Unreachable =>
        {
            EHOSTUNREACH
        }
        Untold::Nothing => close.error,
        Untold::Error if around.reset_received && state == SYN_SENT => ECONNREFUSED,
        Untold::Error if around.reset_received => reset,
        Untold::Error if around.reset_sent || state == SYN_SENT || close.retransmits == 0 => 0,
        // It gave up in silence: who aborts says so, and that would have been seen.
        Untold::Error => ETIMEDOUT,
        Untold::Resets
            if state == SYN_SENT && close.retransmits == 0 && around.counted == Counted::FailedAttempt =>
        {
            ECONNREFUSED
        }
        Untold::Resets if state == SYN_SENT => 0,
        Untold::Resets => match around.other_end {
            // A kernel changes the state first and sends its RST then, so who closed first is who reset.
            OtherEnd::Later => 0,
            OtherEnd::Earlier => reset,
            OtherEnd::Unseen if close.retransmits > 0 => ETIMEDOUT,
            OtherEnd::Unseen => return None,
        },
    })
}

/// A connect that its owner closed before a SYN was sent again.
pub const fn given_up_at_once(state: u8, close: &Close) -> bool {
    state == SYN_SENT && close.shutdown != 0 && close.retransmits == 0
}

#[cfg(test)]
mod tests {
    use hopscope_abi::state::ESTABLISHED;

    use super::*;

    const QUIET: Surroundings = Surroundings {
        reset_received: false,
        reset_sent: false,
        other_end: OtherEnd::Unseen,
        counted: Counted::Nothing,
    };

    fn close(untold: Untold, retransmits: u32) -> Close {
        Close {
            retransmits,
            untold,
            ..Close::default()
        }
    }

    #[test]
    fn what_was_told_stands() {
        let told = Close {
            error: 113,
            ..Close::default()
        };
        let noisy = Surroundings {
            reset_received: true,
            ..QUIET
        };
        assert_eq!(error(SYN_SENT, &told, noisy), Some(113));
    }

    #[test]
    fn a_connect_closed_at_once_was_told_that_it_is_unreachable_only_if_the_kernel_counted_it() {
        let told = Surroundings {
            counted: Counted::Unreachable,
            ..QUIET
        };
        let closed = Close {
            shutdown: 3,
            ..Close::default()
        };
        assert_eq!(error(SYN_SENT, &closed, told), Some(EHOSTUNREACH));
        assert_eq!(error(SYN_SENT, &closed, QUIET), Some(0));
        assert_eq!(error(ESTABLISHED, &closed, told), Some(0));
        let waited = Close {
            retransmits: 1,
            ..closed
        };
        assert_eq!(error(SYN_SENT, &waited, told), Some(0));
    }

    #[test]
    fn a_reset_that_arrived_is_a_refusal_a_reset_or_a_broken_pipe_by_the_state() {
        let reset = Surroundings {
            reset_received: true,
            ..QUIET
        };
        let concluded = |state| error(state, &close(Untold::Error, 1), reset);
        assert_eq!(concluded(SYN_SENT), Some(ECONNREFUSED));
        assert_eq!(concluded(ESTABLISHED), Some(ECONNRESET));
        assert_eq!(concluded(CLOSE_WAIT), Some(EPIPE));
    }

    #[test]
    fn an_end_without_resets_after_retransmits_gave_up() {
        assert_eq!(
            error(ESTABLISHED, &close(Untold::Error, 3), QUIET),
            Some(ETIMEDOUT)
        );
        let own = Surroundings {
            reset_sent: true,
            ..QUIET
        };
        assert_eq!(error(ESTABLISHED, &close(Untold::Error, 3), own), Some(0));
        // The judge knows a connect that sent its SYN again.
        assert_eq!(error(SYN_SENT, &close(Untold::Error, 3), QUIET), Some(0));
    }

    #[test]
    fn without_resets_who_closed_first_has_reset_and_a_lone_end_stays_open() {
        let other = |other_end| {
            let around = Surroundings { other_end, ..QUIET };
            error(ESTABLISHED, &close(Untold::Resets, 0), around)
        };
        assert_eq!(other(OtherEnd::Later), Some(0));
        assert_eq!(other(OtherEnd::Earlier), Some(ECONNRESET));
        assert_eq!(other(OtherEnd::Unseen), None);
        assert_eq!(
            error(ESTABLISHED, &close(Untold::Resets, 6), QUIET),
            Some(ETIMEDOUT)
        );
    }

    #[test]
    fn without_resets_a_connect_was_refused_only_if_the_kernel_counted_a_failure() {
        let counted = Surroundings {
            counted: Counted::FailedAttempt,
            ..QUIET
        };
        assert_eq!(
            error(SYN_SENT, &close(Untold::Resets, 0), counted),
            Some(ECONNREFUSED)
        );
        assert_eq!(error(SYN_SENT, &close(Untold::Resets, 0), QUIET), Some(0));
        assert_eq!(error(SYN_SENT, &close(Untold::Resets, 2), counted), Some(0));
    }
}
