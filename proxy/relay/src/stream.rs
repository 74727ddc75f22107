//! The sides' byte streams: TCP, or, upstream, TLS over it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::socket;

/// A side of the relay.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// The socket whose bytes these are as they stand; `None` where they are enciphered.
    fn plain(&self) -> Option<&TcpStream>;
}

/// What the upstream's bytes travel in. TLS is boxed: most connections carry none, and idle ones must stay small.
#[derive(Debug)]
pub(super) enum UpstreamStream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl UpstreamStream {
    /// The TCP socket underneath.
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }
}

impl AsyncRead for UpstreamStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

impl Stream for UpstreamStream {
    fn plain(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(tcp) => Some(tcp),
            Self::Tls(_) => None,
        }
    }
}

impl Stream for TcpStream {
    fn plain(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

/// Writes without asking first whether the event loop knows the sink to be ready: it mostly is, and of a socket that
/// was connected just now the loop has not heard anything yet.
pub(super) fn poll_write_at_once<W: Stream>(
    cx: &mut Context<'_>,
    sink: &mut W,
    bytes: &[u8],
    more: bool,
) -> Poll<io::Result<usize>> {
    if let Some(socket) = sink.plain() {
        match socket::write_at_once(socket, bytes, more) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            answer => return Poll::Ready(answer),
        }
    }
    // A full socket: the event loop tells when it is not.
    Pin::new(sink).poll_write(cx, bytes)
}
