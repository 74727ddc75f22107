//! Frames to bytes.

use std::io;

use super::frame::{FLAG_FIN, Frame, StreamId, kind};
use super::headers::{Deflater, Headers};

/// The largest length that a frame can state: 24 bits.
const MAX_LENGTH: usize = (1 << 24) - 1;

/// One direction's outgoing frames. The order of calls is the order on the wire: header compression depends on it.
#[derive(Debug)]
pub struct Encoder {
    deflater: Deflater,
}

impl Encoder {
    /// Nothing written yet.
    ///
    /// # Errors
    /// When zlib refuses the dictionary, which a correct zlib never does.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            deflater: Deflater::new()?,
        })
    }

    /// Appends the frame to `out`.
    ///
    /// # Errors
    /// When the frame is longer than SPDY can express, or zlib fails.
    pub fn encode(&mut self, frame: &Frame, out: &mut Vec<u8>) -> io::Result<()> {
        match frame {
            Frame::Data { stream, bytes, fin } => {
                out.extend(stream.get().to_be_bytes());
                out.push(if *fin { FLAG_FIN } else { 0 });
                out.extend(length(bytes.len())?);
                out.extend_from_slice(bytes);
                Ok(())
            }
            Frame::SynStream { stream, headers, fin } => {
                // Associated stream, priority and slot: all zero, as kubectl sends them.
                self.with_headers(kind::SYN_STREAM, *stream, &[0; 6], headers, *fin, out)
            }
            Frame::SynReply { stream, headers, fin } => {
                self.with_headers(kind::SYN_REPLY, *stream, &[], headers, *fin, out)
            }
            Frame::Headers { stream, headers, fin } => {
                self.with_headers(kind::HEADERS, *stream, &[], headers, *fin, out)
            }
            Frame::RstStream { stream, status } => control(kind::RST_STREAM, &[stream.get(), status.0], out),
            Frame::GoAway { last_good, status } => control(kind::GOAWAY, &[last_good.get(), *status], out),
            Frame::WindowUpdate { stream, delta } => {
                control(kind::WINDOW_UPDATE, &[stream.get(), delta & 0x7fff_ffff], out)
            }
            Frame::Ping { id } => control(kind::PING, &[*id], out),
            // A list of no settings.
            Frame::Settings => control(kind::SETTINGS, &[0], out),
        }
    }

    fn with_headers(
        &mut self,
        of_kind: u16,
        stream: StreamId,
        between: &[u8],
        headers: &Headers,
        fin: bool,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let mut payload = stream.get().to_be_bytes().to_vec();
        payload.extend(between);
        self.deflater.deflate(headers, &mut payload)?;
        head(of_kind, fin, payload.len(), out)?;
        out.extend(payload);
        Ok(())
    }
}

fn control(of_kind: u16, words: &[u32], out: &mut Vec<u8>) -> io::Result<()> {
    head(of_kind, false, words.len() * 4, out)?;
    out.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    Ok(())
}

fn head(of_kind: u16, fin: bool, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend([0x80, 3]);
    out.extend(of_kind.to_be_bytes());
    out.push(if fin { FLAG_FIN } else { 0 });
    out.extend(length(len)?);
    Ok(())
}

fn length(len: usize) -> io::Result<[u8; 3]> {
    match u32::try_from(len) {
        Ok(short) if len <= MAX_LENGTH => {
            let [_, a, b, c] = short.to_be_bytes();
            Ok([a, b, c])
        }
        Ok(_) | Err(_) => Err(io::Error::other(format!(
            "frame of {len} bytes: SPDY's limit is {MAX_LENGTH}"
        ))),
    }
}
