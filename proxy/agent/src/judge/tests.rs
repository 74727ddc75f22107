//! Every way in which a socket can end, and who is charged with it.

use super::*;

const SYN_SENT: End = End {
    active: true,
    state: state::SYN_SENT,
    error: 0,
    shutdown: 0,
    no_port: false,
    retransmits: 0,
    reset_received: false,
    reset_sent: None,
};

const ESTABLISHED: End = End {
    state: state::ESTABLISHED,
    ..SYN_SENT
};

const fn around(owner: Hop, peer: Hop) -> Around {
    Around {
        owner,
        peer,
        queue_overflowed: false,
        dropped_at_home: false,
    }
}

#[test]
fn a_refusal_is_charged_to_who_should_have_listened() {
    let refused = End {
        error: 111,
        reset_received: true,
        ..SYN_SENT
    };
    let charged = |owner, peer| charge(&refused, around(owner, peer));
    assert_eq!(charged(Hop::Tunnel, Hop::Backend), Some(Cause::BackendRefused));
    assert_eq!(charged(Hop::Lb, Hop::Backend), Some(Cause::BackendRefused));
    assert_eq!(charged(Hop::Client, Hop::Lb), Some(Cause::LbRefused));
    assert_eq!(charged(Hop::Client, Hop::Tunnel), Some(Cause::TunnelDown));
    assert_eq!(
        charged(Hop::Backend, Hop::Backend),
        Some(Cause::BackendDependency)
    );
    assert_eq!(charged(Hop::Unknown, Hop::Unknown), Some(Cause::Undetermined));
    assert_eq!(connect_outcome(&refused), Some("refused"));
}

#[test]
fn an_unanswered_connect_is_the_accept_queue_only_when_one_overflowed() {
    let silent = End {
        error: 110,
        retransmits: 5,
        ..SYN_SENT
    };
    assert_eq!(
        charge(&silent, around(Hop::Lb, Hop::Backend)),
        Some(Cause::BackendUnreachable)
    );
    let full = Around {
        queue_overflowed: true,
        ..around(Hop::Lb, Hop::Backend)
    };
    assert_eq!(charge(&silent, full), Some(Cause::BackendAcceptQueue));
    assert_eq!(
        kernel_end(&silent),
        Some(KernelEnd::ConnectTimedOut { retransmits: 5 })
    );
}

#[test]
fn a_connect_given_up_after_a_retransmit_timed_out_and_one_given_up_at_once_was_cancelled() {
    let waited = End {
        shutdown: 3,
        retransmits: 1,
        ..SYN_SENT
    };
    assert_eq!(connect_outcome(&waited), Some("timed-out"));
    assert_eq!(
        charge(&waited, around(Hop::Client, Hop::Lb)),
        Some(Cause::LbUnreachable)
    );
    let at_once = End {
        shutdown: 3,
        ..SYN_SENT
    };
    assert_eq!(connect_outcome(&at_once), Some("cancelled"));
    assert_eq!(charge(&at_once, around(Hop::Client, Hop::Lb)), None);
}

#[test]
fn want_of_a_port_is_the_owners_own_trouble() {
    let none = End {
        no_port: true,
        ..SYN_SENT
    };
    let charged = |owner| charge(&none, around(owner, Hop::Backend));
    assert_eq!(charged(Hop::Client), Some(Cause::ClientPortsExhausted));
    assert_eq!(charged(Hop::Tunnel), Some(Cause::TunnelPortsExhausted));
    assert_eq!(charged(Hop::Lb), Some(Cause::LbPortsExhausted));
    assert_eq!(charged(Hop::Backend), Some(Cause::BackendPortsExhausted));
    assert_eq!(connect_outcome(&none), Some("no-local-port"));
}

#[test]
fn a_close_with_unread_bytes_is_told_from_a_reset_on_purpose() {
    let accepted = End {
        active: false,
        shutdown: 3,
        ..ESTABLISHED
    };
    let backend = around(Hop::Backend, Hop::Client);
    let unread = End {
        reset_sent: Some(Abort::Unread),
        ..accepted
    };
    assert_eq!(charge(&unread, backend), Some(Cause::BackendUnreadBody));
    let purpose = End {
        reset_sent: Some(Abort::Other),
        ..accepted
    };
    assert_eq!(charge(&purpose, backend), Some(Cause::BackendReset));
    let untold = End {
        reset_sent: Some(Abort::Untold),
        ..accepted
    };
    assert_eq!(charge(&untold, backend), Some(Cause::BackendReset));
}

