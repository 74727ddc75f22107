//! Which pod a failed connection led to, as far as anything says it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::case::Case;
use crate::evidence::{ConnectionId, PathKind, PodEvidence, PodId, PodTurn, TunnelProcess};
use crate::failure::Failure;

/// Whether a failure's connection led to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// To this one.
    Same,
    /// To something else, for certain.
    Other,
    /// Nothing says.
    Unknown,
}

/// What is known of the ends of paths and connections.
pub(super) struct Targets<'e> {
    /// By connection: the pods in which a kernel saw its application's end.
    homes: Vec<(ConnectionId, &'e PodId)>,
    /// Of each path: the only address that its connections went to.
    addresses: Vec<Option<IpAddr>>,
    /// Names that pods of several namespaces bear.
    ambiguous: BTreeSet<&'e str>,
}

impl<'e> Targets<'e> {
    pub(super) fn of(case: &Case<'e>, pods: &'e PodEvidence) -> Self {
        let mut homes: Vec<_> = pods.homes.iter().map(|(id, pod)| (*id, pod)).collect();
        homes.sort_unstable();
        let mut addresses: Vec<BTreeSet<IpAddr>> = vec![BTreeSet::new(); case.evidence.paths.len()];
        for connection in &case.evidence.connections {
            if let Some(remote) = connection.upstream_tuple.map(|tuple| tuple.remote.ip())
                && let Some(all) = addresses.get_mut(usize::from(connection.path.0))
            {
                all.insert(remote.to_canonical());
            }
        }
        let typed = case.evidence.paths.iter().map(|path| address_in(&path.target));
        let addresses = addresses
            .into_iter()
            .zip(typed)
            .map(|(seen, typed)| match seen.len() {
                0 => typed,
                1 => seen.into_iter().next(),
                _ => None,
            })
            .collect();
        let mut namespaces: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for turn in &pods.turns {
            let of_name = namespaces.entry(&turn.pod.name).or_default();
            of_name.insert(&turn.pod.namespace);
        }
        let several = |all: &BTreeSet<&str>| all.len() > 1;
        Self {
            homes,
            addresses,
            ambiguous: namespaces
                .into_iter()
                .filter_map(|(name, all)| several(&all).then_some(name))
                .collect(),
        }
    }

    /// Whether the failure's connection led to the pod of this turn.
    pub(super) fn compare(&self, case: &Case<'_>, failure: &Failure, turn: &PodTurn) -> Match {
        let start = self.homes.partition_point(|(id, _)| *id < failure.id);
        let homes = self.homes.get(start..).unwrap_or(&[]);
        let mut homes = homes.iter().take_while(|(id, _)| *id == failure.id).peekable();
        if homes.peek().is_some() {
            return sure(homes.any(|(_, pod)| **pod == turn.pod));
        }
        let kind = case.kind(failure.path);
        if kind == PathKind::Tunnel {
            return self.by_forward(case, failure, &turn.pod);
        }
        let own = case
            .connection(failure)
            .and_then(|connection| connection.upstream_tuple);
        let address = own.map(|tuple| tuple.remote.ip().to_canonical()).or_else(|| {
            let of_path = self.addresses.get(usize::from(failure.path.0))?;
            *of_path
        });
        match address {
            Some(address) if turn.addresses.contains(&address) => Match::Same,
            // Nothing stands before the application there: the address is its own.
            Some(_) if kind == PathKind::Direct && !turn.addresses.is_empty() => Match::Other,
            Some(_) | None => Match::Unknown,
        }
    }

    /// kubectl resolves its target to one pod, and never again.
    fn by_forward(&self, case: &Case<'_>, failure: &Failure, pod: &PodId) -> Match {
        let tunnel = case.tunnel(failure.path);
        let Some(tunnel) = tunnel.seen() else {
            return Match::Unknown;
        };
        let port = case
            .connection(failure)
            .and_then(|connection| connection.upstream_tuple)
            .map(|tuple| tuple.remote.port());
        let mut latest: BTreeMap<u16, &TunnelProcess> = BTreeMap::new();
        let carried = |process: &&TunnelProcess| {
            process.at <= failure.at && port.is_none_or(|port| port == process.local_port)
        };
        for process in tunnel.processes.iter().filter(carried) {
            let known = latest.entry(process.member).or_insert(process);
            if process.at >= known.at {
                *known = process;
            }
        }
        let mut matches = latest.values().map(|process| self.by_process(process, pod));
        match matches.next() {
            Some(first) if matches.all(|other| other == first) => first,
            Some(_) | None => Match::Unknown,
        }
    }

    fn by_process(&self, process: &TunnelProcess, pod: &PodId) -> Match {
        let Some(name) = process.pod.seen() else {
            return Match::Unknown;
        };
        if *name != pod.name {
            return Match::Other;
        }
        let command = process.command.seen().map(String::as_str).unwrap_or_default();
        match namespace_in(command) {
            Some(namespace) => sure(namespace == pod.namespace),
            None if self.ambiguous.contains(pod.name.as_str()) => Match::Unknown,
            None => Match::Same,
        }
    }
}

const fn sure(same: bool) -> Match {
    if same { Match::Same } else { Match::Other }
}

/// The namespace that a kubectl's command line names, in whichever way.
fn namespace_in(command: &str) -> Option<&str> {
    let mut words = command.split(' ');
    while let Some(word) = words.next() {
        if word == "-n" || word == "--namespace" {
            return words.next();
        }
        let joined = word
            .strip_prefix("--namespace=")
            .or_else(|| word.strip_prefix("-n="));
        if joined.is_some() {
            return joined;
        }
    }
    None
}

/// The IP address in a target as it was typed, such as `http://10.0.0.7:3000/`; `None` where it is a name.
fn address_in(target: &str) -> Option<IpAddr> {
    let rest = target.split_once("://").map_or(target, |(_, rest)| rest);
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let with_port = host.parse::<SocketAddr>().ok().map(|address| address.ip());
    let alone = || host.trim_matches(['[', ']']).parse().ok();
    with_port
        .or_else(alone)
        .map(|address: IpAddr| address.to_canonical())
}
