//! What user space tells the probes about the running kernel: byte offsets from BTF, and what exists.
//!
//! It is one frozen read-only global, so to the verifier every field is a known constant: loads at these offsets are
//! checked against the kernel's own types, and a branch on a false switch is not even looked at.

/// A struct of u32 words, which the loader writes over a frozen global.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident,)+ }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$doc])* pub $field: u32,)+ }

        /// Number of fields.
        pub const WORDS: usize = [$(stringify!($field)),+].len();

        impl $name {
            /// The fields in order, as the loader writes them over the global.
            pub const fn words(&self) -> [u32; WORDS] { [$(self.$field),+] }
        }

        const _: () = assert!(size_of::<$name>() == WORDS * 4);
    };
}
pub(crate) use words;

words! {
    /// Byte offsets into kernel structs, and switches (0 or 1). Never constants: read from the kernel's BTF.
    Layout {
        /// `sock_common.skc_daddr`.
        daddr,
        /// `sock_common.skc_rcv_saddr`.
        saddr,
        /// `sock_common.skc_dport`, network order.
        dport,
        /// `sock_common.skc_num`, host order; 0 once the port is released.
        num,
        /// `sock_common.skc_family`.
        family,
        /// `sock_common.skc_state`.
        state,
        /// `sock_common.skc_net`.
        net,
        /// `sock_common.skc_v6_daddr`; the IPv4 one again on a kernel without IPv6.
        daddr6,
        /// `sock_common.skc_v6_rcv_saddr`; likewise.
        saddr6,
        /// `net.ns.inum`.
        inum,
        /// `sock.sk_err`.
        error,
        /// `sock.sk_shutdown`.
        shutdown,
        /// `sock.sk_ack_backlog`.
        backlog,
        /// `sock.sk_max_ack_backlog`.
        max_backlog,
        /// `sock.sk_cgrp_data`, whose first word is the cgroup.
        cgroup,
        /// `cgroup.kn`.
        kn,
        /// `kernfs_node.id`.
        kn_id,
        /// `inet_sock.inet_sport` within `tcp_sock`, network order.
        sport,
        /// `tcp_sock.srtt_us`, in eighths.
        srtt,
        /// `tcp_sock.rtt_min.s[0].v`.
        rtt_min,
        /// `tcp_sock.total_retrans`.
        total_retrans,
        /// `tcp_sock.bytes_acked`.
        bytes_acked,
        /// `tcp_sock.bytes_received`.
        bytes_received,
        /// `sk_buff.head`.
        skb_head,
        /// `sk_buff.network_header`.
        skb_network,
        /// `sk_buff.dev`.
        skb_dev,
        /// `net_device.nd_net`.
        dev_net,
        /// `tcp_skb_cb.tcp_gso_segs` within `sk_buff.cb`; 0 when unknown.
        skb_segments,
        /// `task_struct.group_leader`.
        leader,
        /// `task_struct.comm`.
        comm,
        /// A tracing program may ask for the cookie (5.12).
        have_cookie,
        /// `tcp_send_reset` has a reason (6.10).
        have_reset_reason,
        /// `tcp_retransmit_skb` has an error (6.17).
        have_retransmit_error,
        /// Some addresses are known to be load balancers'.
        have_balancers,
        /// Clean ends become records too.
        every_close,
    }
}
