//! Which endpoints a Service had, and when, as the EndpointSlices told it.

use std::net::SocketAddr;

use super::pod::PodId;
use super::time::{Moment, Span};

/// One Service whose EndpointSlices were watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceEndpoints {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The addresses that stand for it: its cluster addresses, external addresses and those of its load balancer, each
    /// with each of its ports.
    pub addresses: Vec<SocketAddr>,
    /// Its node ports: at these it is reached on any node's address.
    pub node_ports: Vec<u16>,
    /// Its endpoints over time, in the order of time. The first one is what was there when the watch began.
    pub turns: Vec<EndpointTurn>,
}

/// From one moment on a Service had these endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointTurn {
    /// When it was so, on hopscope's clock.
    pub at: Moment,
    /// By how much that may be wrong: how late the API tells, and the clock between the hosts.
    pub error: Span,
    /// The endpoints that were ready, with their ports.
    pub ready: Vec<Endpoint>,
    /// Endpoints that there were and that were not ready.
    pub not_ready: Vec<Endpoint>,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The pod's address and port.
    pub address: SocketAddr,
    /// The pod; `None` for an endpoint that is none.
    pub pod: Option<PodId>,
    /// Its node, by its name in the cluster.
    pub node: Option<String>,
}

impl ServiceEndpoints {
    /// Whether an address stands for this Service.
    pub fn answers_at(&self, address: SocketAddr) -> bool {
        let canonical = SocketAddr::new(address.ip().to_canonical(), address.port());
        self.addresses.contains(&canonical) || self.node_ports.contains(&address.port())
    }

    /// What is known of its endpoints at one moment.
    pub fn at(&self, moment: Moment) -> Known<'_> {
        let before = |turn: &&EndpointTurn| turn.at + turn.error <= moment;
        let Some(last) = self.turns.iter().rfind(before) else {
            return Known::Nothing;
        };
        let changing = |turn: &EndpointTurn| {
            turn.at + turn.error > moment && turn.at.0.saturating_sub(turn.error.as_micros()) <= moment.0
        };
        if self.turns.iter().any(changing) {
            Known::Changing
        } else {
            Known::Settled(last)
        }
    }
}

/// What is known of a Service's endpoints at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<'e> {
    /// It was not watched then.
    Nothing,
    /// They changed about then, and the clocks do not tell which side of the change it was.
    Changing,
    /// They were these.
    Settled(&'e EndpointTurn),
}
