//! Making the upstream connection: name, source address, TCP, TLS. Every failure is an outcome, none is an error.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hopscope_attribution::evidence::{ConnectFailure, Moment, Span, TlsFailure, Upstream};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::clock::RunClock;
use super::source_address::SourceAddresses;
use super::stream::UpstreamStream;
use super::tls::UpstreamTls;
use hopscope_tunnel::paths::{Endpoint, Transport};

/// How long a resolved name is believed before it is asked for again.
const NAME_LIFETIME: Span = Span::from_secs(5);

/// One worker's way to one endpoint.
#[derive(Debug)]
pub(super) struct Connector {
    endpoint: Endpoint,
    tls: Option<UpstreamTls>,
    limit: Duration,
    clock: RunClock,
    sources: SourceAddresses,
    /// The endpoint's address, where it is given by one and not by a name.
    literal: Option<SocketAddr>,
    resolved: Option<(Moment, SocketAddr)>,
}

/// An attempt, prepared: what the worker's shared state has to say is already in it, so that it can run by itself.
#[derive(Debug)]
pub(super) struct Attempt {
    began: Moment,
    limit: Duration,
    clock: RunClock,
    address: Address,
    source: Option<std::net::Ipv4Addr>,
    tls: Option<(UpstreamTls, String)>,
}

#[derive(Debug)]
enum Address {
    /// No forward listens at the moment: what a refused connection would be to a client of the forward itself.
    NoForward,
    Known(SocketAddr),
    ToResolve {
        host: String,
        port: u16,
    },
}

/// What an attempt came to.
#[derive(Debug)]
pub(super) struct Attempted {
    /// The stream, where one stands.
    pub(super) stream: Option<UpstreamStream>,
    /// The outcome for the record.
    pub(super) outcome: Upstream,
    /// The address that the stream is connected to.
    pub(super) remote: Option<SocketAddr>,
    /// The address that the name resolved to, to be remembered.
    pub(super) resolved: Option<SocketAddr>,
}

impl Connector {
    pub(super) fn new(
        endpoint: Endpoint,
        tls: Option<UpstreamTls>,
        limit: Duration,
        clock: RunClock,
        workers: usize,
    ) -> Self {
        let literal = endpoint.host.parse().ok();
        Self {
            literal: literal.map(|ip| SocketAddr::new(ip, endpoint.port)),
            endpoint,
            tls,
            limit,
            clock,
            sources: SourceAddresses::shared_by(workers),
            resolved: None,
        }
    }

    /// Prepares an attempt that begins now.
    pub(super) fn attempt(&mut self) -> Attempt {
        let began = self.clock.now();
        let remembered = self
            .resolved
            .filter(|(at, _)| began.since(*at) < NAME_LIFETIME)
            .map(|(_, address)| address);
        let address = match self.literal.or(remembered) {
            Some(address) => Address::Known(address),
            None => Address::ToResolve {
                host: self.endpoint.host.clone(),
                port: self.endpoint.port,
            },
        };
        let source = match address {
            Address::Known(address) => self.sources.next(address),
            Address::ToResolve { .. } | Address::NoForward => None,
        };
        let tls = match self.endpoint.transport {
            Transport::Tls => self.tls.clone().map(|tls| (tls, self.endpoint.host.clone())),
            Transport::Plain | Transport::Unread => None,
        };
        Attempt {
            began,
            limit: self.limit,
            clock: self.clock,
            address,
            source,
            tls,
        }
    }

    /// Remembers what a name resolved to.
    pub(super) fn remember(&mut self, address: SocketAddr) {
        self.resolved = Some((self.clock.now(), address));
    }
}

/// One worker's way to a forward that hopscope runs.
#[derive(Debug)]
pub(super) struct ForwardConnector {
    limit: Duration,
    clock: RunClock,
    sources: SourceAddresses,
}

impl ForwardConnector {
    pub(super) fn new(limit: Duration, clock: RunClock, workers: usize) -> Self {
        Self {
            limit,
            clock,
            sources: SourceAddresses::shared_by(workers),
        }
    }

