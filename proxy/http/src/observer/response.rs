//! The upstream's direction: heads and bodies answer the requests in flight, in their order.

use std::mem;

use hopscope_attribution::evidence::{Exchange, Method, Moment, Opaque};

use super::reading::{PartialHead, Reading};
use super::websocket::WebSocket;
use super::{Direction, Observer};
use crate::author::BodyStart;
use crate::chunked::Progress;
use crate::head::{self, Scan};

impl Observer {
    /// Reads one stretch of response bytes; gives how many it was, at least one.
    pub(super) fn response_step(
        &mut self,
        bytes: &[u8],
        at: Moment,
        out: &mut impl FnMut(Exchange),
    ) -> usize {
        match &mut self.down {
            Reading::Head(_) => self.response_head(bytes, at, out),
            Reading::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= here as u64;
                let ended = *left == 0;
                self.answer.bytes = self.answer.bytes.saturating_add(here as u64);
                if let Some(body) = &mut self.answer.body {
                    body.take(bytes.get(..here).unwrap_or_default());
                }
                if ended {
                    self.response_ended(at, out);
                }
                here
            }
            Reading::Chunked(chunked) => {
                let start = &mut self.answer.body;
                let progress = chunked.advance(bytes, |data| {
                    if let Some(start) = start {
                        start.take(data);
                    }
                });
                let here = match progress {
                    Progress::More => bytes.len(),
                    // What is behind a break belongs to nothing that can be read.
                    Progress::Ended(here) | Progress::Broken(here) => here,
                };
                self.answer.bytes = self.answer.bytes.saturating_add(here as u64);
                match progress {
                    Progress::More => {}
                    Progress::Ended(_) => self.response_ended(at, out),
                    Progress::Broken(here) => {
                        self.not_understood_from(self.answered.saturating_add(here as u64));
                        self.unreadable(at, out);
                        return bytes.len();
                    }
                }
                here
            }
            Reading::UntilEnd => {
                self.answer.bytes = self.answer.bytes.saturating_add(bytes.len() as u64);
                if let Some(body) = &mut self.answer.body {
                    body.take(bytes);
                }
                bytes.len()
            }
            Reading::Unread(_) => {
                self.not_understood_from(self.answered);
                bytes.len()
            }
        }
    }

    /// Passes over bytes that were not shown.
    pub(super) fn skip_down(&mut self, count: u64, at: Moment, out: &mut impl FnMut(Exchange)) {
        if matches!(self.down, Reading::Unread(_)) {
            self.not_understood_from(self.answered);
        }
        self.answered = self.answered.saturating_add(count);
        match &mut self.down {
            Reading::Length(left) => {
                *left = left.saturating_sub(count);
                let ended = *left == 0;
                self.answer.bytes = self.answer.bytes.saturating_add(count);
                if ended {
                    self.response_ended(at, out);
                }
            }
            Reading::Chunked(chunked) => {
                chunked.skip(count);
                self.answer.bytes = self.answer.bytes.saturating_add(count);
            }
            Reading::UntilEnd => self.answer.bytes = self.answer.bytes.saturating_add(count),
            Reading::Head(_) | Reading::Unread(_) => {}
        }
    }

    /// From this byte of the incoming stream on, nothing was understood.
    pub(super) fn not_understood_from(&mut self, at: u64) {
        self.read_down = self.read_down.min(at);
    }

    fn response_head(&mut self, bytes: &[u8], at: Moment, out: &mut impl FnMut(Exchange)) -> usize {
        if self.answer.first_byte.is_none() || self.answer.ended.is_some() {
            if matches!(bytes.first(), Some(b'\r' | b'\n')) {
                // Sent after a body by some, and passed over by all.
                return 1;
            }
            if self.answer.ended.is_some() {
                if self.queue.is_empty() {
                    // Two answers that nobody asked for: whose the next ones are cannot be told.
                    self.not_understood_from(self.answered);
                    self.turn_opaque(Opaque::NotHttp);
                    return bytes.len();
                }
                // More than the answer to a request that is still being received: nothing can follow that but this.
                self.judge_unfinished_head();
                self.finish_answered(out);
            }
            // Before any request it may be the farewell of a server that has waited long enough (408). Who sends a
            // request after all reads it as the answer.
            self.answer.early = self.queue.front().is_none_or(|front| front.sent_at().is_none());
            self.answer.first_byte = Some(at);
        }
        let Reading::Head(partial) = mem::replace(&mut self.down, Reading::HEAD) else {
            return bytes.len();
        };
        let limit = self.config.head_limit;
        if partial.is_none()
            && let Some(scan) = head::scan(bytes)
            && scan.length <= limit
        {
            self.answer.bytes = self.answer.bytes.saturating_add(scan.length as u64);
            self.response_head_read(bytes.get(..scan.length).unwrap_or_default(), 0, scan, at, out);
            return scan.length;
        }
        let mut partial = partial.unwrap_or_default();
        let (taken, whole) = partial.take(bytes, limit);
        self.answer.bytes = self.answer.bytes.saturating_add(taken as u64);
        if !partial.line_seen {
            partial.line_seen = partial.bytes.len() >= 16;
            if !head::may_be_response(&partial.bytes) {
                self.not_understood_from(self.head_start(&partial, taken));
                self.unreadable(at, out);
                return taken;
            }
        }
        if partial.bytes.len() > limit {
            self.not_understood_from(self.head_start(&partial, taken));
            self.turn_opaque(Opaque::HeadTooLong);
        } else if let Some(scan) = head::scan(&partial.bytes).filter(|_| whole) {
            let before = partial.bytes.len().saturating_sub(taken) as u64;
            self.response_head_read(&partial.bytes, before, scan, at, out);
        } else {
            self.down = Reading::Head(Some(partial));
        }
        taken
    }

    /// Where in the incoming stream a head began of which `taken` bytes have just come.
    fn head_start(&self, partial: &PartialHead, taken: usize) -> u64 {
        let before = partial.bytes.len().saturating_sub(taken);
        self.answered.saturating_sub(before as u64)
    }

    /// Reads a whole head, `before` bytes of which had come earlier.
    fn response_head_read(
        &mut self,
        head: &[u8],
        before: u64,
        scan: Scan,
        at: Moment,
        out: &mut impl FnMut(Exchange),
    ) {
        let Some(status) = head::status(head) else {
            self.not_understood_from(self.answered.saturating_sub(before));
            return self.unreadable(at, out);
        };
        let method = self.queue.front().map_or(Method::Other, |front| front.method);
        let switched = status == 101 || (method == Method::Connect && (200..300).contains(&status));
        if (100..200).contains(&status) && !switched {
            if status == 100 {
                self.queue.resume();
            }
            self.answer.first_byte = None;
            return;
        }
        self.answer.status = Some(status);
        let nothing_yet = matches!(self.up, Reading::Head(None)) && self.queue.len() == 1;
        if switched && nothing_yet && head::is_websocket(head) {
            self.answer.events = true;
            self.websocket = Some(Box::new(WebSocket::new()));
            return;
        }
        if status == 101 && nothing_yet && head::is_http2(head) {
            let start = self.answered.saturating_sub(before);
            return self.upgrade_to_http2(start.saturating_add(head.len() as u64));
        }
        if switched {
            // Whatever else the generator sends is the new protocol's, not this request's.
            self.up = Reading::Unread(Some(Opaque::Upgraded));
            self.response_ended(at, out);
            self.turn_opaque(Opaque::Upgraded);
            return;
        }
        self.answer.events = scan.events;
        if status >= 400 {
            (self.answer.author, self.answer.body) = BodyStart::after(status, head::marks(head));
        }
        if method == Method::Head || matches!(status, 204 | 304) {
            return self.response_ended(at, out);
        }
        match Reading::body(scan.framing, Direction::Down) {
            None => self.response_ended(at, out),
            Some(Ok(body)) => self.down = body,
            Some(Err(_)) => {
                self.not_understood_from(
                    self.answered
                        .saturating_add(head.len() as u64)
                        .saturating_sub(before),
                );
                self.unreadable(at, out);
            }
        }
    }

    /// The last byte of the response to the request at the front was read.
    pub(super) fn response_ended(&mut self, at: Moment, out: &mut impl FnMut(Exchange)) {
        self.down = Reading::HEAD;
        if !self.queue.is_empty() {
            self.last_end = at;
        }
        self.answer.ended = Some(at);
        self.settle(out);
    }
}
