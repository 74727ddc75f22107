//! What a question is answered with: a whole body, or pieces that are written as the asker takes them.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// An answer in pieces that is not taken within this time is broken off: whoever wants it can take it faster.
const LONGEST: Duration = Duration::from_mins(1);

/// One answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub content: Content,
}

/// A body.
pub enum Content {
    /// All of it. Shared: a thousand askers hold one copy.
    Whole(Bytes),
    /// Piece by piece, each made when the one before was taken.
    Pieces(Pieces),
}

/// Gives the next piece of a body; `None` at its end.
pub type Pieces = Box<dyn FnMut() -> Option<Bytes>>;

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => f.debug_tuple("Whole").field(&bytes.len()).finish(),
            Self::Pieces(_) => f.write_str("Pieces"),
        }
    }
}

impl Answer {
    /// Plain text.
    pub fn text(status: u16, body: &str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            content: Content::Whole(Bytes::copy_from_slice(body.as_bytes())),
        }
    }

    /// Prometheus's text format, version 0.0.4.
    pub fn metrics(body: impl Into<Bytes>) -> Self {
        Self {
            status: 200,
            content_type: prometheus::TEXT_FORMAT,
            content: Content::Whole(body.into()),
        }
    }

    /// JSON Lines, piece by piece.
    pub fn json_lines(pieces: Pieces) -> Self {
        Self {
            status: 200,
            content_type: "application/jsonl",
            content: Content::Pieces(pieces),
        }
    }
}

/// The asker took longer than [`LONGEST`].
#[derive(Debug, thiserror::Error)]
#[error("the answer was not taken within {LONGEST:?}")]
pub(super) struct TooSlow;

/// A body on its way out. Whatever `held` is, it is given back with the last piece.
#[derive(Debug)]
pub(super) struct Outgoing<T> {
    content: Option<Content>,
    began: Instant,
    held: Option<T>,
}

impl<T> Outgoing<T> {
    pub(super) fn new(content: Content, held: Option<T>) -> Self {
        Self {
            content: Some(content),
            began: Instant::now(),
            held,
        }
    }
}

impl<T: Unpin> Body for Outgoing<T> {
    type Data = Bytes;
    type Error = TooSlow;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TooSlow>>> {
        let in_time = self.began.elapsed() <= LONGEST;
        let piece = match &mut self.content {
            None => None,
            Some(Content::Pieces(_)) if !in_time => {
                self.content = None;
                return Poll::Ready(Some(Err(TooSlow)));
            }
            Some(Content::Pieces(next)) => next(),
            Some(Content::Whole(bytes)) => Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()),
        };
        if piece.is_none() {
            self.content = None;
            self.held = None;
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            None => true,
            Some(Content::Whole(bytes)) => bytes.is_empty(),
            Some(Content::Pieces(_)) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            None => SizeHint::with_exact(0),
            Some(Content::Whole(bytes)) => {
                SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
            Some(Content::Pieces(_)) => SizeHint::default(),
        }
    }
}
