//! One request handed on to another server over pooled connections: what the gateway and the balancer have in common.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::wire::{Broken, RequestHead, Wire};

/// Largest body that is carried; a longer one is cut, which its reader sees as truncation.
const BODY_LIMIT: usize = 8 * 1024 * 1024;
/// How long a pooled connection may have been idle. Below the usual keep-alive time-outs of servers.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// Another server, and connections to it that wait for the next request.
#[derive(Debug)]
pub(crate) struct UpstreamServer {
    address: SocketAddr,
    connect_timeout: Duration,
    answer_timeout: Duration,
    pool: Mutex<Vec<(Wire, Instant)>>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Nothing listens there.
    Refused,
    /// No connection within the connect time-out.
    ConnectTimedOut,
    /// It ended the connection instead of answering, or spoke nonsense.
    Ended,
    /// No answer within the time-out.
    TimedOut,
    /// We could not even try: no descriptor or port.
    Ours,
}

impl UpstreamServer {
    pub(crate) const fn new(
        address: SocketAddr,
        connect_timeout: Duration,
        answer_timeout: Duration,
    ) -> Self {
        Self {
            address,
            connect_timeout,
            answer_timeout,
            pool: Mutex::new(Vec::new()),
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends the request with its body, and waits for the whole answer.
    pub(crate) async fn fetch(&self, head: &RequestHead, body: &[u8]) -> Result<Answer, NoAnswer> {
        let request = self.encode(head, body);
        let to_head = head.method == "HEAD";
        // A pooled connection may have been closed by the other side just now; such a one is worth a second try.
        while let Some(mut wire) = self.pooled() {
            let before = wire.received();
            match self.ask(&mut wire, &request, to_head).await {
                Ok((answer, keep_alive)) => {
                    self.keep(wire, keep_alive);
                    return Ok(answer);
                }
                Err(NoAnswer::Ended) if wire.received() == before => {}
                Err(other) => return Err(other),
            }
        }
        let mut wire = self.connect().await?;
        let (answer, keep_alive) = self.ask(&mut wire, &request, to_head).await?;
        self.keep(wire, keep_alive);
        Ok(answer)
    }

    async fn ask(&self, wire: &mut Wire, request: &[u8], to_head: bool) -> Result<(Answer, bool), NoAnswer> {
        let exchange = async {
            wire.send(request).await?;
            let head = wire.response(to_head).await?;
            let mut body = Vec::new();
            wire.body(head.framing, Some(&mut body), BODY_LIMIT).await?;
            Ok::<_, Broken>((
                Answer {
                    status: head.status,
                    body,
                },
                head.keep_alive,
            ))
        };
        match tokio::time::timeout(self.answer_timeout, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_broken)) => Err(NoAnswer::Ended),
            Err(_elapsed) => Err(NoAnswer::TimedOut),
        }
    }

    async fn connect(&self) -> Result<Wire, NoAnswer> {
        match tokio::time::timeout(self.connect_timeout, TcpStream::connect(self.address)).await {
            Ok(Ok(stream)) => {
                let nodelay = stream.set_nodelay(true);
                tracing::trace!(?nodelay, "connected");
                Ok(Wire::new(stream))
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Err(NoAnswer::Refused),
            Ok(Err(error)) => {
                tracing::debug!(%error, address = %self.address, "connect");
                Err(NoAnswer::Ours)
            }
            Err(_elapsed) => Err(NoAnswer::ConnectTimedOut),
        }
    }

    fn pooled(&self) -> Option<Wire> {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((wire, since)) = pool.pop() {
            if since.elapsed() < POOL_IDLE {
                return Some(wire);
            }
        }
        None
    }

    fn keep(&self, wire: Wire, keep_alive: bool) {
        if keep_alive && !wire.has_ahead() {
            let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
            pool.push((wire, Instant::now()));
        }
    }

    fn encode(&self, head: &RequestHead, body: &[u8]) -> Vec<u8> {
        let mut request = format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n",
            head.method,
            head.path,
            self.address,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        request
    }
}

/// Reads a request's body whole, up to the limit.
pub(crate) async fn whole_body(wire: &mut Wire, head: &RequestHead) -> Result<Vec<u8>, Broken> {
    let mut body = Vec::new();
    wire.body(head.framing, Some(&mut body), BODY_LIMIT).await?;
    Ok(body)
}
