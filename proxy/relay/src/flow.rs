//! One direction of a relayed connection: read, show, write; hold what the other side does not take.
//!
//! Long bodies go through a pipe ([`super::splice`]). Not `tokio::io::copy`: that hides which side failed, and turns a reset into a clean end.

mod ahead;
mod behind;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hopscope_attribution::evidence::{Ending, Moment, Side, SideEnd, Span};
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

use self::behind::{Behind, behind};
use super::arrival::{self, Arrival};
use super::socket;
use super::splice::{Pipe, WORTHWHILE};
use super::stream::{Stream, poll_write_at_once};
use super::worker;

/// Bytes read at once at first. What one read brings is also the most that a direction ever holds back.
const FIRST_READ: usize = 64 * 1024;
/// Bytes read at once when the source keeps filling the buffer: fewer system calls per gigabyte.
pub(super) const LARGEST_READ: usize = 256 * 1024;

/// One direction's state. Small: two of them exist per connection, idle or not.
#[derive(Debug)]
pub(super) struct Flow {
    /// The side whose bytes these are.
    from: Side,
    /// Bytes read that the sink has not taken yet; empty, and without memory, unless the sink is slow.
    held: Vec<u8>,
    held_from: usize,
    /// The pipe through which a long body goes at the moment.
    pipe: Option<Box<Pipe>>,
    /// Whether the sink may still hold back what it took: TLS does, when its socket is full.
    unflushed: bool,
    /// Whether arrivals are stamped.
    stamped: bool,
    /// Whether the sink sends at once what it takes.
    prompt: bool,
    read_size: usize,
    state: State,
    blocked_since: Option<Moment>,
    /// Time for which bytes waited for the sink.
    blocked: Span,
    /// Bytes that the sink has taken.
    passed: u64,
    /// When the first byte came.
    first_byte: Option<Moment>,
    /// When the last byte came.
    last_byte: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Bytes may come.
    Open,
    /// The source said FIN; what is held goes first, then the FIN is handed on.
    SourceEnded,
    /// The FIN is handed on: nothing more to do.
    Finished,
    /// The FIN is left to the sink's close, which follows.
    FinishedByClose,
    /// The source or the sink failed: nothing more can be done.
    Broken,
}

/// What came of moving bytes as far as they would go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Waiting for the source.
    Idle,
    /// Waiting for the sink, with bytes in hand.
    Blocked,
    /// The source said FIN just now.
    SourceFinished,
    /// The source failed just now.
    SourceFailed(Ending),
    /// The sink failed just now; what was in hand is lost, as it would have been without us.
    SinkFailed(Ending),
    /// This direction is over.
    Over,
}

/// What looks at a connection's bytes as they pass, and is told how its sides end.
pub(super) trait Watch {
    /// The moment of this wake-up.
    fn now(&mut self) -> Moment;
    /// Sees bytes read from a side, before they are written to the other. Returns what shall be written in their
    /// place: `None`, unless a header is to be inserted.
    fn see(&mut self, from: Side, bytes: &[u8]) -> Option<Vec<u8>>;
    /// Learns how many bytes from a side the other has taken in all.
    fn taken(&mut self, from: Side, total: u64);
    /// How many of a side's next bytes nobody needs to see.
    fn unread_run(&self, from: Side) -> u64;
    /// Learns that so many bytes went past unseen.
    fn skip(&mut self, from: Side, count: u64);
    /// Learns that bytes have been handed on at once, and when they had arrived.
    fn relayed(&mut self, from: Side, arrival: Arrival);
    /// Learns how a side ended. A failure of the upstream is told when everything it sent before has been seen.
    fn ended(&mut self, side: Side, end: SideEnd);
}

impl Flow {
    pub(super) fn new(from: Side) -> Self {
        Self {
            from,
            held: Vec::new(),
            held_from: 0,
            pipe: None,
            unflushed: false,
            stamped: false,
            prompt: from == Side::Upstream,
            read_size: FIRST_READ,
            state: State::Open,
            blocked_since: None,
            blocked: Span::ZERO,
            passed: 0,
            first_byte: None,
            last_byte: None,
        }
    }

