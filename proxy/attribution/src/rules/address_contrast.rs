//! A target with several addresses, such as a balancer's name: one of them may be bad.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::Rule;
use crate::case::Case;
use crate::evidence::{ConnectFailure, Moment, PathId};
use crate::figures::{count, counted, percent, real};
use crate::statistics::interval::difference;
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "address-contrast",
    symptom: "connections over one address of a target fail, and those over its others do not; or an address takes none",
    evidence: "the address that each connection was made to, and those that failed before another one took it",
    verdict: "nobody; it names the address",
    proves: "what the other addresses share is not at fault: the target's name, the path's kind and the load",
    cannot_prove: "whether the address itself or what stands behind it fails",
    apply,
};

/// Fewer connections than this on either side say nothing.
const ENOUGH: u64 = 20;
/// Fewer failures than this on one address are chance: the worst of several is always worse than the rest.
const FEWEST: u64 = 10;
/// The least difference, as a share of one, that is worth naming.
const WORTH_NAMING: f64 = 0.02;

/// Connections over one address.
#[derive(Clone, Copy, Debug, Default)]
struct Carried {
    connections: u64,
    failed: u64,
}

fn apply(case: &mut Case<'_>) {
    let carried = carried(case);
    for index in 0..case.evidence.paths.len() {
        let Ok(path) = u8::try_from(index).map(PathId) else {
            continue;
        };
        let here: Vec<(SocketAddr, Carried)> = carried
            .iter()
            .filter(|((of, _), _)| *of == path)
            .map(|((_, address), carried)| (*address, *carried))
            .collect();
        if let Some(finding) = worst(case.path_name(path), &here) {
            case.contrasts.push(finding);
        }
        let taken = here.iter().any(|(_, carried)| carried.connections > 0);
        for finding in passed_over(case, path, taken) {
            case.contrasts.push(finding);
        }
    }
}

/// The connections of each path by the address that they were made to, and those of them that a failure fell on.
fn carried(case: &Case<'_>) -> BTreeMap<(PathId, SocketAddr), Carried> {
    let connections = &case.evidence.connections;
    let mut failed = vec![false; connections.len()];
    for failure in &case.failures {
        if let Some(failed) = failed.get_mut(failure.connection as usize) {
            *failed = true;
        }
    }
    let mut carried: BTreeMap<(PathId, SocketAddr), Carried> = BTreeMap::new();
    for (connection, failed) in connections.iter().zip(failed) {
        let Some(tuple) = connection.upstream_tuple else {
            continue;
        };
        let of = carried.entry((connection.path, tuple.remote)).or_default();
        of.connections += 1;
        of.failed += u64::from(failed);
    }
    carried
}

/// The address that fails more often than the others together, beyond chance.
fn worst(path: &str, here: &[(SocketAddr, Carried)]) -> Option<Finding> {
    let all = here.iter().fold(Carried::default(), |sum, (_, carried)| Carried {
        connections: sum.connections.saturating_add(carried.connections),
        failed: sum.failed.saturating_add(carried.failed),
    });
    let compared = here.iter().map(|(address, carried)| {
        let others = Carried {
            connections: all.connections - carried.connections,
            failed: all.failed - carried.failed,
        };
        let (low, high) = difference(
            (carried.failed, carried.connections),
            (others.failed, others.connections),
        );
        (address, carried, others, low, high)
    });
    let (address, carried, others, low, high) = compared
        .filter(|(_, carried, others, ..)| {
            carried.connections >= ENOUGH && others.connections >= ENOUGH && carried.failed >= FEWEST
        })
        .max_by(|a, b| a.3.total_cmp(&b.3))
        .filter(|(.., low, _)| *low > WORTH_NAMING)?;
    Some(Finding {
        rule: RULE.name,
        statement: format!(
            "Path {path}: of the connections to {address}, {} of {} failed ({}), of those to {}, {} of {} ({}): a \
             difference of {:+.1} to {:+.1} points.",
            count(carried.failed),
            count(carried.connections),
            percent(carried.failed, carried.connections),
            counted(
                u64::try_from(here.len() - 1).unwrap_or(0),
                "other address",
                "other addresses"
            ),
            count(others.failed),
            count(others.connections),
            percent(others.failed, others.connections),
            low * 100.0,
            high * 100.0,
        ),
        numbers: vec![
            ("difference_low", low),
            ("difference_high", high),
            ("connections", real(carried.connections)),
            ("failed", real(carried.failed)),
            ("others", real(others.connections)),
            ("others_failed", real(others.failed)),
        ],
    })
}

/// Addresses that did not take connections, each in one sentence. `taken` says whether another one ever did.
fn passed_over(case: &Case<'_>, path: PathId, taken: bool) -> Vec<Finding> {
    let name = case.path_name(path);
    let failures = case.evidence.failed_addresses.iter().filter(|of| of.path == path);
    failures
        .map(|of| Finding {
            rule: RULE.name,
            statement: format!(
                "Path {name}: {} {}, {}.",
                of.address,
                what(of.failure, of.times),
                if taken {
                    "and other addresses of the target were tried, as any client does"
                } else {
                    "and no other address of the target took a connection"
                }
            ),
            numbers: vec![
                ("times", real(of.times)),
                ("first_seconds", of.first.since(Moment(0)).as_secs_f64()),
                ("last_seconds", of.last.since(Moment(0)).as_secs_f64()),
            ],
        })
        .collect()
}

fn what(failure: ConnectFailure, times: u64) -> String {
    let connections = counted(times, "connection", "connections");
    match failure {
        ConnectFailure::Refused => format!("refused {connections}"),
        ConnectFailure::TimedOut => format!("did not answer {connections} in time"),
        ConnectFailure::Unreachable => format!("could not be reached for {connections}"),
        ConnectFailure::Reset => format!("reset {connections} during the handshake"),
        ConnectFailure::Dns
        | ConnectFailure::Tls(_)
        | ConnectFailure::OwnAddress
        | ConnectFailure::NoLocalPort
        | ConnectFailure::NoDescriptor
        | ConnectFailure::Errno(_) => format!("did not take {connections}"),
    }
}
