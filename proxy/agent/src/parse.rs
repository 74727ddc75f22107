//! Bytes of the kernel → events, once: past this module nobody asks whether a number means anything.

use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hopscope_abi::tally::{PEER_BALANCER, PEER_LOOPBACK, TALLY_WORDS};
use hopscope_abi::{Kind, Record, TallyKey, TallyValue, record};
use hopscope_attribution::court::{SocketError, TcpState, Unseen};
use hopscope_attribution::evidence::FourTuple;

/// Why a record of the ring buffer is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not the length of a record.
    #[error("a record of {got} bytes, they have {}", size_of::<Record>())]
    Length {
        /// Its length.
        got: usize,
    },
    /// A kind that this version does not know.
    #[error("a record of the unknown kind {0}")]
    Kind(u32),
}

/// One record of the probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A socket went to CLOSE.
    Closed(Socket, Close),
    /// A connecting socket sent its SYN again, for the first time.
    SynRetransmit(Socket),
    /// The kernel sent RST.
    ResetSent {
        /// From where and to where; a socket where one was involved.
        socket: Socket,
        /// `enum sk_rst_reason` of the running kernel, where it gives one.
        reason: Option<u32>,
        /// No segment provoked it: the owner's own doing.
        unprovoked: bool,
    },
    /// RST arrived for a socket.
    ResetReceived(Socket),
    /// A TCP packet was dropped.
    Dropped {
        /// When, `CLOCK_MONOTONIC` nanoseconds.
        at: u64,
        /// Inode number of the network namespace it was in; 0 when unknown.
        netns: u32,
        /// Sender first.
        ends: FourTuple,
        /// `enum skb_drop_reason` of the running kernel.
        reason: u32,
        /// Flags byte of the TCP header.
        flags: u8,
    },
    /// A socket began to listen.
    Listening(Socket),
}

/// A socket of the kernel, and what is known of its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// When this was seen, `CLOCK_MONOTONIC` nanoseconds.
    pub at: u64,
    /// `SO_COOKIE`; `None` where the kernel does not tell.
    pub cookie: Option<u64>,
    /// Its address in the kernel: identity while it lives.
    pub key: u64,
    /// Inode of its cgroup (v2); 0 when unknown.
    pub cgroup: u64,
    /// Inode number of its network namespace; 0 when unknown.
    pub netns: u32,
    /// The process that called `connect` or `listen`, where that was seen.
    pub owner: Option<Process>,
    /// It was opened by a `connect` that was seen.
    pub active: bool,
    /// Its addresses.
    pub ends: FourTuple,
    /// Its TCP state (include/net/tcp_states.h), for a close the one before.
    pub state: u8,
}

/// A process as the kernel names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Name of its main thread, at most 15 bytes.
    pub comm: String,
}

/// How a socket's life went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Close {
    /// Its error (`sk_err`).
    pub error: SocketError,
    /// Its owner had shut it down, one direction or both (`sk_shutdown`).
    pub shut_down: bool,
    /// Life since `connect`, microseconds; `None` when `connect` was not seen.
    pub age_us: Option<u64>,
    /// From `connect` to ESTABLISHED, microseconds.
    pub connect_us: Option<u32>,
    /// Smoothed round-trip time, microseconds.
    pub srtt_us: u32,
    /// Smallest round-trip time, microseconds.
    pub min_rtt_us: u32,
    /// Segments retransmitted, SYNs included.
    pub retransmits: u32,
    /// Payload bytes that the other side acknowledged.
    pub bytes_acked: u64,
    /// Payload bytes received.
    pub bytes_received: u64,
    /// What of all this the probe could not see, and is zero for that.
    pub unseen: Unseen,
}

/// The state of a socket by the kernel's number for it; `None` for one of no full socket.
pub const fn tcp_state(number: u8) -> Option<TcpState> {
    use hopscope_abi::state;
    Some(match number {
        state::ESTABLISHED => TcpState::Established,
        state::SYN_SENT => TcpState::SynSent,
        state::SYN_RECV => TcpState::SynRecv,
        state::FIN_WAIT1 => TcpState::FinWait1,
        state::FIN_WAIT2 => TcpState::FinWait2,
        state::TIME_WAIT => TcpState::TimeWait,
        state::CLOSE => TcpState::Close,
        state::CLOSE_WAIT => TcpState::CloseWait,
        state::LAST_ACK => TcpState::LastAck,
        state::LISTEN => TcpState::Listen,
        state::CLOSING => TcpState::Closing,
        _ => return None,
    })
}

/// A field of the record's bytes, which are known to be as long as a record.
macro_rules! field {
    ($bytes:ident, $name:ident, $ty:ty) => {{
        let from = $bytes.get(offset_of!(Record, $name)..).unwrap_or_default();
        from.first_chunk()
            .map_or(<$ty>::default(), |chunk| <$ty>::from_ne_bytes(*chunk))
    }};
}

