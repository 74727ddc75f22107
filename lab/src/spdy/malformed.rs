//! What ends a connection because its bytes are no frames.

use thiserror::Error;

/// Why a byte stream is not SPDY/3.1. The connection is lost: the header compression cannot be picked up again.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// The version field is not 3.
    #[error("control frame of SPDY version {0}, expected 3")]
    Version(u16),
    /// A type that SPDY/3.1 does not know.
    #[error("control frame of unknown type {0}")]
    UnknownType(u16),
    /// Longer than the bound, or not of the length that its type has.
    #[error("frame of {0} bytes, which its type does not allow")]
    Length(usize),
    /// The zlib stream is corrupt or lacks the dictionary.
    #[error("header block does not inflate")]
    Compression,
    /// Inflated, the block does not hold what it says.
    #[error("header block is truncated or too large")]
    HeaderBlock,
}
