//! One HTTP request and what came of it.

use super::connection::ConnectionId;
use super::path::PathId;
use super::time::{Moment, Span};

/// Index into [`super::Evidence::routes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub u16);

/// A request's path with its variable segments folded, such as `/products/:id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route(pub String);

/// The finished record of one exchange.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exchange {
    /// The connection that carried it.
    pub connection: ConnectionId,
    /// The connection's path.
    pub path: PathId,
    /// How many exchanges that connection had carried before: 0 is the first.
    pub ordinal: u32,
    /// The request's method.
    pub method: Method,
    /// The request's route.
    pub route: RouteId,
    /// When its first byte arrived from downstream.
    pub began: Moment,
    /// Where the time went.
    pub phases: Phases,
    /// Request bytes, head and body.
    pub bytes_up: u64,
    /// Response bytes, heads and body.
    pub bytes_down: u64,
    /// Whether the request had been received from downstream in full before the end.
    pub request_complete: bool,
    /// The final response began before the request's body had been sent in full.
    pub answered_early: bool,
    /// What came of it.
    pub delivery: Delivery,
}

/// Where an exchange's time went, as in HAProxy's timers. Each is `None` when that point was not reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// The connection's silence before the request; `None` on the first exchange of a connection.
    pub idle: Option<Span>,
    /// From the request's first byte to its last byte handed to the upstream socket; where its body waits for a `100
    /// Continue` that has not come, to the last byte before that.
    pub request_sent: Option<Span>,
    /// From the request's first byte to the response's first byte.
    pub first_byte: Option<Span>,
    /// From the request's first byte to the end of the exchange, however it ended.
    pub total: Span,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Delivery {
    /// A complete response, of any status: every hop before its author delivered.
    Complete {
        /// The HTTP status code, or that of a gRPC call that failed ([`super::grpc`]).
        status: u16,
        /// Who wrote the response, where that is certain.
        author: Author,
    },
    /// A response began and was not completed.
    Truncated {
        /// The HTTP status code it had announced.
        status: u16,
        /// Who wrote the head, where that is certain.
        author: Author,
        /// What cut it off.
        cut: Cut,
    },
    /// Not one byte of a final response came.
    Nothing {
        /// What ended the wait.
        cut: Cut,
    },
}

/// What cut an exchange off, as seen by hopscope on its own two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cut {
    /// The generator closed its side and then the connection, before the answer was complete.
    DownstreamFin,
    /// The generator reset.
    DownstreamReset,
    /// The path's side said FIN.
    UpstreamFin,
    /// The path's side reset.
    UpstreamReset,
    /// The path's side failed with another errno, such as `ETIMEDOUT`.
    UpstreamErrno(i32),
    /// No upstream connection stood: see the connection's [`super::Upstream`].
    NotConnected,
    /// Nobody cut it: what came from the path's side was not, or not any more, an HTTP/1 response.
    Unreadable,
    /// hopscope was told to stop, or the recording breaks off here.
    Stopped,
    /// The path's side reset this stream alone, with this error code (RFC 9113, section 7).
    UpstreamStream(u32),
    /// The generator reset this stream alone, with this error code.
    DownstreamStream(u32),
    /// The path's side said GOAWAY with this error code, and that it had not processed this stream.
    GoAway(u32),
}

/// Error codes of HTTP/2 that mean something of their own (RFC 9113, section 7).
pub mod stream_error {
    /// `REFUSED_STREAM`: the request was not processed.
    pub const REFUSED_STREAM: u32 = 7;
    /// `ENHANCE_YOUR_CALM`: the peer sends too much.
    pub const ENHANCE_YOUR_CALM: u32 = 11;
}

/// Who wrote a response, judged by marks that only that writer leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Author {
    /// No certain mark: the application, or anything that hides itself.
    Unstated,
    /// The application: it left a mark that no intermediary leaves.
    Application,
    /// AWS Application Load Balancer (`Server: awselb/2.0` and its fixed bodies).
    AwsAlb,
    /// nginx's built-in error page.
    Nginx,
    /// HAProxy's built-in error page.
    HaProxy,
    /// Envoy's local reply: Envoy itself answered, for this reason.
    Envoy(EnvoyReply),
    /// hopscope's own 502 (`--on-refusal 502`).
    Hopscope,
}

/// Why Envoy answered by itself, as the text of its local reply says. Its status alone does not tell: most are 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EnvoyReply {
    /// `no healthy upstream`: no endpoint, or every one of them is ejected or fails its health check.
    NoHealthyUpstream,
    /// `reset reason: connection failure` and its local and remote forms: the endpoint refused or was unreachable.
    ConnectFailure,
    /// `reset reason: connection timeout`: the endpoint did not answer the handshake in time.
    ConnectTimeout,
    /// `reset reason: connection termination` or a reset by the endpoint: it ended the connection before a response.
    Disconnected,
    /// `reset reason: overflow`: a circuit breaker of Envoy's was open.
    Overflow,
    /// `reset reason: protocol error`: what the endpoint answered was not HTTP.
    ProtocolError,
    /// `upstream request timeout`: the endpoint took the request and did not answer in time.
    RequestTimeout,
    /// A local reply with another text.
    Other,
}

/// The request's method, as far as evidence needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the variants are the methods of RFC 9110, section 9")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    /// Any other token.
    Other,
}

impl Exchange {
    /// Whether all had been sent of it that comes before a `100 Continue`, and that never came.
    pub const fn waits_to_continue(&self) -> bool {
        !self.request_complete && self.phases.request_sent.is_some()
    }
}

impl Delivery {
    /// Whether a report counts the exchange as failed: no complete response, or a complete one of 400 and above.
    pub const fn failed(self) -> bool {
        match self {
            Self::Complete { status, .. } => status >= 400,
            Self::Truncated { .. } | Self::Nothing { .. } => true,
        }
    }

    /// The status code, where a final response head was seen.
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Complete { status, .. } | Self::Truncated { status, .. } => Some(status),
            Self::Nothing { .. } => None,
        }
    }
}
