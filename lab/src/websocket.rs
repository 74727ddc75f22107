//! WebSocket framing (RFC 6455) as far as a port-forward's tunnel needs it: binary messages whose boundaries mean nothing.
//!
//! Written here rather than taken from a library, because the tunnel needs the two directions without a lock between them, payload
//! that is handed on before its message is whole, and an end in any form that a fault asks for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use sha1::{Digest as _, Sha1};
use thiserror::Error;

#[cfg(test)]
mod tests;

/// What the handshake's key is extended with (RFC 6455, section 1.3).
const KEY_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Control frames carry at most this much (RFC 6455, section 5.5).
const MAX_CONTROL: u64 = 125;

/// The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key`.
pub fn accept_key(key: &str) -> String {
    let digest = Sha1::new().chain_update(key).chain_update(KEY_SUFFIX).finalize();
    BASE64.encode(digest)
}

/// A fresh `Sec-WebSocket-Key`.
pub fn random_key() -> String {
    BASE64.encode(fastrand::u128(..).to_be_bytes())
}

/// Which end of a WebSocket we are: the client masks what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends masked frames, expects plain ones.
    Client,
    /// Sends plain frames, expects masked ones.
    Server,
}

/// What came in, or shall go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Payload of a data message, or a part of it.
    Payload(Bytes),
    /// Asks for a pong with the same bytes.
    Ping(Bytes),
    /// Answers a ping.
    Pong(Bytes),
    /// The end, with its code; 1000 is a normal one.
    Close(Option<u16>),
}

/// Why bytes are no WebSocket frames.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// A client's frame must be masked, a server's must not.
    #[error("frame with the wrong masking for its sender")]
    Masking,
    /// Reserved bits, or an operation that RFC 6455 does not know.
    #[error("frame with reserved bits or an unknown operation")]
    Reserved,
    /// A control frame that is fragmented or too long.
    #[error("control frame that is fragmented or longer than 125 bytes")]
    Control,
}

mod operation {
    //! RFC 6455, section 5.2; 0 and 1 are a continuation and text.
    pub(super) const BINARY: u8 = 2;
    pub(super) const CLOSE: u8 = 8;
    pub(super) const PING: u8 = 9;
    pub(super) const PONG: u8 = 10;
}

/// A frame whose payload is still coming.
#[derive(Clone, Copy, Debug)]
struct Open {
    operation: u8,
    mask: [u8; 4],
    at: usize,
    left: u64,
}

/// One direction's incoming frames.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    /// Bytes of a frame header, or of a control frame, that is not yet whole.
    pending: Vec<u8>,
    open: Option<Open>,
}

impl Decoder {
    /// For the end that plays `role`.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self {
            role,
            pending: Vec::new(),
            open: None,
        }
    }

    /// Takes bytes in pieces of any size and appends what they hold to `out`.
    ///
    /// # Errors
    /// When they are no WebSocket frames; the connection is lost then.
    pub fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<Piece>) -> Result<(), Malformed> {
        while !bytes.is_empty() || self.open.is_some_and(|open| open.left == 0) {
            let Some(mut open) = self.open.take() else {
                bytes = self.header(bytes)?;
                continue;
            };
            let take = usize::try_from(open.left).unwrap_or(usize::MAX).min(bytes.len());
            let (payload, rest) = bytes.split_at(take);
            bytes = rest;
            let unmasked = payload
                .iter()
                .zip(open.at..)
                .map(|(byte, at)| byte ^ open.mask[at % 4]);
            open.left -= take as u64;
            open.at = (open.at + take) % 4;
            if open.operation < operation::CLOSE {
                if take > 0 {
                    out.push(Piece::Payload(unmasked.collect()));
                }
            } else {
                self.pending.extend(unmasked);
                if open.left == 0 {
                    out.push(control(open.operation, std::mem::take(&mut self.pending)));
                }
            }
            if open.left > 0 {
                self.open = Some(open);
            }
        }
        Ok(())
    }

    /// Completes a frame header as far as the bytes go; gives back what lies behind it.
    fn header<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let Some((&byte, rest)) = bytes.split_first() else {
            return Ok(bytes);
        };
        self.pending.push(byte);
        let [first, second, more @ ..] = self.pending.as_slice() else {
            return Ok(rest);
        };
        let (fin, operation) = (first & 0x80 != 0, first & 0x0f);
        let known =
            operation <= operation::BINARY || (operation::CLOSE..=operation::PONG).contains(&operation);
        if first & 0x70 != 0 || !known {
            return Err(Malformed::Reserved);
        }
        let masked = second & 0x80 != 0;
        if masked != (self.role == Role::Server) {
            return Err(Malformed::Masking);
        }
        let short = u64::from(second & 0x7f);
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if more.len() < extended + if masked { 4 } else { 0 } {
            return Ok(rest);
        }
        let (length, key) = more.split_at(extended);
        let left = if extended == 0 {
            short
        } else {
            length.iter().fold(0, |sum, &b| sum << 8 | u64::from(b))
        };
        if operation >= operation::CLOSE && (!fin || left > MAX_CONTROL) {
            return Err(Malformed::Control);
        }
        let mask = key.first_chunk::<4>().copied().unwrap_or_default();
        self.open = Some(Open {
            operation,
            mask,
            at: 0,
            left,
        });
        self.pending.clear();
        Ok(rest)
    }
}

fn control(operation: u8, payload: Vec<u8>) -> Piece {
    match operation {
        operation::PING => Piece::Ping(payload.into()),
        operation::PONG => Piece::Pong(payload.into()),
        _ => Piece::Close(payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code))),
    }
}

/// Appends one frame to `out`; data goes as one whole binary message.
pub fn encode(role: Role, piece: &Piece, out: &mut Vec<u8>) {
    let code;
    let (operation, payload): (u8, &[u8]) = match piece {
        Piece::Payload(bytes) => (operation::BINARY, bytes),
        Piece::Ping(bytes) => (operation::PING, bytes),
        Piece::Pong(bytes) => (operation::PONG, bytes),
        Piece::Close(None) => (operation::CLOSE, &[]),
        Piece::Close(Some(number)) => {
            code = number.to_be_bytes();
            (operation::CLOSE, &code)
        }
    };
    let mask = match role {
        Role::Client => Some(fastrand::u32(..).to_be_bytes()),
        Role::Server => None,
    };
    out.push(0x80 | operation);
    let mask_bit = if mask.is_some() { 0x80 } else { 0 };
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ ..=125), _) => out.push(mask_bit | short),
        (_, Ok(long)) => {
            out.push(mask_bit | 0x7e);
            out.extend(long.to_be_bytes());
        }
        (_, Err(_)) => {
            out.push(mask_bit | 0x7f);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    match mask {
        None => out.extend_from_slice(payload),
        Some(mask) => {
            out.extend(mask);
            out.extend(
                payload
                    .iter()
                    .zip(mask.iter().cycle())
                    .map(|(byte, key)| byte ^ key),
            );
        }
    }
}
