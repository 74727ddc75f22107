//! The generator's direction: heads become requests in flight, bodies are counted.

use std::mem;

use hopscope_attribution::evidence::{Exchange, Moment, Opaque, Span};

use super::in_flight::{self, InFlight};
use super::reading::{PartialHead, Reading};
use super::{Direction, Insertion, Observer};
use crate::chunked::Progress;
use crate::head::{self, RequestLine, Scan};

impl Observer {
    /// Reads one stretch of request bytes; gives how many it was, at least one.
    pub(super) fn request_step(
        &mut self,
        bytes: &[u8],
        offset: usize,
        at: Moment,
        out: &mut impl FnMut(Exchange),
        insert: &mut impl FnMut(Insertion),
    ) -> usize {
        match &mut self.up {
            Reading::Head(_) => self.request_head(bytes, offset, at, out, insert),
            Reading::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= here as u64;
                let ended = *left == 0;
                self.count_up(here as u64);
                if ended {
                    self.request_ended(out);
                }
                here
            }
            Reading::Chunked(chunked) => match chunked.advance(bytes, |_| {}) {
                Progress::More => {
                    self.count_up(bytes.len() as u64);
                    bytes.len()
                }
                Progress::Ended(here) => {
                    self.count_up(here as u64);
                    self.request_ended(out);
                    here
                }
                Progress::Broken(here) => {
                    self.not_read_from(self.received.saturating_add(here as u64));
                    self.count_up(bytes.len() as u64);
                    self.stop_reading_requests(Opaque::NotHttp, out);
                    bytes.len()
                }
            },
            // What is left of a head that was answered before it was whole goes to nobody.
            Reading::Unread(None) => {
                self.count_up(bytes.len() as u64);
                bytes.len()
            }
            Reading::UntilEnd | Reading::Unread(Some(_)) => {
                self.not_read_from(self.received);
                self.count_up(bytes.len() as u64);
                bytes.len()
            }
        }
    }

    fn request_head(
        &mut self,
        bytes: &[u8],
        offset: usize,
        at: Moment,
        out: &mut impl FnMut(Exchange),
        insert: &mut impl FnMut(Insertion),
    ) -> usize {
        if !self.receiving {
            // RFC 9112, section 2.2: empty lines before a request line are passed over.
            let empty = bytes
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                .count();
            if empty > 0 {
                self.received += empty as u64;
                return empty;
            }
            if self.queue.len() >= in_flight::LIMIT {
                self.not_read_from(self.received);
                self.received += bytes.len() as u64;
                self.stop_reading_requests(Opaque::Pipelined, out);
                return bytes.len();
            }
            self.begin_request(at);
        }
        let Reading::Head(partial) = mem::replace(&mut self.up, Reading::HEAD) else {
            return bytes.len();
        };
        let limit = self.config.head_limit;
        if let Some(mut partial) = partial {
            let before = partial.bytes.len();
            let (taken, whole) = partial.take(bytes, limit);
            self.count_up(taken as u64);
            self.judge_line(&mut partial, offset.wrapping_sub(before), out, insert);
            if !matches!(self.up, Reading::Head(_)) {
                return taken;
            }
            if partial.bytes.len() > limit {
                self.too_long(&partial.bytes, out);
            } else if let Some(scan) = head::scan(&partial.bytes).filter(|_| whole) {
                self.request_head_read(&partial.bytes, scan, out);
            } else {
                self.up = Reading::Head(Some(partial));
            }
            return taken;
        }
        match head::scan(bytes) {
            Some(scan) if scan.length <= limit && !self.config.inject_id => {
                let length = scan.length;
                let head = bytes.get(..length).unwrap_or_default();
                self.count_up(length as u64);
                if let Some(reason) = head::refuse_request(head) {
                    self.not_a_request(reason, out);
                } else {
                    self.request_head_read(head, scan, out);
                }
                length
            }
            // The same road as a head in pieces, so that there is one place where they are judged.
            _ => {
                self.up = Reading::Head(Some(Box::default()));
                self.request_head(bytes, offset, at, out, insert)
            }
        }
    }

    /// Judges what has come of a head's first line, until it is whole. `start` is the head's start, relative to the
    /// slice that is being read.
    fn judge_line(
        &mut self,
        partial: &mut PartialHead,
        start: usize,
        out: &mut impl FnMut(Exchange),
        insert: &mut impl FnMut(Insertion),
    ) {
        if partial.line_seen {
            return;
        }
        if let Some(reason) = head::refuse_request(&partial.bytes) {
            self.not_a_request(reason, out);
            return;
        }
        let Some(feed) = memchr::memchr(b'\n', &partial.bytes) else {
            return;
        };
        partial.line_seen = true;
        if self.config.inject_id
            && feed < self.config.head_limit
            && head::request_line(&partial.bytes).is_ok()
        {
            let ordinal = self.queue.back_mut().map_or(0, |request| request.ordinal);
            let insertion = Insertion {
                at: start.wrapping_add(feed + 1),
                connection: self.connection,
                ordinal,
            };
            self.received += insertion.line().len() as u64;
            insert(insertion);
        }
    }

    fn begin_request(&mut self, at: Moment) {
        let idle = if self.queue.is_empty() {
            at.since(self.last_end)
        } else {
            Span::ZERO
        };
        self.queue.push(InFlight::begun(self.exchanges, at, idle));
        self.exchanges = self.exchanges.saturating_add(1);
        self.receiving = true;
    }

    fn request_head_read(&mut self, head: &[u8], scan: Scan, out: &mut impl FnMut(Exchange)) {
        let request = match head::request_line(head) {
            Ok(request) => request,
            Err(reason) => return self.not_a_request(reason, out),
        };
        let route = self.config.routes.of_target(request.target);
        if let Some(reading) = self.queue.back_mut() {
            reading.method = request.method;
            reading.route = route;
            reading.head_read = true;
        }
        match Reading::body(scan.framing, Direction::Up) {
            None => self.request_ended(out),
            Some(Ok(body)) => {
                self.up = body;
                if head::asks_to_continue(head) {
                    self.queue.pause(self.received);
                }
            }
            Some(Err(reason)) => self.stop_reading_requests(reason, out),
        }
    }

    /// The last byte of the request being received was read.
    pub(super) fn request_ended(&mut self, out: &mut impl FnMut(Exchange)) {
        self.up = Reading::HEAD;
        if !mem::take(&mut self.receiving) {
            return;
        }
        let received = self.received;
        if let Some(request) = self.queue.back_mut() {
            request.complete = true;
            request.ends_at = received;
        }
        self.settle(out);
    }

    /// Passes over bytes that were not shown.
    pub(super) fn skip_up(&mut self, count: u64, out: &mut impl FnMut(Exchange)) {
        if matches!(self.up, Reading::UntilEnd | Reading::Unread(Some(_))) {
            self.not_read_from(self.received);
        }
        self.count_up(count);
        match &mut self.up {
            Reading::Length(left) => {
                *left = left.saturating_sub(count);
                if *left == 0 {
                    self.request_ended(out);
                }
            }
            Reading::Chunked(chunked) => chunked.skip(count),
            Reading::Head(_) | Reading::UntilEnd | Reading::Unread(_) => {}
        }
    }

    /// From this byte of the outgoing stream on, nothing was understood.
    fn not_read_from(&mut self, at: u64) {
        self.read_up = self.read_up.min(at);
    }

    /// Counts bytes of the request being received.
    pub(super) fn count_up(&mut self, count: u64) {
        self.received = self.received.saturating_add(count);
        if self.receiving
            && let Some(request) = self.queue.back_mut()
        {
            request.bytes_up = request.bytes_up.saturating_add(count);
            self.queue.resume();
        }
    }

    /// A head above the limit: still a request, whose response will be read, where its first line can be.
    fn too_long(&mut self, bytes: &[u8], out: &mut impl FnMut(Exchange)) {
        let start = bytes.get(..self.config.head_limit).unwrap_or_default();
        let Some(Ok(RequestLine { method, target })) =
            memchr::memchr(b'\n', start).map(|_| head::request_line(start))
        else {
            return self.not_a_request(Opaque::HeadTooLong, out);
        };
        let route = self.config.routes.of_target(target);
        if let Some(request) = self.queue.back_mut() {
            request.method = method;
            request.route = route;
            request.head_read = true;
        }
        self.stop_reading_requests(Opaque::HeadTooLong, out);
    }

    /// What is being received is no request: it is forgotten. Requests before it will still be answered.
    fn not_a_request(&mut self, reason: Opaque, out: &mut impl FnMut(Exchange)) {
        if reason == Opaque::Http2 && self.exchanges == 1 && self.answered == 0 {
            return self.speak_http2();
        }
        self.forget_back();
        self.stop_reading_requests(reason, out);
    }

    /// Forgets the last request in the queue: it was none.
    pub(super) fn forget_back(&mut self) {
        self.receiving = false;
        if let Some(none) = self.queue.pop_back() {
            self.exchanges = self.exchanges.saturating_sub(1);
            let end = if none.complete {
                none.ends_at
            } else {
                self.received
            };
            self.not_read_from(end.saturating_sub(none.bytes_up));
        }
    }

    fn stop_reading_requests(&mut self, reason: Opaque, out: &mut impl FnMut(Exchange)) {
        self.up = Reading::Unread(Some(reason));
        self.settle(out);
    }
}
