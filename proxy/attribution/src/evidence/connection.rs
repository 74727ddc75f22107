//! One downstream connection and the one upstream connection made for it.
//!
//! *Downstream* is towards the load generator, *upstream* towards the application.

use super::observation::Observation;
use super::path::PathId;
use super::time::{Moment, Span};
use super::tuple::FourTuple;

/// Unique within a recording, in the order of acceptance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// The finished record of one connection. A diagnosis holds millions of them, packed: see [`super::rows`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Connection {
    /// Unique within the recording.
    pub id: ConnectionId,
    /// The path it was dealt to.
    pub path: PathId,
    /// When hopscope accepted it.
    pub opened: Moment,
    /// When both sides had ended; unseen while it was still open at the end of the recording.
    pub closed: Observation<Moment>,
    /// How the upstream connection came about, or did not.
    pub upstream: Upstream,
    /// The downstream socket as the generator's host names it.
    pub downstream_tuple: FourTuple,
    /// The upstream socket, where one was connected: what a kernel's record is joined by.
    pub upstream_tuple: Option<FourTuple>,
    /// How the generator's side ended.
    pub downstream_end: SideEnd,
    /// How the path's side ended.
    pub upstream_end: SideEnd,
    /// Payload bytes from downstream that were handed to the upstream socket.
    pub bytes_up: u64,
    /// Payload bytes from upstream that were handed to the downstream socket.
    pub bytes_down: u64,
    /// First payload byte from downstream, since `opened`.
    pub first_byte_up: Option<Span>,
    /// First payload byte from upstream, since `opened`.
    pub first_byte_down: Option<Span>,
    /// The last payload byte in either direction.
    pub last_byte: Option<Moment>,
    /// Time for which bytes towards the upstream waited because its socket took no more.
    pub blocked_up: Span,
    /// Time for which bytes towards the generator waited because its socket took no more.
    pub blocked_down: Span,
    /// What the bytes were.
    pub protocol: Protocol,
    /// How many of them passed without being understood; `None` when all of them were read.
    pub unread: Option<Unread>,
    /// Exchanges seen on it, complete or not.
    pub exchanges: u32,
    /// The kernel's own account of the downstream socket when it ended.
    pub downstream_tcp: Observation<TcpFacts>,
    /// The kernel's own account of the upstream socket when it ended.
    pub upstream_tcp: Observation<TcpFacts>,
}

/// One of the two sides of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Towards the load generator.
    Downstream,
    /// Towards the application.
    Upstream,
}

/// How the upstream connection came about, or did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// TCP (and TLS, where the path has it) stood after this long.
    Connected {
        /// From the start of the attempt, name resolution included, to the end of the TCP handshake.
        tcp: Span,
        /// The TLS handshake, where the path has one.
        tls: Option<Span>,
    },
    /// No upstream connection stood; the downstream one was then ended without an answer of the application's.
    Failed {
        /// From the start of the attempt to its failure.
        after: Span,
        /// What failed.
        failure: ConnectFailure,
    },
    /// The downstream side was gone before the attempt came to an end.
    Abandoned {
        /// How long the attempt had lasted.
        after: Span,
    },
}

/// Why no upstream connection stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectFailure {
    /// `ECONNREFUSED`: the address answered that nothing listens there.
    Refused,
    /// No answer within hopscope's connect time-out.
    TimedOut,
    /// `EHOSTUNREACH` or `ENETUNREACH`: a router or our own routing table said no.
    Unreachable,
    /// `ECONNRESET` or `ECONNABORTED` during the handshake.
    Reset,
    /// The name did not resolve.
    Dns,
    /// The TLS handshake failed.
    Tls(TlsFailure),
    /// The target's address was hopscope's own: a connection to it would have come back to hopscope, and so on without
    /// end.
    OwnAddress,
    /// `EADDRNOTAVAIL`: hopscope's host has no free local port towards this address.
    NoLocalPort,
    /// `EMFILE` or `ENFILE`: hopscope has no descriptor left.
    NoDescriptor,
    /// Any other errno, as the kernel gave it.
    Errno(i32),
}

/// What part of a TLS handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsFailure {
    /// The certificate's time is over, or has not come.
    CertificateExpired,
    /// The certificate is for another name.
    CertificateWrongName,
    /// No trusted authority signed it.
    CertificateUntrusted,
    /// The certificate is broken or forbidden in another way.
    CertificateInvalid,
    /// The other side sent a fatal alert; its number (RFC 8446, section 6).
    Alert(u8),
    /// The other side ended the connection during the handshake.
    Ended,
    /// No answer within the connect time-out.
    TimedOut,
    /// What came was not TLS, or broke its rules.
    Protocol,
    /// Both sides speak TLS, and have no version, cipher or key type in common.
    Incompatible,
}

/// How one side of a connection ended, as seen on that side's own socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SideEnd {
    /// When hopscope learnt of it. Ends seen in the same wake-up carry the same moment.
    pub at: Moment,
    /// What it was.
    pub how: Ending,
}

