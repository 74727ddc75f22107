//! What all users saw together: the ground truth that a report is held against.

use std::collections::BTreeMap;
use std::time::Duration;

use super::mix::Mix;
use super::seen::Seen;

/// What was seen of one route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTotals {
    /// Method and path template.
    pub route: String,
    /// How often each outcome was seen.
    pub seen: BTreeMap<Seen, u64>,
    latencies: Vec<u32>,
}

/// What was seen of all routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// One a route, in the order of the mix.
    pub routes: Vec<RouteTotals>,
    /// Requests that were still under way when the run was broken off.
    pub interrupted: u64,
}

impl RouteTotals {
    /// Requests that ended.
    pub fn requests(&self) -> u64 {
        self.seen.values().sum()
    }

    /// Those of them that failed.
    pub fn failed(&self) -> u64 {
        self.seen
            .iter()
            .filter(|(seen, _)| seen.failed())
            .map(|(_, count)| count)
            .sum()
    }
}

impl Totals {
    pub(super) fn of(mix: &Mix) -> Self {
        let route = |route: &super::mix::RouteShare| RouteTotals {
            route: format!("{} {}", route.method, route.template),
            ..RouteTotals::default()
        };
        Self {
            routes: mix.routes().iter().map(route).collect(),
            interrupted: 0,
        }
    }

    pub(super) fn note(&mut self, route: usize, seen: Seen, latency: Duration) {
        if let Some(totals) = self.routes.get_mut(route) {
            *totals.seen.entry(seen).or_default() += 1;
            totals
                .latencies
                .push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        }
    }

    /// Requests that ended, of all routes.
    pub fn requests(&self) -> u64 {
        self.routes.iter().map(RouteTotals::requests).sum()
    }

    /// Failed requests of all routes.
    pub fn failed(&self) -> u64 {
        self.routes.iter().map(RouteTotals::failed).sum()
    }

    /// How often each outcome was seen, over all routes.
    pub fn seen(&self) -> BTreeMap<Seen, u64> {
        let mut all = BTreeMap::new();
        for (seen, count) in self.routes.iter().flat_map(|route| &route.seen) {
            *all.entry(*seen).or_default() += count;
        }
        all
    }

    /// The latency that this share of all requests did not exceed; `None` when there were none.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let mut all: Vec<u32> = self
            .routes
            .iter()
            .flat_map(|route| &route.latencies)
            .copied()
            .collect();
        all.sort_unstable();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count that fits in memory"
        )]
        let rank = (share.clamp(0.0, 1.0) * all.len() as f64).ceil() as usize;
        all.get(rank.max(1) - 1)
            .map(|micros| Duration::from_micros((*micros).into()))
    }
}
