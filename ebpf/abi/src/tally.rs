//! What is counted in the kernel, so that a healthy connection costs no event.

/// What the probes remember of a socket that was opened by `connect`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// When `connect` was called, `CLOCK_MONOTONIC` nanoseconds.
    pub opened: u64,
    /// Inode of the caller's cgroup (v2).
    pub cgroup: u64,
    /// The caller's process.
    pub pid: u32,
    /// Time from `connect` to ESTABLISHED, microseconds; 0 until then.
    pub connect_us: u32,
    /// SYN segments sent again.
    pub syn_retransmits: u32,
    /// Always zero.
    pub zero: u32,
    /// Name of the caller's main thread.
    pub comm: [u8; 16],
}

const _: () = assert!(size_of::<Owner>() == 48, "Owner has padding or changed its size");

/// What one row of counts is about.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TallyKey {
    /// Inode of the owner's cgroup (v2).
    pub cgroup: u64,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// The port that names the service: far of an active socket, near of a passive one.
    pub port: u16,
    /// [`crate::record::ACTIVE`] or [`crate::record::PASSIVE`].
    pub direction: u8,
    /// Which kind of address the far side has: one of the `PEER_` constants.
    pub peer: u8,
    /// The owner's process name; zero of a passive socket.
    pub comm: [u8; 16],
}

const _: () = assert!(
    size_of::<TallyKey>() == 32,
    "TallyKey has padding or changed its size"
);

/// Any other address.
pub const PEER_OTHER: u8 = 0;
/// A loopback address.
pub const PEER_LOOPBACK: u8 = 1;
/// An address that the configuration gives to load balancers.
pub const PEER_BALANCER: u8 = 2;

/// Upper bounds of the connect-time buckets, microseconds; one more bucket holds all that is above.
pub const CONNECT_BUCKETS_US: [u32; 11] = [
    100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 3_000_000, 10_000_000,
];

/// One row of counts. All u64, so that user space adds rows up as words.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TallyValue {
    /// Handshakes completed.
    pub established: u64,
    /// Sum of the connect times of the active ones, microseconds.
    pub connect_us: u64,
    /// Segments sent again, data and SYN.
    pub retransmits: u64,
    /// SYN segments sent again.
    pub syn_retransmits: u64,
    /// SYN-ACK segments sent again.
    pub synack_retransmits: u64,
    /// Connections that arrived at an accept queue as full as it may be.
    pub queue_full: u64,
    /// Connect times by [`CONNECT_BUCKETS_US`].
    pub buckets: [u64; 12],
}

/// A [`TallyValue`] in words.
pub const TALLY_WORDS: usize = 18;

const _: () = assert!(
    size_of::<TallyValue>() == TALLY_WORDS * 8,
    "TallyValue is not all words"
);
