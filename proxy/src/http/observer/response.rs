//! The upstream's direction: heads and bodies answer the requests in flight, in their order.

use std::mem;

use hopscope_attribution::evidence::{Author, Cut, Delivery, Exchange, Method, Moment, Opaque, Phases};

use super::reading::Reading;
use super::{Direction, Observer};
use crate::http::author::BodyStart;
use crate::http::chunked::Progress;
use crate::http::head::{self, Scan};

/// What has come of the response to the request at the front of the queue.
#[derive(Debug)]
pub(super) struct Answer {
    /// When the first byte of the response came that is being read; of the final one, once that is known.
    first_byte: Option<Moment>,
    /// When its last byte came, where the request itself was still being received then.
    pub(super) ended: Option<Moment>,
    /// Bytes of all responses to this request, the interim ones too.
    bytes: u64,
    /// The final status, once it is known.
    status: Option<u16>,
    /// The response began before the request had been handed on in full.
    early: bool,
    author: Author,
    /// The start of a body that may tell the author.
    body: Option<Box<BodyStart>>,
}

impl Answer {
    pub(super) const NONE: Self = Self {
        first_byte: None,
        ended: None,
        bytes: 0,
        status: None,
        early: false,
        author: Author::Unstated,
        body: None,
    };

    /// Who wrote it, as far as it has come.
    fn author(&self) -> Author {
        self.body.as_ref().map_or(self.author, |body| body.author())
    }