impl Event {
    /// Reads one record.
    ///
    /// # Errors
    /// When it is none of ours.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() != size_of::<Record>() {
            return Err(Malformed::Length { got: bytes.len() });
        }
        let number = field!(bytes, kind, u32);
        let kind = Kind::from_number(number).ok_or(Malformed::Kind(number))?;
        let reason = field!(bytes, reason, u32);
        let socket = socket(bytes);
        Ok(match kind {
            Kind::Closed => Self::Closed(socket, close(bytes)),
            Kind::SynRetransmit => Self::SynRetransmit(socket),
            Kind::ResetReceived => Self::ResetReceived(socket),
            Kind::Listening => Self::Listening(socket),
            Kind::ResetSent => Self::ResetSent {
                socket,
                reason: (reason != record::NO_REASON).then_some(reason),
                unprovoked: field!(bytes, unprovoked, u8) == 1,
            },
            Kind::Dropped => Self::Dropped {
                at: socket.at,
                netns: socket.netns,
                ends: socket.ends,
                reason,
                flags: field!(bytes, tcp_flags, u8),
            },
        })
    }
}

fn socket(bytes: &[u8]) -> Socket {
    let family = field!(bytes, family, u8);
    let address = |from: usize, port: u16| {
        let octets: [u8; 16] = bytes
            .get(from..)
            .and_then(<[u8]>::first_chunk)
            .copied()
            .unwrap_or_default();
        let [a, b, c, d, ..] = octets;
        let ip = match family {
            6 => Ipv6Addr::from(octets).to_canonical(),
            _ => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        };
        SocketAddr::new(ip, port)
    };
    let pid = field!(bytes, pid, u32);
    let cookie = field!(bytes, cookie, u64);
    Socket {
        at: field!(bytes, at, u64),
        cookie: (cookie != 0).then_some(cookie),
        key: field!(bytes, socket, u64),
        cgroup: field!(bytes, cgroup, u64),
        netns: field!(bytes, netns, u32),
        owner: (pid != 0).then(|| Process {
            pid,
            comm: name(bytes.get(offset_of!(Record, comm)..).unwrap_or_default()),
        }),
        active: field!(bytes, direction, u8) == record::ACTIVE,
        ends: FourTuple {
            local: address(offset_of!(Record, local), field!(bytes, local_port, u16)),
            remote: address(offset_of!(Record, remote), field!(bytes, remote_port, u16)),
        },
        state: field!(bytes, state, u8),
    }
}

fn close(bytes: &[u8]) -> Close {
    let opened = field!(bytes, opened, u64);
    let connect_us = field!(bytes, connect_us, u32);
    Close {
        error: SocketError::from_errno(i32::from_ne_bytes(field!(bytes, error, u32).to_ne_bytes())),
        shut_down: field!(bytes, shutdown, u8) != 0,
        age_us: (opened != 0).then(|| field!(bytes, at, u64).saturating_sub(opened) / 1_000),
        connect_us: (connect_us != 0).then_some(connect_us),
        srtt_us: field!(bytes, srtt_us, u32),
        min_rtt_us: field!(bytes, min_rtt_us, u32),
        retransmits: field!(bytes, retransmits, u32),
        bytes_acked: field!(bytes, bytes_acked, u64),
        bytes_received: field!(bytes, bytes_received, u64),
        unseen: match field!(bytes, untold, u8) {
            record::UNTOLD_ERROR => Unseen::Error,
            record::UNTOLD_RESETS => Unseen::Resets,
            _ => Unseen::Nothing,
        },
    }
}

/// A name of at most 16 bytes that ends at the first NUL.
fn name(bytes: &[u8]) -> String {
    let bytes = bytes.get(..16).unwrap_or(bytes);
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    hopscope_host::label::shown(&String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()))
}

/// What kind of address the far side of a tallied connection has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerKind {
    /// Loopback: the other process is in the same network namespace.
    Loopback,
    /// An address that the configuration gives to load balancers.
    Balancer,
    /// Any other.
    Other,
}

/// What a row of counts is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tallied {
    /// Inode of the owner's cgroup (v2).
    pub cgroup: u64,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Far port of an active socket, near port of an accepted one.
    pub port: u16,
    /// Opened by `connect`.
    pub active: bool,
    /// The far side.
    pub peer: PeerKind,
    /// The owner's process name; empty for accepted sockets.
    pub comm: String,
}

/// Bytes of a row's key, as the map holds it.
pub type KeyBytes = [u8; size_of::<TallyKey>()];

/// Words of a row, as the map holds it.
pub type RowWords = [u64; TALLY_WORDS];

