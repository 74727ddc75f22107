//! A connection to hopscope as an HTTP proxy: whom its first request is for decides what becomes of it.
//!
//! `CONNECT` to a host that a path leads to is answered, and what follows is served as if the generator had connected
//! there; its TLS ends here. Requests in absolute URLs reach their origin in its own form; where one is for another
//! origin than the one before it, the connection goes on with another upstream. What no path leads to passes unread.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hopscope_attribution::evidence::{FourTuple, Moment, PathId, Side, SideEnd};
use hopscope_http::{Proxied, origin_lines};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::{Accepted, WakeUp, poll_fn};
use crate::arrival::Arrival;
use crate::clock::RunClock;
use crate::flow::Watch;
use crate::front::Door;
use crate::front::authority::Subject;
use crate::front::bypass::{Bypass, Passed};
use crate::relay::Relay;
use crate::stream::{Channel, Socket};
use crate::upstream::OwnAddress;
use crate::waiting::Waiting;
use crate::{socket, worker};

/// The longest head that a proxy's first request may have.
const LONGEST_HEAD: usize = 64 * 1024;
/// The most that is held of requests for another origin while answers are still to come.
const MOST_HELD: usize = 256 * 1024;
const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// What a proxy needs to know of the run.
#[derive(Clone, Debug)]
pub(crate) struct Reception {
    pub(crate) door: Door,
    /// How long a handshake, or a connect to a host that no path leads to, may take.
    pub(crate) limit: Duration,
    /// Whether the TLS of paths with TLS ends here.
    pub(crate) ends_tls: bool,
    pub(crate) bypass: Arc<Bypass>,
    pub(crate) own: OwnAddress,
}

/// Serves one connection to its end.
pub(crate) async fn serve(downstream: TcpStream, tuple: FourTuple, reception: Reception) {
    let socket = Socket::new(downstream);
    let mut held = Vec::new();
    while let Some((proxied, head)) = request(&socket, &mut held).await {
        match worker::with(|worker| worker.path_to(&proxied.host, proxied.port)).flatten() {
            Some(path) => match serve_path(&socket, tuple, path, &proxied, (head, held), &reception).await {
                Some(foreign) => held = foreign,
                None => return,
            },
            None => return Box::pin(pass_by(socket, &proxied, &head, &reception)).await,
        }
    }
}

/// The next request to the proxy, with what was read of it and is not yet served. What is no request to a proxy is
/// refused.
async fn request(socket: &Socket, bytes: &mut Vec<u8>) -> Option<(Proxied, Vec<u8>)> {
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            let behind = bytes.split_off(end + 4);
            break std::mem::replace(bytes, behind);
        }
        if bytes.len() > LONGEST_HEAD || !read_head(socket, bytes).await {
            return None;
        }
    };
    let Some(proxied) = Proxied::of(&head) else {
        let why = "hopscope is an HTTP proxy here: it takes CONNECT and http:// URLs\n";
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\nServer: hopscope\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{why}",
            why.len()
        );
        answer_and_close(socket, answer.as_bytes()).await;
        return None;
    };
    Some((proxied, head))
}

/// Reads what has come of a head, and no byte behind it. False at the end of the stream.
async fn read_head(socket: &Socket, held: &mut Vec<u8>) -> bool {
    let mut bytes = [0; 4_096];
    let seen = match socket.peek(&mut bytes).await {
        Ok(0) | Err(_) => return false,
        Ok(seen) => seen,
    };
    let before = held.len();
    held.extend_from_slice(bytes.get(..seen).unwrap_or_default());
    let from = before.saturating_sub(3);
    let end = held
        .get(from..)
        .and_then(|tail| tail.windows(4).position(|end| end == b"\r\n\r\n"))
        .map_or(held.len(), |end| from + end + 4);
    held.truncate(end);
    let Some(taken) = bytes.get_mut(..end - before) else {
        return false;
    };
    socket.clone().read_exact(taken).await.is_ok()
}

/// Serves what is for a path. Gives what came for another origin, where the connection has to go on with that.
async fn serve_path(
    socket: &Socket,
    tuple: FourTuple,
    path: PathId,
    proxied: &Proxied,
    (head, behind): (Vec<u8>, Vec<u8>),
    reception: &Reception,
) -> Option<Vec<u8>> {
    let (mut accepted, admitted, secured) = worker::with(|worker| {
        let admitted = worker.enter();
        let accepted = Accepted::of(socket.clone(), tuple, path, worker);
        (accepted, admitted, worker.is_secured(path) && reception.ends_tls)
    })?;
    if !admitted {
        accepted.turn_away();
        return None;
    }
    if proxied.tunnel {
        if socket.clone().write_all(ESTABLISHED).await.is_err() {
            return None;
        }
        if secured {
            let to = Subject::of(&proxied.host);
            Box::pin(accepted.serve_secured(to, reception.door.on_refusal, reception.limit)).await;
        } else if let Some(attempt) = worker::with(|worker| worker.attempt(path)).flatten() {
            Box::pin(accepted.serve(attempt, reception.door.on_refusal)).await;
        }
        return None;
    }
    accepted.log.host = worker::with(|worker| Box::new(worker.proxied_rewriter(path, proxied.clone())));
    accepted.feed(&[head, behind].concat());
    let attempt = worker::with(|worker| worker.attempt(path)).flatten()?;
    if Box::pin(accepted.connect(Box::new(attempt))).await {
        poll_fn(|cx| {
            let polled = accepted.poll_relay(cx);
            let foreign = accepted.foreign();
            if foreign > MOST_HELD || (foreign > 0 && !accepted.answers_are_due()) {
                accepted.over = true;
                return Poll::Ready(());
            }
            polled
        })
        .await;
        let host = accepted.log.host.as_ref()?;
        let foreign = host.foreign().to_vec();
        if foreign.len() > MOST_HELD {
            socket::reset_on_close(socket);
            return None;
        }
        return (!foreign.is_empty()).then_some(foreign);
    }
    Box::pin(accepted.refuse(reception.door.on_refusal)).await;
    None
}

