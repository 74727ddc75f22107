//! Requests that wait for their response, in the order in which it must come.

use std::collections::VecDeque;

use hopscope_attribution::evidence::{Method, Moment, RouteId, Span};

use crate::route::RouteTable;

/// A request that was begun and whose response has not been read to its end.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a step of its own, taken or not"
)]
pub(super) struct InFlight {
    pub(super) began: Moment,
    /// The silence before it; without meaning for the first request of a connection.
    pub(super) idle: Span,
    /// Where in the outgoing stream its last byte ends, once that byte was read.
    pub(super) ends_at: u64,
    /// When its last byte was handed to the upstream socket, if it was.
    sent_at: Moment,
    pub(super) bytes_up: u64,
    pub(super) ordinal: u32,
    pub(super) route: RouteId,
    pub(super) method: Method,
    /// Its head was read: method and route are known.
    pub(super) head_read: bool,
    /// Its last byte was read.
    pub(super) complete: bool,
    /// All was read that comes before a `100 Continue` (RFC 9110, section 10.1.1), and neither that nor more has come.
    pauses: bool,
    sent: bool,
}

impl InFlight {
    pub(super) const fn begun(ordinal: u32, began: Moment, idle: Span) -> Self {
        Self {
            began,
            idle,
            ends_at: 0,
            sent_at: began,
            bytes_up: 0,
            ordinal,
            route: RouteTable::UNREAD,
            method: Method::Other,
            head_read: false,
            complete: false,
            pauses: false,
            sent: false,
        }
    }

    /// When its last byte was handed to the upstream socket.
    pub(super) const fn sent_at(&self) -> Option<Moment> {
        if self.sent { Some(self.sent_at) } else { None }
    }
}

/// The queue. One request is kept in place: most connections never have two.
#[derive(Debug, Default)]
pub(super) struct Queue {
    front: Option<InFlight>,
    /// Those behind the front, never empty.
    #[expect(
        clippy::box_collection,
        reason = "8 bytes instead of 32 in every idle connection"
    )]
    behind: Option<Box<VecDeque<InFlight>>>,
    /// How many at the end of the queue have not been handed to the upstream in full.
    unsent: u16,
}

/// Requests that may wait on one connection: a quarter of a megabyte. What a generator pipelines beyond is not read.
pub(super) const LIMIT: usize = 4_096;

impl Queue {
    pub(super) fn len(&self) -> usize {
        usize::from(self.front.is_some()) + self.behind.as_ref().map_or(0, |behind| behind.len())
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.front.is_none()
    }

    pub(super) const fn front(&self) -> Option<&InFlight> {
        self.front.as_ref()
    }

    pub(super) fn back_mut(&mut self) -> Option<&mut InFlight> {
        match &mut self.behind {
            Some(behind) => behind.back_mut(),
            None => self.front.as_mut(),
        }
    }

    pub(super) fn push(&mut self, request: InFlight) {
        self.unsent += 1;
        if self.front.is_none() {
            self.front = Some(request);
        } else {
            self.behind.get_or_insert_default().push_back(request);
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<InFlight> {
        let request = self.front.take()?;
        if let Some(behind) = &mut self.behind {
            self.front = behind.pop_front();
            if behind.is_empty() {
                self.behind = None;
            }
        }
        if !request.sent {
            self.unsent -= 1;
        }
        Some(request)
    }

    pub(super) fn pop_back(&mut self) -> Option<InFlight> {
        let request = match &mut self.behind {
            Some(behind) => {
                let request = behind.pop_back();
                if behind.is_empty() {
                    self.behind = None;
                }
                request
            }
            None => self.front.take(),
        }?;
        if !request.sent {
            self.unsent -= 1;
        }
        Some(request)
    }

    /// The last request asks for a `100 Continue` at this place of the outgoing stream.
    pub(super) fn pause(&mut self, ends_at: u64) {
        if let Some(request) = self.back_mut() {
            request.pauses = true;
            request.ends_at = ends_at;
        }
    }

    /// The last request goes on: its body comes, or was asked for.
    pub(super) fn resume(&mut self) {
        if let Some(request) = self.back_mut()
            && std::mem::take(&mut request.pauses)
            && std::mem::take(&mut request.sent)
        {
            self.unsent += 1;
        }
    }

    /// Marks those whose last byte is within the first `total` bytes of the outgoing stream as sent.
    pub(super) fn forwarded(&mut self, total: u64, at: Moment) {
        while self.unsent > 0 {
            let index = self.len() - usize::from(self.unsent);
            let request = match index.checked_sub(1) {
                None => self.front.as_mut(),
                Some(behind) => self.behind.as_mut().and_then(|queue| queue.get_mut(behind)),
            };
            let whole = |request: &InFlight| request.complete || request.pauses;
            let Some(request) = request.filter(|request| whole(request) && request.ends_at <= total) else {
                return;
            };
            request.sent = true;
            request.sent_at = at;
            self.unsent -= 1;
        }
    }
}
