//! A generator's failures, one by one, and ours: found again by time, route and status.
//!
//! A generator's result names no connection. What it states of a failure is when it ended, what was asked for, and the
//! status of the answer; on one host, or on hosts whose clocks agree, that leaves one of ours or very few, and those few
//! were charged alike more often than not.

use std::collections::BTreeMap;

use hopscope_attribution::evidence::{Evidence, RouteId};
use hopscope_attribution::hop::Hop;
use hopscope_attribution::verdict::Judged;

use hopscope_explain::FailedRequest;

/// First those that ended within a twentieth of a second of one another, then the rest up to two seconds: a forward tells
/// of a generator's end a second later, and a loaded host is late on both sides.
const WINDOWS_US: [u64; 2] = [50_000, 2_000_000];

/// What was found again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Join {
    /// Failures that the generator stated with a time.
    pub stated: u64,
    /// Those of them that were found among ours.
    pub found: u64,
    /// Those of the found that ended within a twentieth of a second of ours.
    pub close: u64,
    /// The found, by the hop that ours is charged to.
    pub by_hop: BTreeMap<Hop, u64>,
    /// The generator's codes of those that were not found, each with how often.
    pub missing: BTreeMap<u32, u64>,
}

/// One of ours that none of theirs has been found to be yet.
struct Ours {
    at_unix_us: u64,
    hop: Hop,
    taken: bool,
}

/// What has to agree: the status of a complete answer, and the route where both sides know it.
type Key = (Option<u16>, Option<RouteId>);

/// Finds each of their failures among ours. `started_unix_us` is when the recording's clock was zero.
pub fn join(
    evidence: &Evidence,
    started_unix_us: u64,
    judged: &[Judged],
    failures: &[FailedRequest],
    targets: &[String],
) -> Join {
    let mut ours: BTreeMap<Key, Vec<Ours>> = BTreeMap::new();
    for failure in judged {
        let exchange = failure
            .exchange
            .and_then(|index| evidence.exchanges.get(index as usize));
        let key = (failure.status, exchange.map(|exchange| exchange.route));
        ours.entry(key).or_default().push(Ours {
            at_unix_us: started_unix_us.saturating_add(failure.at.0),
            hop: failure.cause.hop(),
            taken: false,
        });
    }
    for group in ours.values_mut() {
        group.sort_by_key(|failure| failure.at_unix_us);
    }
    let routes: Vec<Option<RouteId>> = targets.iter().map(|target| route_of(evidence, target)).collect();
    let mut left: Vec<&FailedRequest> = failures.iter().collect();
    left.sort_by_key(|failure| failure.at_unix_us);
    let mut join = Join {
        stated: u64::try_from(failures.len()).unwrap_or(u64::MAX),
        ..Join::default()
    };
    for (nth, window) in WINDOWS_US.into_iter().enumerate() {
        left.retain(|theirs| {
            let route = usize::try_from(theirs.target)
                .ok()
                .and_then(|target| routes.get(target).copied().flatten());
            let found = keys(theirs.status, route)
                .into_iter()
                .find_map(|key| nearest(ours.get_mut(&key)?, theirs.at_unix_us, window));
            if let Some(hop) = found {
                *join.by_hop.entry(hop).or_default() += 1;
                join.found += 1;
                join.close += u64::from(nth == 0);
            }
            found.is_none()
        });
    }
    for theirs in left {
        *join.missing.entry(theirs.code).or_default() += 1;
    }
    join
}

/// In the order in which they are looked through. What never stood has no request on record, so its route is not known.
fn keys(status: Option<u16>, route: Option<RouteId>) -> Vec<Key> {
    let mut keys = vec![(status, route)];
    if status.is_none() && route.is_some() {
        keys.push((None, None));
    }
    keys
}

/// The nearest in time that is not taken, and takes it.
fn nearest(ours: &mut [Ours], at: u64, window: u64) -> Option<Hop> {
    let start = ours.partition_point(|failure| failure.at_unix_us < at.saturating_sub(window));
    let end = ours.partition_point(|failure| failure.at_unix_us <= at.saturating_add(window));
    let best = ours
        .get_mut(start..end)?
        .iter_mut()
        .filter(|failure| !failure.taken)
        .min_by_key(|failure| failure.at_unix_us.abs_diff(at))?;
    best.taken = true;
    Some(best.hop)
}

/// The route that a path belongs to: the same text, or a template with as many segments and the same fixed ones.
fn route_of(evidence: &Evidence, target: &str) -> Option<RouteId> {
    let at = |fits: &dyn Fn(&str) -> bool| {
        let found = evidence.routes.iter().position(|route| fits(&route.0));
        found.and_then(|index| u16::try_from(index).ok()).map(RouteId)
    };
    at(&|route| route == target).or_else(|| at(&|route| fits(route, target)))
}

fn fits(template: &str, path: &str) -> bool {
    let (mut fixed, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (fixed.next(), given.next()) {
            (None, None) => return true,
            (Some(fixed), Some(given)) if fixed == given => {}
            (Some(fixed), Some(given)) if fixed.starts_with(':') && !given.is_empty() => {}
            (Some(_) | None, _) => return false,
        }
    }
}

#[cfg(test)]
mod tests;