/// Reads the key of a row.
pub fn tallied(key: &KeyBytes) -> Tallied {
    let [
        g0,
        g1,
        g2,
        g3,
        g4,
        g5,
        g6,
        g7,
        n0,
        n1,
        n2,
        n3,
        p0,
        p1,
        direction,
        peer,
        comm @ ..,
    ] = *key;
    Tallied {
        cgroup: u64::from_ne_bytes([g0, g1, g2, g3, g4, g5, g6, g7]),
        netns: u32::from_ne_bytes([n0, n1, n2, n3]),
        port: u16::from_ne_bytes([p0, p1]),
        active: direction == record::ACTIVE,
        peer: match peer {
            PEER_LOOPBACK => PeerKind::Loopback,
            PEER_BALANCER => PeerKind::Balancer,
            _ => PeerKind::Other,
        },
        comm: name(&comm),
    }
}

/// Reads the words of a row.
pub fn row(words: &RowWords) -> TallyValue {
    let [
        established,
        connect_us,
        retransmits,
        syn_retransmits,
        synack_retransmits,
        queue_full,
        buckets @ ..,
    ] = *words;
    TallyValue {
        established,
        connect_us,
        retransmits,
        syn_retransmits,
        synack_retransmits,
        queue_full,
        buckets,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(edit: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut bytes = vec![0; size_of::<Record>()];
        edit(&mut bytes);
        bytes
    }

    #[test]
    fn a_closed_socket_has_its_ends_owner_and_error() {
        let raw = bytes(|b| {
            b[offset_of!(Record, kind)] = 1;
            b[offset_of!(Record, family)] = 4;
            b[offset_of!(Record, local)..][..4].copy_from_slice(&[10, 0, 0, 1]);
            b[offset_of!(Record, remote)..][..4].copy_from_slice(&[10, 0, 0, 2]);
            b[offset_of!(Record, remote_port)..][..2].copy_from_slice(&8080_u16.to_ne_bytes());
            b[offset_of!(Record, pid)] = 7;
            b[offset_of!(Record, comm)..][..7].copy_from_slice(b"haproxy");
            b[offset_of!(Record, error)] = 111;
            b[offset_of!(Record, direction)] = record::ACTIVE;
        });
        let Ok(Event::Closed(socket, close)) = Event::parse(&raw) else {
            panic!("not a close")
        };
        assert_eq!(socket.ends.remote, "10.0.0.2:8080".parse().unwrap());
        assert_eq!(socket.owner.unwrap().comm, "haproxy");
        assert!(socket.active);
        assert_eq!((close.error, close.age_us), (SocketError::Refused, None));
    }

    #[test]
    fn a_mapped_address_is_told_as_the_ipv4_address_it_is() {
        let raw = bytes(|b| {
            b[offset_of!(Record, kind)] = 4;
            b[offset_of!(Record, family)] = 6;
            b[offset_of!(Record, remote) + 10..][..6].copy_from_slice(&[0xff, 0xff, 127, 0, 0, 1]);
        });
        let Ok(Event::ResetReceived(socket)) = Event::parse(&raw) else {
            panic!("not a reset")
        };
        assert_eq!(socket.ends.remote.ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn other_lengths_and_kinds_are_refused() {
        assert_eq!(Event::parse(&[]), Err(Malformed::Length { got: 0 }));
        let raw = bytes(|b| b[offset_of!(Record, kind)] = 99);
        assert_eq!(Event::parse(&raw), Err(Malformed::Kind(99)));
    }

    #[test]
    fn a_rows_key_is_read_as_the_probes_write_it() {
        let mut key = [0; size_of::<TallyKey>()];
        key[offset_of!(TallyKey, netns)..][..4].copy_from_slice(&7_u32.to_ne_bytes());
        key[offset_of!(TallyKey, port)..][..2].copy_from_slice(&80_u16.to_ne_bytes());
        key[offset_of!(TallyKey, direction)] = record::ACTIVE;
        key[offset_of!(TallyKey, peer)] = PEER_BALANCER;
        key[offset_of!(TallyKey, comm)..][..2].copy_from_slice(b"k6");
        let tallied = tallied(&key);
        assert_eq!((tallied.netns, tallied.port, tallied.active), (7, 80, true));
        assert_eq!((tallied.peer, tallied.comm.as_str()), (PeerKind::Balancer, "k6"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_bytes_are_an_event_or_refused(raw in proptest::collection::vec(any::<u8>(), 0..2 * size_of::<Record>())) {
            let _event_or_refused = Event::parse(&raw);
        }

        #[test]
        fn any_record_of_a_known_kind_is_an_event(
            mut raw in proptest::collection::vec(any::<u8>(), size_of::<Record>()),
            kind in 1_u32..=6,
        ) {
            raw[offset_of!(Record, kind)..][..4].copy_from_slice(&kind.to_ne_bytes());
            prop_assert!(Event::parse(&raw).is_ok());
        }
    }
}
