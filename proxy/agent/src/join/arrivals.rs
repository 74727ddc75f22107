//! Which pod refused a connection that was made to an address that stands for pods. Pure.
//!
//! hopscope dials the Service; the translation is undone nowhere on record. But the pod's own kernel says which SYN it
//! refused, and the EndpointSlices say which pods the Service stood for. A refusal is a connection's when it happened at
//! its moment at one of these endpoints, and its sender is hopscope's host, or no more refusals happened there than hopscope
//! had connections refused. What fits twice tells the same either way: a pod refused.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use hopscope_attribution::evidence::{
    Arrival, Arrived, ConnectFailure, Connection, ConnectionId, Endpoint, Known, Moment, NodeEvidence,
    Observation, PathId, PodId, ServiceEndpoints, Span, Upstream, WhyUnseen,
};

mod dials;

use super::{Clock, Recorded};
use crate::evidence::{Line, RefusalSeen, Seen};

/// How much later than the refusal of its SYN a connect can fail, and how far two kernels can date one moment apart, beside
/// the clocks.
const APART: Span = Span::from_micros(250_000);

/// What one agent said that matters here.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Its lines.
    pub lines: &'a [Line],
    /// Its node's name in the cluster.
    pub node: Option<&'a str>,
    /// Its kernel.
    pub kernel: Option<&'a str>,
    /// It sees a SYN that no socket takes, and did so from before this moment on (microseconds since 1970); `None` where
    /// it does not.
    pub sees_refusals_since: Option<u64>,
    /// How its clock relates to the recording's.
    pub clock: Clock,
}

#[derive(Clone, Debug)]
struct Refused<'a> {
    at: Moment,
    error: Span,
    seen: &'a RefusalSeen,
    node: Option<&'a str>,
}

/// A connection that was not made, and when that was known.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    connection: Connection,
    from: Moment,
    until: Moment,
}