    /// Prepares an attempt at the pool's member whose turn it is, where one listens.
    pub(super) fn attempt(&mut self, member: Option<(SocketAddr, u16)>) -> Attempt {
        let address = member.map(|(address, _member)| address);
        Attempt {
            began: self.clock.now(),
            limit: self.limit,
            clock: self.clock,
            source: address.and_then(|address| self.sources.next(address)),
            address: address.map_or(Address::NoForward, Address::Known),
            tls: None,
        }
    }
}

impl Attempt {
    /// The clock that the attempt is timed by.
    pub(super) fn clock(&self) -> RunClock {
        self.clock
    }

    fn lasted(began: Moment, clock: RunClock) -> Span {
        clock.now().since(began)
    }

    /// When it began.
    pub(super) fn began(&self) -> Moment {
        self.began
    }

    /// Makes the attempt.
    pub(super) async fn run(self) -> Attempted {
        let Self {
            began,
            limit,
            clock,
            address,
            source,
            tls,
        } = self;
        let deadline = Instant::now() + limit;
        let failed = |failure, resolved| Attempted {
            stream: None,
            outcome: Upstream::Failed {
                after: Self::lasted(began, clock),
                failure,
            },
            remote: None,
            resolved,
        };
        let (address, resolved) = match address {
            Address::NoForward => return failed(ConnectFailure::Refused, None),
            Address::Known(address) => (address, None),
            Address::ToResolve { host, port } => match timeout_at(deadline, resolve(&host, port)).await {
                Ok(Some(address)) => (address, Some(address)),
                Ok(None) | Err(_) => return failed(ConnectFailure::Dns, None),
            },
        };
        let tcp = match begin(address, source) {
            Ok(Begun::Stands(tcp)) => tcp,
            Ok(Begun::UnderWay(tcp)) => match timeout_at(deadline, stands(&tcp)).await {
                Ok(Ok(())) => tcp,
                Ok(Err(error)) => return failed(connect_failure(&error), resolved),
                Err(_) => return failed(ConnectFailure::TimedOut, resolved),
            },
            Err(error) => return failed(connect_failure(&error), resolved),
        };
        let tcp_after = Self::lasted(began, clock);
        let Some((tls, host)) = tls else {
            let outcome = Upstream::Connected {
                tcp: tcp_after,
                tls: None,
            };
            return Attempted {
                stream: Some(UpstreamStream::Plain(tcp)),
                outcome,
                remote: Some(address),
                resolved,
            };
        };
        // Its messages are small, and several of ours come after one another.
        if let Err(error) = tcp.set_nodelay(true) {
            return failed(connect_failure(&error), resolved);
        }
        match timeout_at(deadline, tls.handshake(&host, tcp)).await {
            Ok(Ok(stream)) => {
                let tls_after = Self::lasted(began, clock) - tcp_after;
                let outcome = Upstream::Connected {
                    tcp: tcp_after,
                    tls: Some(tls_after),
                };
                Attempted {
                    stream: Some(UpstreamStream::Tls(Box::new(stream))),
                    outcome,
                    remote: Some(address),
                    resolved,
                }
            }
            Ok(Err(failure)) => failed(ConnectFailure::Tls(failure), resolved),
            Err(_) => failed(ConnectFailure::Tls(TlsFailure::TimedOut), resolved),
        }
    }
}

/// The first address that a name resolves to, if it does.
async fn resolve(host: &str, port: u16) -> Option<SocketAddr> {
    match tokio::net::lookup_host((host, port)).await {
        Ok(mut addresses) => addresses.next(),
        Err(error) => {
            tracing::debug!(host, %error, "a name did not resolve");
            None
        }
    }
}

/// A connection as `connect()` leaves it.
enum Begun {
    Stands(TcpStream),
    UnderWay(TcpStream),
}

fn begin(address: SocketAddr, source: Option<std::net::Ipv4Addr>) -> io::Result<Begun> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    if let Some(source) = source {
        super::socket::bind_address_without_port(&socket, source)?;
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
fn connect_failure(error: &io::Error) -> ConnectFailure {
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
