//! A connection that was upgraded to WebSocket (RFC 6455): its frames are followed, and none of them is kept.
//!
//! The exchange that asked for it goes on until either side closes it with a frame of its own. Without one, whoever ends
//! the connection ends the exchange: the generator may do so at any time, and what the path's side cuts off is cut off.

use hopscope_attribution::evidence::{Exchange, Moment, Opaque};

use super::Observer;

/// The longest header: two bytes, a length of eight, a mask of four.
const LONGEST: usize = 14;
/// The longest payload of a control frame (section 5.5).
const CONTROL: u64 = 125;

/// Both directions.
#[derive(Debug)]
pub(super) struct WebSocket {
    up: Frames,
    down: Frames,
}

impl WebSocket {
    pub(super) const fn new() -> Self {
        Self {
            up: Frames::new(true),
            down: Frames::new(false),
        }
    }
}

/// One direction's frames.
#[derive(Debug)]
struct Frames {
    /// A client masks what it sends, a server does not (section 5.1).
    masked: bool,
    header: [u8; LONGEST],
    held: usize,
    /// Bytes of a payload that are still to come.
    left: u64,
    /// The payload is that of a frame that closes the connection.
    closing: bool,
}

/// What is known of a header.
enum Header {
    /// More of it is to come.
    Partial,
    Whole {
        closes: bool,
        payload: u64,
    },
    /// It is none.
    Wrong,
}

/// What passed is no frame.
struct Broken {
    /// How many bytes before, or into, this stretch it began.
    start: i64,
    /// After how many bytes of this stretch that showed.
    seen: usize,
}

impl Frames {
    const fn new(masked: bool) -> Self {
        Self {
            masked,
            header: [0; LONGEST],
            held: 0,
            left: 0,
            closing: false,
        }
    }

    /// Passes over frames. Where one of them closes the connection, says after how many bytes the first such one ended.
    fn take(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        let mut closed = None;
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if self.left > 0 {
                let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                self.left -= here as u64;
                at += here;
                if self.left == 0 && std::mem::take(&mut self.closing) {
                    closed.get_or_insert(at);
                }
                continue;
            }
            if let (Some(to), Some(from)) = (self.header.get_mut(self.held), rest.first()) {
                *to = *from;
            }
            self.held += 1;
            at += 1;
            match self.judge() {
                Header::Wrong => {
                    let length = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
                    return Err(Broken {
                        start: length(at) - length(self.held),
                        seen: at,
                    });
                }
                Header::Whole { closes, payload } => {
                    self.held = 0;
                    self.left = payload;
                    if closes && payload == 0 {
                        closed.get_or_insert(at);
                    }
                    self.closing = closes && payload > 0;
                }
                Header::Partial => {}
            }
        }
        Ok(closed)
    }

    /// What the header says, as far as it has come (section 5.2).
    fn judge(&self) -> Header {
        let [first, second, rest @ ..] = &self.header;
        let opcode = first & 0x0f;
        let control = opcode >= 8;
        if !matches!(opcode, 0..=2 | 8..=10) || (control && first & 0x80 == 0) {
            return Header::Wrong;
        }
        if self.held < 2 {
            return Header::Partial;
        }
        if (second & 0x80 != 0) != self.masked {
            return Header::Wrong;
        }
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.held < 2 + extended + 4 * usize::from(self.masked) {
            return Header::Partial;
        }
        let payload = match extended {
            0 => u64::from(second & 0x7f),
            length => rest
                .iter()
                .take(length)
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        if control && payload > CONTROL {
            return Header::Wrong;
        }
        Header::Whole {
            closes: opcode == 8,
            payload,
        }
    }
}

impl Observer {
    pub(super) fn websocket_request_bytes(
        &mut self,
        bytes: &[u8],
        at: Moment,
        out: &mut impl FnMut(Exchange),
    ) {
        let taken = self
            .websocket
            .as_mut()
            .map_or(Ok(None), |both| both.up.take(bytes));
        let start = self.received;
        self.received = start.saturating_add(bytes.len() as u64);
        if let Some(request) = self.queue.back_mut() {
            request.bytes_up = request.bytes_up.saturating_add(counted(&taken, bytes));
        }
        if let Err(broken) = &taken {
            self.read_up = self.read_up.min(start.saturating_add_signed(broken.start));
        }
        self.websocket_taken(&taken, at, out);
    }

    pub(super) fn websocket_response_bytes(
        &mut self,
        bytes: &[u8],
        at: Moment,
        out: &mut impl FnMut(Exchange),
    ) {
        let taken = self
            .websocket
            .as_mut()
            .map_or(Ok(None), |both| both.down.take(bytes));
        let start = self.answered;
        self.answered = start.saturating_add(bytes.len() as u64);
        if !self.queue.is_empty() {
            self.answer.bytes = self.answer.bytes.saturating_add(counted(&taken, bytes));
        }
        if let Err(broken) = &taken {
            self.not_understood_from(start.saturating_add_signed(broken.start));
        }
        self.websocket_taken(&taken, at, out);
    }

    /// The first frame that closes it ends the exchange, whoever sent it; and so does what is no frame, for the upgrade
    /// itself was granted.
    fn websocket_taken(
        &mut self,
        taken: &Result<Option<usize>, Broken>,
        at: Moment,
        out: &mut impl FnMut(Exchange),
    ) {
        if !matches!(taken, Ok(None)) && !self.queue.is_empty() {
            self.response_ended(at, out);
        }
        if taken.is_err() {
            self.websocket = None;
            self.turn_opaque(Opaque::Upgraded);
        }
    }
}

/// How many bytes of a stretch belong to the exchange.
fn counted(taken: &Result<Option<usize>, Broken>, bytes: &[u8]) -> u64 {
    let count = match taken {
        Ok(closed) => closed.unwrap_or(bytes.len()),
        Err(broken) => broken.seen,
    };
    count as u64
}
