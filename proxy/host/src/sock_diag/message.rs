//! The wire format of `sock_diag` for TCP: questions out, answers in. Pure, and safe on any bytes.
//!
//! Layouts: `struct nlmsghdr` (`linux/netlink.h`), `struct inet_diag_req_v2`, `inet_diag_sockid` and `inet_diag_msg`
//! (`linux/inet_diag.h`). Host byte order, but addresses and ports in network order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::tcp_info::TcpInfo;

const HEADER: usize = 16;
const ENTRY: usize = 72;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
/// `INET_DIAG_INFO`: the attribute that carries `struct tcp_info`; asked for by bit `INET_DIAG_INFO - 1`.
const INET_DIAG_INFO: u16 = 2;
const NO_COOKIE: [u8; 8] = [0xff; 8];

/// An address family to be listed; a dump lists one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6, and IPv4 on dual-stack sockets.
    V6,
}

/// A state of a TCP socket (`include/net/tcp_states.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are RFC 9293's")]
pub enum TcpState {
    Established = 1,
    SynSent = 2,
    SynRecv = 3,
    FinWait1 = 4,
    FinWait2 = 5,
    TimeWait = 6,
    Close = 7,
    CloseWait = 8,
    LastAck = 9,
    Listen = 10,
    Closing = 11,
}

/// A set of states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct States(u32);

/// What a dump asks for.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// The family.
    pub family: Family,
    /// The states.
    pub states: States,
    /// Only sockets with this local port.
    pub local_port: Option<u16>,
    /// Whether each answer shall carry its [`TcpInfo`], which makes the dump about four times as long.
    pub tcp_info: bool,
}

/// One socket, as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketEntry {
    /// Its state.
    pub state: TcpState,
    /// Its own end.
    pub local: SocketAddr,
    /// The other end; port 0 for a listener.
    pub remote: SocketAddr,
    /// Bytes received and not read; for a listener the connections that wait to be accepted.
    pub recv_queue: u32,
    /// Bytes written and not acknowledged; for a listener the most connections that may wait.
    pub send_queue: u32,
    /// The user that owns it.
    pub uid: u32,
    /// Its inode, as in `/proc/PID/fd`; 0 when no process holds it any more.
    pub inode: u32,
    /// The kernel's identity of it, never given twice.
    pub cookie: u64,
    /// `TCP_INFO`, where it was asked for and the kernel gave it.
    pub tcp_info: Option<TcpInfo>,
}

/// One message from the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is alive at a time, and most are sockets"
)]
pub enum Answer {
    /// A socket.
    Socket(SocketEntry),
    /// The end of a dump.
    Done,
    /// A refusal with its errno; 0 is a plain acknowledgement.
    Error(i32),
}

impl SocketEntry {
    /// Whether bytes have arrived that its owner has not read. A FIN that is not read counts as one byte.
    pub fn unread(&self) -> bool {
        self.recv_queue > u32::from(self.state == TcpState::CloseWait)
    }

    /// Whether the other side has closed it and its owner has not read what came before.
    pub fn abandoned(&self) -> bool {
        self.state == TcpState::CloseWait && self.unread()
    }
}

impl States {
    /// These states.
    pub fn of(states: &[TcpState]) -> Self {
        Self(states.iter().fold(0, |mask, state| mask | 1 << *state as u32))
    }

    /// Listeners.
    pub fn listening() -> Self {
        Self::of(&[TcpState::Listen])
    }

    /// Every state of a socket that somebody has or may get: all but `TIME_WAIT`, `CLOSE` and what is half open.
    pub fn living() -> Self {
        Self::of(&[
            TcpState::Established,
            TcpState::SynSent,
            TcpState::FinWait1,
            TcpState::FinWait2,
            TcpState::CloseWait,
            TcpState::LastAck,
            TcpState::Listen,
            TcpState::Closing,
        ])
    }

    /// Every state but listening and the remains of closed connections.
    pub fn connected() -> Self {
        Self::of(&[
            TcpState::Established,
            TcpState::FinWait1,
            TcpState::FinWait2,
            TcpState::CloseWait,
            TcpState::LastAck,
            TcpState::Closing,
        ])
    }
}

impl TcpState {
    /// The state that the kernel's number stands for.
    pub fn parse(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Established,
            2 => Self::SynSent,
            // 12 is TCP_NEW_SYN_RECV, the same to us.
            3 | 12 => Self::SynRecv,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Close,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            _ => return None,
        })
    }
}

impl Query {
    /// The bytes of the question.
    pub fn dump(self, sequence: u32) -> Vec<u8> {
        let family = match self.family {
            Family::V4 => AF_INET,
            Family::V6 => AF_INET6,
        };
        let mut id = [0; 48];
        if let (Some(port), Some(source)) = (self.local_port, id.get_mut(..2)) {
            source.copy_from_slice(&port.to_be_bytes());
        }
        request(
            NLM_F_REQUEST | NLM_F_DUMP,
            sequence,
            family,
            self.tcp_info,
            self.states,
            &id,
        )
    }
}