    /// Whether the body must be shown for its author's sake.
    pub(super) fn wants_body(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body.wants_more())
    }
}

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
                let here = if let Progress::Ended(here) = progress {
                    here
                } else {
                    bytes.len()
                };
                self.answer.bytes = self.answer.bytes.saturating_add(here as u64);
                match progress {
                    Progress::More => {}
                    Progress::Ended(_) => self.response_ended(at, out),
                    Progress::Broken(_) => {
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
            Reading::Unread(why) => {
                // After an answer to nothing, what comes for a new request cannot be told from its rest.
                if why.is_none() && !self.queue.is_empty() {
                    self.turn_opaque(Opaque::NotHttp);
                }
                bytes.len()
            }
        }
    }

    /// Passes over bytes that were not shown.
    pub(super) fn skip_down(&mut self, count: u64, at: Moment, out: &mut impl FnMut(Exchange)) {
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
            Reading::Unread(None) if count > 0 && !self.queue.is_empty() => self.turn_opaque(Opaque::NotHttp),
            Reading::Head(_) | Reading::Unread(_) => {}
        }
    }

    fn response_head(&mut self, bytes: &[u8], at: Moment, out: &mut impl FnMut(Exchange)) -> usize {
        if self.answer.first_byte.is_none() || self.answer.ended.is_some() {
            if matches!(bytes.first(), Some(b'\r' | b'\n')) {
                // Sent after a body by some, and passed over by all.
                return 1;
            }
            if self.answer.ended.is_some() {
                // More than the answer to a request that is still being received: nothing can follow that but this.
                self.finish_answered(out);
            }
            let Some(front) = self.queue.front() else {
                self.unasked();
                return bytes.len();
            };
            self.answer.early = front.sent_at().is_none();
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
            self.response_head_read(bytes.get(..scan.length).unwrap_or_default(), scan, at, out);
            return scan.length;
        }
        let mut partial = partial.unwrap_or_default();
        let (taken, whole) = partial.take(bytes, limit);
        self.answer.bytes = self.answer.bytes.saturating_add(taken as u64);
        if !partial.line_seen {
            partial.line_seen = partial.bytes.len() >= 16;
            if !head::may_be_response(&partial.bytes) {
                self.unreadable(at, out);
                return taken;
            }
        }
        if partial.bytes.len() > limit {
            self.turn_opaque(Opaque::HeadTooLong);
        } else if let Some(scan) = head::scan(&partial.bytes).filter(|_| whole) {
            self.response_head_read(&partial.bytes, scan, at, out);
        } else {
            self.down = Reading::Head(Some(partial));
        }
        taken
    }

    fn response_head_read(&mut self, head: &[u8], scan: Scan, at: Moment, out: &mut impl FnMut(Exchange)) {
        let Some(status) = head::status(head) else {
            return self.unreadable(at, out);
        };
        let method = self.queue.front().map_or(Method::Other, |front| front.method);
        let switched = status == 101 || (method == Method::Connect && (200..300).contains(&status));
        if (100..200).contains(&status) && !switched {
            self.answer.first_byte = None;
            return;
        }
        self.answer.status = Some(status);
        if switched {
            // Whatever else the generator sends is the new protocol's, not this request's.
            self.up = Reading::Unread(Some(Opaque::Upgraded));
            self.response_ended(at, out);
            self.turn_opaque(Opaque::Upgraded);
            return;
        }
        if status >= 400 {
            (self.answer.author, self.answer.body) = BodyStart::after(status, head::marks(head));
        }
        if method == Method::Head || matches!(status, 204 | 304) {
            return self.response_ended(at, out);
        }
        match Reading::body(scan.framing, Direction::Down) {
            None => self.response_ended(at, out),
            Some(Ok(body)) => self.down = body,
            Some(Err(_)) => self.unreadable(at, out),
        }
    }

    /// The last byte of the response to the request at the front was read.
    pub(super) fn response_ended(&mut self, at: Moment, out: &mut impl FnMut(Exchange)) {
        self.down = Reading::HEAD;
        self.last_end = at;
        self.answer.ended = Some(at);
        self.settle(out);
    }

    /// Finishes the request at the front if its response has ended and nothing more of it is to come. Then, if
    /// requests are read no more and none waits, neither are responses.
    pub(super) fn settle(&mut self, out: &mut impl FnMut(Exchange)) {
        if self.answer.ended.is_some() {
            let reading = !matches!(self.up, Reading::Unread(_));
            if self.queue.front().is_none_or(|front| front.complete || !reading) {
                self.finish_answered(out);
            }
        }
        if let Reading::Unread(Some(reason)) = self.up
            && self.queue.is_empty()
        {
            self.down = Reading::Unread(Some(reason));
        }
    }

    fn finish_answered(&mut self, out: &mut impl FnMut(Exchange)) {
        let answer = mem::replace(&mut self.answer, Answer::NONE);
        if let (Some(at), Some(status)) = (answer.ended, answer.status) {
            self.finish(
                &answer,
                Delivery::Complete {
                    status,
                    author: answer.author(),
                },
                at,
                out,
            );
        }
    }

    /// Takes the request at the front out of the queue and reports it.
    fn finish(&mut self, answer: &Answer, delivery: Delivery, at: Moment, out: &mut impl FnMut(Exchange)) {
        let Some(request) = self.queue.pop_front() else {
            return;
        };
        if !request.complete {
            self.receiving = false;
        }
        out(Exchange {
            connection: self.connection,
            path: self.path,
            ordinal: request.ordinal,
            method: request.method,
            route: request.route,
            began: request.began,
            phases: Phases {
                idle: (request.ordinal > 0).then_some(request.idle),
                request_sent: request.sent_at().map(|sent| sent.since(request.began)),
                first_byte: delivery
                    .status()
                    .and(answer.first_byte)
                    .map(|first| first.since(request.began)),
                total: at.since(request.began),
            },
            bytes_up: request.bytes_up,
            bytes_down: answer.bytes,
            request_complete: request.complete,
            answered_early: answer.early && delivery.status().is_some(),
            delivery,
        });
    }

    /// Nothing more will come for what is in flight.
    pub(super) fn cut_off(&mut self, cut: Cut, at: Moment, out: &mut impl FnMut(Exchange)) {
        self.judge_unfinished_head();
        let answer = mem::replace(&mut self.answer, Answer::NONE);
        let head_status = match &self.down {
            Reading::Head(Some(partial)) => head::status(&partial.bytes).filter(|status| *status >= 200),
            Reading::Head(None)
            | Reading::Length(_)
            | Reading::Chunked(_)
            | Reading::UntilEnd
            | Reading::Unread(_) => None,
        };
        let author = answer.author();
        let complete = cut == Cut::UpstreamFin && matches!(self.down, Reading::UntilEnd);
        let (delivery, end) = match (answer.ended, answer.status.or(head_status)) {
            (Some(end), Some(status)) => (Delivery::Complete { status, author }, end),
            (_, Some(status)) if complete => (Delivery::Complete { status, author }, at),
            (_, Some(status)) => (Delivery::Truncated { status, author, cut }, at),
            (_, None) => (Delivery::Nothing { cut }, at),
        };
        if !self.queue.is_empty() {
            self.last_end = end;
            self.finish(&answer, delivery, end, out);
        }
        while !self.queue.is_empty() {
            self.last_end = at;
            self.finish(&Answer::NONE, Delivery::Nothing { cut }, at, out);
        }
        if !matches!(self.down, Reading::Unread(Some(_))) {
            self.down = Reading::HEAD;
        }
        self.settle(out);
    }

    /// Hopscope itself answered the request at the front.
    pub(super) fn answer_ourselves(
        &mut self,
        status: u16,
        bytes: u64,
        at: Moment,
        out: &mut impl FnMut(Exchange),
    ) {
        let answer = Answer {
            first_byte: Some(at),
            bytes,
            early: true,
            ..Answer::NONE
        };
        self.judge_unfinished_head();
        self.last_end = at;
        self.finish(
            &answer,
            Delivery::Complete {
                status,
                author: Author::Hopscope,
            },
            at,
            out,
        );
    }

    /// A head of which only a part has come will not be finished: its first line says which request it would have
    /// been. Without a whole first line it was none.
    fn judge_unfinished_head(&mut self) {
        if !self.receiving || !matches!(self.up, Reading::Head(_)) {
            return;
        }
        if let Reading::Head(partial) = mem::replace(&mut self.up, Reading::Unread(None)) {
            let line = partial
                .as_ref()
                .filter(|partial| partial.line_seen)
                .map(|partial| partial.bytes.as_slice());
            if let (Some(Ok(line)), Some(request)) = (line.map(head::request_line), self.queue.back_mut()) {
                request.method = line.method;
                request.route = self.config.routes.of_target(line.target);
                request.head_read = true;
            } else {
                self.forget_back();
            }
        }
    }

    /// What came is no response, or breaks the rules in the middle of one.
    fn unreadable(&mut self, at: Moment, out: &mut impl FnMut(Exchange)) {
        if self.answer.status.is_none() {
            // How much of it was looked at says nothing.
            self.answer.bytes = 0;
            self.down = Reading::HEAD;
        }
        self.cut_off(Cut::Unreadable, at, out);
        self.turn_opaque(Opaque::NotHttp);
    }

    /// Bytes that answer nothing. Before any request they are another protocol's; later they are most likely the
    /// farewell of a server that has waited long enough (408), and the next requests will show what it was.
    fn unasked(&mut self) {
        if self.exchanges == 0 {
            self.turn_opaque(Opaque::NotHttp);
        } else {
            self.down = Reading::Unread(None);
        }
    }

    /// Nothing is read any more, in either direction. What is in flight is forgotten: what comes of it cannot be known.
    fn turn_opaque(&mut self, reason: Opaque) {
        while let Some(back) = self.queue.back_mut() {
            // After an upgrade, what looked like requests was the new protocol.
            if back.head_read && reason != Opaque::Upgraded {
                self.queue.pop_back();
            } else {
                self.forget_back();
            }
        }
        self.answer = Answer::NONE;
        self.receiving = false;
        self.up = Reading::Unread(Some(reason));
        self.down = Reading::Unread(Some(reason));
    }
}
