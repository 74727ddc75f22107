//! The generator's direction: HEADERS begin streams, END_STREAM completes their requests.

use hopscope_attribution::evidence::{Cut, Exchange, Method, Moment, Span};

use super::stream::Stream;
use super::{Http2, LIMIT, Place, in_order, number};
use crate::head;
use crate::http2::hpack::{Broken, Name};
use crate::http2::{Block, Frame, Kind, Piece};

/// What the fields of a request say.
#[derive(Debug, Default)]
struct Request {
    method: Option<Method>,
    path: Vec<u8>,
    grpc: bool,
}

impl Request {
    fn note(&mut self, name: Name, value: &[u8]) {
        match name {
            Name::Method => self.method = Some(head::method_of(value)),
            Name::Path => self.path = value.to_vec(),
            Name::Mark("content-type") => self.grpc = value.starts_with(b"application/grpc"),
            Name::Status | Name::GrpcStatus | Name::Mark(_) | Name::Other => {}
        }
    }
}

impl Http2 {
    pub(super) fn request_piece(
        &mut self,
        piece: &Piece<'_>,
        position: u64,
        at: Moment,
        place: Place<'_>,
        out: &mut impl FnMut(Exchange),
    ) -> Result<(), Broken> {
        in_order(piece, &self.up.blocks)?;
        match piece {
            Piece::Begins(frame) if frame.kind == Kind::Data => {
                if let Some(stream) = self.find(frame.stream) {
                    stream.bytes_up = stream.bytes_up.saturating_add(frame.bytes());
                }
                Ok(())
            }
            Piece::Ends(frame) if frame.kind == Kind::Data && frame.flags.end_stream() => {
                self.request_ended(frame.stream, position, place, out);
                Ok(())
            }
            Piece::Begins(_) | Piece::Part(..) | Piece::Ends(_) => Ok(()),
            Piece::Whole(frame, payload) => self.request_frame(*frame, payload, position, at, place, out),
        }
    }

    fn request_frame(
        &mut self,
        frame: Frame,
        payload: &[u8],
        position: u64,
        at: Moment,
        place: Place<'_>,
        out: &mut impl FnMut(Exchange),
    ) -> Result<(), Broken> {
        match frame.kind {
            Kind::Headers | Kind::Continuation => {
                let mut request = Request::default();
                let block = self
                    .up
                    .blocks
                    .take(frame, payload, &mut |name, value| request.note(name, value))?;
                let Some(block) = block else { return Ok(()) };
                self.request_block(block, &request, at, place)?;
                if block.end_stream {
                    self.request_ended(block.stream, position, place, out);
                }
                Ok(())
            }
            Kind::ResetStream => {
                let code = number(payload, 0)?;
                if let Some(mut stream) = self.take(frame.stream) {
                    stream.bytes_up = stream.bytes_up.saturating_add(frame.bytes());
                    self.last_end = at;
                    out(stream.cut(Cut::DownstreamStream(code), at, place));
                }
                Ok(())
            }
            // A client pushes nothing.
            Kind::PushPromise => Err(Broken),
            Kind::GoAway | Kind::Settings | Kind::Data | Kind::Other => Ok(()),
        }
    }

    /// A stream begins, or its trailers have come.
    fn request_block(
        &mut self,
        block: Block,
        request: &Request,
        at: Moment,
        place: Place<'_>,
    ) -> Result<(), Broken> {
        if block.stream <= self.last_begun {
            if let Some(stream) = self.find(block.stream) {
                stream.bytes_up = stream.bytes_up.saturating_add(block.bytes);
            }
            return Ok(());
        }
        if block.stream.is_multiple_of(2) || self.streams.len() >= LIMIT {
            return Err(Broken);
        }
        self.last_begun = block.stream;
        let method = request.method.unwrap_or(Method::Other);
        let routes = &place.config.routes;
        let route = match (method, request.grpc) {
            (Method::Connect, _) => routes.of_target(b"authority:0"),
            (_, true) => routes.of_call(&request.path),
            (_, false) => routes.of_target(&request.path),
        };
        let idle = match (self.exchanges, self.streams.is_empty()) {
            (0, _) => None,
            (_, true) => Some(at.since(self.last_end)),
            (_, false) => Some(Span::ZERO),
        };
        self.streams.push_back(Stream::begun(
            block,
            self.exchanges,
            at,
            idle,
            method,
            route,
            request.grpc,
        ));
        self.exchanges = self.exchanges.saturating_add(1);
        Ok(())
    }

    /// The last byte of a request was read.
    fn request_ended(&mut self, id: u32, position: u64, place: Place<'_>, out: &mut impl FnMut(Exchange)) {
        let end = self.up.base.saturating_add(position);
        if let Some(stream) = self.find(id).filter(|stream| !stream.request_complete) {
            stream.request_complete = true;
            self.unsent.push_back((end, id));
        }
        self.settle(id, place, out);
    }
}
