//! What was seen of a run, and what was not.
//!
//! One module a vantage point. [`Evidence`] gathers them; a vantage point that was not manned is
//! [`Observation::Unseen`] with the reason, never an empty list that could be read as health.

pub mod address;
pub mod arrival;
pub mod connection;
pub mod cpu;
pub mod endpoints;
pub mod exchange;
pub mod generator;
pub mod grpc;
pub mod node;
pub mod observation;
pub mod observer;
pub mod path;
pub mod pod;
pub mod rows;
pub mod run;
pub mod time;
pub mod traffic;
pub mod tunnel;
pub mod tuple;

pub use address::{AddressFailures, FailedAddress};
pub use arrival::{Arrival, Arrived};
pub use connection::{
    ConnectFailure, Connection, ConnectionId, Ending, Opaque, Protocol, Side, SideEnd, TcpFacts, TlsFailure,
    Unread, Upstream,
};
pub use cpu::CpuThrottle;
pub use endpoints::{Endpoint, EndpointTurn, Known, ServiceEndpoints};
pub use exchange::{Author, Cut, Delivery, EnvoyReply, Exchange, Method, Phases, Route, RouteId};
pub use generator::{GeneratorExit, GeneratorResult};
pub use node::{NodeEvidence, WatchedNode};
pub use observation::{Observation, WhyUnseen};
pub use observer::{Accounting, ObserverDelay, ObserverHealth, ObserverSample};
pub use path::{Path, PathId, PathKind};
pub use pod::{PodChange, PodEvidence, PodId, PodTurn};
pub use rows::{Connections, Exchanges, Rows};
pub use run::RunFacts;
pub use time::{Moment, Span};
pub use traffic::TrafficCell;
pub use tunnel::{
    Forwarder, Laws, PortOwner, TunnelEvidence, TunnelGauge, TunnelLifeEvent, TunnelLine, TunnelProcess,
};
pub use tuple::FourTuple;

/// All that is known of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The paths over which the load travelled; [`PathId`] is an index into it.
    pub paths: Vec<Path>,
    /// The route names; [`RouteId`] is an index into it.
    pub routes: Vec<Route>,
    /// How long the traffic lasted, from the first connection to the last byte, answer or attempt; where there was none,
    /// the time on record.
    pub duration: Span,
    /// Every connection, in the order in which they were accepted.
    pub connections: Connections,
    /// Addresses that failed beside others of the same name, in the order in which they first did.
    pub failed_addresses: Vec<AddressFailures>,
    /// Every failed exchange, and a sample of the successful ones, in the order in which they ended.
    pub exchanges: Exchanges,
    /// Exact counts of all exchanges per second, path and route.
    pub traffic: Vec<TrafficCell>,
    /// What was seen of each tunnel path's forwarder; one entry a path of kind [`PathKind::Tunnel`].
    pub tunnels: Vec<(PathId, Observation<TunnelEvidence>)>,
    /// What the kernels on the path saw, where an agent or local probes ran.
    pub node: Observation<NodeEvidence>,
    /// How hopscope itself was doing.
    pub observer: ObserverHealth,
    /// What the load generator reported, where its result was given.
    pub generator: Observation<GeneratorResult>,
    /// How the load generator ended, where hopscope ran it.
    pub generator_exit: Observation<GeneratorExit>,
    /// Requests that were under way when the generator ended: in no other list and in no count. See
    /// [`crate::end_of_load`].
    pub cut_by_the_end: Vec<Exchange>,
    /// Connections without an exchange that were under way then: still connecting, or asked in what is not read.
    pub connects_cut_by_the_end: Vec<ConnectionId>,
}

impl Evidence {
    /// When the traffic began and when it ended: what is idle before and after it is not a part of it. Rows of what was
    /// answered are a sample, so the seconds of the exact counts speak as well. `None` without traffic.
    pub fn traffic_span(&self) -> Option<(Moment, Moment)> {
        let all = self.exchanges.iter().chain(self.cut_by_the_end.iter().copied());
        let exchanges = all.map(|exchange| (exchange.began, exchange.began + exchange.phases.total));
        let connections = self.connections.iter().map(|connection| {
            let tried = match connection.upstream {
                Upstream::Connected { tcp, tls } => tcp + tls.unwrap_or_default(),
                Upstream::Failed { after, .. } | Upstream::Abandoned { after } => after,
            };
            let left = match connection.downstream_end.how {
                // Who has left does not wait for an attempt that goes on.
                Ending::Fin | Ending::Reset | Ending::Tls(_) => connection.downstream_end.at,
                Ending::TimedOut
                | Ending::Errno(_)
                | Ending::EndedByRelay
                | Ending::StillOpen
                | Ending::NeverStood => Moment(u64::MAX),
            };
            let tried = (connection.opened + tried).min(left.max(connection.opened));
            (
                connection.opened,
                connection.last_byte.map_or(tried, |last| last.max(tried)),
            )
        });
        // What was given up is counted when its connection is over, which may be long after the traffic.
        let answered = |cell: &&TrafficCell| cell.requests > cell.undelivered;
        let cells = self.traffic.iter().filter(answered);
        let second = |second: u32| Moment(u64::from(second).saturating_mul(1_000_000));
        let counted = cells.map(|cell| (second(cell.second.saturating_add(1)), second(cell.second)));
        exchanges
            .chain(connections)
            .chain(counted)
            .reduce(|(from, to), (began, ended)| (from.min(began), to.max(ended)))
            .map(|(from, to)| (from.min(to), to))
    }
}
