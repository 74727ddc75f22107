//! What user space tells the probes about the records of classic tracepoints: byte offsets from their format files.
//!
//! They serve where the kernel does not show its types. Addresses are read from the IPv6 fields alone, in which every
//! kernel puts an IPv4 address as v4-mapped.

use crate::layout::words;

words! {
    /// Byte offsets into the records of tracepoints, and switches (0 or 1).
    Fields {
        /// `inet_sock_set_state`: `skaddr`.
        set_sk,
        /// `oldstate`.
        set_old,
        /// `newstate`.
        set_new,
        /// `protocol`; u8 up to 5.5, u16 since, the low byte first.
        set_protocol,
        /// `sport`, host order as all ports here.
        set_sport,
        /// `dport`.
        set_dport,
        /// `saddr_v6`.
        set_saddr,
        /// `daddr_v6`.
        set_daddr,
        /// `tcp_retransmit_skb`: `skaddr`.
        retransmit_sk,
        /// `state`.
        retransmit_state,
        /// `err` (6.17).
        retransmit_error,
        /// `sport`.
        retransmit_sport,
        /// `dport`.
        retransmit_dport,
        /// `saddr_v6`.
        retransmit_saddr,
        /// `daddr_v6`.
        retransmit_daddr,
        /// `tcp_retransmit_synack`: `sport`.
        synack_sport,
        /// `dport`.
        synack_dport,
        /// `daddr_v6`.
        synack_daddr,
        /// `tcp_send_reset`: `skbaddr`.
        send_skb,
        /// `skaddr`.
        send_sk,
        /// `state`.
        send_state,
        /// `reason` (6.10).
        send_reason,
        /// `sport`; absent since 6.10.
        send_sport,
        /// `dport`; absent since 6.10.
        send_dport,
        /// `saddr_v6`, or `saddr` where that is a sockaddr (6.10).
        send_saddr,
        /// `daddr_v6`, or `daddr` where that is a sockaddr (6.10).
        send_daddr,
        /// `tcp_receive_reset`: `skaddr`.
        receive_sk,
        /// `sport`.
        receive_sport,
        /// `dport`.
        receive_dport,
        /// `saddr_v6`.
        receive_saddr,
        /// `daddr_v6`.
        receive_daddr,
        /// `sock_cookie`.
        receive_cookie,
        /// `tcp_destroy_sock`: `skaddr`.
        destroy_sk,
        /// `kfree_skb`: `reason` (5.17).
        drop_reason,
        /// `tcp_send_reset` has a reason, and its addresses are sockaddrs (6.10).
        have_reset_reason,
        /// `tcp_retransmit_skb` has an error (6.17).
        have_retransmit_error,
        /// A `sock_ops` program may ask who is calling (6.10).
        have_caller,
        /// And what the caller is called (6.16).
        have_name,
    }
}
