//! One connection's bytes in, its finished exchanges out.

mod answer;
mod finish;
mod http2;
mod in_flight;
pub(super) mod reading;
mod request;
mod response;
mod switch;
#[cfg(test)]
mod tests;
mod websocket;

use std::sync::Arc;

use hopscope_attribution::evidence::{ConnectionId, Cut, Exchange, Moment, Opaque, PathId, Protocol, Unread};

use self::answer::Answer;
use self::http2::{Http2, Place};
use self::in_flight::Queue;
use self::reading::Reading;
use self::websocket::WebSocket;
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
        line.extend_from_slice(self.line().as_bytes());
    }

    fn line(self) -> String {
        format!("X-Hopscope-Id: {}-{}\r\n", self.connection.0, self.ordinal)
    }
}

/// Reads one connection. Owned by the task that relays it, small while nothing is under way.
#[derive(Debug)]
pub struct Observer {
    config: Arc<ObserverConfig>,
    connection: ConnectionId,
    path: PathId,
    exchanges: u32,
    /// A request was begun and its last byte has not come; it is the last in the queue.
    receiving: bool,
    /// Where in the outgoing stream the next request byte goes: bytes read, and lines inserted.
    received: u64,
    /// Bytes read from upstream.
    answered: u64,
    /// The byte of the requests' stream from which on it is not understood.
    read_up: u64,
    /// The same of the responses' stream.
    read_down: u64,
    last_end: Moment,
    queue: Queue,
    answer: Answer,
    up: Reading,
    down: Reading,
    /// The reader of a connection that speaks HTTP/2.
    http2: Option<Box<Http2>>,
    /// The frames of one that was upgraded to WebSocket.
    websocket: Option<Box<WebSocket>>,
}

impl Observer {
    /// An observer of a connection that has carried nothing yet.
    pub fn new(config: &Arc<ObserverConfig>, connection: ConnectionId, path: PathId) -> Self {
        Self {
            config: Arc::clone(config),
            connection,
            path,
            exchanges: 0,
            receiving: false,
            received: 0,
            answered: 0,
            read_up: u64::MAX,
            read_down: u64::MAX,
            last_end: Moment(0),
            queue: Queue::default(),
            answer: Answer::NONE,
            up: Reading::HEAD,
            down: Reading::HEAD,
            http2: None,
            websocket: None,
        }
    }

