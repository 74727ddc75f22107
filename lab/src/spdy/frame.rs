//! The frames of SPDY/3.1 that a port-forward uses.

use std::fmt;

use bytes::Bytes;

use super::headers::Headers;

/// Number of a stream: 31 bits, odd when the client opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u32);

impl StreamId {
    /// The number with its top bit, which is reserved, cleared.
    #[must_use]
    pub const fn new(id: u32) -> Self {
        Self(id & 0x7fff_ffff)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a stream was reset (SPDY/3 draft, section 2.6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResetStatus(pub u32);

impl ResetStatus {
    /// `PROTOCOL_ERROR`.
    pub const PROTOCOL_ERROR: Self = Self(1);
    /// `REFUSED_STREAM`.
    pub const REFUSED_STREAM: Self = Self(3);
    /// `CANCEL`: what Go's library sends when a stream is reset.
    pub const CANCEL: Self = Self(5);
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Opens a stream.
    SynStream {
        /// The stream that it opens.
        stream: StreamId,
        /// What the stream is for.
        headers: Headers,
        /// Whether the opener will send nothing more on it.
        fin: bool,
    },
    /// Accepts a stream.
    SynReply {
        /// The stream that it accepts.
        stream: StreamId,
        /// Empty in a port-forward.
        headers: Headers,
        /// Whether the accepter will send nothing on it.
        fin: bool,
    },
    /// Ends a stream at once, both ways.
    RstStream {
        /// The stream that it ends.
        stream: StreamId,
        /// Why.
        status: ResetStatus,
    },
    /// Settings: neither end of a port-forward sends them and both ignore them; the content is dropped.
    Settings,
    /// Asks for the same frame back.
    Ping {
        /// Odd when the client asks.
        id: u32,
    },
    /// The sender takes no more streams and closes.
    GoAway {
        /// Last stream that the sender accepted.
        last_good: StreamId,
        /// 0 is a normal end.
        status: u32,
    },
    /// More headers for a stream.
    Headers {
        /// The stream.
        stream: StreamId,
        /// The headers.
        headers: Headers,
        /// Whether the sender will send nothing more on it.
        fin: bool,
    },
    /// Flow control, which both ends of a port-forward ignore: that is why one reader can block all.
    WindowUpdate {
        /// The stream.
        stream: StreamId,
        /// Bytes by which its window grows.
        delta: u32,
    },
    /// Bytes of a stream.
    Data {
        /// The stream.
        stream: StreamId,
        /// The bytes; may be none.
        bytes: Bytes,
        /// Whether the sender will send nothing more on it.
        fin: bool,
    },
}

impl Frame {
    /// The stream that the frame belongs to, if it belongs to one.
    pub fn stream(&self) -> Option<StreamId> {
        match self {
            Self::SynStream { stream, .. }
            | Self::SynReply { stream, .. }
            | Self::RstStream { stream, .. }
            | Self::Headers { stream, .. }
            | Self::WindowUpdate { stream, .. }
            | Self::Data { stream, .. } => Some(*stream),
            Self::Settings | Self::Ping { .. } | Self::GoAway { .. } => None,
        }
    }
}

/// Numbers by which control frames are told apart on the wire (SPDY/3 draft, section 2.6).
pub(super) mod kind {
    pub(crate) const SYN_STREAM: u16 = 1;
    pub(crate) const SYN_REPLY: u16 = 2;
    pub(crate) const RST_STREAM: u16 = 3;
    pub(crate) const SETTINGS: u16 = 4;
    pub(crate) const PING: u16 = 6;
    pub(crate) const GOAWAY: u16 = 7;
    pub(crate) const HEADERS: u16 = 8;
    pub(crate) const WINDOW_UPDATE: u16 = 9;
}

/// Flag of data frames, `SYN_STREAM`, `SYN_REPLY` and `HEADERS`: the sender is done with the stream.
pub(super) const FLAG_FIN: u8 = 1;
