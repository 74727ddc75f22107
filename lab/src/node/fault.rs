//! What can be made to go wrong on the node and with the tunnel, and for whom.

use std::fmt;
use std::time::Duration;

/// What can go wrong with one forwarded connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamFault {
    /// The reply to the error stream is lost; the node believes that it was sent.
    NoErrorReply,
    /// The reply to the data stream is lost; the node believes that it was sent.
    NoDataReply,
    /// Everything that the node sends on the error stream, reply first, is held back for so long. Beyond kubectl's 30 s this
    /// poisons a worker of kubectl's, since the node's own pair time-out text follows the reply.
    LateErrorReply(Duration),
    /// The same on the data stream.
    LateDataReply(Duration),
    /// The error stream is reset instead of answered.
    ResetErrorStream,
    /// The data stream is reset instead of answered.
    ResetDataStream,
    /// Both streams are accepted and then reset without a text; the pod is not dialled.
    ResetOnly,
    /// Both replies come so much later.
    SlowReply(Duration),
    /// The data stream gets so many bytes that the pod never sent; the pod is not dialled.
    Flood(u64),
    /// Both streams are accepted, and then nothing happens; the pod is not dialled.
    NeverAnswer,
    /// The node reports this on the error stream, behind its usual beginning, and ends the connection.
    ErrorText(String),
}

impl fmt::Display for StreamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoErrorReply => write!(f, "no-error-reply"),
            Self::NoDataReply => write!(f, "no-data-reply"),
            Self::LateErrorReply(delay) => write!(f, "late-error-reply:{}", delay.as_millis()),
            Self::LateDataReply(delay) => write!(f, "late-data-reply:{}", delay.as_millis()),
            Self::ResetErrorStream => write!(f, "reset-error-stream"),
            Self::ResetDataStream => write!(f, "reset-data-stream"),
            Self::ResetOnly => write!(f, "reset-only"),
            Self::SlowReply(delay) => write!(f, "slow-reply:{}", delay.as_millis()),
            Self::Flood(bytes) => write!(f, "flood:{bytes}"),
            Self::NeverAnswer => write!(f, "never-answer"),
            Self::ErrorText(text) => write!(f, "error-text:{text}"),
        }
    }
}

impl StreamFault {
    /// Reads what [`StreamFault`]'s `Display` writes: a word, and behind a colon milliseconds, bytes or a text.
    pub fn parse(text: &str) -> Option<Self> {
        let (word, argument) = text.split_once(':').unwrap_or((text, ""));
        let delay = || argument.parse().ok().map(Duration::from_millis);
        match word {
            "no-error-reply" => Some(Self::NoErrorReply),
            "no-data-reply" => Some(Self::NoDataReply),
            "late-error-reply" => delay().map(Self::LateErrorReply),
            "late-data-reply" => delay().map(Self::LateDataReply),
            "reset-error-stream" => Some(Self::ResetErrorStream),
            "reset-data-stream" => Some(Self::ResetDataStream),
            "reset-only" => Some(Self::ResetOnly),
            "slow-reply" => delay().map(Self::SlowReply),
            "flood" => argument.parse().ok().map(Self::Flood),
            "never-answer" => Some(Self::NeverAnswer),
            "error-text" => Some(Self::ErrorText(argument.to_owned())),
            _ => None,
        }
    }
}

/// What can go wrong with the tunnel itself. It strikes every tunnel that is open now; the last four hold for later ones too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelFault {
    /// The server closes with FIN.
    Fin,
    /// The server closes with RST.
    Reset,
    /// GOAWAY, then FIN.
    GoAway,
    /// A WebSocket close frame with this code, then FIN; over plain SPDY only the FIN.
    WebSocketClose(u16),
    /// Whether the server reads the tunnel at all.
    Reading(bool),
    /// Whether pings are answered.
    AnsweringPings(bool),
    /// Bytes a second in each direction; 0 is without limit.
    Throttle(u64),
}

impl fmt::Display for TunnelFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fin => write!(f, "fin"),
            Self::Reset => write!(f, "reset"),
            Self::GoAway => write!(f, "goaway"),
            Self::WebSocketClose(code) => write!(f, "ws-close:{code}"),
            Self::Reading(true) => write!(f, "start-reading"),
            Self::Reading(false) => write!(f, "stop-reading"),
            Self::AnsweringPings(true) => write!(f, "pong"),
            Self::AnsweringPings(false) => write!(f, "no-pong"),
            Self::Throttle(rate) => write!(f, "throttle:{rate}"),
        }
    }
}

impl TunnelFault {
    /// Reads what [`TunnelFault`]'s `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (word, argument) = text.split_once(':').unwrap_or((text, ""));
        match word {
            "fin" => Some(Self::Fin),
            "reset" => Some(Self::Reset),
            "goaway" => Some(Self::GoAway),
            "ws-close" => argument.parse().ok().map(Self::WebSocketClose),
            "stop-reading" => Some(Self::Reading(false)),
            "start-reading" => Some(Self::Reading(true)),
            "no-pong" => Some(Self::AnsweringPings(false)),
            "pong" => Some(Self::AnsweringPings(true)),
            "throttle" => argument.parse().ok().map(Self::Throttle),
            _ => None,
        }
    }
}

/// Which forwarded connections a fault is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Selection {
    /// All that begin from now on.
    Every,
    /// The one with this request id; kubectl counts from 0.
    Request(u64),
    /// The next so many.
    Next(u64),
    /// A share between 0 and 1, drawn for each connection from its request id, so that it is the same in every run.
    Share(f64),
}

impl Selection {
    /// Reads `every`, `request=K`, `next=N` or `share=F`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('=') {
            None => (text == "every").then_some(Self::Every),
            Some(("request", number)) => number.parse().ok().map(Self::Request),
            Some(("next", number)) => number.parse().ok().map(Self::Next),
            Some(("share", share)) => share.parse().ok().map(Self::Share),
            Some(_) => None,
        }
    }

    /// Whether the connection is one of them; counts down [`Selection::Next`].
    pub(super) fn takes(&mut self, request: u64) -> bool {
        match self {
            Self::Every => true,
            Self::Request(wanted) => *wanted == request,
            Self::Next(left) => {
                let some_left = *left > 0;
                *left = left.saturating_sub(1);
                some_left
            }
            Self::Share(share) => fastrand::Rng::with_seed(request).f64() < *share,
        }
    }
}
