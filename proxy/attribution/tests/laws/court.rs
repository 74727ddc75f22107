//! The agent's metric and the report ask one court: for the same evidence the metric charges the report's hop, or nobody.

use std::net::{Ipv4Addr, SocketAddr};

use hopscope_attribution::attribute_each;
use hopscope_attribution::cause::Cause;
use hopscope_attribution::court::{
    Abort, Opened, SocketEnd, SocketError, TcpState, Witness, charge as metric,
};
use hopscope_attribution::evidence::node::{KernelEnd, KernelSocket};
use hopscope_attribution::evidence::{
    Author, ConnectFailure, Connection, ConnectionId, Cut, Delivery, Ending, Evidence, Exchange, FourTuple,
    Method, Moment, NodeEvidence, Observation, Path, PathId, PathKind, Phases, Protocol, RouteId, SideEnd,
    Span, TrafficCell, Upstream, WhyUnseen,
};
use hopscope_attribution::hop::Hop;
use proptest::prelude::*;

/// A socket of a connection that carries a part of the load over a path of this kind.
#[derive(Clone, Copy, Debug)]
struct Leg {
    kind: PathKind,
    owner: Hop,
    peer: Hop,
}

/// Every leg that a path has, from either end.
const LEGS: [Leg; 12] = [
    leg(PathKind::Direct, Hop::Client, Hop::Observer),
    leg(PathKind::Direct, Hop::Observer, Hop::Backend),
    leg(PathKind::Direct, Hop::Backend, Hop::Unknown),
    leg(PathKind::Lb, Hop::Client, Hop::Observer),
    leg(PathKind::Lb, Hop::Observer, Hop::Lb),
    leg(PathKind::Lb, Hop::Lb, Hop::Backend),
    leg(PathKind::Lb, Hop::Backend, Hop::Lb),
    leg(PathKind::Lb, Hop::Backend, Hop::Unknown),
    leg(PathKind::Tunnel, Hop::Client, Hop::Observer),
    leg(PathKind::Tunnel, Hop::Observer, Hop::Tunnel),
    leg(PathKind::Tunnel, Hop::Tunnel, Hop::Backend),
    leg(PathKind::Tunnel, Hop::Backend, Hop::Tunnel),
];

const fn leg(kind: PathKind, owner: Hop, peer: Hop) -> Leg {
    Leg { kind, owner, peer }
}

impl Leg {
    /// What a kernel says of an end of it.
    fn witness(self, end: &SocketEnd, dropped_at_home: bool) -> Option<Witness> {
        Some(Witness {
            owner: self.owner,
            peer: self.peer,
            opened: end.opened,
            end: end.kind()?,
            marks: end.marks(dropped_at_home),
            queue_overflowed: false,
        })
    }

    /// The same as a report reads it.
    fn socket(self, witness: &Witness) -> KernelSocket {
        let seen = |hop| match hop {
            Hop::Unknown => Observation::Unseen(WhyUnseen::NotWatched),
            Hop::Client | Hop::Observer | Hop::Tunnel | Hop::Lb | Hop::Backend => Observation::Seen(hop),
        };
        KernelSocket {
            at: Moment(1_000_000),
            connection: Observation::Seen(ConnectionId(0)),
            owner: seen(self.owner),
            peer: seen(self.peer),
            end: witness.end,
            bytes: Observation::Unseen(WhyUnseen::NotSupported),
            marks: witness.marks,
        }
    }

    /// Who connected, of these two.
    const fn opened(self) -> Opened {
        match self.owner {
            Hop::Backend => Opened::There,
            Hop::Client | Hop::Observer | Hop::Tunnel | Hop::Lb | Hop::Unknown => Opened::Here,
        }
    }
}

/// How hopscope's own two sockets fared, where that agrees with what the kernel says of this leg.
fn ended(leg: Leg, end: &SocketEnd) -> Vec<Result<Cut, ConnectFailure>> {
    let own = leg.owner == Hop::Observer;
    let client_first = leg.owner == Hop::Client && end.state == TcpState::Established;
    match (end.kind(), end.state) {
        // What hopscope's own socket met is what its kernel says.
        (Some(KernelEnd::ConnectRefused), _) if own => vec![Err(ConnectFailure::Refused)],
        (Some(KernelEnd::ConnectUnreachable), _) if own => vec![Err(ConnectFailure::Unreachable)],
        (Some(KernelEnd::ConnectTimedOut { .. }), _) if own => vec![Err(ConnectFailure::TimedOut)],
        (Some(KernelEnd::NoLocalPort), _) if own => vec![Err(ConnectFailure::NoLocalPort)],
        (Some(KernelEnd::ResetReceived), TcpState::SynSent) if own => vec![Err(ConnectFailure::Reset)],
        (Some(KernelEnd::ResetReceived), _) if own => vec![Ok(Cut::UpstreamReset)],
        (Some(KernelEnd::RetransmitTimeout), _) if own => vec![Ok(Cut::UpstreamErrno(110))],
        // hopscope has no connection.
        (_, TcpState::SynSent) if leg.owner == Hop::Client => Vec::new(),
        // The generator ended it first: nothing of the path's side did.
        (Some(KernelEnd::ResetSent | KernelEnd::ResetSentUnread | KernelEnd::RetransmitTimeout), _)
            if client_first =>
        {
            vec![Ok(Cut::DownstreamReset)]
        }
        // Behind hopscope's own there is a socket only where hopscope's stood.
        (Some(_) | None, _) => vec![Ok(Cut::UpstreamReset), Ok(Cut::UpstreamFin)],
    }
}

