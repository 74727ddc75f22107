//! A connection that speaks HTTP/2: one exchange a stream.
//!
//! An exchange is over when its answer's last byte has come (END_STREAM), when either side resets its stream, when the
//! path's side has said GOAWAY and will not take it, or when the connection ends. A frame that breaks the rules ends the
//! reading of the whole connection: without its header compression nothing else of it can be understood.

mod answers;
mod requests;
mod stream;

use std::collections::VecDeque;
use std::mem;

use hopscope_attribution::evidence::{ConnectionId, Cut, Exchange, Moment, PathId};

use self::stream::Stream;
use super::ObserverConfig;
use super::in_flight::InFlight;
use crate::http2::hpack::Broken;
use crate::http2::{Blocks, Cutter, Kind, PREFACE, PREFACE_REST, Piece};

/// Streams that may be under way on one connection. Servers allow 100 to 256 at a time.
const LIMIT: usize = 4_096;

/// What the reader of a connection knows beside its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'o> {
    pub(super) config: &'o ObserverConfig,
    pub(super) connection: ConnectionId,
    pub(super) path: PathId,
}

/// The reader.
#[derive(Debug)]
pub(super) struct Http2 {
    up: Way,
    down: Way,
    /// What is missing of the client's preface.
    preface: &'static [u8],
    /// The server's first frame was one that a server begins with.
    greeted: bool,
    /// In the order of their numbers, which is that of their beginnings.
    streams: VecDeque<Stream>,
    /// Requests that have been read to their end and not been handed on in full: where they end, and their stream.
    unsent: VecDeque<(u64, u32)>,
    /// The highest stream that the client has begun.
    last_begun: u32,
    /// The path's side takes no stream above this one, and the error code that it gave for it.
    gone: Option<(u32, u32)>,
    last_end: Moment,
    exchanges: u32,
}

/// One direction.
#[derive(Debug)]
struct Way {
    cutter: Cutter,
    blocks: Blocks,
    /// Where in the direction's stream of bytes HTTP/2 began.
    base: u64,
    /// The connection ended in the middle of a frame or block: what comes of it still means nothing.
    broken_off: bool,
}

impl Way {
    const fn new(base: u64) -> Self {
        Self {
            cutter: Cutter::new(),
            blocks: Blocks::new(),
            base,
            broken_off: false,
        }
    }
}

impl Way {
    /// Gives up what has not come in full, and the memory for it.
    fn break_off(&mut self) {
        if self.cutter.between() && !self.blocks.open() {
            return;
        }
        self.broken_off = true;
        self.cutter = Cutter::new();
        self.blocks = Blocks::new();
    }
}

impl Http2 {
    /// The reader of a connection whose preface has been read up to its first empty line, which is where `up` is.
    pub(super) const fn new(up: u64, down: u64) -> Self {
        Self::expecting(PREFACE_REST, up, down)
    }

    /// The reader of a connection on which the server speaks first.
    pub(super) const fn by_the_server() -> Self {
        Self::expecting(PREFACE, 0, 0)
    }

    /// The reader of a connection whose HTTP/1 request, the only one so far, was answered by a change to HTTP/2, in so
    /// many bytes: it is the first stream.
    pub(super) fn upgraded(request: &InFlight, answered: u64, up: u64, down: u64) -> Self {
        let mut http2 = Self::expecting(PREFACE, up, down);
        http2.streams.push_back(Stream::upgraded(request, answered));
        http2.last_begun = 1;
        http2.exchanges = request.ordinal.saturating_add(1);
        http2
    }

    const fn expecting(preface: &'static [u8], up: u64, down: u64) -> Self {
        Self {
            up: Way::new(up + preface.len() as u64),
            down: Way::new(down),
            preface,
            greeted: false,
            streams: VecDeque::new(),
            unsent: VecDeque::new(),
            last_begun: 0,
            gone: None,
            last_end: Moment(0),
            exchanges: 0,
        }
    }

    /// Takes bytes read from downstream.
    ///
    /// # Errors
    ///
    /// Where they are no HTTP/2. [`Self::read`] says from where on.
    pub(super) fn request_bytes(
        &mut self,
        mut bytes: &[u8],
        at: Moment,
        place: Place<'_>,
        out: &mut impl FnMut(Exchange),
    ) -> Result<(), Broken> {
        if !self.preface.is_empty() {
            let here = bytes.len().min(self.preface.len());
            let (expected, missing) = self.preface.split_at(here);
            let (is, rest) = bytes.split_at(here);
            if is != expected {
                return Err(Broken);
            }
            self.preface = missing;
            bytes = rest;
        }
        if self.up.broken_off {
            return Ok(());
        }
        let mut cutter = mem::replace(&mut self.up.cutter, Cutter::new());
        let cut = cutter.cut(bytes, |piece, position| {
            self.request_piece(&piece, position, at, place, out)
        });
        self.up.cutter = cutter;
        cut
    }

