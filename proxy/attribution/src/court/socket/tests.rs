//! Socket ends as a host's kernel saw them, and whom each of them charges.

use super::*;

const SYN_SENT: SocketEnd = SocketEnd {
    opened: Opened::Here,
    state: TcpState::SynSent,
    error: SocketError::None,
    shut_down: false,
    no_port: false,
    retransmits: 0,
    reset_received: false,
    reset_sent: None,
};

const ESTABLISHED: SocketEnd = SocketEnd {
    state: TcpState::Established,
    ..SYN_SENT
};

#[test]
fn a_connect_given_up_after_a_retransmit_timed_out_and_one_given_up_at_once_was_cancelled() {
    // The rungs below BTF tracepoints do not see whether it was shut down.
    for shut_down in [true, false] {
        let waited = SocketEnd {
            shut_down,
            retransmits: 1,
            ..SYN_SENT
        };
        assert_eq!(waited.kind(), Some(KernelEnd::ConnectTimedOut { retransmits: 1 }));
        assert_eq!(waited.connect_outcome(), Some(ConnectOutcome::TimedOut));
    }
    let at_once = SocketEnd {
        shut_down: true,
        ..SYN_SENT
    };
    assert_eq!(at_once.kind(), None);
    assert_eq!(at_once.connect_outcome(), Some(ConnectOutcome::Cancelled));
}

#[test]
fn a_connect_without_a_port_is_one_that_its_owner_did_not_close() {
    let none = SocketEnd {
        no_port: true,
        ..SYN_SENT
    };
    assert_eq!(none.kind(), Some(KernelEnd::NoLocalPort));
    assert_eq!(none.connect_outcome(), Some(ConnectOutcome::NoLocalPort));
}

#[test]
fn a_close_with_unread_bytes_is_another_end_than_a_reset_on_purpose() {
    for (abort, end) in [
        (Abort::Unread, KernelEnd::ResetSentUnread),
        (Abort::Other, KernelEnd::ResetSent),
        (Abort::NotSaid, KernelEnd::ResetSent),
    ] {
        let closed = SocketEnd {
            reset_sent: Some(abort),
            ..ESTABLISHED
        };
        assert_eq!(closed.kind(), Some(end));
    }
}

#[test]
fn the_state_says_who_had_said_fin_before() {
    let marks = |state| {
        let marks = SocketEnd { state, ..ESTABLISHED }.marks(false);
        (marks.after_own_fin, marks.after_fin)
    };
    for (state, own, others) in [
        (TcpState::Established, false, false),
        (TcpState::CloseWait, false, true),
        (TcpState::FinWait1, true, false),
        (TcpState::FinWait2, true, false),
        (TcpState::LastAck, true, true),
        (TcpState::Closing, true, true),
    ] {
        assert_eq!(marks(state), (own, others), "{state:?}");
    }
}

#[test]
fn a_refusal_without_a_reset_came_by_icmp() {
    let refused = SocketEnd {
        error: SocketError::Refused,
        ..SYN_SENT
    };
    assert_eq!(refused.refused_by(), Some(RefusedBy::Icmp));
    let by_reset = SocketEnd {
        reset_received: true,
        ..refused
    };
    assert_eq!(by_reset.refused_by(), Some(RefusedBy::Reset));
    let unreachable = SocketEnd {
        error: SocketError::NO_HOST,
        ..SYN_SENT
    };
    assert_eq!(unreachable.refused_by(), Some(RefusedBy::Icmp));
    assert_eq!(unreachable.connect_outcome(), Some(ConnectOutcome::Unreachable));
    assert_eq!(unreachable.kind(), Some(KernelEnd::ConnectUnreachable));
    assert_eq!(ESTABLISHED.refused_by(), None);
}

#[test]
fn an_error_is_named_as_errno_h_names_it() {
    for (errno, name) in [
        (0, None),
        (1, Some("EPERM")),
        (32, Some("EPIPE")),
        (104, Some("ECONNRESET")),
        (110, Some("ETIMEDOUT")),
        (111, Some("ECONNREFUSED")),
        (113, Some("EHOSTUNREACH")),
        (5, Some("5")),
    ] {
        assert_eq!(SocketError::from_errno(errno).name().as_deref(), name);
    }
}

#[test]
fn what_is_no_payload_is_not_in_the_ledger() {
    let of = |end: &SocketEnd, acknowledged, received| {
        let bytes = end.payload(acknowledged, received);
        (bytes.acknowledged, bytes.received)
    };
    assert_eq!(of(&SYN_SENT, 0, 0), (0, 0));
    assert_eq!(of(&ESTABLISHED, 55, 200), (54, 200));
    let accepted = SocketEnd {
        opened: Opened::There,
        ..ESTABLISHED
    };
    assert_eq!(of(&accepted, 200, 54), (200, 54));
    let half_closed = SocketEnd {
        state: TcpState::CloseWait,
        ..accepted
    };
    assert_eq!(of(&half_closed, 0, 55), (0, 54));
    let clean = SocketEnd {
        state: TcpState::FinWait2,
        ..ESTABLISHED
    };
    assert_eq!(of(&clean, 56, 201), (54, 200));
}
