//! HAProxy's queue: requests that waited for a free connection to a server until `timeout queue` was over.
//!
//! Its 503 reads the same whether no server was there, a server refused, or the queue took too long. What tells the queue:
//! all are of one age, and those that were answered meanwhile had waited nearly as long.

use super::Found;
use crate::case::Case;
use crate::cause::Cause;
use crate::confidence::FAIR;
use crate::evidence::{Author, Delivery, PathId, PathKind, Span};
use crate::failure::{Failure, What};
use crate::lattice::{self, Spike};

/// Fewer than this are no spike.
const ENOUGH: usize = 5;
/// Shorter waits are answers that came at once.
const SHORTEST: Span = Span::from_micros(50_000);

/// The queue time-out of each path through a load balancer, where its answers show one.
pub(super) struct Queues(Vec<(PathId, Spike)>);

impl Queues {
    pub(super) fn of(case: &Case<'_>) -> Self {
        let found = case.paths_of(PathKind::Lb).into_iter();
        Self(
            found
                .filter_map(|path| Some((path, spike(case, path)?)))
                .collect(),
        )
    }

    pub(super) fn judge(&self, case: &Case<'_>, failure: &Failure) -> Option<Found> {
        let (_, spike) = self.0.iter().find(|(path, _)| *path == failure.path)?;
        (of_the_queue(failure) && spike.contains(failure.age())).then(|| Found {
            cause: Cause::LbQueueTimeout,
            confidence: FAIR,
            why: format!(
                "The answers of 503 on path {} came after {}, and those that were answered meanwhile had waited nearly as long.",
                case.path_name(failure.path),
                spike.at
            ),
        })
    }
}

fn of_the_queue(failure: &Failure) -> bool {
    failure.is_open()
        && matches!(
            failure.what,
            What::Answered {
                status: 503,
                author: Author::HaProxy
            }
        )
}

fn spike(case: &Case<'_>, path: PathId) -> Option<Spike> {
    let here = case.failures.iter().filter(|failure| failure.path == path);
    let mut ages: Vec<Span> = here
        .filter(|failure| of_the_queue(failure))
        .map(Failure::age)
        .collect();
    ages.sort_unstable();
    let spike = lattice::spike(&ages, ENOUGH).filter(|spike| spike.share >= 0.8 && spike.at >= SHORTEST)?;
    let answered = case.evidence.exchanges.iter().filter(|exchange| {
        let good = matches!(exchange.delivery, Delivery::Complete { status, .. } if status < 500);
        exchange.path == path && good
    });
    let (mut all, mut late, mut latest) = (0_usize, 0_usize, 0_usize);
    for exchange in answered {
        let waited = exchange.phases.total.as_micros();
        all += 1;
        late += usize::from(waited.saturating_mul(2) >= spike.at.as_micros());
        latest += usize::from(waited.saturating_mul(10) >= spike.at.as_micros().saturating_mul(8));
    }
    // A queue is served in order: most of who is served has waited, and some until just before the limit.
    (late >= ENOUGH && latest >= ENOUGH && late.saturating_mul(10) >= all.saturating_mul(3)).then_some(spike)
}