    /// Takes bytes read from upstream.
    ///
    /// # Errors
    ///
    /// As above.
    pub(super) fn response_bytes(
        &mut self,
        bytes: &[u8],
        at: Moment,
        place: Place<'_>,
        out: &mut impl FnMut(Exchange),
    ) -> Result<(), Broken> {
        if self.down.broken_off {
            return Ok(());
        }
        let mut cutter = mem::replace(&mut self.down.cutter, Cutter::new());
        let cut = cutter.cut(bytes, |piece, _| self.response_piece(&piece, at, place, out));
        self.down.cutter = cutter;
        cut
    }

    /// Whether the client has said any of its preface, or has asked for HTTP/2 before.
    pub(super) const fn begun(&self) -> bool {
        self.exchanges > 0 || self.preface.len() < PREFACE.len()
    }

    /// Whether what came from the server so far is HTTP/2. It begins with SETTINGS (section 3.4); one that is about to go
    /// may say GOAWAY at once.
    pub(super) const fn greeted(&self) -> bool {
        self.greeted
    }

    fn greet(&mut self, piece: &Piece<'_>) -> Result<(), Broken> {
        match piece {
            _ if self.greeted => Ok(()),
            Piece::Whole(frame, _)
                if frame.stream == 0 && matches!(frame.kind, Kind::Settings | Kind::GoAway) =>
            {
                self.greeted = true;
                Ok(())
            }
            Piece::Begins(_) | Piece::Part(..) | Piece::Ends(_) | Piece::Whole(..) => Err(Broken),
        }
    }

    /// Up to which byte each direction was understood.
    pub(super) fn read(&self) -> (u64, u64) {
        let way = |way: &Way| way.base.saturating_add(way.cutter.read());
        let up = if self.preface.is_empty() {
            way(&self.up)
        } else {
            self.up.base.saturating_sub(PREFACE.len() as u64)
        };
        (up, way(&self.down))
    }

    /// Takes the news that the first `total` bytes have been handed to the upstream socket.
    pub(super) fn request_forwarded(&mut self, total: u64, at: Moment) {
        while let Some((end, stream)) = self.unsent.front().copied().filter(|(end, _)| *end <= total) {
            self.unsent.pop_front();
            debug_assert!(end <= total, "what is sent has been handed on");
            if let Some(stream) = self.find(stream) {
                stream.sent_at = Some(at);
            }
        }
    }

    /// Finishes every stream that is under way: nothing more will come.
    pub(super) fn ended(&mut self, cut: Cut, at: Moment, place: Place<'_>, out: &mut impl FnMut(Exchange)) {
        for stream in mem::take(&mut self.streams) {
            self.last_end = at;
            let cut = self.cut_of(stream.id).unwrap_or(cut);
            out(stream.cut(cut, at, place));
        }
        self.unsent.clear();
        self.up.break_off();
        self.down.break_off();
    }

    /// How a stream ends that the path's side has said not to take.
    fn cut_of(&self, stream: u32) -> Option<Cut> {
        self.gone
            .filter(|(last, _)| stream > *last)
            .map(|(_, code)| Cut::GoAway(code))
    }

    fn find(&mut self, id: u32) -> Option<&mut Stream> {
        let at = self.streams.binary_search_by_key(&id, |stream| stream.id).ok()?;
        self.streams.get_mut(at)
    }

    fn take(&mut self, id: u32) -> Option<Stream> {
        let at = self.streams.binary_search_by_key(&id, |stream| stream.id).ok()?;
        self.streams.remove(at)
    }

    /// Gives up a stream that is over, if it is.
    fn settle(&mut self, id: u32, place: Place<'_>, out: &mut impl FnMut(Exchange)) {
        if self.find(id).is_none_or(|stream| !stream.over()) {
            return;
        }
        if let Some(stream) = self.take(id) {
            let (exchange, end) = stream.finish(place);
            self.last_end = end;
            out(exchange);
        }
    }

    /// Exchanges begun so far, finished or not.
    pub(super) const fn exchanges(&self) -> u32 {
        self.exchanges
    }

    /// Exchanges begun and not finished.
    pub(super) fn in_flight(&self) -> usize {
        self.streams.len()
    }

    /// Bytes of frames and field blocks that are kept because they are split.
    pub(super) fn buffered(&self) -> usize {
        [&self.up, &self.down]
            .into_iter()
            .map(|way| way.cutter.buffered() + way.blocks.buffered())
            .sum()
    }
}

/// The number in a payload of at least four bytes, at this place.
fn number(payload: &[u8], at: usize) -> Result<u32, Broken> {
    let bytes = payload.get(at..at + 4).and_then(|four| four.try_into().ok());
    bytes.map(u32::from_be_bytes).ok_or(Broken)
}

/// A field block that is open must go on before anything else comes.
fn in_order(piece: &Piece<'_>, blocks: &Blocks) -> Result<(), Broken> {
    let goes_on = matches!(piece, Piece::Whole(frame, _) if frame.kind == Kind::Continuation);
    if blocks.open() && !goes_on {
        return Err(Broken);
    }
    Ok(())
}
