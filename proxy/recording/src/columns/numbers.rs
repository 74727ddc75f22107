//! Enumerations of the tables that have many rows: kept as small numbers.
//!
//! The table `word` says what every number stands for, so that a recording explains itself. Numbers are never reused.

use hopscope_attribution::evidence::exchange::EnvoyReply;
use hopscope_attribution::evidence::{
    Author, ConnectFailure, Cut, Ending, Method, Opaque, Protocol, TlsFailure,
};

use super::compound::{ABANDONED, COMPLETE, CONNECTED, NOTHING, TRUNCATED};
use super::{Binder, Columns, Cursor, Malformed};

/// Numbers from here on are an errno, as the kernel gave it, plus this.
const ERRNO: i64 = 1_000;
/// Numbers from here on are the error code of a stream that the path's side reset, plus this.
const UPSTREAM_STREAM: i64 = 1 << 33;
/// The same of one that the generator reset.
const DOWNSTREAM_STREAM: i64 = 1 << 34;
/// The same of one that was not processed at GOAWAY.
const GO_AWAY: i64 = 1 << 35;
/// Numbers from here on are the number of a TLS alert, plus this.
const ALERT: i64 = 200;
/// Numbers from here on are the number of a TLS failure, plus this.
const TLS: i64 = 100;
/// Numbers from here on are the number of a reason for opacity, plus this.
const OPAQUE: i64 = 10;
/// Numbers from here on are the number of Envoy's reason, plus this.
const ENVOY: i64 = 20;

/// An enumeration that is kept as a number.
pub(super) trait Numbered: Sized {
    /// Every number that stands for a variant without payload, with its word.
    const WORDS: &'static [(i64, &'static str)];

    /// The number that stands for it.
    fn number(self) -> i64;

    /// What a number stands for.
    fn from_number(number: i64) -> Option<Self>;
}

/// Numbers and words of an enumeration. Payloads are numbers of their own above a base, the largest base first.
macro_rules! numbered {
    ($type:ident { $($variant:ident = $number:literal $word:literal,)+ $(..$payload:ident($inner:ty) = $base:expr,)* }) => {
        impl Numbered for $type {
            const WORDS: &'static [(i64, &'static str)] = &[$(($number, $word),)+];

            fn number(self) -> i64 {
                match self {
                    $(Self::$variant => $number,)+
                    $(Self::$payload(inner) => $base + Payload::number(inner),)*
                }
            }

            fn from_number(number: i64) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)+
                    $(number if number >= $base => {
                        <$inner as Payload>::from_number(number - $base).map(Self::$payload)
                    })*
                    _ => None,
                }
            }
        }

        impl Columns for $type {
            const WIDTH: usize = 1;

            fn names(name: &str, names: &mut Vec<String>) {
                names.push(name.to_owned());
            }

            fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
                row.put(Numbered::number(*self))
            }

            fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed> {
                let number = row.integer()?;
                <Self as Numbered>::from_number(number).ok_or_else(|| row.malformed("a number that `word` explains"))
            }
        }
    };
}

/// What stands beside an enumeration's own numbers.
trait Payload: Sized {
    fn number(self) -> i64;
    fn from_number(number: i64) -> Option<Self>;
}

/// An errno, bit by bit: a negative one is kept as a large number.
impl Payload for i32 {
    fn number(self) -> i64 {
        i64::from(self.cast_unsigned())
    }

    fn from_number(number: i64) -> Option<Self> {
        u32::try_from(number).ok().map(u32::cast_signed)
    }
}

/// An error code of HTTP/2.
impl Payload for u32 {
    fn number(self) -> i64 {
        i64::from(self)
    }

    fn from_number(number: i64) -> Option<Self> {
        Self::try_from(number).ok()
    }
}

/// The number of a TLS alert.
impl Payload for u8 {
    fn number(self) -> i64 {
        i64::from(self)
    }

    fn from_number(number: i64) -> Option<Self> {
        Self::try_from(number).ok()
    }
}

macro_rules! nested {
    ($($type:ident),+) => {$(
        impl Payload for $type {
            fn number(self) -> i64 {
                Numbered::number(self)
            }

            fn from_number(number: i64) -> Option<Self> {
                <Self as Numbered>::from_number(number)
            }
        }
    )+};
}

nested!(Opaque, TlsFailure, EnvoyReply);

numbered!(Ending {
    Fin = 0 "fin",
    Reset = 1 "reset",
    TimedOut = 2 "timed-out",
    EndedByRelay = 3 "ended-by-relay",
    StillOpen = 4 "still-open",
    NeverStood = 5 "never-stood",
    ..Errno(i32) = ERRNO,
    ..Tls(TlsFailure) = TLS,
});

