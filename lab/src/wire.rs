//! HTTP/1.1 on a raw socket, small enough to know exactly what came and what did not.
//!
//! Shared by the generator, the services, the gateway and the balancer. Not a general HTTP library: heads up to
//! 16 KiB, bodies counted or kept up to a bound, no trailers kept, no upgrades.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest head that is read.
const HEAD_LIMIT: usize = 16 * 1024;
/// Most headers in a head.
const HEADERS: usize = 48;

/// One socket with what was read ahead of it.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    ahead: BytesMut,
    received: u64,
}

/// Why reading or writing a message came to no good end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Broken {
    /// The other side said FIN.
    Eof,
    /// The other side reset the connection, or had.
    Reset,
    /// What came is not HTTP/1, or its head is too long.
    Malformed,
    /// Another error of the socket's.
    Other(io::ErrorKind),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        let kind = error.kind();
        if matches!(
            kind,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted
        ) {
            Self::Reset
        } else {
            Self::Other(kind)
        }
    }
}

/// How a message's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With the chunk of length zero.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// A request's head, as far as the lab's servers need it.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
}

/// A response's head, as far as the lab's clients need it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
}

/// The headers that decide framing and reuse.
#[derive(Default)]
struct Meaning {
    length: Option<u64>,
    chunked: bool,
    close: bool,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            ahead: BytesMut::with_capacity(4 * 1024),
            received: 0,
        }
    }

    /// Bytes received on this socket so far.
    pub(crate) const fn received(&self) -> u64 {
        self.received
    }

    /// Whether bytes lie here that no message has claimed yet.
    pub(crate) fn has_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.stream.write_all(bytes).await.map_err(Broken::from)
    }

    /// The next request; `None` when the other side ended cleanly between two of them.
    pub(crate) async fn request(&mut self) -> Result<Option<RequestHead>, Broken> {
        loop {
            if let Some((length, head)) = parse_request(&self.ahead)? {
                self.ahead.advance(length);
                return Ok(Some(head));
            }
            match self.fill_head().await {
                Err(Broken::Eof) if self.ahead.is_empty() => return Ok(None),
                other => other?,
            }
        }
    }

    /// The next final response; interim ones (1xx) are passed over.
    pub(crate) async fn response(&mut self, to_head: bool) -> Result<ResponseHead, Broken> {
        loop {
            if let Some((length, head)) = parse_response(&self.ahead, to_head)? {
                self.ahead.advance(length);
                if head.status >= 200 {
                    return Ok(head);
                }
            } else {
                self.fill_head().await?;
            }
        }
    }

    /// Reads a body to its end. What it says is appended to `keep`, where given, up to `limit` bytes.
    pub(crate) async fn body(
        &mut self,
        framing: Framing,
        mut keep: Option<&mut Vec<u8>>,
        limit: usize,
    ) -> Result<u64, Broken> {
        match framing {
            Framing::Length(length) => {
                self.take(length, &mut keep, limit).await?;
                Ok(length)
            }
            Framing::UntilClose => {
                let mut total = 0;
                loop {
                    total += self.ahead.len() as u64;
                    let ahead = self.ahead.len() as u64;
                    self.take(ahead, &mut keep, limit).await?;
                    match self.fill().await {
                        Ok(()) => {}
                        Err(Broken::Eof) => return Ok(total),
                        Err(other) => return Err(other),
                    }
                }
            }
            Framing::Chunked => {
                let mut total = 0;
                loop {
                    let length = self.chunk_head().await?;
                    self.take(length, &mut keep, limit).await?;
                    total += length;
                    self.line_end().await?;
                    if length == 0 {
                        return Ok(total);
                    }
                }
            }
        }
    }

    async fn chunk_head(&mut self) -> Result<u64, Broken> {
        loop {
            match httparse::parse_chunk_size(&self.ahead) {
                Ok(httparse::Status::Complete((consumed, length))) => {
                    self.ahead.advance(consumed);
                    return Ok(length);
                }
                Ok(httparse::Status::Partial) => self.fill_head().await?,
                Err(httparse::InvalidChunkSize) => return Err(Broken::Malformed),
            }
        }
    }

    /// The line end after a chunk; the lab sends no trailers, so after the last chunk it is the end of the message.
    async fn line_end(&mut self) -> Result<(), Broken> {
        while self.ahead.len() < 2 {
            self.fill().await?;
        }
        if self.ahead.starts_with(b"\r\n") {
            self.ahead.advance(2);
            Ok(())
        } else {
            Err(Broken::Malformed)
        }
    }

    async fn take(
        &mut self,
        mut left: u64,
        keep: &mut Option<&mut Vec<u8>>,
        limit: usize,
    ) -> Result<(), Broken> {
        while left > 0 {
            if self.ahead.is_empty() {
                self.fill().await?;
            }
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.ahead.len());
            if let Some(keep) = keep {
                let room = limit.saturating_sub(keep.len()).min(here);
                keep.extend_from_slice(&self.ahead[..room]);
            }
            self.ahead.advance(here);
            left -= here as u64;
        }
        Ok(())
    }

    async fn fill_head(&mut self) -> Result<(), Broken> {
        if self.ahead.len() >= HEAD_LIMIT {
            return Err(Broken::Malformed);
        }
        self.fill().await
    }

    async fn fill(&mut self) -> Result<(), Broken> {
        self.ahead.reserve(4 * 1024);
        let count = self.stream.read_buf(&mut self.ahead).await?;
        self.received += count as u64;
        if count == 0 { Err(Broken::Eof) } else { Ok(()) }
    }

    /// Says FIN, then waits a little for the other side's, so that no unread byte turns the close into a reset.
    pub(crate) async fn close(mut self) {
        if self.stream.shutdown().await.is_ok() {
            let drained = async {
                while self.fill().await.is_ok() {
                    self.ahead.clear();
                }
            };
            if tokio::time::timeout(Duration::from_secs(2), drained)
                .await
                .is_err()
            {
                tracing::debug!("the other side did not close within 2 s");
            }
        }
    }

    /// Ends the connection with RST.
    pub(crate) fn reset(self) {
        reset(self.stream);
    }
}