/// What became of the connections to Services that were not made.
pub fn arrivals(all: &[Said<'_>], node: &NodeEvidence, recorded: Recorded<'_>) -> Vec<Arrival> {
    let refused = refusals(all);
    // Where no API names the pods behind an address, the dial itself leads to them.
    let mut found = dials::arrivals(all, &refused, recorded);
    let known: HashSet<ConnectionId> = found.iter().map(|arrival| arrival.connection).collect();
    let Some(services) = node.services.seen() else {
        return found;
    };
    for (at, path) in (0..).zip(recorded.paths) {
        let id = PathId(at);
        let of_path = || recorded.connections.iter().filter(move |one| one.path == id);
        let mut targets: HashSet<SocketAddr> = of_path()
            .filter_map(|one| Some(one.upstream_tuple?.remote))
            .take(64)
            .collect();
        targets.extend(typed(&path.target));
        let service = services.iter().find(|service| {
            targets.iter().any(|target| service.answers_at(*target)) || is_named(service, &path.target)
        });
        let Some(service) = service else { continue };
        let open = of_path().filter(|one| !known.contains(&one.id));
        let attempts: Vec<_> = open.filter_map(|one| attempt(&one)).collect();
        if attempts.is_empty() {
            continue;
        }
        let own: HashSet<IpAddr> = of_path()
            .filter_map(|one| Some(one.upstream_tuple?.local.ip().to_canonical()))
            .collect();
        found.extend(of_service(service, attempts, &refused, &own, all, node));
    }
    found.sort_by_key(|arrival| arrival.connection);
    found
}

fn of_service(
    service: &ServiceEndpoints,
    mut attempts: Vec<Attempt>,
    refused: &[Refused<'_>],
    own: &HashSet<IpAddr>,
    all: &[Said<'_>],
    node: &NodeEvidence,
) -> Vec<Arrival> {
    attempts.sort_by_key(|attempt| (attempt.until, attempt.connection.id));
    let endpoints: HashMap<SocketAddr, &Endpoint> = service
        .turns
        .iter()
        .flat_map(|turn| turn.ready.iter().chain(&turn.not_ready))
        .map(|end| (canonical(end.address), end))
        .collect();
    let mut here: Vec<_> = refused
        .iter()
        .filter(|one| endpoints.contains_key(&canonical(one.seen.local)))
        .collect();
    let slack = |one: &Refused<'_>| one.error + APART;
    let fits = |attempt: &Attempt, one: &Refused<'_>| {
        one.at + slack(one) >= attempt.from && one.at <= attempt.until + slack(one)
    };
    // Others may dial the Service as well: where their refusals lie among ours, only the sender's address tells them apart.
    let near = here
        .iter()
        .filter(|one| attempts.iter().any(|attempt| fits(attempt, one)))
        .count();
    if near > attempts.len() {
        here.retain(|one| own.contains(&one.seen.remote.ip().to_canonical()));
    }
    let mut taken = vec![false; here.len()];
    let mut begin = 0;
    let mut found = Vec::new();
    for attempt in attempts {
        // Both are in the order of time: what is too old for this attempt is so for all that follow.
        while here.get(begin).is_some_and(|one| {
            taken.get(begin) == Some(&true) || one.at + slack(one) + LONGEST < attempt.from
        }) {
            begin += 1;
        }
        let matching = (begin..here.len()).find(|at| {
            let free = taken.get(*at) == Some(&false);
            free && here.get(*at).is_some_and(|one| fits(&attempt, one))
        });
        let arrival = match matching.and_then(|at| Some((at, *here.get(at)?))) {
            Some((at, one)) => {
                if let Some(taken) = taken.get_mut(at) {
                    *taken = true;
                }
                let end = endpoints.get(&canonical(one.seen.local)).copied();
                Some(by_pod(attempt.connection.id, one, end))
            }
            None => unseen(service, &attempt, all, node),
        };
        found.extend(arrival);
    }
    found
}

/// No attempt to connect that is on record lasts longer.
const LONGEST: Span = Span::from_micros(300_000_000);

fn by_pod(connection: ConnectionId, one: &Refused<'_>, end: Option<&Endpoint>) -> Arrival {
    let seen = one.seen;
    let told = (!seen.pod.is_empty()).then(|| PodId {
        namespace: seen.namespace.clone(),
        name: seen.pod.clone(),
    });
    let pod = told.or_else(|| end.and_then(|end| end.pod.clone()));
    let node = one.node.map(ToOwned::to_owned);
    Arrival {
        connection,
        at: one.at,
        error: one.error,
        destination: canonical(seen.local),
        pod: seen_or_not(pod),
        node: seen_or_not(node.or_else(|| end.and_then(|end| end.node.clone()))),
        seen: Arrived::from_word(&seen.arrived)
            .map_or(Observation::Unseen(WhyUnseen::NotSupported), Observation::Seen),
        events_lost: 0,
    }
}

/// A connection that no watched pod refused: where nobody watched one of the pods that it can have gone to, that node is
/// named; where all were watched and lost nothing, no SYN came to any of them.
fn unseen(
    service: &ServiceEndpoints,
    attempt: &Attempt,
    all: &[Said<'_>],
    node: &NodeEvidence,
) -> Option<Arrival> {
    let Known::Settled(turn) = service.at(attempt.until) else {
        return None;
    };
    let watched = |name: &str| {
        all.iter().any(|said| {
            said.node == Some(name)
                && said.sees_refusals_since.is_some_and(|since| {
                    since + said.clock.error.as_micros() < said.clock.began_unix_us + attempt.from.0
                })
        })
    };
    let is_watched = |end: &&Endpoint| end.node.as_deref().is_some_and(watched);
    let row = |end: &Endpoint, seen, events_lost| Arrival {
        connection: attempt.connection.id,
        at: attempt.until,
        error: Span::ZERO,
        destination: canonical(end.address),
        pod: seen_or_not(end.pod.clone()),
        node: seen_or_not(end.node.clone()),
        seen,
        events_lost,
    };
    if let Some(end) = turn.ready.iter().find(|end| !is_watched(end)) {
        return Some(row(end, Observation::Unseen(WhyUnseen::NotWatched), 0));
    }
    let end = turn.ready.first()?;
    let names: HashSet<&str> = turn.ready.iter().filter_map(|end| end.node.as_deref()).collect();
    let watching = node.nodes.iter().filter(|one| names.contains(one.name.as_str()));
    let lost = watching
        .map(|one| one.events_lost.saturating_add(one.records_dropped))
        .sum();
    Some(row(end, Observation::Seen(Arrived::NoSyn), lost))
}

fn seen_or_not<T>(value: Option<T>) -> Observation<T> {
    super::seen_or(value, WhyUnseen::NotWatched)
}

/// The refusals of all agents, each kernel's once, in the order of time.
fn refusals<'a>(all: &[Said<'a>]) -> Vec<Refused<'a>> {
    let mut found: Vec<Refused<'a>> = Vec::new();
    let mut known: HashSet<(Option<&str>, u64, SocketAddr, SocketAddr)> = HashSet::new();
    for said in all {
        for line in said.lines {
            let Seen::Refusal(seen) = &line.seen else { continue };
            let Some(at) = said.clock.moment(seen.unix_us) else {
                continue;
            };
            // An agent that was asked by two names tells the same lines twice.
            if known.insert((said.kernel, seen.unix_us, seen.local, seen.remote)) {
                found.push(Refused {
                    at,
                    error: said.clock.error,
                    seen,
                    node: said.node,
                });
            }
        }
    }
    found.sort_by_key(|one| one.at);
    found
}

fn attempt(connection: &Connection) -> Option<Attempt> {
    let Upstream::Failed { after, failure } = connection.upstream else {
        return None;
    };
    let refused = matches!(failure, ConnectFailure::Refused | ConnectFailure::Reset);
    let until = connection.opened + after;
    // A refusal is told at once; what was swallowed may have been so at any time of the attempt.
    let from = if refused { until } else { connection.opened };
    (refused || failure == ConnectFailure::TimedOut).then_some(Attempt {
        connection: *connection,
        from,
        until,
    })
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Host and port of a path's target as it was typed.
fn host_and_port(target: &str) -> Option<(&str, u16)> {
    let (scheme, rest) = target.split_once("://").unwrap_or(("", target));
    let authority = rest.split(['/', '?']).next()?;
    let usual = if scheme == "https" { 443 } else { 80 };
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => Some((host, port.parse().ok()?)),
        Some(_) | None => Some((authority, usual)),
    }
}

fn typed(target: &str) -> Option<SocketAddr> {
    let (host, port) = host_and_port(target)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some(canonical(SocketAddr::new(host.parse().ok()?, port)))
}

/// Whether the target is the Service's name within the cluster: `web.shop`, `web.shop.svc`, `web.shop.svc.cluster.local`.
fn is_named(service: &ServiceEndpoints, target: &str) -> bool {
    let Some((host, _)) = host_and_port(target) else {
        return false;
    };
    let mut labels = host.split('.');
    let own = (labels.next(), labels.next());
    own == (Some(service.name.as_str()), Some(service.namespace.as_str()))
        && labels.next().is_none_or(|label| label == "svc")
}

#[cfg(test)]
mod tests;
