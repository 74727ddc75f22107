//! The upstream's direction: HEADERS answer streams, END_STREAM completes their answers; resets and GOAWAY end them.

use hopscope_attribution::evidence::{Cut, Exchange, Moment};

use super::{Http2, Place, in_order, number};
use crate::head::{Marks, is_event_stream};
use crate::http2::hpack::{Broken, Name};
use crate::http2::{Block, Frame, Kind, Piece};

/// What the fields of an answer, or its trailers, say.
#[derive(Debug, Default)]
pub(super) struct Response {
    pub(super) status: Option<u16>,
    pub(super) grpc_status: Option<u8>,
    pub(super) grpc: bool,
    pub(super) events: bool,
    pub(super) marks: Marks,
}

impl Response {
    fn note(&mut self, name: Name, value: &[u8]) {
        match name {
            Name::Status => self.status = digits(value).filter(|status| (100..1_000).contains(status)),
            // What is no number is UNKNOWN to every client.
            Name::GrpcStatus => {
                let code = digits(value).and_then(|code| u8::try_from(code).ok());
                self.grpc_status = Some(code.unwrap_or(2));
            }
            Name::Mark(name) => {
                self.grpc |= name == "content-type" && value.starts_with(b"application/grpc");
                self.events |= name == "content-type" && is_event_stream(value);
                self.marks.note(name.as_bytes(), value);
            }
            Name::Method | Name::Path | Name::Other => {}
        }
    }
}

fn digits(value: &[u8]) -> Option<u16> {
    if value.is_empty() || value.len() > 3 {
        return None;
    }
    value.iter().try_fold(0, |number: u16, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u16::from(*digit - b'0'))
    })
}

impl Http2 {
    pub(super) fn response_piece(
        &mut self,
        piece: &Piece<'_>,
        at: Moment,
        place: Place<'_>,
        out: &mut impl FnMut(Exchange),
    ) -> Result<(), Broken> {
        self.greet(piece)?;
        in_order(piece, &self.down.blocks)?;
        match piece {
            Piece::Begins(frame) if frame.kind == Kind::Data => {
                if let Some(stream) = self.find(frame.stream) {
                    stream.answer.bytes = stream.answer.bytes.saturating_add(frame.bytes());
                }
                Ok(())
            }
            Piece::Part(frame, data) if frame.kind == Kind::Data && !frame.flags.padded() => {
                let body = self
                    .find(frame.stream)
                    .and_then(|stream| stream.answer.body.as_mut());
                if let Some(body) = body {
                    body.take(data);
                }
                Ok(())
            }
            Piece::Ends(frame) if frame.kind == Kind::Data && frame.flags.end_stream() => {
                self.answer_ended(frame.stream, at, place, out);
                Ok(())
            }
            Piece::Begins(_) | Piece::Part(..) | Piece::Ends(_) => Ok(()),
            Piece::Whole(frame, payload) => self.response_frame(*frame, payload, at, place, out),
        }
    }

    fn response_frame(
        &mut self,
        frame: Frame,
        payload: &[u8],
        at: Moment,
        place: Place<'_>,
        out: &mut impl FnMut(Exchange),
    ) -> Result<(), Broken> {
        match frame.kind {
            Kind::Headers | Kind::Continuation | Kind::PushPromise => {
                let mut response = Response::default();
                let block = self
                    .down
                    .blocks
                    .take(frame, payload, &mut |name, value| response.note(name, value))?;
                // What is pushed answers nobody.
                if let Some(block) = block.filter(|block| !block.promised) {
                    self.response_block(block, &response, at);
                    if block.end_stream {
                        self.answer_ended(block.stream, at, place, out);
                    }
                }
                Ok(())
            }
            Kind::ResetStream => {
                let code = number(payload, 0)?;
                let cut = self.cut_of(frame.stream).unwrap_or(Cut::UpstreamStream(code));
                if let Some(mut stream) = self.take(frame.stream) {
                    stream.answer.bytes = stream.answer.bytes.saturating_add(frame.bytes());
                    self.last_end = at;
                    out(stream.cut(cut, at, place));
                }
                Ok(())
            }
            Kind::GoAway => {
                let last = number(payload, 0)? & 0x7fff_ffff;
                let code = number(payload, 4)?;
                self.gone = Some((last, code));
                while let Some(stream) = self.streams.pop_back_if(|stream| stream.id > last) {
                    self.last_end = at;
                    out(stream.cut(Cut::GoAway(code), at, place));
                }
                Ok(())
            }
            Kind::Data | Kind::Settings | Kind::Other => Ok(()),
        }
    }

    /// The fields of an answer, of an interim one, or trailers.
    fn response_block(&mut self, block: Block, response: &Response, at: Moment) {
        let Some(stream) = self.find(block.stream) else {
            return;
        };
        stream.answer.bytes = stream.answer.bytes.saturating_add(block.bytes);
        match (stream.answer.status, response.status) {
            (Some(_), _) => stream.trailers(response),
            (None, Some(100..200) | None) => {}
            (None, Some(status)) => stream.answered(status, response, at),
        }
    }

    /// The last byte of an answer was read.
    fn answer_ended(&mut self, id: u32, at: Moment, place: Place<'_>, out: &mut impl FnMut(Exchange)) {
        if let Some(stream) = self.find(id)
            && stream.answer.status.is_some()
        {
            stream.answer.ended.get_or_insert(at);
        }
        self.settle(id, place, out);
    }
}
