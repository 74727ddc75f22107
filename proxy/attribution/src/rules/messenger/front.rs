//! Whose listener an address is: shown in this run by a mark that no application writes, or by the process that owns it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::Found;
use crate::case::Case;
use crate::cause::Cause;
use crate::confidence::STRONG;
use crate::evidence::{Author, ConnectFailure, ConnectionId, Delivery, PathId, PathKind};
use crate::failure::{ById, Failure, What};
use crate::hop::Hop;

/// Addresses that a balancer's listener was shown to own, by path.
pub(super) struct Fronts {
    shown: BTreeMap<PathId, (BTreeSet<SocketAddr>, &'static str)>,
}

impl Fronts {
    pub(super) fn of(case: &Case<'_>) -> Self {
        let by_id = ById::of(&case.evidence.connections);
        let found = |id: ConnectionId| case.evidence.connections.get(by_id.find(id)? as usize);
        let mut shown: BTreeMap<PathId, (BTreeSet<SocketAddr>, &str)> = BTreeMap::new();
        let mut show = |id: ConnectionId, by: &'static str| {
            let row = found(id).filter(|row| case.kind(row.path) == PathKind::Lb);
            if let Some(row) = row
                && let Some(tuple) = row.upstream_tuple
            {
                let (addresses, _) = shown.entry(row.path).or_insert((BTreeSet::new(), by));
                addresses.insert(tuple.remote);
            }
        };
        for exchange in &case.evidence.exchanges {
            if let Delivery::Complete { author, .. } | Delivery::Truncated { author, .. } = exchange.delivery
                && only_a_balancer(author)
            {
                show(
                    exchange.connection,
                    "it had answered with a balancer's own mark before",
                );
            }
        }
        for socket in case
            .evidence
            .node
            .seen()
            .into_iter()
            .flat_map(|node| &node.sockets)
        {
            if let (Some(id), Some(Hop::Lb)) = (socket.connection.seen(), socket.owner.seen()) {
                show(*id, "a balancer's process had taken connections there");
            }
        }
        Self { shown }
    }

    pub(super) fn judge(&self, case: &Case<'_>, failure: &Failure) -> Option<Found> {
        if failure.what != What::NotConnected(ConnectFailure::Refused) {
            return None;
        }
        let (shown, by) = self.shown.get(&failure.path)?;
        let mut addresses = addresses(case, failure.path).into_iter().peekable();
        addresses.peek()?;
        addresses.all(|address| shown.contains(&address)).then(|| Found {
            cause: Cause::LbRefused,
            confidence: STRONG,
            why: format!(
                "The address of path {} is a balancer's own listener: {by}.",
                case.path_name(failure.path)
            ),
        })
    }
}

/// nginx and Envoy also run inside pods, in front of an application that shares their address.
const fn only_a_balancer(author: Author) -> bool {
    matches!(author, Author::AwsAlb | Author::HaProxy)
}

/// The addresses that a path's connections went to, or its target where that is an address and none stood.
pub(in crate::rules) fn addresses(case: &Case<'_>, path: PathId) -> Vec<SocketAddr> {
    let of_path = case.evidence.connections.iter().filter(|row| row.path == path);
    let seen: BTreeSet<SocketAddr> = of_path
        .filter_map(|row| row.upstream_tuple)
        .map(|tuple| SocketAddr::new(tuple.remote.ip().to_canonical(), tuple.remote.port()))
        .collect();
    if seen.is_empty() {
        typed(case.path_target(path)).into_iter().collect()
    } else {
        seen.into_iter().collect()
    }
}

/// The address in a target as it was typed, such as `http://10.0.0.7:3000/`; `None` where it is a name.
fn typed(target: &str) -> Option<SocketAddr> {
    let (scheme, rest) = target.split_once("://").unwrap_or(("", target));
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let port = match scheme {
        "https" => 443,
        _ => 80,
    };
    let alone = || {
        let address = host.trim_matches(['[', ']']).parse().ok()?;
        Some(SocketAddr::new(address, port))
    };
    host.parse().ok().or_else(alone)
}