numbered!(Opaque {
    ByConfiguration = 0 "by-configuration",
    Tls = 1 "tls",
    Http2 = 2 "http2",
    Upgraded = 3 "upgraded",
    HeadTooLong = 4 "head-too-long",
    NotHttp = 5 "not-http",
    Pipelined = 6 "pipelined",
});

numbered!(Protocol {
    Silent = 0 "silent",
    Http1 = 1 "http1",
    Http2 = 2 "http2",
    ..Opaque(Opaque) = OPAQUE,
});

numbered!(Method {
    Get = 0 "GET",
    Head = 1 "HEAD",
    Post = 2 "POST",
    Put = 3 "PUT",
    Delete = 4 "DELETE",
    Connect = 5 "CONNECT",
    Options = 6 "OPTIONS",
    Trace = 7 "TRACE",
    Patch = 8 "PATCH",
    Other = 9 "other",
});

numbered!(Cut {
    DownstreamFin = 0 "downstream-fin",
    DownstreamReset = 1 "downstream-reset",
    UpstreamFin = 2 "upstream-fin",
    UpstreamReset = 3 "upstream-reset",
    NotConnected = 4 "not-connected",
    Stopped = 5 "stopped",
    Unreadable = 6 "unreadable",
    ..GoAway(u32) = GO_AWAY,
    ..DownstreamStream(u32) = DOWNSTREAM_STREAM,
    ..UpstreamStream(u32) = UPSTREAM_STREAM,
    ..UpstreamErrno(i32) = ERRNO,
});

numbered!(Author {
    Unstated = 0 "unstated",
    Application = 1 "application",
    AwsAlb = 2 "aws-alb",
    Nginx = 3 "nginx",
    HaProxy = 4 "haproxy",
    Hopscope = 5 "hopscope",
    ..Envoy(EnvoyReply) = ENVOY,
});

numbered!(EnvoyReply {
    NoHealthyUpstream = 0 "no-healthy-upstream",
    ConnectFailure = 1 "connect-failure",
    ConnectTimeout = 2 "connect-timeout",
    Disconnected = 3 "disconnected",
    Overflow = 4 "overflow",
    ProtocolError = 5 "protocol-error",
    RequestTimeout = 6 "request-timeout",
    Other = 7 "other",
});

numbered!(ConnectFailure {
    Refused = 2 "refused",
    TimedOut = 3 "timed-out",
    Unreachable = 4 "unreachable",
    Reset = 5 "reset",
    Dns = 6 "dns",
    NoLocalPort = 7 "no-local-port",
    NoDescriptor = 8 "no-descriptor",
    OwnAddress = 9 "own-address",
    ..Errno(i32) = ERRNO,
    ..Tls(TlsFailure) = TLS,
});

numbered!(TlsFailure {
    CertificateExpired = 0 "certificate-expired",
    CertificateWrongName = 1 "certificate-wrong-name",
    CertificateUntrusted = 2 "certificate-untrusted",
    CertificateInvalid = 3 "certificate-invalid",
    Ended = 4 "ended",
    TimedOut = 5 "timed-out",
    Protocol = 6 "protocol",
    Incompatible = 7 "incompatible",
    ..Alert(u8) = ALERT,
});

/// Every number that a table may hold, for the table `word`: the enumeration, the number, its word.
pub(in super::super) fn numbers() -> Vec<(&'static str, i64, String)> {
    let mut all = Vec::new();
    let mut add = |of: &'static str, base: i64, prefix: &str, words: &[(i64, &str)]| {
        all.extend(
            words
                .iter()
                .map(|(number, word)| (of, base + number, format!("{prefix}{word}"))),
        );
    };
    add("ending", 0, "", Ending::WORDS);
    add("ending", TLS, "tls-", TlsFailure::WORDS);
    add(
        "upstream",
        0,
        "",
        &[(CONNECTED, "connected"), (ABANDONED, "abandoned")],
    );
    add("upstream", 0, "", ConnectFailure::WORDS);
    add("upstream", TLS, "tls-", TlsFailure::WORDS);
    add("protocol", 0, "", Protocol::WORDS);
    add("protocol", OPAQUE, "opaque-", Opaque::WORDS);
    add("method", 0, "", Method::WORDS);
    add(
        "delivery",
        0,
        "",
        &[
            (COMPLETE, "complete"),
            (TRUNCATED, "truncated"),
            (NOTHING, "nothing"),
        ],
    );
    add("cut", 0, "", Cut::WORDS);
    add("author", 0, "", Author::WORDS);
    add("author", ENVOY, "envoy-", EnvoyReply::WORDS);
    all
}
