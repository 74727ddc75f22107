//! Making the upstream connection: name, source address, TCP, TLS. Every failure is an outcome, none is an error.

mod addresses;
mod dial;
mod own;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hopscope_attribution::evidence::{ConnectFailure, Moment, Span, TlsFailure, Upstream};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use self::addresses::Known;
use self::dial::{Candidate, Dialled};
use super::clock::RunClock;
use super::source_address::SourceAddresses;
use super::stream::Channel;
use super::tls::UpstreamTls;
use hopscope_tunnel::paths::{Endpoint, Transport};

pub(super) use addresses::Addresses;
pub(super) use dial::Failed;
pub(super) use own::OwnAddress;

/// One worker's way to one endpoint.
#[derive(Debug)]
pub(super) struct Connector {
    endpoint: Endpoint,
    tls: Option<UpstreamTls>,
    limit: Duration,
    clock: RunClock,
    sources: SourceAddresses,
    place: Place,
    own: OwnAddress,
}

/// Where an endpoint is.
#[derive(Debug)]
enum Place {
    /// It is given by its address.
    Address(SocketAddr),
    /// It is given by a name, which stood for this when it was asked for last.
    Name(Option<Known>),
}

/// An attempt, prepared: what the worker's shared state has to say is already in it, so that it can run by itself.
#[derive(Debug)]
pub(super) struct Attempt {
    began: Moment,
    limit: Duration,
    clock: RunClock,
    goal: Goal,
    tls: Option<(UpstreamTls, String)>,
    /// The application protocols to offer in TLS, where the generator has named its own.
    protocols: Option<Vec<Vec<u8>>>,
}

#[derive(Debug)]
enum Goal {
    /// No forward listens at the moment: what a refused connection would be to a client of the forward itself.
    NoForward,
    One(Candidate),
    Several(Vec<Candidate>),
    ToResolve {
        name: Name,
        own: OwnAddress,
    },
}

/// A name to be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    host: String,
    port: u16,
}

impl Name {
    /// What it stands for now; `None` where the resolver has no answer.
    pub(super) async fn resolve(&self) -> Option<Addresses> {
        match Addresses::resolve(&self.host, self.port).await {
            Ok(addresses) => Some(addresses),
            Err(error) => {
                tracing::debug!(host = self.host, %error, "a name did not resolve");
                None
            }
        }
    }
}

/// What an attempt came to.
#[derive(Debug)]
pub(super) struct Attempted {
    /// The stream, where one stands.
    pub(super) stream: Option<Channel>,
    /// The outcome for the record.
    pub(super) outcome: Upstream,
    /// The address that the stream is connected to.
    pub(super) remote: Option<SocketAddr>,
    /// The addresses that the name resolved to, to be remembered.
    pub(super) resolved: Option<Addresses>,
    /// Of several addresses, those that did not take the connection.
    pub(super) failed: Vec<Failed>,
}

impl Attempted {
    /// One that came to nothing.
    pub(super) fn nothing(outcome: Upstream) -> Self {
        Self {
            stream: None,
            outcome,
            remote: None,
            resolved: None,
            failed: Vec::new(),
        }
    }
}

/// What all connectors of a run share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// The longest that connecting may take, name and TLS included.
    pub(super) limit: Duration,
    pub(super) clock: RunClock,
    /// Workers that connect to the same upstream.
    pub(super) workers: usize,
    /// Where hopscope itself listens.
    pub(super) own: OwnAddress,
    /// The same, as it was bound.
    pub(super) listening: SocketAddr,
}

impl Connector {
    /// A way to an endpoint, whose name was resolved to these addresses just now.
    pub(super) fn new(
        endpoint: Endpoint,
        tls: Option<UpstreamTls>,
        resolved: Option<Addresses>,
        terms: Terms,
    ) -> Self {
        let place = match endpoint.host.parse() {
            Ok(ip) => Place::Address(SocketAddr::new(ip, endpoint.port)),
            Err(_) => Place::Name(resolved.map(|addresses| Known::new(addresses, terms.clock.now()))),
        };
        Self {
            endpoint,
            tls,
            limit: terms.limit,
            clock: terms.clock,
            sources: SourceAddresses::shared_by(terms.workers),
            place,
            own: terms.own,
        }
    }

    /// Whether it leads to this host and port.
    pub(super) fn leads_to(&self, host: &str, port: u16) -> bool {
        self.endpoint.port == port && self.endpoint.host.eq_ignore_ascii_case(host)
    }

    /// Whether TLS is spoken to the endpoint.
    pub(super) fn is_secured(&self) -> bool {
        self.endpoint.transport == Transport::Tls
    }

    /// Prepares an attempt that begins now.
    pub(super) fn attempt(&mut self) -> Attempt {
        let began = self.clock.now();
        let sources = &mut self.sources;
        let mut candidate = |address| (address, sources.next(address));
        let goal = match &mut self.place {
            Place::Address(address) => Goal::One(candidate(*address)),
            Place::Name(Some(known)) if !known.is_stale(began) => match known.only() {
                Some(address) => Goal::One(candidate(address)),
                None => Goal::Several(known.in_order().into_iter().map(candidate).collect()),
            },
            Place::Name(_) => Goal::ToResolve {
                name: self.name(),
                own: self.own,
            },
        };
        let tls = match self.endpoint.transport {
            Transport::Tls => self.tls.clone().map(|tls| (tls, self.endpoint.host.clone())),
            Transport::Plain | Transport::Unread => None,
        };
        Attempt {
            began,
            limit: self.limit,
            clock: self.clock,
            goal,
            tls,
            protocols: None,
        }
    }

