//! One connection's bytes in, its finished exchanges out.

use std::sync::Arc;

use hopscope_attribution::evidence::{ConnectionId, Cut, Exchange, Moment, PathId, Protocol};

use super::route::RouteTable;

/// What all observers of a run share.
#[derive(Debug)]
pub struct ObserverConfig {
    /// The routes, found and named.
    pub routes: RouteTable,
    /// The longest head that is read, in bytes; a longer one turns its connection opaque.
    pub head_limit: usize,
    /// Whether a correlation header is put into every request (`--inject-id`).
    pub inject_id: bool,
}

/// The way that bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From downstream to upstream: requests.
    Up,
    /// From upstream to downstream: responses.
    Down,
}

/// A place in the request bytes just read where a correlation header goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insertion {
    /// The line goes before the byte at this offset of the slice; its length means after the last.
    pub at: usize,
    /// The connection that carries the request.
    pub connection: ConnectionId,
    /// The request's ordinal on that connection.
    pub ordinal: u32,
}

impl Insertion {
    /// Appends the header line, with its line end.
    pub fn write_to(self, line: &mut Vec<u8>) {
        let text = format!("X-Hopscope-Id: {}-{}\r\n", self.connection.0, self.ordinal);
        line.extend_from_slice(text.as_bytes());
    }
}

/// Reads one connection. Owned by the task that relays it.
#[derive(Debug)]
pub struct Observer {
    config: Arc<ObserverConfig>,
    connection: ConnectionId,
    path: PathId,
    exchanges: u32,
}

impl Observer {
    /// An observer of a connection that has carried nothing yet.
    pub fn new(config: &Arc<ObserverConfig>, connection: ConnectionId, path: PathId) -> Self {
        Self {
            config: Arc::clone(config),
            connection,
            path,
            exchanges: 0,
        }
    }

    /// Takes bytes read from downstream, in order. `insert` is called, in order, for each place where a correlation
    /// header goes; never when [`ObserverConfig::inject_id`] is off.
    pub fn request_bytes(
        &mut self,
        _bytes: &[u8],
        _at: Moment,
        _out: &mut impl FnMut(Exchange),
        _insert: &mut impl FnMut(Insertion),
    ) {
    }

    /// Takes the news that `total` bytes, inserted lines included, have been handed to the upstream socket since the
    /// connection began. Call it after every successful write; it costs a comparison where nothing is waiting.
    pub fn request_forwarded(&mut self, _total: u64, _at: Moment) {}

    /// Takes bytes read from upstream, in order.
    pub fn response_bytes(&mut self, _bytes: &[u8], _at: Moment, _out: &mut impl FnMut(Exchange)) {}

    /// How many of the next bytes in that direction need not be shown, but only counted by [`Self::skip`]:
    /// the rest of a body of known length, `u64::MAX` when nothing in that direction will be read any more.
    pub fn opaque_run(&self, _direction: Direction) -> u64 {
        0
    }

    /// Accounts for `count` bytes, at most [`Self::opaque_run`], that went past unseen.
    pub fn skip(&mut self, _direction: Direction, _count: u64, _at: Moment, _out: &mut impl FnMut(Exchange)) {
    }

    /// Finishes everything in flight: the upstream will answer nothing more, for this reason. `UpstreamFin` completes
    /// a response whose end is the connection's end; every other cut truncates it. Call it when the upstream says
    /// FIN or fails, when the downstream resets, and when the connection is over; it may be called again.
    pub fn ended(&mut self, _cut: Cut, _at: Moment, _out: &mut impl FnMut(Exchange)) {}

    /// Completes the request being answered with hopscope's own response of `bytes` bytes (`--on-refusal 502`).
    pub fn answered_by_hopscope(
        &mut self,
        _status: u16,
        _bytes: u64,
        _at: Moment,
        _out: &mut impl FnMut(Exchange),
    ) {
    }

    /// What the bytes so far are.
    pub fn protocol(&self) -> Protocol {
        Protocol::Silent
    }

    /// Exchanges begun so far, finished or not.
    pub fn exchanges(&self) -> u32 {
        self.exchanges
    }

    /// Exchanges begun and not finished.
    pub fn in_flight(&self) -> usize {
        0
    }
}
