//! How exchanges and the reading of them end.

use std::mem;

use hopscope_attribution::evidence::{Author, Cut, Delivery, Exchange, Moment, Opaque, Phases};

use super::Observer;
use super::answer::Answer;
use super::reading::Reading;
use crate::head;

impl Observer {
    /// Finishes the request at the front if its response has ended and nothing more of it is to come. Then, if
    /// requests are read no more and none waits, neither are responses.
    pub(super) fn settle(&mut self, out: &mut impl FnMut(Exchange)) {
        if self.answer.ended.is_some() {
            let reading = !matches!(self.up, Reading::Unread(_));
            // Without a request, it waits for the one that will be answered by it.
            if self.queue.front().is_some_and(|front| front.complete || !reading) {
                self.finish_answered(out);
            }
        }
        if let Reading::Unread(Some(reason)) = self.up
            && self.queue.is_empty()
        {
            self.down = Reading::Unread(Some(reason));
        }
    }

    pub(super) fn finish_answered(&mut self, out: &mut impl FnMut(Exchange)) {
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
        if self.queue.is_empty() {
            return self.keep_unasked(cut, at, out);
        }
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
        let complete =
            (cut == Cut::UpstreamFin && matches!(self.down, Reading::UntilEnd)) || answer.whole_at(cut);
        let (delivery, end) = match (answer.ended, answer.status.or(head_status)) {
            (Some(end), Some(status)) => (Delivery::Complete { status, author }, end),
            (_, Some(status)) if complete => (Delivery::Complete { status, author }, at),
            (_, Some(status)) => (Delivery::Truncated { status, author, cut }, at),
            (_, None) => (Delivery::Nothing { cut }, at),
        };
        self.last_end = end;
        self.finish(&answer, delivery, end, out);
        while !self.queue.is_empty() {
            self.last_end = at;
            self.finish(&Answer::NONE, Delivery::Nothing { cut }, at, out);
        }
        if !matches!(self.down, Reading::Unread(Some(_))) {
            self.down = Reading::HEAD;
        }
        self.settle(out);
    }

    /// An answer that nobody has asked for is kept if it is whole: a request may still come, and find it.
    fn keep_unasked(&mut self, cut: Cut, at: Moment, out: &mut impl FnMut(Exchange)) {
        let until_end = cut == Cut::UpstreamFin && matches!(self.down, Reading::UntilEnd);
        if self.answer.ended.is_none() {
            if until_end {
                self.answer.ended = Some(at);
            } else {
                self.answer = Answer::NONE;
            }
        }
        if !matches!(self.down, Reading::Unread(_)) {
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
    /// been. Without a whole first line it was none, unless it has been answered: then it was one of unknown route.
    pub(super) fn judge_unfinished_head(&mut self) {
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
            } else if self.answer.status.is_none() || self.queue.len() > 1 {
                self.forget_back();
            }
        }
    }

    /// What came is no response, or breaks the rules in the middle of one.
    pub(super) fn unreadable(&mut self, at: Moment, out: &mut impl FnMut(Exchange)) {
        if self.answer.status.is_none() {
            // How much of it was looked at says nothing.
            self.answer.bytes = 0;
            self.down = Reading::HEAD;
        }
        self.cut_off(Cut::Unreadable, at, out);
        self.turn_opaque(Opaque::NotHttp);
    }

    /// Nothing is read any more, in either direction. What is in flight is forgotten: what comes of it cannot be known.
    pub(super) fn turn_opaque(&mut self, reason: Opaque) {
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
