//! Bytes to frames.

use bytes::{Buf, BytesMut};

use super::frame::{FLAG_FIN, Frame, ResetStatus, StreamId, kind};
use super::headers::Inflater;
use super::malformed::Malformed;

/// A data frame may not be longer; both ends of a port-forward send at most 32 KiB.
pub const MAX_DATA: usize = 1 << 20;
/// A control frame may not be longer; kubectl's have some 60 bytes.
pub const MAX_CONTROL: usize = 64 * 1024;

/// Length of the header of every frame.
const FRAME_HEADER: usize = 8;

/// One direction's incoming frames.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    inflater: Inflater,
    failed: Option<Malformed>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Nothing read yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            inflater: Inflater::new(),
            failed: None,
        }
    }

    /// Takes bytes as they come, in pieces of any size. Ask for [`Decoder::next_frame`] until it has none before feeding more.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole frame, or none before more bytes come.
    ///
    /// # Errors
    /// When the stream is not SPDY/3.1; from then on always the same error.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Malformed> {
        if let Some(malformed) = self.failed {
            return Err(malformed);
        }
        self.parse().inspect_err(|malformed| {
            self.failed = Some(*malformed);
            self.buffer = BytesMut::new();
        })
    }

    fn parse(&mut self) -> Result<Option<Frame>, Malformed> {
        let Some(head) = self.buffer.first_chunk::<FRAME_HEADER>() else {
            return Ok(None);
        };
        let [a, b, c, d, flags, l1, l2, l3] = *head;
        let length = usize::from(l1) << 16 | usize::from(l2) << 8 | usize::from(l3);
        let control = a & 0x80 != 0;
        if length > if control { MAX_CONTROL } else { MAX_DATA } {
            return Err(Malformed::Length(length));
        }
        if self.buffer.len() < FRAME_HEADER + length {
            self.buffer.reserve(FRAME_HEADER + length - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(FRAME_HEADER);
        let payload = self.buffer.split_to(length).freeze();
        let fin = flags & FLAG_FIN != 0;
        if !control {
            let stream = StreamId::new(u32::from_be_bytes([a, b, c, d]));
            return Ok(Some(Frame::Data {
                stream,
                bytes: payload,
                fin,
            }));
        }
        let version = u16::from_be_bytes([a & 0x7f, b]);
        if version != 3 {
            return Err(Malformed::Version(version));
        }
        self.control(u16::from_be_bytes([c, d]), fin, &payload).map(Some)
    }

    fn control(&mut self, of_kind: u16, fin: bool, payload: &[u8]) -> Result<Frame, Malformed> {
        let words = Words(payload);
        match of_kind {
            kind::SYN_STREAM => {
                let stream = words.stream()?;
                let headers = self.inflater.inflate(words.after(10)?)?;
                Ok(Frame::SynStream { stream, headers, fin })
            }
            kind::SYN_REPLY => {
                let stream = words.stream()?;
                let headers = self.inflater.inflate(words.after(4)?)?;
                Ok(Frame::SynReply { stream, headers, fin })
            }
            kind::HEADERS => {
                let stream = words.stream()?;
                let headers = self.inflater.inflate(words.after(4)?)?;
                Ok(Frame::Headers { stream, headers, fin })
            }
            kind::RST_STREAM => {
                let (stream, status) = words.exactly_two()?;
                Ok(Frame::RstStream {
                    stream: StreamId::new(stream),
                    status: ResetStatus(status),
                })
            }
            kind::GOAWAY => {
                let (last_good, status) = words.exactly_two()?;
                Ok(Frame::GoAway {
                    last_good: StreamId::new(last_good),
                    status,
                })
            }
            kind::WINDOW_UPDATE => {
                let (stream, delta) = words.exactly_two()?;
                Ok(Frame::WindowUpdate {
                    stream: StreamId::new(stream),
                    delta: delta & 0x7fff_ffff,
                })
            }
            kind::PING if payload.len() == 4 => Ok(Frame::Ping { id: words.at(0)? }),
            kind::PING => Err(Malformed::Length(payload.len())),
            kind::SETTINGS => Ok(Frame::Settings),
            unknown => Err(Malformed::UnknownType(unknown)),
        }
    }
}

/// A control frame's payload as big-endian words.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn at(&self, offset: usize) -> Result<u32, Malformed> {
        let word = self.0.get(offset..).and_then(|rest| rest.first_chunk::<4>());
        word.map(|word| u32::from_be_bytes(*word))
            .ok_or(Malformed::Length(self.0.len()))
    }

    fn stream(&self) -> Result<StreamId, Malformed> {
        self.at(0).map(StreamId::new)
    }

    fn after(&self, offset: usize) -> Result<&'a [u8], Malformed> {
        self.0.get(offset..).ok_or(Malformed::Length(self.0.len()))
    }

    fn exactly_two(&self) -> Result<(u32, u32), Malformed> {
        if self.0.len() == 8 {
            Ok((self.at(0)?, self.at(4)?))
        } else {
            Err(Malformed::Length(self.0.len()))
        }
    }
}
