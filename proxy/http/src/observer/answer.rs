//! What has come of a response.

use hopscope_attribution::evidence::{Author, Cut, Moment};

use crate::author::BodyStart;

/// What has come of the response to the request at the front of the queue.
#[derive(Debug)]
pub(super) struct Answer {
    /// When the first byte of the response came that is being read; of the final one, once that is known.
    pub(super) first_byte: Option<Moment>,
    /// When its last byte came, where the request itself was still being received then.
    pub(super) ended: Option<Moment>,
    /// Bytes of all responses to this request, the interim ones too.
    pub(super) bytes: u64,
    /// The final status, once it is known.
    pub(super) status: Option<u16>,
    /// The response began before the request had been handed on in full.
    pub(super) early: bool,
    /// It is a stream of events, which ends when its reader has enough.
    pub(super) events: bool,
    pub(super) author: Author,
    /// The start of a body that may tell the author.
    pub(super) body: Option<Box<BodyStart>>,
}

impl Answer {
    pub(super) const NONE: Self = Self {
        first_byte: None,
        ended: None,
        bytes: 0,
        status: None,
        early: false,
        events: false,
        author: Author::Unstated,
        body: None,
    };

    /// Who wrote it, as far as it has come.
    pub(super) fn author(&self) -> Author {
        self.body.as_ref().map_or(self.author, |body| body.author())
    }

    /// Whether it is whole when its reader ends it, or hopscope does.
    pub(super) fn whole_at(&self, cut: Cut) -> bool {
        let by_reader = matches!(
            cut,
            Cut::DownstreamFin | Cut::DownstreamReset | Cut::DownstreamStream(_) | Cut::Stopped
        );
        self.events && by_reader && self.status.is_some_and(|status| status < 400)
    }

    /// Whether the body must be shown for its author's sake.
    pub(super) fn wants_body(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body.wants_more())
    }
}
