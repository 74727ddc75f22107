//! A connection, packed.

use std::net::{IpAddr, SocketAddr};

use super::Row;
use super::small::Small;
use crate::evidence::connection::{
    ConnectFailure, Connection, ConnectionId, Ending, Protocol, SideEnd, TcpFacts, Unread, Upstream,
};
use crate::evidence::observation::{Observation, WhyUnseen};
use crate::evidence::path::PathId;
use crate::evidence::time::{Moment, Span};
use crate::evidence::tuple::FourTuple;

/// What many connections have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says whether a number is there"
)]
pub struct ConnectionKind {
    path: PathId,
    upstream: How,
    closed: Observation<()>,
    /// hopscope's own address and port, and the generator's host.
    downstream: (SocketAddr, IpAddr),
    /// hopscope's own host, and the target's address and port.
    reached: Option<(IpAddr, SocketAddr)>,
    ends: (Ending, Ending),
    protocol: Protocol,
    unread: bool,
    first_byte_up: bool,
    first_byte_down: bool,
    last_byte: bool,
    tcp: Observation<()>,
}

/// [`Upstream`] without its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    Connected { tls: bool },
    Failed(ConnectFailure),
    Abandoned,
}

/// The rest of a connection. Moments are kept as the time since it was opened.
///
/// Of what the kernel said of its sockets, what verdicts need is kept: of the upstream one the round trip, what was
/// sent again, what was not acknowledged, and for how long the peer's window was full. The rest reads as zero, and that of the downstream socket as
/// [`WhyUnseen::NotWatched`]. It is in the recording.
#[derive(Clone, Copy, Debug)]
pub struct PackedConnection {
    id: Small<4>,
    opened: Small<5>,
    closed: Small<4>,
    tried: Small<4>,
    tls: Small<3>,
    downstream_port: Small<2>,
    upstream_port: Small<2>,
    downstream_end: Small<4>,
    upstream_end: Small<4>,
    bytes_up: Small<4>,
    bytes_down: Small<4>,
    first_byte_up: Small<4>,
    first_byte_down: Small<4>,
    last_byte: Small<4>,
    blocked_up: Small<3>,
    blocked_down: Small<3>,
    /// Bytes that were read, where others were not.
    read_up: Small<2>,
    read_down: Small<2>,
    exchanges: Small<3>,
    rtt_us: Small<3>,
    retransmits: Small<1>,
    unacked_bytes: Small<3>,
    rwnd_limited_ms: Small<3>,
}

impl PackedConnection {
    /// Which connection it is.
    #[inline]
    pub(super) fn id(&self) -> ConnectionId {
        ConnectionId(self.id.get())
    }
}

impl Row for Connection {
    type Kind = ConnectionKind;
    type Packed = PackedConnection;

    const NOTHING: PackedConnection = PackedConnection {
        id: Small::ZERO,
        opened: Small::ZERO,
        closed: Small::ZERO,
        tried: Small::ZERO,
        tls: Small::ZERO,
        downstream_port: Small::ZERO,
        upstream_port: Small::ZERO,
        downstream_end: Small::ZERO,
        upstream_end: Small::ZERO,
        bytes_up: Small::ZERO,
        bytes_down: Small::ZERO,
        first_byte_up: Small::ZERO,
        first_byte_down: Small::ZERO,
        last_byte: Small::ZERO,
        blocked_up: Small::ZERO,
        blocked_down: Small::ZERO,
        read_up: Small::ZERO,
        read_down: Small::ZERO,
        exchanges: Small::ZERO,
        rtt_us: Small::ZERO,
        retransmits: Small::ZERO,
        unacked_bytes: Small::ZERO,
        rwnd_limited_ms: Small::ZERO,
    };

