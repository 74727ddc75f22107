//! One stream: a request and what has come of its answer.

use hopscope_attribution::evidence::{Cut, Delivery, Exchange, Method, Moment, Phases, RouteId, Span, grpc};

use super::Place;
use super::answers::Response;
use crate::author::BodyStart;
use crate::http2::Block;
use crate::observer::answer::Answer;
use crate::observer::in_flight::InFlight;

/// A stream that is under way.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    ordinal: u32,
    began: Moment,
    idle: Option<Span>,
    method: Method,
    route: RouteId,
    /// The request is a gRPC call.
    call: bool,
    pub(super) bytes_up: u64,
    /// Its last byte was read.
    pub(super) request_complete: bool,
    /// When its last byte was handed to the upstream socket.
    pub(super) sent_at: Option<Moment>,
    pub(super) answer: Answer,
    /// The answer is a gRPC one: its status stands in its trailers.
    answered_call: bool,
    grpc_status: Option<u8>,
}

impl Stream {
    pub(super) const fn begun(
        block: Block,
        ordinal: u32,
        began: Moment,
        idle: Option<Span>,
        method: Method,
        route: RouteId,
        call: bool,
    ) -> Self {
        Self {
            id: block.stream,
            ordinal,
            began,
            idle,
            method,
            route,
            call,
            bytes_up: block.bytes,
            request_complete: false,
            sent_at: None,
            answer: Answer::NONE,
            answered_call: false,
            grpc_status: None,
        }
    }

    /// An HTTP/1 request that is to be answered in HTTP/2; its answer has begun with so many bytes of a head.
    pub(super) fn upgraded(request: &InFlight, answered: u64) -> Self {
        Self {
            id: 1,
            ordinal: request.ordinal,
            began: request.began,
            idle: (request.ordinal > 0).then_some(request.idle),
            method: request.method,
            route: request.route,
            call: false,
            bytes_up: request.bytes_up,
            request_complete: request.complete,
            sent_at: request.sent_at(),
            answer: Answer {
                bytes: answered,
                ..Answer::NONE
            },
            answered_call: false,
            grpc_status: None,
        }
    }

    /// Its final answer begins.
    pub(super) fn answered(&mut self, status: u16, response: &Response, at: Moment) {
        self.answer.status = Some(status);
        self.answer.first_byte = Some(at);
        self.answer.early = self.sent_at.is_none();
        self.answer.events = response.events;
        self.answered_call = self.call && response.grpc;
        self.grpc_status = response.grpc_status.filter(|_| self.call);
        let failed_call = self.grpc_status.is_some_and(|status| status != 0);
        if status >= 400 || failed_call {
            (self.answer.author, self.answer.body) = BodyStart::after(status, response.marks);
        }
    }

    /// Its trailers have come.
    pub(super) fn trailers(&mut self, response: &Response) {
        if self.answered_call {
            self.grpc_status = self.grpc_status.or(response.grpc_status);
        }
    }

    /// Whether nothing more is to come of it.
    pub(super) const fn over(&self) -> bool {
        self.answer.ended.is_some() && self.request_complete
    }

    /// The status that the call or request has: that of the call, where it is one that was answered as one.
    fn status(&self) -> Option<u16> {
        let status = self.answer.status?;
        Some(match self.grpc_status {
            Some(0) => status,
            Some(code) => grpc::status(code),
            // Every client takes a call that ends without a status for UNKNOWN.
            None if self.answered_call && status == 200 && self.answer.ended.is_some() => grpc::status(2),
            None => status,
        })
    }

    /// Its exchange, and when its answer ended.
    pub(super) fn finish(self, place: Place<'_>) -> (Exchange, Moment) {
        let end = self.answer.ended.unwrap_or(self.began);
        (self.cut(Cut::UpstreamFin, end, place), end)
    }

    /// Its exchange, where something has ended it now. A whole answer stays whole.
    pub(super) fn cut(self, cut: Cut, at: Moment, place: Place<'_>) -> Exchange {
        let author = self.answer.author();
        let (delivery, end) = match (self.answer.ended, self.status()) {
            (Some(end), Some(status)) => (Delivery::Complete { status, author }, end),
            (None, Some(status)) if self.answer.whole_at(cut) => (Delivery::Complete { status, author }, at),
            (_, Some(status)) => (Delivery::Truncated { status, author, cut }, at),
            (_, None) => (Delivery::Nothing { cut }, at),
        };
        let first_byte = self.answer.first_byte;
        Exchange {
            connection: place.connection,
            path: place.path,
            ordinal: self.ordinal,
            method: self.method,
            route: self.route,
            began: self.began,
            phases: Phases {
                idle: self.idle,
                request_sent: self.sent_at.map(|sent| sent.since(self.began)),
                first_byte: first_byte.map(|first| first.since(self.began)),
                total: end.since(self.began),
            },
            bytes_up: self.bytes_up,
            bytes_down: self.answer.bytes,
            request_complete: self.request_complete,
            answered_early: self.answer.early && first_byte.is_some(),
            delivery,
        }
    }
}
