//! TCP to one of several addresses: in turn, the next one as soon as one fails or is slow (RFC 8305, section 5).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::task::Poll;
use std::time::Duration;

use hopscope_attribution::evidence::{ConnectFailure, Moment, Span};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::clock::RunClock;
use crate::socket;

/// How long an address may take before the next one is tried beside it: the Connection Attempt Delay that RFC 8305
/// recommends (section 8).
const DELAY: Duration = Duration::from_millis(250);

/// Where to connect to, and the local address to leave from where that is not the kernel's choice.
pub(super) type Candidate = (SocketAddr, Option<Ipv4Addr>);

/// What came of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    /// The address.
    pub(crate) address: SocketAddr,
    /// When it failed, or was overtaken.
    pub(crate) at: Moment,
    /// From the start of the attempt at it.
    pub(crate) after: Span,
    /// How.
    pub(crate) failure: ConnectFailure,
}

/// What came of all of them.
#[derive(Debug)]
pub(super) struct Dialled {
    /// The socket that stands, and the address that it is connected to.
    pub(super) connected: Result<(TcpStream, SocketAddr), ConnectFailure>,
    /// Addresses that did not take the connection, in the order in which they failed.
    pub(super) failed: Vec<Failed>,
}

/// Connects to one address.
pub(super) async fn one(
    (address, source): Candidate,
    deadline: Instant,
) -> Result<(TcpStream, SocketAddr), ConnectFailure> {
    let tcp = match begin(address, source) {
        Ok(Begun::Stands(tcp)) => tcp,
        Ok(Begun::UnderWay(tcp)) => match timeout_at(deadline, stands(&tcp)).await {
            Ok(Ok(())) => tcp,
            Ok(Err(error)) => return Err(connect_failure(&error)),
            Err(_) => return Err(ConnectFailure::TimedOut),
        },
        Err(error) => return Err(connect_failure(&error)),
    };
    Ok((tcp, address))
}

/// An attempt at one address that is under way.
struct UnderWay {
    address: SocketAddr,
    began: Moment,
    tcp: TcpStream,
}

impl UnderWay {
    fn failed(&self, failure: ConnectFailure, clock: RunClock) -> Failed {
        failed(self.address, self.began, failure, clock)
    }
}

fn failed(address: SocketAddr, began: Moment, failure: ConnectFailure, clock: RunClock) -> Failed {
    let at = clock.now();
    Failed {
        address,
        at,
        after: at.since(began),
        failure,
    }
}

/// Connects to the first of several addresses that takes the connection.
pub(super) async fn any(candidates: Vec<Candidate>, deadline: Instant, clock: RunClock) -> Dialled {
    let mut waiting = VecDeque::from(candidates);
    let mut under_way: Vec<UnderWay> = Vec::new();
    let mut failures: Vec<Failed> = Vec::new();
    let mut next_at = Instant::now();
    let connected = loop {
        if (under_way.is_empty() || Instant::now() >= next_at)
            && let Some((address, source)) = waiting.pop_front()
        {
            let began = clock.now();
            match begin(address, source) {
                Ok(Begun::Stands(tcp)) => break Some((tcp, address)),
                Ok(Begun::UnderWay(tcp)) => under_way.push(UnderWay { address, began, tcp }),
                Err(error) => {
                    failures.push(failed(address, began, connect_failure(&error), clock));
                    continue;
                }
            }
            next_at = Instant::now() + DELAY;
        }
        if under_way.is_empty() {
            break None;
        }
        tokio::select! {
            (index, outcome) = first(&mut under_way) => {
                let attempt = under_way.swap_remove(index);
                match outcome {
                    Ok(()) => break Some((attempt.tcp, attempt.address)),
                    Err(error) => failures.push(attempt.failed(connect_failure(&error), clock)),
                }
                // The next one does not wait for the others.
                next_at = Instant::now();
            }
            () = sleep_until(next_at), if !waiting.is_empty() => {}
            () = sleep_until(deadline) => break None,
        }
    };
    // Whoever is still under way gave no answer: until the deadline, or until another one stood.
    failures.extend(
        under_way
            .iter()
            .map(|attempt| attempt.failed(ConnectFailure::TimedOut, clock)),
    );
    let untried = !waiting.is_empty();
    Dialled {
        connected: connected.ok_or_else(|| all_failed(&failures, untried)),
        failed: failures,
    }
}

