//! Figures by address, where a path's target had several.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use hopscope_attribution::evidence::{ConnectionId, Evidence, PathId};

use crate::model::AddressReport;

/// What each address of a path did; none where there was only one.
pub(super) fn of(evidence: &Evidence, path: PathId) -> Vec<AddressReport> {
    let mut by_address: BTreeMap<SocketAddr, AddressReport> = BTreeMap::new();
    let entry = |by_address: &mut BTreeMap<SocketAddr, AddressReport>,
                 address: SocketAddr,
                 add: &dyn Fn(&mut AddressReport)| {
        add(by_address.entry(address).or_insert_with(|| AddressReport {
            address: address.to_string(),
            ..AddressReport::default()
        }));
    };
    let mut used: HashMap<ConnectionId, SocketAddr> = HashMap::new();
    for connection in evidence
        .connections
        .iter()
        .filter(|connection| connection.path == path)
    {
        let Some(tuple) = connection.upstream_tuple else {
            continue;
        };
        entry(&mut by_address, tuple.remote, &|of| {
            of.connections += 1;
            of.requests += u64::from(connection.exchanges);
        });
        used.insert(connection.id, tuple.remote);
    }
    for failures in evidence
        .failed_addresses
        .iter()
        .filter(|failures| failures.path == path)
    {
        entry(&mut by_address, failures.address, &|of| {
            of.not_taken = of.not_taken.saturating_add(failures.times);
        });
    }
    if by_address.len() < 2 {
        return Vec::new();
    }
    for exchange in evidence
        .exchanges
        .iter()
        .filter(|exchange| exchange.delivery.failed())
    {
        if let Some(address) = used.get(&exchange.connection) {
            entry(&mut by_address, *address, &|of| of.failed += 1);
        }
    }
    by_address.into_values().collect()
}