    /// Takes bytes read from downstream, in order. `insert` is called, in order, for each place where a correlation
    /// header goes; never when [`ObserverConfig::inject_id`] is off.
    pub fn request_bytes(
        &mut self,
        bytes: &[u8],
        at: Moment,
        out: &mut impl FnMut(Exchange),
        insert: &mut impl FnMut(Insertion),
    ) {
        let mut offset = 0;
        while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
            if self.http2.is_some() {
                return self.http2_request_bytes(rest, at, out);
            }
            if self.websocket.is_some() {
                return self.websocket_request_bytes(rest, at, out);
            }
            offset += self.request_step(rest, offset, at, out, insert);
        }
    }

    /// Takes the news that `total` bytes, inserted lines included, have been handed to the upstream socket since the
    /// connection began. Call it after every successful write; it costs a comparison where nothing is waiting.
    pub fn request_forwarded(&mut self, total: u64, at: Moment) {
        match &mut self.http2 {
            Some(http2) => http2.request_forwarded(total, at),
            None => self.queue.forwarded(total, at),
        }
    }

    /// Takes bytes read from upstream, in order.
    pub fn response_bytes(&mut self, bytes: &[u8], at: Moment, out: &mut impl FnMut(Exchange)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.http2.is_some() {
                return self.http2_response_bytes(rest, at, out);
            }
            if self.websocket.is_some() {
                return self.websocket_response_bytes(rest, at, out);
            }
            if self.server_begins_http2(rest) {
                continue;
            }
            let taken = self.response_step(rest, at, out);
            self.answered = self.answered.saturating_add(taken as u64);
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// How many of the next bytes in that direction need not be shown, but only counted by [`Self::skip`]:
    /// the rest of a body of known length, `u64::MAX` when nothing in that direction will be read any more.
    pub fn opaque_run(&self, direction: Direction) -> u64 {
        match direction {
            Direction::Up | Direction::Down if self.http2.is_some() || self.websocket.is_some() => 0,
            Direction::Up => self.up.run(),
            Direction::Down if self.answer.wants_body() => 0,
            Direction::Down => self.down.run(),
        }
    }

    /// Accounts for `count` bytes, at most [`Self::opaque_run`], that went past unseen.
    pub fn skip(&mut self, direction: Direction, count: u64, at: Moment, out: &mut impl FnMut(Exchange)) {
        match direction {
            Direction::Up => self.skip_up(count, out),
            Direction::Down => self.skip_down(count, at, out),
        }
    }

    /// Finishes everything in flight: the upstream will answer nothing more, for this reason. `UpstreamFin` completes
    /// a response whose end is the connection's end; every other cut truncates it. Call it when the upstream says
    /// FIN or fails, when the downstream resets, and when the connection is over; it may be called again.
    /// What the upstream had sent before it failed must have been shown by then: a failed write tells of a reset
    /// while an answer is still unread.
    pub fn ended(&mut self, cut: Cut, at: Moment, out: &mut impl FnMut(Exchange)) {
        if let Some(http2) = &mut self.http2 {
            let place = Place {
                config: &self.config,
                connection: self.connection,
                path: self.path,
            };
            return http2.ended(cut, at, place, out);
        }
        self.cut_off(cut, at, out);
    }

    /// Completes the request being answered with hopscope's own response of `bytes` bytes (`--on-refusal 502`).
    pub fn answered_by_hopscope(
        &mut self,
        status: u16,
        bytes: u64,
        at: Moment,
        out: &mut impl FnMut(Exchange),
    ) {
        self.answer_ourselves(status, bytes, at, out);
    }

    /// What the bytes so far are.
    pub fn protocol(&self) -> Protocol {
        match &self.http2 {
            Some(http2) if http2.begun() => return Protocol::Http2,
            Some(_) => return Protocol::Opaque(Opaque::NotHttp),
            None => {}
        }
        match (&self.up, &self.down) {
            (Reading::Unread(Some(reason)), _) | (_, Reading::Unread(Some(reason))) => {
                Protocol::Opaque(*reason)
            }
            _ if self.unread().is_some() => Protocol::Opaque(Opaque::NotHttp),
            _ if self.exchanges > 0 => Protocol::Http1,
            _ if self.received > 0 => Protocol::Opaque(Opaque::NotHttp),
            _ => Protocol::Silent,
        }
    }

    /// Whether bytes have passed that were not understood. Costs two comparisons.
    pub const fn stopped(&self) -> bool {
        self.read_up < self.received || self.read_down < self.answered
    }

    /// How many bytes were not understood so far, where that is not none: the last ones of each direction.
    pub fn unread(&self) -> Option<Unread> {
        let unread = Unread {
            up: self.received.saturating_sub(self.read_up),
            down: self.answered.saturating_sub(self.read_down),
        };
        (unread.bytes() > 0).then_some(unread)
    }

    /// Exchanges begun so far, finished or not.
    pub fn exchanges(&self) -> u32 {
        self.http2
            .as_ref()
            .map_or(self.exchanges, |http2| http2.exchanges())
    }

    /// Bytes of heads that are kept because they are split over reads: at most one more than the limit a direction.
    pub fn buffered(&self) -> usize {
        let heads: usize = [&self.up, &self.down].into_iter().map(Reading::buffered).sum();
        heads + self.http2.as_ref().map_or(0, |http2| http2.buffered())
    }

    /// Exchanges begun and not finished.
    pub fn in_flight(&self) -> usize {
        self.queue.len() + self.http2.as_ref().map_or(0, |http2| http2.in_flight())
    }
}