#[test]
fn who_connected_and_resets_is_charged_only_when_it_is_the_generator() {
    let resets = End {
        reset_sent: Some(Abort::Other),
        ..ESTABLISHED
    };
    assert_eq!(
        charge(&resets, around(Hop::Client, Hop::Lb)),
        Some(Cause::ClientAbort)
    );
    assert_eq!(charge(&resets, around(Hop::Lb, Hop::Backend)), None);
    assert_eq!(charge(&resets, around(Hop::Tunnel, Hop::Backend)), None);
}

#[test]
fn a_reset_after_the_peers_fin_is_an_answer_cut_short() {
    let early_fin = End {
        state: state::CLOSE_WAIT,
        error: EPIPE,
        reset_received: true,
        ..ESTABLISHED
    };
    assert_eq!(
        charge(&early_fin, around(Hop::Lb, Hop::Backend)),
        Some(Cause::BackendTruncated)
    );
    let reset = End {
        error: ECONNRESET,
        reset_received: true,
        ..ESTABLISHED
    };
    assert_eq!(
        charge(&reset, around(Hop::Lb, Hop::Backend)),
        Some(Cause::BackendReset)
    );
    assert_eq!(
        charge(&reset, around(Hop::Client, Hop::Tunnel)),
        Some(Cause::TunnelLost)
    );
}

#[test]
fn a_peer_that_fell_silent_is_charged() {
    let gave_up = End {
        error: 110,
        retransmits: 9,
        ..ESTABLISHED
    };
    assert_eq!(
        charge(&gave_up, around(Hop::Lb, Hop::Backend)),
        Some(Cause::BackendUnreachable)
    );
    assert_eq!(
        charge(&gave_up, around(Hop::Tunnel, Hop::Tunnel)),
        Some(Cause::TunnelBlackhole)
    );
}

#[test]
fn ends_after_both_sides_said_fin_hurt_nobody() {
    for state in [4, 5, 9, 11] {
        for error in [0, EPIPE, ECONNRESET, ETIMEDOUT] {
            let end = End {
                state,
                error,
                ..ESTABLISHED
            };
            assert_eq!(charge(&end, around(Hop::Client, Hop::Backend)), None);
        }
    }
}

#[test]
fn a_refusal_without_a_reset_was_told_by_icmp() {
    let refused = End {
        error: 111,
        ..SYN_SENT
    };
    assert_eq!(told_by(&refused), Some("icmp"));
    let by_reset = End {
        reset_received: true,
        ..refused
    };
    assert_eq!(told_by(&by_reset), Some("reset"));
    let unreachable = End {
        error: 113,
        ..SYN_SENT
    };
    assert_eq!(
        (told_by(&unreachable), connect_outcome(&unreachable)),
        (Some("icmp"), Some("unreachable"))
    );
    assert_eq!(kernel_end(&unreachable), Some(KernelEnd::ConnectUnreachable));
    assert_eq!(told_by(&ESTABLISHED), None);
}

#[test]
fn what_the_own_host_drops_is_not_the_other_sides() {
    let silent = End {
        error: 110,
        retransmits: 5,
        ..SYN_SENT
    };
    let charged = |owner| {
        charge(
            &silent,
            Around {
                dropped_at_home: true,
                ..around(owner, Hop::Backend)
            },
        )
    };
    assert_eq!(charged(Hop::Client), Some(Cause::ClientFirewall));
    assert_eq!(charged(Hop::Lb), Some(Cause::LbFirewall));
    assert_eq!(charged(Hop::Tunnel), Some(Cause::TunnelBlackhole));
    assert_eq!(charged(Hop::Backend), Some(Cause::BackendDependency));
}

#[test]
fn a_connection_that_only_its_client_believed_in_is_the_queues() {
    let full = Around {
        queue_overflowed: true,
        ..around(Hop::Client, Hop::Backend)
    };
    for error in [104, 110] {
        let end = End { error, ..ESTABLISHED };
        assert_eq!(charge(&end, full), Some(Cause::BackendAcceptQueue));
    }
}

#[test]
fn what_is_no_payload_is_not_in_the_ledger() {
    let of = |end: &End, acknowledged, received| {
        let bytes = payload(end, acknowledged, received);
        (bytes.acknowledged, bytes.received)
    };
    assert_eq!(of(&SYN_SENT, 0, 0), (0, 0));
    assert_eq!(of(&ESTABLISHED, 55, 200), (54, 200));
    let accepted = End {
        active: false,
        ..ESTABLISHED
    };
    assert_eq!(of(&accepted, 200, 54), (200, 54));
    let half_closed = End {
        state: state::CLOSE_WAIT,
        ..accepted
    };
    assert_eq!(of(&half_closed, 0, 55), (0, 54));
    let clean = End {
        state: hopscope_abi::state::FIN_WAIT2,
        ..ESTABLISHED
    };
    assert_eq!(of(&clean, 56, 201), (54, 200));
}
