//! SPDY/3.1 as kubectl, the kubelet and the container runtimes speak it for a port-forward.
//!
//! The codec ([`frame`], [`headers`], [`decoder`], [`encoder`]) is pure: bytes in, frames out, bounded, and it never panics.
//! [`connection`] puts it on a socket with the habits of the Go library that both ends use, the bad ones included.

pub mod connection;
pub mod decoder;
pub mod dictionary;
pub mod encoder;
pub mod frame;
pub mod headers;
pub mod malformed;

#[cfg(test)]
mod tests;

pub use connection::Connection;
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use frame::{Frame, ResetStatus, StreamId};
pub use headers::Headers;
pub use malformed::Malformed;
