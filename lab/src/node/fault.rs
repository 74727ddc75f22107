//! What can be made to go wrong on the node and with the tunnel, while it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use super::truth::{Happening, Truth};
use crate::spdy::connection::{Connection, Ended, Valves};

/// How long a tunnel may take to end in good order.
const CEREMONY: Duration = Duration::from_secs(1);

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
    fn takes(&mut self, request: u64) -> bool {
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

/// Ends a connection as `end` does, or without ceremony when its far end does not read.
async fn in_time(connection: &Connection, end: impl Future<Output = ()>) {
    if timeout(CEREMONY, end).await.is_err() {
        connection.abort();
    }
}

/// The handle by which faults are set; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    rules: Arc<Mutex<Vec<(Selection, StreamFault)>>>,
    tunnels: Arc<Mutex<BTreeMap<u64, Connection>>>,
    valves: Arc<Valves>,
    truth: Truth,
}

impl Faults {
    /// Sets a fault for connections that begin from now on. The rule that was set first wins.
    pub fn stream(&self, selection: Selection, fault: StreamFault) {
        self.rules().push((selection, fault));
    }

    /// Takes all faults for connections away; connections that have one keep it.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// Strikes the tunnels now.
    pub async fn tunnel(&self, fault: TunnelFault) {
        self.truth.record(Happening::TunnelFault(fault));
        let connections: Vec<Connection> = self.tunnels().values().cloned().collect();
        match fault {
            TunnelFault::Reading(reads) => self.valves.set_reading(reads),
            TunnelFault::AnsweringPings(answers) => self.valves.set_answering_pings(answers),
            TunnelFault::Throttle(rate) => self.valves.set_bytes_per_second(rate),
            TunnelFault::Fin | TunnelFault::Reset => {
                for connection in connections {
                    let closed = if fault == TunnelFault::Fin {
                        connection.fin()
                    } else {
                        connection.reset()
                    };
                    if let Err(error) = closed {
                        tracing::error!(%error, %fault, "the tunnel was closed, but not as it was asked");
                    }
                }
            }
            TunnelFault::GoAway => {
                for connection in connections {
                    in_time(&connection, connection.go_away()).await;
                }
            }
            TunnelFault::WebSocketClose(code) => {
                for connection in connections {
                    in_time(&connection, connection.finish(Some(code))).await;
                }
            }
        }
    }

    /// Strikes the tunnels after `delay`.
    pub fn tunnel_after(&self, delay: Duration, fault: TunnelFault) {
        let faults = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            faults.tunnel(fault).await;
        });
    }

    /// Sets a fault for connections that begin after `delay`.
    pub fn stream_after(&self, delay: Duration, selection: Selection, fault: StreamFault) {
        let faults = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            faults.stream(selection, fault);
        });
    }

    /// What happened so far.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// Tunnels that are open now.
    pub fn open_tunnels(&self) -> usize {
        self.tunnels().len()
    }

    pub(crate) fn valves(&self) -> Arc<Valves> {
        Arc::clone(&self.valves)
    }

    pub(crate) fn opened(&self, tunnel: u64, connection: &Connection) {
        self.tunnels().insert(tunnel, connection.clone());
        self.truth.record(Happening::TunnelOpened { tunnel });
    }

    pub(crate) fn closed(&self, tunnel: u64, ended: Ended) {
        self.tunnels().remove(&tunnel);
        self.truth.record(Happening::TunnelEnded { tunnel, ended });
    }

    /// Closes every tunnel without a record: the cluster is going away.
    pub(crate) fn abandon(&self) {
        self.tunnels().values().for_each(Connection::abort);
    }

    /// The fault for a connection that begins now.
    pub(super) fn draw(&self, tunnel: u64, request: u64) -> Option<StreamFault> {
        let fault = self
            .rules()
            .iter_mut()
            .find_map(|(selection, fault)| selection.takes(request).then(|| fault.clone()))?;
        self.truth.record(Happening::StreamFault {
            tunnel,
            request,
            fault: fault.clone(),
        });
        Some(fault)
    }

    fn rules(&self) -> MutexGuard<'_, Vec<(Selection, StreamFault)>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tunnels(&self) -> MutexGuard<'_, BTreeMap<u64, Connection>> {
        self.tunnels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
