//! The generator's side of a connection while its upstream is being connected.
//!
//! What it sends is read and held, so that its request begins when it came, and its end is noticed when it comes.

use std::task::{Context, Poll};

use hopscope_attribution::evidence::{Ending, Side, SideEnd};

use super::flow::{Flow, Turn, Watch};
use super::relay::failure::Failures;
use super::socket;
use super::stream::Socket;

/// A downstream connection without an upstream.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) downstream: Socket,
    /// What it has sent so far, held for the upstream.
    pub(super) up: Flow,
    pub(super) failures: Failures,
    end: Option<SideEnd>,
}

impl Waiting {
    pub(super) fn new(downstream: Socket) -> Self {
        Self {
            downstream,
            up: Flow::new(Side::Downstream),
            failures: Failures::default(),
            end: None,
        }
    }

    /// Reads along. Ready when the generator's side has failed: nobody waits for the upstream any more. A FIN is no
    /// reason to give up, for it may be a half-close.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        watch: &mut impl Watch,
        scratch: &mut [u8],
    ) -> Poll<()> {
        loop {
            match self.up.read_ahead(cx, &mut self.downstream, scratch, watch) {
                Turn::Idle => return Poll::Pending,
                Turn::SourceFinished => self.ended(Ending::Fin, watch),
                Turn::SourceFailed(how) | Turn::SinkFailed(how) => {
                    self.ended(how, watch);
                    return Poll::Ready(());
                }
                Turn::Blocked | Turn::Over => {
                    if self
                        .failures
                        .poll(cx, Side::Downstream, &self.downstream)
                        .is_pending()
                    {
                        return Poll::Pending;
                    }
                    let how = socket::pending_failure(&self.downstream).unwrap_or(Ending::Reset);
                    self.ended(how, watch);
                    return Poll::Ready(());
                }
            }
        }
    }

    fn ended(&mut self, how: Ending, watch: &mut impl Watch) {
        let end = SideEnd { at: watch.now(), how };
        // The side's last word is the reset, but its first was the FIN, and that time stays.
        let at = self.end.map_or(end.at, |first| first.at);
        self.end = Some(SideEnd { at, how });
        watch.ended(Side::Downstream, end);
    }

    /// How the generator's side ended, if it did.
    pub(super) fn downstream_end(&self) -> Option<SideEnd> {
        self.end
    }
}
