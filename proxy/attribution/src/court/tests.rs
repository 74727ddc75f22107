//! Every way in which a socket can end, and who is charged with it.

use super::*;

const fn dialled(owner: Hop, peer: Hop, end: KernelEnd) -> Witness {
    Witness {
        owner,
        peer,
        opened: Opened::Here,
        end,
        marks: Marks {
            after_fin: false,
            after_own_fin: false,
            dropped_at_home: false,
        },
        queue_overflowed: false,
    }
}

const fn accepted(owner: Hop, peer: Hop, end: KernelEnd) -> Witness {
    Witness {
        opened: Opened::There,
        ..dialled(owner, peer, end)
    }
}

const SILENT: KernelEnd = KernelEnd::ConnectTimedOut { retransmits: 5 };

#[test]
fn a_refusal_is_charged_to_who_should_have_listened_where_nobody_can_stand_behind_it() {
    let charged = |owner, peer| charge(&dialled(owner, peer, KernelEnd::ConnectRefused));
    assert_eq!(charged(Hop::Tunnel, Hop::Backend), Some(Cause::BackendRefused));
    assert_eq!(charged(Hop::Lb, Hop::Backend), Some(Cause::BackendRefused));
    assert_eq!(charged(Hop::Tunnel, Hop::Tunnel), Some(Cause::TunnelDown));
    assert_eq!(
        charged(Hop::Backend, Hop::Backend),
        Some(Cause::BackendDependency)
    );
}

#[test]
fn a_refusal_by_a_balancers_address_or_a_forward_may_have_its_trigger_behind_it() {
    for owner in [Hop::Client, Hop::Observer, Hop::Unknown] {
        for peer in [Hop::Lb, Hop::Tunnel, Hop::Unknown] {
            let refused = dialled(owner, peer, KernelEnd::ConnectRefused);
            assert_eq!(charge(&refused), Some(Cause::Undetermined), "{owner} {peer}");
        }
    }
}

#[test]
fn a_silent_connect_is_the_accept_queue_when_one_overflowed_and_else_nobodys() {
    let silent = dialled(Hop::Lb, Hop::Backend, SILENT);
    assert_eq!(charge(&silent), Some(Cause::Undetermined));
    let full = Witness {
        queue_overflowed: true,
        ..silent
    };
    assert_eq!(charge(&full), Some(Cause::BackendAcceptQueue));
    let told = dialled(Hop::Lb, Hop::Backend, KernelEnd::ConnectUnreachable);
    assert_eq!(charge(&told), Some(Cause::BackendUnreachable));
    let in_the_pod = dialled(Hop::Tunnel, Hop::Backend, SILENT);
    assert_eq!(charge(&in_the_pod), Some(Cause::BackendUnreachable));
}

#[test]
fn a_missing_port_is_its_owners() {
    let charged = |owner| charge(&dialled(owner, Hop::Backend, KernelEnd::NoLocalPort));
    assert_eq!(charged(Hop::Client), Some(Cause::ClientPortsExhausted));
    assert_eq!(charged(Hop::Tunnel), Some(Cause::TunnelPortsExhausted));
    assert_eq!(charged(Hop::Lb), Some(Cause::LbPortsExhausted));
    assert_eq!(charged(Hop::Backend), Some(Cause::BackendPortsExhausted));
}

#[test]
fn an_application_that_resets_is_charged_and_unread_bytes_are_no_body() {
    for end in [KernelEnd::ResetSent, KernelEnd::ResetSentUnread] {
        let reset = accepted(Hop::Backend, Hop::Client, end);
        assert_eq!(charge(&reset), Some(Cause::BackendReset), "{end:?}");
    }
}

#[test]
fn who_connected_and_resets_is_charged_only_when_it_is_the_generator() {
    let charged = |owner, peer| charge(&dialled(owner, peer, KernelEnd::ResetSent));
    assert_eq!(charged(Hop::Client, Hop::Lb), Some(Cause::ClientAbort));
    assert_eq!(charged(Hop::Lb, Hop::Backend), None);
    assert_eq!(charged(Hop::Tunnel, Hop::Backend), None);
}

#[test]
fn a_balancer_or_a_forward_that_resets_may_hand_on_what_happened_behind_it() {
    for owner in [Hop::Lb, Hop::Tunnel] {
        let reset = accepted(owner, Hop::Client, KernelEnd::ResetSent);
        assert_eq!(charge(&reset), Some(Cause::Undetermined), "{owner}");
    }
    for peer in [Hop::Lb, Hop::Tunnel] {
        let reset = dialled(Hop::Client, peer, KernelEnd::ResetReceived);
        assert_eq!(charge(&reset), Some(Cause::Undetermined), "{peer}");
    }
}

#[test]
fn a_reset_that_answers_a_fin_is_not_what_ended_it() {
    let left = Marks {
        after_fin: true,
        ..Marks::default()
    };
    let unread = accepted(Hop::Backend, Hop::Tunnel, KernelEnd::ResetSentUnread);
    let after = Witness {
        marks: left,
        ..unread
    };
    assert_eq!(charge(&after), Some(Cause::Undetermined));
    let done = Marks {
        after_own_fin: true,
        ..Marks::default()
    };
    let unread = Witness {
        marks: done,
        ..unread
    };
    assert_eq!(charge(&unread), None);
}

#[test]
fn a_reset_after_the_applications_fin_is_an_answer_cut_short() {
    let reset = dialled(Hop::Lb, Hop::Backend, KernelEnd::ResetReceived);
    assert_eq!(charge(&reset), Some(Cause::BackendReset));
    let marks = Marks {
        after_fin: true,
        ..Marks::default()
    };
    assert_eq!(charge(&Witness { marks, ..reset }), Some(Cause::BackendTruncated));
}

#[test]
fn an_application_that_fell_silent_is_charged() {
    let charged = |owner, peer| charge(&dialled(owner, peer, KernelEnd::RetransmitTimeout));
    assert_eq!(charged(Hop::Lb, Hop::Backend), Some(Cause::BackendUnreachable));
    assert_eq!(charged(Hop::Tunnel, Hop::Tunnel), Some(Cause::TunnelBlackhole));
    assert_eq!(charged(Hop::Client, Hop::Lb), Some(Cause::Undetermined));
}

#[test]
fn what_the_own_host_drops_is_not_the_other_sides() {
    let charged = |owner| {
        let silent = dialled(owner, Hop::Backend, SILENT);
        charge(&Witness {
            marks: Marks {
                dropped_at_home: true,
                ..Marks::default()
            },
            ..silent
        })
    };
    assert_eq!(charged(Hop::Client), Some(Cause::ClientFirewall));
    assert_eq!(charged(Hop::Lb), Some(Cause::LbFirewall));
    assert_eq!(charged(Hop::Tunnel), Some(Cause::TunnelBlackhole));
    assert_eq!(charged(Hop::Backend), Some(Cause::BackendDependency));
}

#[test]
fn a_connection_that_only_its_client_believed_in_is_the_queues() {
    for end in [KernelEnd::ResetReceived, KernelEnd::RetransmitTimeout] {
        let full = Witness {
            queue_overflowed: true,
            ..dialled(Hop::Client, Hop::Backend, end)
        };
        assert_eq!(charge(&full), Some(Cause::BackendAcceptQueue), "{end:?}");
    }
}
