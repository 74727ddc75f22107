//! The sides' byte streams: TCP, or TLS over it.

use std::io::{self, IoSlice};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use super::socket;

/// A side of the relay.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// The socket whose bytes these are as they stand; `None` where they are enciphered.
    fn plain(&self) -> Option<&TcpStream>;
}

/// A TCP socket. It is shared so that its failure can be awaited by one future while another reads and writes it.
#[derive(Clone, Debug)]
pub(super) struct Socket(Arc<TcpStream>);

impl Socket {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self(Arc::new(tcp))
    }

    /// Waits until the kernel reports an error on the socket (`EPOLLERR`): the other side reset it, or it timed out.
    /// Unread bytes and an end of stream do not count, and do not stand in the way.
    pub(super) async fn failed(self) {
        // An error of the event loop itself ends the wait as well: the socket is asked then.
        drop(self.0.ready(Interest::ERROR).await);
    }
}

impl Deref for Socket {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.0
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            let space = buf.initialize_unfilled();
            let room = space.len();
            match self.0.try_read(space) {
                Ok(read) => {
                    buf.advance(read);
                    if 0 < read && read < room {
                        socket::drained(&self.0);
                    }
                    return Poll::Ready(Ok(()));
                }
                // Readiness is cleared: asked once more, it registers the waker.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |tcp| tcp.try_write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |tcp| tcp.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        socket::finish(&self.0);
        Poll::Ready(Ok(()))
    }
}

impl Socket {
    fn poll_write_with(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match write(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

/// What a side's bytes travel in. TLS is boxed: most connections carry none, and idle ones must stay small.
#[derive(Debug)]
pub(super) enum Channel {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Channel {
    /// Bytes that travel as they are.
    pub(super) fn plain(tcp: TcpStream) -> Self {
        Self::Plain(Socket::new(tcp))
    }

    /// Bytes in TLS, of whichever end.
    pub(super) fn tls(tls: impl Into<TlsStream<Socket>>) -> Self {
        Self::Tls(Box::new(tls.into()))
    }

    /// The TCP socket underneath.
    pub(super) fn tcp(&self) -> &Socket {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    /// The application protocol that its TLS handshake chose (ALPN, RFC 7301), where it chose one.
    pub(super) fn protocol(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol(),
        }
    }
}

impl AsyncRead for Channel {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Channel {
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

impl Stream for Channel {
    fn plain(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(tcp) => Some(tcp),
            Self::Tls(_) => None,
        }
    }
}

impl Stream for Socket {
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
