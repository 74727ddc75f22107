//! Where in one direction's stream the reader is.

use hopscope_attribution::evidence::Opaque;

use super::Direction;
use crate::chunked::Chunked;
use crate::head::{self, Framing};

/// Where in one direction's stream the reader is.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Before a head, or in one of which this much has come.
    Head(Option<Box<PartialHead>>),
    /// In a body of which this many bytes are still to come; never none.
    Length(u64),
    /// In a chunked body.
    Chunked(Chunked),
    /// In a body that ends with the connection.
    UntilEnd,
    /// Not read any more, and why the connection counts as opaque, if it does.
    Unread(Option<Opaque>),
}

/// A head that is split over reads. The only thing that is buffered, and gone when the head is whole.
#[derive(Debug, Default)]
pub(crate) struct PartialHead {
    pub(crate) bytes: Vec<u8>,
    /// Its first line has been judged.
    pub(crate) line_seen: bool,
}

impl PartialHead {
    /// Appends as much of `bytes` as belongs to the head. Gives how much that was, and whether the head is whole.
    pub(crate) fn take(&mut self, bytes: &[u8], limit: usize) -> (usize, bool) {
        let searched = self.bytes.len();
        // One byte above the limit is enough to know; what comes after it is not copied.
        let room = (limit + 1).saturating_sub(searched);
        let taken = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        self.bytes.extend_from_slice(taken);
        match head::length(&self.bytes, searched) {
            Some(length) => {
                self.bytes.truncate(length);
                (length - searched, true)
            }
            None => (taken.len(), false),
        }
    }
}

impl Reading {
    pub(crate) const HEAD: Self = Self::Head(None);

    /// In the body that a head announced; `None` when there is none.
    pub(crate) const fn body(framing: Framing, direction: Direction) -> Option<Result<Self, Opaque>> {
        match (framing, direction) {
            (Framing::Length(0), _) | (Framing::Unstated, Direction::Up) => None,
            (Framing::Length(length), _) => Some(Ok(Self::Length(length))),
            (Framing::Chunked, _) => Some(Ok(Self::Chunked(Chunked::START))),
            (Framing::Unstated | Framing::OtherCoding, Direction::Down) => Some(Ok(Self::UntilEnd)),
            (Framing::OtherCoding, Direction::Up) | (Framing::Broken, _) => Some(Err(Opaque::NotHttp)),
        }
    }

    /// How many of the next bytes need no reading.
    pub(crate) const fn run(&self) -> u64 {
        match self {
            Self::Head(_) => 0,
            Self::Length(left) => *left,
            Self::Chunked(chunked) => chunked.run(),
            Self::UntilEnd | Self::Unread(_) => u64::MAX,
        }
    }

    /// Bytes that are kept of a head that has not come in full.
    pub(crate) fn buffered(&self) -> usize {
        match self {
            Self::Head(Some(partial)) => partial.bytes.len(),
            Self::Head(None) | Self::Length(_) | Self::Chunked(_) | Self::UntilEnd | Self::Unread(_) => 0,
        }
    }
}
