//! Frames (RFC 9113, section 4), however they are split over reads.
//!
//! The payload of DATA is shown as it comes; that of the few other kinds that matter is shown whole, and kept only while
//! it is split; all others are passed over.

use std::mem;

use super::hpack::Broken;

/// Length of a frame's header.
const HEADER: usize = 9;
/// The longest payload that is kept: four times what a frame may hold unless its receiver allowed more.
const LONGEST: u32 = 64 * 1_024;

/// What a frame's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Bytes of the payload, padding included.
    pub(crate) length: u32,
    pub(crate) kind: Kind,
    pub(crate) flags: Flags,
    /// 0 is the connection.
    pub(crate) stream: u32,
}

/// The kinds that a bystander tells apart (section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
    Headers,
    ResetStream,
    Settings,
    PushPromise,
    GoAway,
    Continuation,
    /// PRIORITY, PING, WINDOW_UPDATE and what extensions add.
    Other,
}

/// A frame's flags. The same bit means different things on different kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(u8);

/// What was cut out.
#[derive(Debug)]
pub(crate) enum Piece<'b> {
    /// The header of a frame whose payload is shown in parts, or not at all.
    Begins(Frame),
    /// Part of a payload; padding is part of it.
    Part(Frame, &'b [u8]),
    /// The last byte of a frame that was shown in parts.
    Ends(Frame),
    /// A frame with its payload.
    Whole(Frame, &'b [u8]),
}

/// One direction's reader.
#[derive(Debug)]
pub(crate) struct Cutter {
    state: State,
    /// A header, or a payload that matters, as far as it has come in other reads.
    kept: Vec<u8>,
    /// Bytes cut so far.
    position: u64,
    /// Where the frame begins that is being cut.
    start: u64,
    broken: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header,
    /// So much of a payload is still to come; never none.
    Passing(Frame, u32),
    Keeping(Frame),
}

impl Cutter {
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Header,
            kept: Vec::new(),
            position: 0,
            start: 0,
            broken: false,
        }
    }

    /// Cuts all of `bytes`, and shows each piece.
    ///
    /// # Errors
    ///
    /// Where a payload that matters is too long to be kept, and where `show` says so; nothing can be cut after that.
    pub(crate) fn cut(
        &mut self,
        bytes: &[u8],
        show: impl FnMut(Piece<'_>, u64) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let cut = self.cut_all(bytes, show);
        self.broken = cut.is_err();
        cut
    }

    fn cut_all(
        &mut self,
        mut bytes: &[u8],
        mut show: impl FnMut(Piece<'_>, u64) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        while !bytes.is_empty() {
            match self.state {
                State::Header => {
                    if self.kept.is_empty() {
                        self.start = self.position;
                    }
                    let Some(frame) = self.header(&mut bytes) else {
                        return Ok(());
                    };
                    if matches!(frame.kind, Kind::Data | Kind::Other) {
                        show(Piece::Begins(frame), self.position)?;
                        if frame.length == 0 {
                            show(Piece::Ends(frame), self.position)?;
                        } else {
                            self.state = State::Passing(frame, frame.length);
                        }
                    } else if frame.length > LONGEST {
                        return Err(Broken);
                    } else if frame.length == 0 {
                        show(Piece::Whole(frame, &[]), self.position)?;
                    } else {
                        self.state = State::Keeping(frame);
                    }
                }
                State::Passing(frame, left) => {
                    let here = self.take(&mut bytes, left as usize);
                    show(Piece::Part(frame, here), self.position)?;
                    let left = left.saturating_sub(u32::try_from(here.len()).unwrap_or(left));
                    if left == 0 {
                        self.state = State::Header;
                        show(Piece::Ends(frame), self.position)?;
                    } else {
                        self.state = State::Passing(frame, left);
                    }
                }
                State::Keeping(frame) => {
                    let missing = (frame.length as usize).saturating_sub(self.kept.len());
                    let here = self.take(&mut bytes, missing);
                    if here.len() < missing {
                        self.kept.extend_from_slice(here);
                        return Ok(());
                    }
                    self.state = State::Header;
                    if self.kept.is_empty() {
                        show(Piece::Whole(frame, here), self.position)?;
                    } else {
                        // Given back: what is kept of an idle connection is nothing.
                        let mut payload = mem::take(&mut self.kept);
                        payload.extend_from_slice(here);
                        show(Piece::Whole(frame, &payload), self.position)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn header(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        let missing = HEADER.saturating_sub(self.kept.len());
        let here = self.take(bytes, missing);
        if here.len() < missing {
            self.kept.extend_from_slice(here);
            return None;
        }
        if self.kept.is_empty() {
            return Frame::of(here);
        }
        let mut header = mem::take(&mut self.kept);
        header.extend_from_slice(here);
        Frame::of(&header)
    }

    /// At most `most` bytes.
    fn take<'b>(&mut self, bytes: &mut &'b [u8], most: usize) -> &'b [u8] {
        let (here, rest) = bytes.split_at(bytes.len().min(most));
        *bytes = rest;
        self.position += here.len() as u64;
        here
    }

    /// Up to where every frame was read: the start of one that is broken or has not come in full.
    pub(crate) const fn read(&self) -> u64 {
        match self.state {
            State::Header if self.kept.is_empty() && !self.broken => self.position,
            State::Header | State::Passing(..) | State::Keeping(_) => self.start,
        }
    }

    /// Whether no frame is under way.
    pub(crate) const fn between(&self) -> bool {
        matches!(self.state, State::Header) && self.kept.is_empty()
    }

    /// Bytes that are kept because their frame is split over reads.
    pub(crate) const fn buffered(&self) -> usize {
        self.kept.len()
    }
}

impl Frame {
    fn of(header: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, stream @ ..] = header else {
            return None;
        };
        let stream: [u8; 4] = stream.try_into().ok()?;
        Some(Self {
            length: u32::from_be_bytes([0, *a, *b, *c]),
            kind: Kind::of(*kind),
            flags: Flags(*flags),
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        })
    }

    /// All bytes of it.
    pub(crate) fn bytes(self) -> u64 {
        u64::from(self.length) + HEADER as u64
    }
}

impl Kind {
    const fn of(kind: u8) -> Self {
        match kind {
            0 => Self::Data,
            1 => Self::Headers,
            3 => Self::ResetStream,
            4 => Self::Settings,
            5 => Self::PushPromise,
            7 => Self::GoAway,
            9 => Self::Continuation,
            _ => Self::Other,
        }
    }
}

impl Flags {
    pub(crate) const fn end_stream(self) -> bool {
        self.0 & 0x1 != 0
    }

    pub(crate) const fn end_headers(self) -> bool {
        self.0 & 0x4 != 0
    }

    pub(crate) const fn padded(self) -> bool {
        self.0 & 0x8 != 0
    }

    pub(crate) const fn priority(self) -> bool {
        self.0 & 0x20 != 0
    }
}
