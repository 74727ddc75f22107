//! What really happened and what was injected: the ground truth against which a diagnosis is scored.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::fault::{StreamFault, TunnelFault};
use crate::spdy::connection::Ended;

/// The log keeps this many events; a longer run keeps the first ones and counts the rest.
const CAPACITY: usize = 200_000;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Since the cluster's start.
    pub at: Duration,
    /// What happened.
    pub what: Happening,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// A tunnel was opened.
    TunnelOpened {
        /// Its number, from 0.
        tunnel: u64,
    },
    /// A tunnel ended.
    TunnelEnded {
        /// Its number.
        tunnel: u64,
        /// Why, as the server saw it; `Local` when a fault ended it.
        ended: Ended,
    },
    /// A fault was put on a tunnel.
    TunnelFault(TunnelFault),
    /// A fault was put on one forwarded connection.
    StreamFault {
        /// The tunnel.
        tunnel: u64,
        /// The connection's request id, as kubectl counts: from 0.
        request: u64,
        /// What was done to it.
        fault: StreamFault,
    },
    /// The pod was dialled for a connection.
    Dialled {
        /// The tunnel.
        tunnel: u64,
        /// The connection's request id.
        request: u64,
        /// The port of the pod's.
        port: u16,
        /// Why it failed, if it did.
        failed: Option<io::ErrorKind>,
    },
    /// The second stream of a connection did not come in time.
    PairTimedOut {
        /// The tunnel.
        tunnel: u64,
        /// The connection's request id.
        request: u64,
    },
    /// A connection was forwarded and is over.
    Forwarded {
        /// The tunnel.
        tunnel: u64,
        /// The connection's request id.
        request: u64,
        /// Bytes from the client to the pod.
        up: u64,
        /// Bytes from the pod to the client.
        down: u64,
        /// The error that the pod's side ended with, if it did.
        failed: Option<io::ErrorKind>,
    },
}

/// The log; clones are the same one.
#[derive(Clone, Debug)]
pub struct Truth {
    start: Instant,
    log: Arc<Mutex<Log>>,
}

#[derive(Debug, Default)]
struct Log {
    events: Vec<Event>,
    dropped: u64,
}

impl Default for Truth {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            log: Arc::default(),
        }
    }
}

impl Truth {
    pub(crate) fn record(&self, what: Happening) {
        let at = self.start.elapsed();
        tracing::debug!(?at, ?what, "node");
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.events.len() < CAPACITY {
            log.events.push(Event { at, what });
        } else {
            log.dropped += 1;
        }
    }

    /// The start of its clock.
    pub fn started(&self) -> Instant {
        self.start
    }

    /// All events so far, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .events
            .clone()
    }

    /// Events that found the log full.
    pub fn dropped(&self) -> u64 {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).dropped
    }
}

impl Event {
    /// The event as one JSON object: `at_us`, `event`, and the event's own fields.
    pub fn to_json(&self) -> Value {
        let mut object = match &self.what {
            Happening::TunnelOpened { tunnel } => json!({"event": "tunnel-opened", "tunnel": tunnel}),
            Happening::TunnelEnded { tunnel, ended } => {
                json!({"event": "tunnel-ended", "tunnel": tunnel, "ended": format!("{ended:?}")})
            }
            Happening::TunnelFault(fault) => json!({"event": "tunnel-fault", "fault": fault.to_string()}),
            Happening::StreamFault {
                tunnel,
                request,
                fault,
            } => json!({
                "event": "stream-fault", "tunnel": tunnel, "request": request, "fault": fault.to_string(),
            }),
            Happening::Dialled {
                tunnel,
                request,
                port,
                failed,
            } => json!({
                "event": "dialled", "tunnel": tunnel, "request": request, "port": port,
                "failed": failed.map(|kind| kind.to_string()),
            }),
            Happening::PairTimedOut { tunnel, request } => {
                json!({"event": "pair-timed-out", "tunnel": tunnel, "request": request})
            }
            Happening::Forwarded {
                tunnel,
                request,
                up,
                down,
                failed,
            } => json!({
                "event": "forwarded", "tunnel": tunnel, "request": request, "up": up, "down": down,
                "failed": failed.map(|kind| kind.to_string()),
            }),
        };
        if let Value::Object(fields) = &mut object {
            fields.insert(
                "at_us".to_owned(),
                json!(u64::try_from(self.at.as_micros()).unwrap_or(u64::MAX)),
            );
        }
        object
    }
}