    fn pack(&self) -> Option<(ConnectionKind, PackedConnection)> {
        let since = |at: Moment| at.0.checked_sub(self.opened.0);
        let span = |span: Option<Span>| span.map_or(0, Span::as_micros);
        let (how, tried, tls) = match self.upstream {
            Upstream::Connected { tcp, tls } => (How::Connected { tls: tls.is_some() }, tcp, tls),
            Upstream::Failed { after, failure } => (How::Failed(failure), after, None),
            Upstream::Abandoned { after } => (How::Abandoned, after, None),
        };
        let (downstream, upstream) = (self.downstream_tuple, self.upstream_tuple);
        let unread = self.unread.unwrap_or_default();
        let tcp = self.upstream_tcp.seen().copied().unwrap_or_default();
        let read = |passed: u64, unread: u64| match self.unread {
            Some(_) => passed.checked_sub(unread),
            None => Some(0),
        };
        let kind = ConnectionKind {
            path: self.path,
            upstream: how,
            closed: self.closed.map(drop),
            downstream: (downstream.local, bare(downstream.remote)?),
            reached: match upstream {
                Some(tuple) => Some((bare(tuple.local)?, tuple.remote)),
                None => None,
            },
            ends: (self.downstream_end.how, self.upstream_end.how),
            protocol: self.protocol,
            unread: self.unread.is_some(),
            first_byte_up: self.first_byte_up.is_some(),
            first_byte_down: self.first_byte_down.is_some(),
            last_byte: self.last_byte.is_some(),
            tcp: self.upstream_tcp.map(drop),
        };
        let packed = PackedConnection {
            id: Small::of(self.id.0)?,
            opened: Small::of(self.opened.0)?,
            closed: Small::of(self.closed.seen().map_or(Some(0), |at| since(*at))?)?,
            tried: Small::of(tried.as_micros())?,
            tls: Small::of(span(tls))?,
            downstream_port: Small::of(downstream.remote.port().into())?,
            upstream_port: Small::of(upstream.map_or(0, |tuple| tuple.local.port()).into())?,
            downstream_end: Small::of(since(self.downstream_end.at)?)?,
            upstream_end: Small::of(since(self.upstream_end.at)?)?,
            bytes_up: Small::of(self.bytes_up)?,
            bytes_down: Small::of(self.bytes_down)?,
            first_byte_up: Small::of(span(self.first_byte_up))?,
            first_byte_down: Small::of(span(self.first_byte_down))?,
            last_byte: Small::of(self.last_byte.map_or(Some(0), since)?)?,
            blocked_up: Small::of(self.blocked_up.as_micros())?,
            blocked_down: Small::of(self.blocked_down.as_micros())?,
            read_up: Small::of(read(self.bytes_up, unread.up)?)?,
            read_down: Small::of(read(self.bytes_down, unread.down)?)?,
            exchanges: Small::of(self.exchanges.into())?,
            rtt_us: Small::of(tcp.rtt_us.into())?,
            retransmits: Small::of(tcp.retransmits.into())?,
            unacked_bytes: Small::of(tcp.unacked_bytes.into())?,
            rwnd_limited_ms: Small::of(tcp.rwnd_limited_ms.into())?,
        };
        Some((kind, packed))
    }

    #[expect(
        clippy::inline_always,
        reason = "what a caller does not look at is not unpacked"
    )]
    #[inline(always)]
    fn unpack(kind: &ConnectionKind, packed: &PackedConnection) -> Self {
        let opened = packed.opened.get();
        let at = |since: Small<4>| Moment(opened + since.get());
        let (bytes_up, bytes_down) = (packed.bytes_up.get(), packed.bytes_down.get());
        let tried = Span::from_micros(packed.tried.get());
        let port = |port: Small<2>| narrow::<u16>(port.get());
        let socket = |ip: IpAddr, of: Small<2>| SocketAddr::new(ip, port(of));
        let span = |there: bool, micros: Small<4>| there.then(|| Span::from_micros(micros.get()));
        Self {
            id: ConnectionId(packed.id.get()),
            path: kind.path,
            opened: Moment(opened),
            closed: kind.closed.map(|()| at(packed.closed)),
            upstream: match kind.upstream {
                How::Connected { tls } => Upstream::Connected {
                    tcp: tried,
                    tls: tls.then(|| Span::from_micros(packed.tls.get())),
                },
                How::Failed(failure) => Upstream::Failed {
                    after: tried,
                    failure,
                },
                How::Abandoned => Upstream::Abandoned { after: tried },
            },
            downstream_tuple: FourTuple {
                local: kind.downstream.0,
                remote: socket(kind.downstream.1, packed.downstream_port),
            },
            upstream_tuple: kind.reached.map(|(local, remote)| FourTuple {
                local: socket(local, packed.upstream_port),
                remote,
            }),
            downstream_end: SideEnd {
                at: at(packed.downstream_end),
                how: kind.ends.0,
            },
            upstream_end: SideEnd {
                at: at(packed.upstream_end),
                how: kind.ends.1,
            },
            bytes_up,
            bytes_down,
            first_byte_up: span(kind.first_byte_up, packed.first_byte_up),
            first_byte_down: span(kind.first_byte_down, packed.first_byte_down),
            last_byte: kind.last_byte.then(|| at(packed.last_byte)),
            blocked_up: Span::from_micros(packed.blocked_up.get()),
            blocked_down: Span::from_micros(packed.blocked_down.get()),
            protocol: kind.protocol,
            unread: kind.unread.then(|| Unread {
                up: bytes_up.saturating_sub(packed.read_up.get()),
                down: bytes_down.saturating_sub(packed.read_down.get()),
            }),
            exchanges: narrow(packed.exchanges.get()),
            downstream_tcp: Observation::Unseen(WhyUnseen::NotWatched),
            upstream_tcp: kind.tcp.map(|()| TcpFacts {
                rtt_us: narrow(packed.rtt_us.get()),
                retransmits: narrow(packed.retransmits.get()),
                unacked_bytes: narrow(packed.unacked_bytes.get()),
                rwnd_limited_ms: narrow(packed.rwnd_limited_ms.get()),
                ..TcpFacts::default()
            }),
        }
    }
}

/// The host of an address that has nothing besides: an IPv6 address may have a scope.
fn bare(address: SocketAddr) -> Option<IpAddr> {
    (SocketAddr::new(address.ip(), address.port()) == address).then(|| address.ip())
}

/// A number that was this narrow before it was packed.
#[inline]
fn narrow<T: TryFrom<u64> + Default>(number: u64) -> T {
    T::try_from(number).unwrap_or_default()
}
