//! What another path to the same application met in the same seconds.

use std::collections::{BTreeMap, BTreeSet};

use super::behind::Behind;
use super::{Found, carried, front, its_own};
use crate::case::Case;
use crate::cause::Cause;
use crate::confidence::GOOD;
use crate::evidence::{EndpointTurn, PathId, PathKind};
use crate::failure::{Failure, NONE, What};
use crate::figures::{count, percent};
use crate::hop::Hop;
use crate::rules::path_contrast::alike;

/// Attempts on the other path around a failure that say something.
const ENOUGH: u64 = 5;

/// The other paths, second by second and as a whole.
pub(super) struct Beside<'b, 'e> {
    behind: &'b Behind<'e>,
    others: Vec<Other>,
    /// Of each path through a load balancer: what it handed on, and all attempts.
    carried: BTreeMap<PathId, (u64, u64)>,
}

/// One path without a load balancer.
struct Other {
    path: PathId,
    /// Second -> attempts, and those that the backend failed.
    seconds: BTreeMap<u32, (u64, u64)>,
    attempts: u64,
    failed: u64,
    /// The cause of most of them.
    cause: Option<Cause>,
}

impl<'b, 'e> Beside<'b, 'e> {
    pub(super) fn of(case: &Case<'e>, behind: &'b Behind<'e>) -> Self {
        let others = case
            .paths_of(PathKind::Direct)
            .into_iter()
            .chain(case.paths_of(PathKind::Tunnel))
            .map(|path| Other::of(case, path))
            .filter(|other| other.attempts >= ENOUGH)
            .collect();
        let mut all: BTreeMap<PathId, (u64, u64)> = BTreeMap::new();
        for path in case.paths_of(PathKind::Lb) {
            let here = || case.failures.iter().filter(|failure| failure.path == path);
            let handed_on = here()
                .filter(|failure| failure.is_open() && carried(failure.what))
                .count();
            let without_exchange = here().filter(|failure| failure.exchange == NONE).count();
            let attempts = case.requests(path).0.saturating_add(without_exchange as u64);
            all.insert(path, (handed_on as u64, attempts));
        }
        Self {
            behind,
            others,
            carried: all,
        }
    }

    pub(super) fn judge(&self, case: &Case<'_>, failure: &Failure) -> Option<Found> {
        let name = case.path_name(failure.path);
        for other in &self.others {
            let (attempts, failed) = other.around(failure);
            if let Some(cause) = other.cause
                && attempts >= ENOUGH
                && failed.saturating_mul(2) >= attempts
            {
                return Some(Found {
                    cause,
                    confidence: GOOD,
                    why: format!(
                        "Path {} reaches the application without the load balancer, and most of it failed in the same seconds as path {name}.",
                        case.path_name(other.path)
                    ),
                });
            }
        }
        let here = self.carried.get(&failure.path)?;
        for other in &self.others {
            if let Some(cause) = other.cause
                && alike(*here, (other.failed, other.attempts))
            {
                return Some(Found {
                    cause,
                    confidence: GOOD,
                    why: format!(
                        "Path {} reaches the application without the load balancer, and the application failed it as often: {} of {} there, {} of {} on path {name}.",
                        case.path_name(other.path),
                        count(other.failed),
                        count(other.attempts),
                        count(here.0),
                        count(here.1),
                    ),
                });
            }
        }
        self.covered(case, failure)
    }

    /// Every ready pod was asked without the balancer in these seconds, and answered: then it was the balancer.
    fn covered(&self, case: &Case<'_>, failure: &Failure) -> Option<Found> {
        let turn: &EndpointTurn = self.behind.endpoints(failure)?;
        let mut reached = BTreeSet::new();
        let (mut attempts, mut failed) = (0, 0);
        for other in self
            .others
            .iter()
            .filter(|other| case.kind(other.path) == PathKind::Direct)
        {
            let around = other.around(failure);
            if around.0 >= ENOUGH {
                reached.extend(front::addresses(case, other.path));
                attempts += around.0;
                failed += around.1;
            }
        }
        let all = !turn.ready.is_empty() && turn.ready.iter().all(|ready| reached.contains(&ready.address));
        (all && failed.saturating_mul(20) <= attempts).then(|| Found {
            cause: its_own(failure.what),
            confidence: GOOD,
            why: format!(
                "Direct paths reached all {} ready pods in the same seconds and failed {} of {} ({}).",
                turn.ready.len(),
                count(failed),
                count(attempts),
                percent(failed, attempts)
            ),
        })
    }
}

impl Other {
    fn of(case: &Case<'_>, path: PathId) -> Self {
        let mut other = Self {
            path,
            seconds: BTreeMap::new(),
            attempts: 0,
            failed: 0,
            cause: None,
        };
        for cell in case.evidence.traffic.iter().filter(|cell| cell.path == path) {
            other.attempts = other.attempts.saturating_add(cell.requests);
            let second = other.seconds.entry(cell.second).or_default();
            second.0 = second.0.saturating_add(cell.requests);
        }
        let mut causes: BTreeMap<Cause, u64> = BTreeMap::new();
        for failure in case.failures.iter().filter(|failure| failure.path == path) {
            let second = other.seconds.entry(failure.at.second()).or_default();
            if failure.exchange == NONE {
                other.attempts += 1;
                second.0 += 1;
            }
            if failure.cause.hop() == Hop::Backend && of_the_application(failure.what) {
                other.failed += 1;
                second.1 += 1;
                *causes.entry(failure.cause).or_default() += 1;
            }
        }
        other.cause = causes
            .into_iter()
            .max_by_key(|(_, times)| *times)
            .map(|(cause, _)| cause);
        other
    }

    /// Attempts and the backend's failures from a second before a failure began to a second after it was over.
    fn around(&self, failure: &Failure) -> (u64, u64) {
        let from = failure.began.second().saturating_sub(1);
        // Rows are somebody else's: one may end before it began.
        let to = failure.at.second().saturating_add(1).max(from);
        let seconds = self.seconds.range(from..=to);
        seconds.fold((0, 0), |sum, (_, (attempts, failed))| {
            (sum.0 + attempts, sum.1 + failed)
        })
    }
}

/// What a balancer in front of it would have turned into a refusal or a 502, 503 or 504.
const fn of_the_application(what: What) -> bool {
    match what {
        What::Answered { status, .. } => matches!(status, 502..=504),
        What::Broken { .. } | What::NotConnected(_) | What::Abandoned { .. } => true,
        What::FrontTls(_) => false,
    }
}
