//! What stands in a source behind the bytes that were just read: bytes and a FIN that came together go on together.

use std::io;
use std::task::Context;

use crate::socket;
use crate::stream::Stream;

/// What stands in a source behind bytes that were just read.
#[derive(Debug)]
pub(super) enum Behind {
    /// Nothing; the event loop tells when that changes.
    Nothing,
    /// The source's FIN.
    Fin,
    /// Its failure, which the kernel has now told.
    Failure(io::Error),
    /// It was not looked for.
    Unknown,
}

/// Looks behind bytes that did not fill the buffer, if the event loop has told of an end. Where there is nothing, nobody
/// needs to ask again.
pub(super) fn behind<R: Stream>(cx: &mut Context<'_>, source: &R) -> Behind {
    let Some(socket) = source.plain() else {
        return Behind::Unknown;
    };
    // A read that does not fill the buffer clears the event loop's readiness, but for that of an end.
    if socket.poll_read_ready(cx).is_pending() {
        return Behind::Nothing;
    }
    match socket::at_end(socket) {
        Ok(true) => Behind::Fin,
        // Bytes behind TCP's urgent mark, at which a read stops.
        Ok(false) => Behind::Unknown,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Behind::Unknown,
        Err(error) => Behind::Failure(error),
    }
}
