//! What crosses the boundary between the probes and user space.
//!
//! [`record`] is what the ring buffer carries, [`tally`] what is counted in the kernel, [`layout`] and
//! [`fields`] what user space tells the probes about the running kernel. Every type is `#[repr(C)]` without a byte of padding: a compile-time assertion
//! under each says so, because padding would be kernel memory that nobody wrote.
#![no_std]

pub mod fields;
pub mod layout;
pub mod record;
pub mod tally;

pub use fields::Fields;
pub use layout::Layout;
pub use record::{Kind, Record};
pub use tally::{Owner, TallyKey, TallyValue};

/// Slots of the per-CPU `SEEN` and `LOST` arrays: one a probe, in this order.
pub const PROBES: [&str; 8] = [
    "inet_sock_set_state",
    "tcp_retransmit_skb",
    "tcp_retransmit_synack",
    "tcp_send_reset",
    "tcp_receive_reset",
    "tcp_destroy_sock",
    "kfree_skb",
    "sock_ops",
];

/// A slot of [`PROBES`], as the probes name it.
pub mod slot {
    /// `inet_sock_set_state`.
    pub const SET_STATE: u32 = 0;
    /// `tcp_retransmit_skb`.
    pub const RETRANSMIT: u32 = 1;
    /// `tcp_retransmit_synack`.
    pub const RETRANSMIT_SYNACK: u32 = 2;
    /// `tcp_send_reset`.
    pub const SEND_RESET: u32 = 3;
    /// `tcp_receive_reset`.
    pub const RECEIVE_RESET: u32 = 4;
    /// `tcp_destroy_sock`.
    pub const DESTROY: u32 = 5;
    /// `kfree_skb`.
    pub const DROP: u32 = 6;
    /// `sock_ops`.
    pub const SOCK_OPS: u32 = 7;
}

/// TCP states (include/net/tcp_states.h), unchanged since they were first numbered.
pub mod state {
    /// `TCP_ESTABLISHED`.
    pub const ESTABLISHED: u8 = 1;
    /// `TCP_SYN_SENT`.
    pub const SYN_SENT: u8 = 2;
    /// `TCP_SYN_RECV`.
    pub const SYN_RECV: u8 = 3;
    /// `TCP_FIN_WAIT1`.
    pub const FIN_WAIT1: u8 = 4;
    /// `TCP_FIN_WAIT2`.
    pub const FIN_WAIT2: u8 = 5;
    /// `TCP_TIME_WAIT`.
    pub const TIME_WAIT: u8 = 6;
    /// `TCP_CLOSE`.
    pub const CLOSE: u8 = 7;
    /// `TCP_CLOSE_WAIT`.
    pub const CLOSE_WAIT: u8 = 8;
    /// `TCP_LAST_ACK`.
    pub const LAST_ACK: u8 = 9;
    /// `TCP_LISTEN`.
    pub const LISTEN: u8 = 10;
    /// `TCP_CLOSING`.
    pub const CLOSING: u8 = 11;
}