/// Ends a connection with RST: linger 0 makes close(2) drop what is unsent and say so (tcp(7), `SO_LINGER`).
pub(crate) fn reset(stream: TcpStream) {
    if let Err(error) = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "a connection that was to be reset is closed instead");
    }
    drop(stream);
}

fn parse_request(ahead: &[u8]) -> Result<Option<(usize, RequestHead)>, Broken> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(ahead) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_not_http) => return Err(Broken::Malformed),
    };
    let meaning = meaning(head.headers)?;
    Ok(Some((
        length,
        RequestHead {
            method: head.method.unwrap_or_default().to_owned(),
            path: head.path.unwrap_or_default().to_owned(),
            framing: if meaning.chunked {
                Framing::Chunked
            } else {
                Framing::Length(meaning.length.unwrap_or(0))
            },
            keep_alive: head.version == Some(1) && !meaning.close,
        },
    )))
}

fn parse_response(ahead: &[u8], to_head: bool) -> Result<Option<(usize, ResponseHead)>, Broken> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let length = match head.parse(ahead) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_not_http) => return Err(Broken::Malformed),
    };
    let meaning = meaning(head.headers)?;
    let status = head.code.unwrap_or_default();
    // RFC 9112, section 6.3: these never have a body, whatever their headers say.
    let bodiless = to_head || status < 200 || status == 204 || status == 304;
    let framing = match meaning.length {
        _ if bodiless => Framing::Length(0),
        _ if meaning.chunked => Framing::Chunked,
        Some(length) => Framing::Length(length),
        None => Framing::UntilClose,
    };
    Ok(Some((
        length,
        ResponseHead {
            status,
            framing,
            keep_alive: head.version == Some(1) && !meaning.close && framing != Framing::UntilClose,
        },
    )))
}

fn meaning(headers: &[httparse::Header<'_>]) -> Result<Meaning, Broken> {
    let mut meaning = Meaning::default();
    for header in headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(header.value).unwrap_or_default();
            meaning.length = Some(text.trim().parse().ok().ok_or(Broken::Malformed)?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            meaning.chunked = header.value.eq_ignore_ascii_case(b"chunked");
        } else if header.name.eq_ignore_ascii_case("connection") {
            meaning.close = header.value.eq_ignore_ascii_case(b"close");
        }
    }
    Ok(meaning)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_response_to_head_has_no_body_whatever_it_announces() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n";
        let (_, parsed) = parse_response(head, true).unwrap().unwrap();
        assert_eq!(parsed.framing, Framing::Length(0));
        let (_, parsed) = parse_response(head, false).unwrap().unwrap();
        assert_eq!(parsed.framing, Framing::Length(12));
    }

    #[test]
    fn a_response_without_a_length_ends_with_its_connection() {
        let (_, parsed) = parse_response(b"HTTP/1.1 200 OK\r\n\r\n", false)
            .unwrap()
            .unwrap();
        assert_eq!(parsed.framing, Framing::UntilClose);
        assert!(!parsed.keep_alive);
    }

    #[tokio::test]
    async fn a_chunked_body_is_put_together() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut wire = Wire::new(listener.accept().await.unwrap().0);
        far.write_all(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        )
        .await
        .unwrap();
        let head = wire.response(false).await.unwrap();
        let mut body = Vec::new();
        assert_eq!(wire.body(head.framing, Some(&mut body), 100).await, Ok(5));
        assert_eq!(body, b"abcde");
        assert!(!wire.has_ahead());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn no_bytes_make_the_parsers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let request = parse_request(&bytes).is_ok();
            let response = parse_response(&bytes, false).is_ok();
            prop_assert!(request || response || !bytes.is_empty());
        }
    }
}