/// What the failure of all addresses is: that of the one from which most was heard. A refusal stands only where every
/// address that could be reached at all refused, and none was left untried.
fn all_failed(failures: &[Failed], untried: bool) -> ConnectFailure {
    let weight = |failure: ConnectFailure| match failure {
        // Ours, whichever address it was.
        ConnectFailure::NoDescriptor => 7,
        ConnectFailure::NoLocalPort => 6,
        ConnectFailure::TimedOut => 5,
        ConnectFailure::Reset => 4,
        ConnectFailure::Errno(_) | ConnectFailure::OwnAddress => 3,
        ConnectFailure::Refused => 2,
        // A family that the host has no route for says nothing of the target.
        ConnectFailure::Unreachable => 1,
        ConnectFailure::Dns | ConnectFailure::Tls(_) => 0,
    };
    failures
        .iter()
        .map(|failed| failed.failure)
        .chain(untried.then_some(ConnectFailure::TimedOut))
        .max_by_key(|failure| weight(*failure))
        .unwrap_or(ConnectFailure::TimedOut)
}

/// Waits for the first attempt that comes to an end: its index, and what it came to.
async fn first(under_way: &mut [UnderWay]) -> (usize, io::Result<()>) {
    poll_fn(|cx| {
        for (index, attempt) in under_way.iter().enumerate() {
            if let Poll::Ready(ready) = attempt.tcp.poll_write_ready(cx) {
                // A socket that failed is writable as well; only its error tells.
                let outcome = ready.and_then(|()| attempt.tcp.take_error());
                return Poll::Ready((index, outcome.and_then(|error| error.map_or(Ok(()), Err))));
            }
        }
        Poll::Pending
    })
    .await
}

/// A connection as `connect()` leaves it.
enum Begun {
    Stands(TcpStream),
    UnderWay(TcpStream),
}

fn begin(address: SocketAddr, source: Option<Ipv4Addr>) -> io::Result<Begun> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    if let Some(source) = source {
        socket::bind_address_without_port(&socket, source)?;
    }
    let mut stands = connect(&socket, address)?;
    // On loopback the handshake has mostly been made when the call returns, although it cannot say so: the answer came
    // while the call still held the socket. Asked again it can (net/ipv4/af_inet.c, `__inet_stream_connect`), which is
    // sooner than the event loop, and costs less.
    if !stands && address.ip().is_loopback() {
        stands = connect(&socket, address)?;
    }
    let stream = TcpStream::from_std(socket.into())?;
    Ok(if stands {
        Begun::Stands(stream)
    } else {
        Begun::UnderWay(stream)
    })
}

/// connect(2); whether the connection stands already.
fn connect(socket: &Socket, address: SocketAddr) -> io::Result<bool> {
    match socket.connect(&address.into()) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EALREADY)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Waits until the connection stands.
async fn stands(stream: &TcpStream) -> io::Result<()> {
    // Not `TcpSocket::connect`: that asks every socket for its error, which epoll has told already.
    let ready = stream.ready(Interest::WRITABLE | Interest::ERROR).await?;
    if (ready.is_error() || ready.is_write_closed())
        && let Some(error) = stream.take_error()?
    {
        return Err(error);
    }
    Ok(())
}

/// What a failed `connect()` says (connect(2), tcp(7)).
pub(super) fn connect_failure(error: &io::Error) -> ConnectFailure {
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => ConnectFailure::Refused,
        Some(libc::ETIMEDOUT) => ConnectFailure::TimedOut,
        Some(libc::EHOSTUNREACH | libc::ENETUNREACH) => ConnectFailure::Unreachable,
        Some(libc::ECONNRESET | libc::ECONNABORTED) | None => ConnectFailure::Reset,
        Some(libc::EADDRNOTAVAIL) => ConnectFailure::NoLocalPort,
        Some(libc::EMFILE | libc::ENFILE) => ConnectFailure::NoDescriptor,
        Some(errno) => ConnectFailure::Errno(errno),
    }
}

#[cfg(test)]
mod tests;