/// When hopscope's connection was over.
const OVER: u64 = 1_000_000;
const TOOK: Span = Span::from_micros(3_000);

fn run(kind: PathKind, how: Result<Cut, ConnectFailure>, begun: bool, socket: KernelSocket) -> Evidence {
    let begun = begun && how.is_ok();
    Evidence {
        paths: vec![Path {
            name: "one".to_owned(),
            kind,
            target: "10.0.0.7:3000".to_owned(),
        }],
        connections: vec![connection(how, begun)].into(),
        exchanges: vec![exchange(how, begun)].into(),
        traffic: vec![TrafficCell {
            path: PathId(0),
            requests: 1,
            undelivered: 1,
            ..TrafficCell::default()
        }],
        node: Observation::Seen(NodeEvidence {
            sockets: vec![socket],
            ..NodeEvidence::default()
        }),
        ..Evidence::default()
    }
}

fn connection(how: Result<Cut, ConnectFailure>, begun: bool) -> Connection {
    let tuple = |local, remote| FourTuple {
        local: SocketAddr::from((Ipv4Addr::LOCALHOST, local)),
        remote: SocketAddr::from((Ipv4Addr::LOCALHOST, remote)),
    };
    let first = |how| SideEnd {
        at: Moment(OVER),
        how,
    };
    let second = SideEnd {
        at: Moment(OVER + 100),
        how: Ending::EndedByRelay,
    };
    let (up, down) = match how {
        Ok(Cut::DownstreamReset) => (second, first(Ending::Reset)),
        Ok(Cut::UpstreamFin) => (first(Ending::Fin), second),
        Ok(Cut::UpstreamErrno(_)) => (first(Ending::TimedOut), second),
        Ok(_) => (first(Ending::Reset), second),
        Err(_) => (first(Ending::NeverStood), second),
    };
    Connection {
        id: ConnectionId(0),
        path: PathId(0),
        opened: Moment(OVER - TOOK.as_micros()),
        closed: Observation::Seen(Moment(OVER + 200)),
        upstream: match how {
            Ok(_) => Upstream::Connected {
                tcp: Span::from_micros(100),
                tls: None,
            },
            Err(failure) => Upstream::Failed { after: TOOK, failure },
        },
        downstream_tuple: tuple(8_080, 40_000),
        upstream_tuple: Some(tuple(50_000, 3_000)),
        downstream_end: down,
        upstream_end: up,
        bytes_up: 100,
        bytes_down: if begun { 100 } else { 0 },
        first_byte_up: None,
        first_byte_down: None,
        last_byte: None,
        blocked_up: Span::ZERO,
        blocked_down: Span::ZERO,
        protocol: Protocol::Http1,
        unread: None,
        exchanges: 1,
        downstream_tcp: Observation::default(),
        upstream_tcp: Observation::default(),
    }
}

fn exchange(how: Result<Cut, ConnectFailure>, begun: bool) -> Exchange {
    let cut = how.unwrap_or(Cut::NotConnected);
    Exchange {
        connection: ConnectionId(0),
        path: PathId(0),
        ordinal: 0,
        method: Method::Get,
        route: RouteId(0),
        began: Moment(OVER - TOOK.as_micros()),
        phases: Phases {
            total: TOOK,
            ..Phases::default()
        },
        bytes_up: 100,
        bytes_down: if begun { 100 } else { 0 },
        request_complete: true,
        answered_early: false,
        delivery: if begun {
            Delivery::Truncated {
                status: 200,
                author: Author::Unstated,
                cut,
            }
        } else {
            Delivery::Nothing { cut }
        },
    }
}

fn states() -> impl Strategy<Value = TcpState> {
    prop_oneof![
        Just(TcpState::SynSent),
        Just(TcpState::Established),
        Just(TcpState::CloseWait),
        Just(TcpState::FinWait1),
        Just(TcpState::LastAck),
    ]
}

fn errors() -> impl Strategy<Value = SocketError> {
    prop_oneof![
        Just(SocketError::None),
        Just(SocketError::Refused),
        Just(SocketError::Reset),
        Just(SocketError::BrokenPipe),
        Just(SocketError::TimedOut),
        Just(SocketError::NO_HOST),
    ]
}

proptest! {
    #[test]
    fn the_metric_charges_the_reports_hop_or_nobody(
        leg in prop::sample::select(&LEGS[..]),
        (state, error) in (states(), errors()),
        sent in prop::option::of(prop_oneof![Just(Abort::Unread), Just(Abort::Other), Just(Abort::NotSaid)]),
        (shut_down, no_port, dropped_at_home, begun) in any::<(bool, bool, bool, bool)>(),
        retransmits in 0_u32..3,
    ) {
        // Who was accepted was never in SYN-SENT, and no socket that is accepted is without a port.
        prop_assume!(leg.opened() == Opened::Here || state != TcpState::SynSent);
        let end = SocketEnd {
            opened: leg.opened(),
            state,
            error,
            shut_down,
            no_port,
            retransmits,
            reset_received: error == SocketError::Reset,
            reset_sent: sent,
        };
        let Some(witness) = leg.witness(&end, dropped_at_home) else { return Ok(()) };
        let Some(hop) = metric(&witness).map(Cause::hop).filter(|hop| *hop != Hop::Unknown) else {
            return Ok(());
        };
        for how in ended(leg, &end) {
            let evidence = run(leg.kind, how, begun, leg.socket(&witness));
            let (_, each) = attribute_each(&evidence);
            prop_assert_eq!(each.len(), 1);
            prop_assert_eq!(each[0].cause.hop(), hop, "{:?} {:?} {:?}: {:?}", leg, witness, how, each[0]);
        }
    }
}
