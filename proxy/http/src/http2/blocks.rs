//! Field blocks (RFC 9113, section 4.3): HEADERS and PUSH_PROMISE with their CONTINUATIONs, joined and decoded.

use std::mem;

use super::frame::{Frame, Kind};
use super::hpack::{Broken, Decoder, Name};

/// The longest block that is kept while its CONTINUATIONs come.
const LONGEST: usize = 64 * 1_024;

/// One direction's field blocks.
#[derive(Debug)]
pub(crate) struct Blocks {
    decoder: Decoder,
    open: Option<Block>,
    fragment: Vec<u8>,
}

/// What a block belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) stream: u32,
    /// The last of its stream's direction.
    pub(crate) end_stream: bool,
    /// The request of a push: nobody has sent it.
    pub(crate) promised: bool,
    /// Bytes of its frames.
    pub(crate) bytes: u64,
}

impl Blocks {
    pub(crate) const fn new() -> Self {
        Self {
            decoder: Decoder::new(),
            open: None,
            fragment: Vec::new(),
        }
    }

    /// Whether a block is open: nothing but its CONTINUATION may come then.
    pub(crate) const fn open(&self) -> bool {
        self.open.is_some()
    }

    /// Takes a frame that begins or continues a block. When the block is whole, shows the fields that matter.
    ///
    /// # Errors
    ///
    /// Where it breaks the rules, or is too long to be kept.
    pub(crate) fn take(
        &mut self,
        frame: Frame,
        payload: &[u8],
        field: &mut impl FnMut(Name, &[u8]),
    ) -> Result<Option<Block>, Broken> {
        let (block, fragment) = match (self.open.take(), frame.kind) {
            (None, Kind::Headers | Kind::PushPromise) => {
                let block = Block {
                    stream: frame.stream,
                    end_stream: frame.kind == Kind::Headers && frame.flags.end_stream(),
                    promised: frame.kind == Kind::PushPromise,
                    bytes: frame.bytes(),
                };
                (block, unwrapped(frame, payload)?)
            }
            (Some(block), Kind::Continuation) if block.stream == frame.stream => {
                let bytes = block.bytes.saturating_add(frame.bytes());
                (Block { bytes, ..block }, payload)
            }
            (Some(_) | None, _) => return Err(Broken),
        };
        if frame.flags.end_headers() && self.fragment.is_empty() {
            self.decoder.block(fragment, field)?;
            return Ok(Some(block));
        }
        if self.fragment.len() + fragment.len() > LONGEST {
            return Err(Broken);
        }
        self.fragment.extend_from_slice(fragment);
        if frame.flags.end_headers() {
            let whole = mem::take(&mut self.fragment);
            self.decoder.block(&whole, field)?;
            return Ok(Some(block));
        }
        self.open = Some(block);
        Ok(None)
    }

    /// Bytes that are kept of a block that is not whole.
    pub(crate) const fn buffered(&self) -> usize {
        self.fragment.len()
    }
}

/// The fragment in the payload of HEADERS or PUSH_PROMISE, without padding, priority and promised stream.
fn unwrapped(frame: Frame, payload: &[u8]) -> Result<&[u8], Broken> {
    let mut rest = payload;
    let mut padding = 0;
    if frame.flags.padded() {
        let (length, after) = rest.split_first().ok_or(Broken)?;
        padding = usize::from(*length);
        rest = after;
    }
    let before = match frame.kind {
        Kind::Headers if frame.flags.priority() => 5,
        Kind::PushPromise => 4,
        Kind::Headers
        | Kind::Data
        | Kind::ResetStream
        | Kind::Settings
        | Kind::GoAway
        | Kind::Continuation
        | Kind::Other => 0,
    };
    let end = rest.len().checked_sub(padding).ok_or(Broken)?;
    rest.get(before..end).ok_or(Broken)
}