/// The bytes of the question for one socket, by both of its ends.
pub fn find(local: SocketAddr, remote: SocketAddr, sequence: u32) -> Vec<u8> {
    let mut id = Vec::with_capacity(48);
    id.extend(local.port().to_be_bytes());
    id.extend(remote.port().to_be_bytes());
    for end in [local, remote] {
        match end.ip() {
            IpAddr::V4(ip) => {
                id.extend(ip.octets());
                id.extend([0; 12]);
            }
            IpAddr::V6(ip) => id.extend(ip.octets()),
        }
    }
    id.extend([0; 4]);
    id.extend(NO_COOKIE);
    let family = if local.is_ipv4() { AF_INET } else { AF_INET6 };
    request(NLM_F_REQUEST, sequence, family, true, States(u32::MAX), &id)
}

fn request(flags: u16, sequence: u32, family: u8, tcp_info: bool, states: States, id: &[u8]) -> Vec<u8> {
    let extensions = if tcp_info { 1 << (INET_DIAG_INFO - 1) } else { 0 };
    let length = HEADER + 8 + id.len();
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend([family, IPPROTO_TCP, extensions, 0]);
    bytes.extend(states.0.to_ne_bytes());
    bytes.extend(id);
    bytes
}

/// The answers to question `sequence` in a datagram. What is malformed, or answers another question, is passed over.
pub fn answers(mut datagram: &[u8], sequence: u32) -> impl Iterator<Item = Answer> {
    std::iter::from_fn(move || {
        loop {
            let length = usize::try_from(u32_at(datagram, 0)?).ok()?;
            let message = datagram.get(..length).filter(|_| length >= HEADER)?;
            datagram = datagram.get(aligned(length)..).unwrap_or_default();
            if u32_at(message, 8) != Some(sequence) {
                continue;
            }
            let payload = message.get(HEADER..).unwrap_or_default();
            let answer = match u16_at(message, 4) {
                Some(SOCK_DIAG_BY_FAMILY) => entry(payload).map(Answer::Socket),
                Some(NLMSG_DONE) => Some(Answer::Done),
                Some(NLMSG_ERROR) => {
                    u32_at(payload, 0).map(|negated| Answer::Error(negated.cast_signed().wrapping_neg()))
                }
                _ => None,
            };
            if answer.is_some() {
                return answer;
            }
        }
    })
}

fn entry(payload: &[u8]) -> Option<SocketEntry> {
    let fixed = payload.get(..ENTRY)?;
    let family = *fixed.first()?;
    let state = TcpState::parse(*fixed.get(1)?)?;
    let end = |port: usize, address: usize| {
        let port = u16::from_be_bytes(fixed.get(port..port + 2)?.try_into().ok()?);
        let octets: [u8; 16] = fixed.get(address..address + 16)?.try_into().ok()?;
        let ip = match family {
            AF_INET => {
                let [a, b, c, d, ..] = octets;
                IpAddr::V4(Ipv4Addr::new(a, b, c, d))
            }
            AF_INET6 => IpAddr::V6(Ipv6Addr::from(octets)).to_canonical(),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    };
    Some(SocketEntry {
        state,
        local: end(4, 8)?,
        remote: end(6, 24)?,
        cookie: u64::from(u32_at(fixed, 44)?) | u64::from(u32_at(fixed, 48)?) << 32,
        recv_queue: u32_at(fixed, 56)?,
        send_queue: u32_at(fixed, 60)?,
        uid: u32_at(fixed, 64)?,
        inode: u32_at(fixed, 68)?,
        tcp_info: attribute(payload.get(ENTRY..)?, INET_DIAG_INFO).and_then(TcpInfo::parse),
    })
}

fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16_at(attributes, 0)?);
        let kind = u16_at(attributes, 2)?;
        let value = attributes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        attributes = attributes.get(aligned(length)..)?;
    }
}

/// Netlink aligns messages and attributes to four bytes.
const fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_datagram_panics_or_loops(bytes in proptest::collection::vec(any::<u8>(), 0..400), length in 0u32..500) {
            let mut framed = length.to_ne_bytes().to_vec();
            framed.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
            framed.extend(0u16.to_ne_bytes());
            framed.extend(7u32.to_ne_bytes());
            framed.extend(&bytes);
            prop_assert!(answers(&framed, 7).count() <= framed.len() / HEADER);
            prop_assert!(answers(&bytes, 7).count() <= bytes.len() / HEADER + 1);
        }
    }

    #[test]
    fn an_answer_to_an_older_question_is_passed_over() {
        let mut done = 16u32.to_ne_bytes().to_vec();
        done.extend(NLMSG_DONE.to_ne_bytes());
        done.extend(0u16.to_ne_bytes());
        done.extend(4u32.to_ne_bytes());
        done.extend([0; 4]);
        assert_eq!(answers(&done, 5).count(), 0);
        assert_eq!(answers(&done, 4).collect::<Vec<_>>(), [Answer::Done]);
    }
}