    fn name(&self) -> Name {
        Name {
            host: self.endpoint.host.clone(),
            port: self.endpoint.port,
        }
    }

    /// The name, where it is time to ask for it again. Meanwhile connections go where they went.
    pub(super) fn name_to_renew(&mut self) -> Option<Name> {
        let now = self.clock.now();
        let due = match &mut self.place {
            Place::Name(Some(known)) => known.is_due(now),
            Place::Name(None) | Place::Address(_) => false,
        };
        due.then(|| self.name())
    }

    /// Remembers what the name resolved to, without what has become hopscope's own.
    pub(super) fn remember(&mut self, addresses: &Addresses) {
        let (own, now) = (self.own, self.clock.now());
        let Place::Name(known) = &mut self.place else {
            return;
        };
        match (
            addresses.only_those(|address| !own.is_reached_by(address)),
            &mut *known,
        ) {
            (Some(addresses), Some(known)) => known.renew(addresses, now),
            (Some(addresses), None) => *known = Some(Known::new(addresses, now)),
            // Asked once more at the next attempt, which then says so.
            (None, _) => *known = None,
        }
    }

    /// Remembers that an address failed while another one took the connection.
    pub(super) fn avoid(&mut self, address: SocketAddr) {
        if let Place::Name(Some(known)) = &mut self.place {
            known.failed(address);
        }
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
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            limit: terms.limit,
            clock: terms.clock,
            sources: SourceAddresses::shared_by(terms.workers),
        }
    }

    /// Prepares an attempt at the pool's member whose turn it is, where one listens.
    pub(super) fn attempt(&mut self, member: Option<(SocketAddr, u16)>) -> Attempt {
        let goal = member.map_or(Goal::NoForward, |(address, _member)| {
            Goal::One((address, self.sources.next(address)))
        });
        Attempt {
            began: self.clock.now(),
            limit: self.limit,
            clock: self.clock,
            goal,
            tls: None,
            protocols: None,
        }
    }
}

impl Attempt {
    /// The clock that the attempt is timed by.
    pub(super) fn clock(&self) -> RunClock {
        self.clock
    }

    /// Whether TLS is spoken to the upstream.
    pub(super) fn is_secured(&self) -> bool {
        self.tls.is_some()
    }

    /// Offers these application protocols in TLS, the generator's own, instead of HTTP/1 alone.
    pub(super) fn offering(mut self, protocols: Vec<Vec<u8>>) -> Self {
        self.protocols = Some(protocols);
        self
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
            goal,
            tls,
            protocols,
        } = self;
        let deadline = Instant::now() + limit;
        let mut attempted = Attempted::nothing(Upstream::Abandoned { after: Span::ZERO });
        let failed = |failure, attempted: Attempted| Attempted {
            outcome: Upstream::Failed {
                after: Self::lasted(began, clock),
                failure,
            },
            ..attempted
        };
        let (goal, resolved) = match goal {
            Goal::ToResolve { name, own } => match timeout_at(deadline, name.resolve()).await {
                Ok(Some(addresses)) => match addresses.only_those(|address| !own.is_reached_by(address)) {
                    Some(addresses) => (several(&addresses), Some(addresses)),
                    None => return failed(ConnectFailure::OwnAddress, attempted),
                },
                Ok(None) | Err(_) => return failed(ConnectFailure::Dns, attempted),
            },
            goal @ (Goal::NoForward | Goal::One(_) | Goal::Several(_)) => (goal, None),
        };
        attempted.resolved = resolved;
        let connected = match goal {
            Goal::NoForward | Goal::ToResolve { .. } => Err(ConnectFailure::Refused),
            Goal::One(candidate) => dial::one(candidate, deadline).await,
            Goal::Several(candidates) => {
                let Dialled { connected, failed } = Box::pin(dial::any(candidates, deadline, clock)).await;
                attempted.failed = failed;
                connected
            }
        };
        let (tcp, remote) = match connected {
            Ok(connected) => connected,
            Err(failure) => return failed(failure, attempted),
        };
        let tcp_after = Self::lasted(began, clock);
        let (stream, tls_after) = match tls {
            None => (Channel::plain(tcp), None),
            Some((tls, host)) => match secure(&tls, &host, protocols, tcp, deadline).await {
                Ok(stream) => (stream, Some(Self::lasted(began, clock) - tcp_after)),
                Err(failure) => return failed(failure, attempted),
            },
        };
        Attempted {
            stream: Some(stream),
            outcome: Upstream::Connected {
                tcp: tcp_after,
                tls: tls_after,
            },
            remote: Some(remote),
            ..attempted
        }
    }
}

/// Addresses that have just been resolved, in their order.
fn several(addresses: &Addresses) -> Goal {
    let candidate = |address| (address, None::<Ipv4Addr>);
    match addresses.only() {
        Some(address) => Goal::One(candidate(address)),
        None => Goal::Several(addresses.iter().map(candidate).collect()),
    }
}

async fn secure(
    tls: &UpstreamTls,
    host: &str,
    protocols: Option<Vec<Vec<u8>>>,
    tcp: TcpStream,
    deadline: Instant,
) -> Result<Channel, ConnectFailure> {
    // Its messages are small, and several of ours come after one another.
    if let Err(error) = tcp.set_nodelay(true) {
        return Err(dial::connect_failure(&error));
    }
    match timeout_at(deadline, tls.handshake(host, protocols, tcp)).await {
        Ok(Ok(stream)) => Ok(Channel::tls(stream)),
        Ok(Err(failure)) => Err(ConnectFailure::Tls(failure)),
        Err(_) => Err(ConnectFailure::Tls(TlsFailure::TimedOut)),
    }
}