impl Accepted {
    /// Takes bytes that were read before it was made.
    fn feed(&mut self, bytes: &[u8]) {
        let Some(waiting) = &mut self.waiting else { return };
        let mut wake_up = WakeUp {
            log: &mut self.log,
            now: None,
            down_last_byte: None,
        };
        waiting.up.feed(bytes, &mut wake_up);
    }

    /// How many bytes are held back for another origin.
    fn foreign(&self) -> usize {
        self.log.host.as_ref().map_or(0, |host| host.foreign().len())
    }

    /// Whether anything that was asked is still to be answered.
    fn answers_are_due(&self) -> bool {
        let observer = self.log.observer.as_ref();
        observer.is_some_and(|observer| observer.in_flight() > 0)
    }
}

/// Connects to a host that no path leads to, and passes everything on unread.
async fn pass_by(downstream: Socket, proxied: &Proxied, head: &[u8], reception: &Reception) {
    let deadline = Instant::now() + reception.limit;
    let connected = timeout_at(deadline, connect(proxied, reception.own)).await;
    let name = proxied.to_string();
    let mut passed = Passed {
        connections: 1,
        ..Passed::default()
    };
    if let Ok(Some(upstream)) = connected {
        let mut upstream = Socket::new(upstream);
        let greeted = if proxied.tunnel {
            downstream.clone().write_all(ESTABLISHED).await
        } else {
            upstream.write_all(&alone(head)).await
        };
        let clock = worker::with(|worker| worker.clock);
        if let (Ok(()), Some(clock)) = (greeted, clock) {
            passed.bytes = relay(downstream, upstream, clock).await;
        }
    } else {
        passed.failed = 1;
        let answer: &[u8] =
            b"HTTP/1.1 502 Bad Gateway\r\nServer: hopscope\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        answer_and_close(&downstream, answer).await;
    }
    reception.bypass.add(name, passed);
}

async fn connect(proxied: &Proxied, own: OwnAddress) -> Option<TcpStream> {
    let addresses = tokio::net::lookup_host((proxied.host.as_str(), proxied.port))
        .await
        .ok()?;
    for address in addresses.filter(|address| !own.is_reached_by(*address)) {
        if let Ok(connected) = TcpStream::connect(address).await {
            return Some(connected);
        }
    }
    None
}

/// A head for its origin, which is to close the connection behind its answer: the next request may be for another.
fn alone(head: &[u8]) -> Vec<u8> {
    let is_connection = |line: &Vec<u8>| {
        line.get(..11)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"connection:"))
    };
    let mut lines: Vec<_> = origin_lines(head).filter(|line| !is_connection(line)).collect();
    let end = lines.len().saturating_sub(1);
    lines.insert(end, b"Connection: close\r\n".to_vec());
    lines.concat()
}

/// Relays until both sides have ended; gives how many bytes passed.
async fn relay(downstream: Socket, upstream: Socket, clock: RunClock) -> u64 {
    let waiting = Waiting::new(downstream.clone());
    let mut relay = Relay::between(
        Channel::Plain(downstream),
        waiting,
        Channel::Plain(upstream),
        false,
    );
    poll_fn(|cx| {
        let mut unread = Unread { clock };
        worker::with_scratch(|scratch| relay.poll(cx, &mut unread, scratch))
    })
    .await;
    relay.up.passed() + relay.down.passed()
}

async fn answer_and_close(socket: &Socket, answer: &[u8]) {
    if socket.clone().write_all(answer).await.is_ok() {
        socket::finish(socket);
    }
}

/// Looks at nothing.
struct Unread {
    clock: RunClock,
}

impl Watch for Unread {
    fn now(&mut self) -> Moment {
        self.clock.now()
    }

    fn see(&mut self, _from: Side, _bytes: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn taken(&mut self, _from: Side, _total: u64) {}

    fn unread_run(&self, _from: Side) -> u64 {
        u64::MAX
    }

    fn skip(&mut self, _from: Side, _count: u64) {}

    fn relayed(&mut self, _from: Side, _arrival: Arrival) {}

    fn ended(&mut self, _side: Side, _end: SideEnd) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_passes_by_is_the_last_of_its_connection() {
        let head = b"GET http://cdn.test/a HTTP/1.1\r\nHost: cdn.test\r\nConnection: keep-alive\r\n\r\n";
        assert_eq!(
            String::from_utf8(alone(head)).unwrap(),
            "GET /a HTTP/1.1\r\nHost: cdn.test\r\nConnection: close\r\n\r\n"
        );
    }
}
