//! What one request looked like from the client's own socket.

use std::fmt;
use std::io;

use crate::wire::Broken;

/// What a user saw of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// A complete response.
    Status(u16),
    /// A response that began with this status and was not completed.
    Truncated(u16, Broken),
    /// The connection ended before any of the response.
    NoResponse(Broken),
    /// It gave up: its own time-out.
    TimedOut,
    /// It broke the request off, for reasons of its own.
    Aborted,
    /// It got no connection.
    NotConnected(NotConnected),
}

/// Why a user got no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotConnected {
    /// `ECONNREFUSED`.
    Refused,
    /// `ECONNRESET` in the handshake.
    Reset,
    /// `EADDRNOTAVAIL` or `EADDRINUSE`: no local port was free.
    NoPort,
    /// `EMFILE`: no descriptor was free.
    NoDescriptor,
    /// Anything else.
    Other(io::ErrorKind),
}

impl Seen {
    /// Whether the client counts it as failed: no complete response, or one of 400 and above.
    pub const fn failed(self) -> bool {
        !matches!(self, Self::Status(status) if status < 400)
    }

    /// Whether the request ever left the generator: without a port or a descriptor, nobody else knows of it.
    pub const fn left_the_generator(self) -> bool {
        !matches!(
            self,
            Self::NotConnected(NotConnected::NoPort | NotConnected::NoDescriptor)
        )
    }
}

impl fmt::Display for Seen {
    /// In the words that k6 (Go's net package) has for it, where it has any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broken = |broken: &Broken| match broken {
            Broken::Eof => "EOF",
            Broken::Reset => "read: connection reset by peer",
            Broken::Malformed => "malformed HTTP response",
            Broken::Other(_) => "read error",
        };
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Truncated(status, by) => write!(f, "status {status}, then unexpected {}", broken(by)),
            Self::NoResponse(by) => f.write_str(broken(by)),
            Self::TimedOut => f.write_str("request timeout"),
            Self::Aborted => f.write_str("context canceled"),
            Self::NotConnected(why) => f.write_str(match why {
                NotConnected::Refused => "dial: connection refused",
                NotConnected::Reset => "dial: connection reset by peer",
                NotConnected::NoPort => "dial: cannot assign requested address",
                NotConnected::NoDescriptor => "dial: too many open files",
                NotConnected::Other(_) => "dial: error",
            }),
        }
    }
}