    /// Moves bytes from `source` to `sink` until one of them makes us wait or something ended. `last` says that the
    /// other direction has ended with a FIN: then this one's FIN is that of the sink's close.
    pub(super) fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut R,
        sink: &mut W,
        scratch: &mut [u8],
        watch: &mut impl Watch,
        last: bool,
    ) -> Turn
    where
        R: Stream,
        W: Stream,
    {
        loop {
            if self.pipe.is_some() {
                match self.pump(cx, source, sink, watch) {
                    Some(turn) => return turn,
                    None => continue,
                }
            }
            if self.held_from < self.held.len() {
                self.hurry(sink);
                match Pin::new(&mut *sink).poll_write(cx, &self.held[self.held_from..]) {
                    Poll::Ready(Ok(taken)) => {
                        self.release(taken, watch);
                        continue;
                    }
                    Poll::Ready(Err(error)) => return self.sink_failed(&error, watch),
                    Poll::Pending => return Turn::Blocked,
                }
            }
            if self.unflushed {
                match Pin::new(&mut *sink).poll_flush(cx) {
                    Poll::Ready(Ok(())) => self.unflushed = false,
                    Poll::Ready(Err(error)) => return self.sink_failed(&error, watch),
                    Poll::Pending => return Turn::Blocked,
                }
            }
            match self.state {
                State::Open => {}
                State::SourceEnded if last && sink.plain().is_some() => {
                    self.state = State::FinishedByClose;
                    return Turn::Over;
                }
                State::SourceEnded => match Pin::new(&mut *sink).poll_shutdown(cx) {
                    // A sink that is already gone cannot be told so; its own end is seen on its own socket.
                    Poll::Ready(_) => {
                        self.state = State::Finished;
                        return Turn::Over;
                    }
                    Poll::Pending => return Turn::Blocked,
                },
                State::Finished | State::FinishedByClose | State::Broken => return Turn::Over,
            }
            if let Some(turn) = self.copy(cx, source, sink, scratch, watch) {
                return turn;
            }
        }
    }

    /// One read and its write, through the worker's buffer.
    fn copy<R: Stream, W: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut R,
        sink: &mut W,
        scratch: &mut [u8],
        watch: &mut impl Watch,
    ) -> Option<Turn> {
        let room = self.read_size.min(scratch.len());
        let mut buffer = ReadBuf::new(&mut scratch[..room]);
        let read = match source.plain().filter(|_| self.stamped) {
            Some(socket) => arrival::poll_read(cx, socket, &mut buffer),
            None => Pin::new(&mut *source)
                .poll_read(cx, &mut buffer)
                .map_ok(|()| None),
        };
        let arrival = match read {
            Poll::Pending => return Some(Turn::Idle),
            Poll::Ready(Err(error)) => return Some(self.source_failed(&error)),
            Poll::Ready(Ok(arrival)) => arrival,
        };
        let bytes = buffer.filled();
        if bytes.is_empty() {
            self.state = State::SourceEnded;
            return Some(Turn::SourceFinished);
        }
        let full = bytes.len() == room;
        let behind = if full || self.stamped {
            Behind::Unknown
        } else {
            behind(cx, source)
        };
        // A FIN that is known to follow takes the bytes before it along: one packet, as it mostly was when it came.
        let more = matches!(behind, Behind::Fin);
        self.bytes_came(watch);
        let turn = match watch.see(self.from, bytes) {
            None => self.write(cx, sink, bytes, more, watch),
            Some(rewritten) => self.write(cx, sink, &rewritten, more, watch),
        };
        if let (None, Some(arrival)) = (turn, arrival) {
            watch.relayed(self.from, arrival);
        }
        self.read_size = if full {
            (room * 2).min(LARGEST_READ)
        } else {
            FIRST_READ
        };
        // Where nothing is behind, the event loop has been asked to tell of more already.
        let asked = matches!(behind, Behind::Nothing);
        match (turn, behind) {
            // A FIN is there to be read again when the sink has taken everything; a failure is told only once.
            (None | Some(Turn::Blocked), Behind::Failure(error)) => Some(self.source_failed(&error)),
            (None, Behind::Fin) => {
                self.state = State::SourceEnded;
                Some(Turn::SourceFinished)
            }
            (None | Some(Turn::Blocked), Behind::Nothing | Behind::Unknown) => {
                self.consider_splicing(source, sink, full, watch);
                turn.or((asked && self.pipe.is_none()).then_some(Turn::Idle))
            }
            (turn, _) => turn,
        }
    }

    /// Takes a pipe where enough bytes will come that nobody needs to see. How much comes of a connection that is
    /// not read at all is not known: there, a full buffer is the sign.
    fn consider_splicing<R: Stream, W: Stream>(
        &mut self,
        source: &R,
        sink: &W,
        full: bool,
        watch: &impl Watch,
    ) {
        let run = watch.unread_run(self.from);
        let many = run >= WORTHWHILE && (full || run != u64::MAX);
        if many
            && !self.holds()
            && source.plain().is_some()
            && sink.plain().is_some()
            && worker::has_room_for_pipes()
        {
            self.hurry(sink);
            self.pipe = Pipe::take().ok().map(Box::new);
        }
    }

    /// Moves bytes through the pipe as far as they go. `None` when the pipe has been given back.
    fn pump<R: Stream, W: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        source: &R,
        sink: &W,
        watch: &mut impl Watch,
    ) -> Option<Turn> {
        let (Some(from), Some(to)) = (source.plain(), sink.plain()) else {
            self.pipe = None;
            return None;
        };
        loop {
            let pipe = self.pipe.as_mut()?;
            if pipe.filled() > 0 {
                match to.poll_write_ready(cx) {
                    Poll::Pending => {
                        self.blocked_since.get_or_insert_with(|| watch.now());
                        return Some(Turn::Blocked);
                    }
                    Poll::Ready(_) => {}
                }
                match pipe.empty_into(to) {
                    Ok(moved) => {
                        self.passed += moved as u64;
                        watch.taken(self.from, self.passed);
                        if self.blocked_since.is_some() {
                            self.unblock(watch.now());
                        }
                    }
                    // Readiness is cleared: asked once more, it registers the waker.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Some(self.sink_failed(&error, watch)),
                }
                continue;
            }
            let run = watch.unread_run(self.from);
            if run == 0 {
                self.pipe.take()?.give_back();
                return None;
            }
            if from.poll_read_ready(cx).is_pending() {
                return Some(Turn::Idle);
            }
            match pipe.fill(from, run) {
                Ok(0) => {
                    self.pipe.take()?.give_back();
                    self.state = State::SourceEnded;
                    return Some(Turn::SourceFinished);
                }
                Ok(moved) => {
                    self.bytes_came(watch);
                    watch.skip(self.from, moved as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    self.pipe.take()?.give_back();
                    return Some(self.source_failed(&error));
                }
            }
        }
    }

    fn bytes_came(&mut self, watch: &mut impl Watch) {
        let now = watch.now();
        self.first_byte.get_or_insert(now);
        self.last_byte = Some(now);
    }

    fn source_failed(&mut self, error: &io::Error) -> Turn {
        match socket::ending(error) {
            Ending::Fin => {
                self.state = State::SourceEnded;
                Turn::SourceFinished
            }
            failure @ (Ending::Reset
            | Ending::TimedOut
            | Ending::Errno(_)
            | Ending::Tls(_)
            | Ending::EndedByRelay
            | Ending::StillOpen
            | Ending::NeverStood) => {
                self.state = State::Broken;
                Turn::SourceFailed(failure)
            }
        }
    }

    /// Writes bytes just read; what the sink does not take is held. `more` says that a FIN follows at once.
    fn write<W: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut W,
        mut bytes: &[u8],
        more: bool,
        watch: &mut impl Watch,
    ) -> Option<Turn> {
        self.unflushed = sink.plain().is_none();
        loop {
            self.hurry(sink);
            match poll_write_at_once(cx, sink, bytes, more) {
                Poll::Ready(Ok(taken)) => {
                    self.passed += taken as u64;
                    bytes = &bytes[taken..];
                    if bytes.is_empty() {
                        watch.taken(self.from, self.passed);
                        return None;
                    }
                }
                Poll::Ready(Err(error)) => return Some(self.sink_failed(&error, watch)),
                Poll::Pending => {
                    watch.taken(self.from, self.passed);
                    self.held = bytes.to_vec();
                    self.held_from = 0;
                    self.blocked_since = Some(watch.now());
                    return Some(Turn::Blocked);
                }
            }
        }
    }

    /// Before a second write: the sink is not to wait for an acknowledgement of the first. What is written first is
    /// sent at once anyhow (net/ipv4/tcp_output.c, `tcp_nagle_check`), and most short connections see one write.
    /// Accepted sockets have it from their listener.
    fn hurry<W: Stream>(&mut self, sink: &W) {
        if self.prompt || self.passed == 0 {
            return;
        }
        self.prompt = true;
        if let Some(socket) = sink.plain()
            && let Err(error) = socket.set_nodelay(true)
        {
            tracing::trace!(%error, "a connection was reset before it was written to");
        }
    }

    fn release(&mut self, taken: usize, watch: &mut impl Watch) {
        self.passed += taken as u64;
        self.held_from += taken;
        watch.taken(self.from, self.passed);
        if self.held_from == self.held.len() {
            self.held = Vec::new();
            self.held_from = 0;
            self.unblock(watch.now());
        }
    }

    fn unblock(&mut self, now: Moment) {
        if let Some(since) = self.blocked_since.take() {
            self.blocked = self.blocked + now.since(since);
        }
    }

    fn sink_failed(&mut self, error: &io::Error, watch: &mut impl Watch) -> Turn {
        self.break_off(watch.now());
        Turn::SinkFailed(socket::ending(error))
    }

    /// Gives this direction up: nothing held is delivered any more.
    pub(super) fn break_off(&mut self, now: Moment) {
        self.unblock(now);
        self.held = Vec::new();
        self.held_from = 0;
        self.pipe = None;
        self.state = State::Broken;
    }

    /// Whether bytes wait for the sink.
    pub(super) fn holds(&self) -> bool {
        self.held_from < self.held.len() || self.pipe.as_ref().is_some_and(|pipe| pipe.filled() > 0)
    }

    /// Whether the source has ended, cleanly or not, and nothing is held.
    pub(super) fn over(&self) -> bool {
        !self.holds() && (self.finished() || self.state == State::Broken)
    }

    /// Whether the source ended with a FIN that has been handed on, or is by the sink's close.
    pub(super) fn finished(&self) -> bool {
        matches!(self.state, State::Finished | State::FinishedByClose)
    }

    /// Hands on the FIN that was left to the sink's close, where that has to wait; and the bytes that were to go with
    /// a FIN which turned out to be none.
    pub(super) fn finish_now(&mut self, sink: &TcpStream) {
        if self.state == State::FinishedByClose {
            self.state = State::Finished;
            socket::finish(sink);
        } else if self.state == State::Broken {
            socket::push(sink);
        }
    }

    /// Bytes that the sink has taken.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    /// Time for which bytes waited for the sink, up to `now`.
    pub(super) fn blocked(&self, now: Moment) -> Span {
        self.blocked_since
            .map_or(self.blocked, |since| self.blocked + now.since(since))
    }

    /// From now on the arrival of bytes is stamped.
    pub(super) fn stamp(&mut self) {
        self.stamped = true;
    }

    /// When the first byte came.
    pub(super) fn first_byte(&self) -> Option<Moment> {
        self.first_byte
    }

    /// When the last byte came.
    pub(super) fn last_byte(&self) -> Option<Moment> {
        self.last_byte
    }
}

#[cfg(test)]
mod tests;
