//! From one protocol to another in the middle of a connection.

use hopscope_attribution::evidence::{Cut, Exchange, Moment, Opaque};

use super::Observer;
use super::answer::Answer;
use super::http2::{Http2, Place};
use super::in_flight::Queue;
use super::reading::Reading;
use crate::http2::hpack::Broken;

impl Observer {
    /// What looked like the first request was the start of HTTP/2's preface.
    pub(super) fn speak_http2(&mut self) {
        self.queue = Queue::default();
        self.receiving = false;
        self.exchanges = 0;
        self.up = Reading::HEAD;
        self.http2 = Some(Box::new(Http2::new(self.received, self.answered)));
    }

    /// Whether bytes that come before any request are the start of a server's HTTP/2: no HTTP/1 begins with the high
    /// byte of a short frame's length.
    pub(super) fn server_begins_http2(&mut self, bytes: &[u8]) -> bool {
        let first = self.received == 0 && self.answered == 0 && bytes.first() == Some(&0);
        if first {
            self.http2 = Some(Box::new(Http2::by_the_server()));
        }
        first
    }

    /// The request asked for HTTP/2 and was granted it: it is stream 1, and is answered in frames, which begin at `down`.
    pub(super) fn upgrade_to_http2(&mut self, down: u64) {
        let bytes = self.answer.bytes;
        self.answer = Answer::NONE;
        if let Some(request) = self.queue.pop_front() {
            self.http2 = Some(Box::new(Http2::upgraded(&request, bytes, self.received, down)));
        }
    }

    pub(super) fn http2_request_bytes(&mut self, bytes: &[u8], at: Moment, out: &mut impl FnMut(Exchange)) {
        let read = self.with_http2(|http2, place| http2.request_bytes(bytes, at, place, out));
        self.received = self.received.saturating_add(bytes.len() as u64);
        if read.is_err() {
            self.leave_http2();
        }
    }

    pub(super) fn http2_response_bytes(&mut self, bytes: &[u8], at: Moment, out: &mut impl FnMut(Exchange)) {
        let read = self.with_http2(|http2, place| http2.response_bytes(bytes, at, place, out));
        self.answered = self.answered.saturating_add(bytes.len() as u64);
        if read.is_err() {
            self.answered_otherwise(at, out);
            self.leave_http2();
        }
    }

    fn with_http2(
        &mut self,
        read: impl FnOnce(&mut Http2, Place<'_>) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let place = Place {
            config: &self.config,
            connection: self.connection,
            path: self.path,
        };
        self.http2.as_mut().map_or(Ok(()), |http2| read(http2, place))
    }

    /// A server that does not speak HTTP/2 at all has answered what is under way with something else.
    fn answered_otherwise(&mut self, at: Moment, out: &mut impl FnMut(Exchange)) {
        if self.http2.as_ref().is_some_and(|http2| !http2.greeted()) {
            self.ended(Cut::Unreadable, at, out);
        }
    }

    /// It cannot be followed any more. What is under way is forgotten: what comes of it cannot be known.
    fn leave_http2(&mut self) {
        let mut reason = Opaque::Http2;
        if let Some(http2) = self.http2.take() {
            if !http2.begun() {
                reason = Opaque::NotHttp;
            }
            let (up, down) = http2.read();
            self.exchanges = http2.exchanges();
            self.read_up = self.read_up.min(up);
            self.read_down = self.read_down.min(down);
        }
        self.up = Reading::Unread(Some(reason));
        self.down = Reading::Unread(Some(reason));
    }
}
