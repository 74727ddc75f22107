//! HTTP/2 on the wire (RFC 9113): frames cut out of passing bytes, and field blocks decoded.
//!
//! Nothing here knows of requests: [`super::observer`] makes exchanges of what is found here.

mod blocks;
mod frame;
pub(super) mod hpack;

pub(super) use blocks::{Block, Blocks};
pub(super) use frame::{Cutter, Frame, Kind, Piece};

/// What a client sends first (section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The same, less what an HTTP/1 reader takes for a request line and its empty line.
pub(super) const PREFACE_REST: &[u8] = b"SM\r\n\r\n";
