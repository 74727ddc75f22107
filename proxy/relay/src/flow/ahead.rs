//! Reading before there is anybody to write to.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;

use super::{FIRST_READ, Flow, State, Turn, Watch};
use crate::stream::Stream;

impl Flow {
    /// Reads what the source has while there is no sink yet, [`FIRST_READ`] bytes in all, and holds it. Blocked says
    /// that no more is held; over, that the source has ended.
    pub(crate) fn read_ahead<R: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut R,
        scratch: &mut [u8],
        watch: &mut impl Watch,
    ) -> Turn {
        if self.state != State::Open {
            return Turn::Over;
        }
        loop {
            let room = FIRST_READ.saturating_sub(self.held.len()).min(scratch.len());
            if room == 0 {
                return Turn::Blocked;
            }
            let mut buffer = ReadBuf::new(&mut scratch[..room]);
            match Pin::new(&mut *source).poll_read(cx, &mut buffer) {
                Poll::Pending => return Turn::Idle,
                Poll::Ready(Err(error)) => return self.source_failed(&error),
                Poll::Ready(Ok(())) => {}
            }
            let bytes = buffer.filled();
            if bytes.is_empty() {
                self.state = State::SourceEnded;
                return Turn::SourceFinished;
            }
            self.feed(bytes, watch);
        }
    }

    /// Shows bytes of the source's, and holds them.
    pub(crate) fn feed(&mut self, bytes: &[u8], watch: &mut impl Watch) {
        self.bytes_came(watch);
        match watch.see(self.from, bytes) {
            None => self.held.extend_from_slice(bytes),
            Some(rewritten) => self.held.extend_from_slice(&rewritten),
        }
    }
}