/// How a side's own peer ended its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// It said FIN: a clean end of its direction.
    Fin,
    /// `ECONNRESET` or `EPIPE`: it reset the connection.
    Reset,
    /// `ETIMEDOUT`: its kernel stopped acknowledging, and ours gave up.
    TimedOut,
    /// Another errno, as the kernel gave it.
    Errno(i32),
    /// Its TLS handshake with hopscope failed. Only the generator's side, where hopscope ends its TLS.
    Tls(TlsFailure),
    /// It had not ended when hopscope ended it, because the other side had.
    EndedByRelay,
    /// It had not ended when hopscope was told to stop, or the recording broke off.
    StillOpen,
    /// There was no such side: the upstream never stood.
    NeverStood,
}

/// What the relayed bytes were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Nothing was sent in either direction.
    Silent,
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Passed through unread, for this reason.
    Opaque(Opaque),
}

/// Payload bytes that passed and were not understood, in each direction: the last ones of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// From downstream to upstream.
    pub up: u64,
    /// From upstream to downstream.
    pub down: u64,
}

/// Why a connection's bytes were not read as HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Opaque {
    /// The path was given with `tcp://`, or observation is off.
    ByConfiguration,
    /// A TLS record: the generator encrypts end to end.
    Tls,
    /// HTTP/2 that breaks its rules, or asks for more than the observer keeps.
    Http2,
    /// Upgraded (WebSocket and the like) or tunnelled by CONNECT; the exchanges before it were read.
    Upgraded,
    /// A head longer than the observer's limit.
    HeadTooLong,
    /// Not HTTP/1, or not any more.
    NotHttp,
    /// More requests waited for their answers than the observer keeps.
    Pipelined,
}

/// What the kernel's `TCP_INFO` said of a socket (`struct tcp_info`, include/uapi/linux/tcp.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFacts {
    /// Smoothed round-trip time, microseconds.
    pub rtt_us: u32,
    /// Smallest round-trip time seen, microseconds; 0 where the kernel has none.
    pub min_rtt_us: u32,
    /// Segments retransmitted over the socket's life.
    pub retransmits: u32,
    /// Segments thought lost at the end.
    pub lost: u32,
    /// Time with data in flight or waiting, milliseconds.
    pub busy_ms: u32,
    /// Time limited by the peer's receive window, milliseconds.
    pub rwnd_limited_ms: u32,
    /// Time limited by our own send buffer, milliseconds.
    pub sndbuf_limited_ms: u32,
    /// Bytes written and not yet acknowledged, or not yet sent.
    pub unacked_bytes: u32,
}

impl Unread {
    /// Both directions together.
    pub const fn bytes(self) -> u64 {
        self.up.saturating_add(self.down)
    }
}

impl Opaque {
    /// Every reason, in the order in which reports list them.
    pub const ALL: [Self; 7] = [
        Self::Tls,
        Self::Http2,
        Self::NotHttp,
        Self::HeadTooLong,
        Self::Pipelined,
        Self::Upgraded,
        Self::ByConfiguration,
    ];

    /// The word used in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ByConfiguration => "by-configuration",
            Self::Tls => "tls",
            Self::Http2 => "http2",
            Self::Upgraded => "upgraded",
            Self::HeadTooLong => "head-too-long",
            Self::NotHttp => "not-http",
            Self::Pipelined => "pipelined",
        }
    }
}

impl Connection {
    /// Why and how much of it was not read, where any of it was not.
    ///
    /// A connection on which the generator sent nothing is unused, and one whose upstream never stood carried nothing:
    /// neither is unread.
    pub fn not_read(&self) -> Option<(Opaque, Unread)> {
        let used = self.bytes_up > 0 || self.first_byte_up.is_some();
        let stood = matches!(self.upstream, Upstream::Connected { .. });
        match (self.protocol, self.unread) {
            (Protocol::Opaque(reason), Some(unread)) if used && stood && unread.bytes() > 0 => {
                Some((reason, unread))
            }
            _ => None,
        }
    }

    /// The side that ended first, and how. `None` while neither had ended, and when both were seen to end in the
    /// same wake-up, where no order can be claimed.
    pub fn ended_first(&self) -> Option<(Side, Ending)> {
        let peer_ended = |end: &SideEnd| match end.how {
            Ending::Fin | Ending::Reset | Ending::TimedOut | Ending::Errno(_) | Ending::Tls(_) => Some(*end),
            Ending::EndedByRelay | Ending::StillOpen | Ending::NeverStood => None,
        };
        match (peer_ended(&self.downstream_end), peer_ended(&self.upstream_end)) {
            (Some(down), Some(up)) if down.at == up.at => None,
            (Some(down), Some(up)) if down.at < up.at => Some((Side::Downstream, down.how)),
            (Some(_) | None, Some(up)) => Some((Side::Upstream, up.how)),
            (Some(down), None) => Some((Side::Downstream, down.how)),
            (None, None) => None,
        }
    }
}
