//! One entry of the ring buffer: something that failed, or that ended.

/// What a [`Record`] reports. The numbers are the wire format.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A socket went to CLOSE in a way that is not a clean end, or any way when every close is asked for.
    Closed = 1,
    /// A connecting socket sent its SYN for the second time.
    SynRetransmit = 2,
    /// The kernel sent RST; `reason` says why, from 6.10 on.
    ResetSent = 3,
    /// RST arrived for a socket.
    ResetReceived = 4,
    /// A TCP packet was dropped for `reason`; the tuple is the packet's, sender first.
    Dropped = 5,
    /// A socket began to listen.
    Listening = 6,
}

impl Kind {
    /// The kind that a number names, if it names one.
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Closed,
            2 => Self::SynRetransmit,
            3 => Self::ResetSent,
            4 => Self::ResetReceived,
            5 => Self::Dropped,
            6 => Self::Listening,
            _ => return None,
        })
    }
}

/// `reason` of a record whose kernel gives none.
pub const NO_REASON: u32 = u32::MAX;

/// The socket was opened by `connect`, and the probes saw it.
pub const ACTIVE: u8 = 1;
/// The socket was not opened by a `connect` that the probes saw: accepted, or older than the probes.
pub const PASSIVE: u8 = 0;

/// Everything of a close was seen.
pub const UNTOLD_NOTHING: u8 = 0;
/// `sk_err` was not; resets are told by records of their own.
pub const UNTOLD_ERROR: u8 = 1;
/// Neither `sk_err` nor resets were.
pub const UNTOLD_RESETS: u8 = 2;

/// One entry of the ring buffer. Fields that a kind does not fill are zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub at: u64,
    /// The socket's cookie (`SO_COOKIE`); 0 where the kernel does not tell a tracing program (before 5.12).
    pub cookie: u64,
    /// The kernel's address of the socket: identity while it lives, nothing more.
    pub socket: u64,
    /// Inode of the socket's cgroup (v2).
    pub cgroup: u64,
    /// When `connect` was called, `CLOCK_MONOTONIC` nanoseconds; 0 when that was not seen.
    pub opened: u64,
    /// Payload bytes that the other side acknowledged.
    pub bytes_acked: u64,
    /// Payload bytes received.
    pub bytes_received: u64,
    /// The near address; IPv4 as its first four bytes.
    pub local: [u8; 16],
    /// The far address; IPv4 as its first four bytes.
    pub remote: [u8; 16],
    /// Name of the owner's process (its main thread's), where its `connect` or `listen` was seen.
    pub comm: [u8; 16],
    /// One of [`Kind`].
    pub kind: u32,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Process that called `connect` or `listen`; 0 when unseen.
    pub pid: u32,
    /// `enum skb_drop_reason` or `enum sk_rst_reason` of the running kernel, or [`NO_REASON`].
    pub reason: u32,
    /// `sk_err`: a positive errno, or 0.
    pub error: u32,
    /// Time from `connect` to ESTABLISHED, microseconds; 0 while it never was.
    pub connect_us: u32,
    /// Smoothed round-trip time, microseconds.
    pub srtt_us: u32,
    /// Smallest round-trip time, microseconds.
    pub min_rtt_us: u32,
    /// Segments retransmitted over the socket's life, SYNs included.
    pub retransmits: u32,
    /// Near port, host order.
    pub local_port: u16,
    /// Far port, host order.
    pub remote_port: u16,
    /// 4 or 6; 0 when unknown.
    pub family: u8,
    /// The state that the socket left or is in.
    pub state: u8,
    /// `sk_shutdown`: 1 = no more receiving, 2 = no more sending.
    pub shutdown: u8,
    /// [`ACTIVE`] or [`PASSIVE`].
    pub direction: u8,
    /// Flags byte of the TCP header; of drops only.
    pub tcp_flags: u8,
    /// 1 when there was no segment that provoked the RST: the owner's own doing.
    pub unprovoked: u8,
    /// What the probe could not see of a close: one of the `UNTOLD_` constants.
    pub untold: u8,
    /// Always zero.
    pub zero: u8,
}

const _: () = assert!(
    size_of::<Record>() == 152,
    "Record has padding or changed its size"
);
const _: () = assert!(
    size_of::<Record>().is_multiple_of(8),
    "the probes clear a record in words"
);
