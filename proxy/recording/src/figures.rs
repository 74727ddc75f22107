//! The exact figures of a run, per path and route: counts, statuses, latencies.

use std::collections::BTreeMap;

use hopscope_attribution::evidence::{Delivery, Exchange, PathId, RouteId, Span, TrafficCell};

use super::traffic::{TrafficRow, add_written};
use hopscope_text::distribution::Distribution;

/// All exchanges of one path and route, or of several added up.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// All exchanges.
    pub requests: u64,
    /// Complete responses of status 400 and above.
    pub delivered_errors: u64,
    /// Those without a complete response.
    pub undelivered: u64,
    /// How many complete responses there were of each status.
    pub statuses: BTreeMap<u16, u64>,
    /// Latency of all of them, from the request's first byte to the end, however it ended.
    pub all: Latency,
    /// Latency of the successful ones.
    pub ok: Latency,
}

/// How latencies are distributed, with their exact sum and maximum.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    distribution: Distribution,
    sum_us: u64,
    max_us: u64,
}

/// The figures of one path and route.
#[derive(Clone, Debug)]
pub struct RouteFigures {
    /// The path.
    pub path: PathId,
    /// The route.
    pub route: RouteId,
    /// What passed over it.
    pub figures: Figures,
}

/// A column of `traffic` that does not hold what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unfit {
    pub(super) column: &'static str,
    pub(super) expected: &'static str,
}

impl Latency {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.distribution.count()
    }

    /// The latency at or below which this share of all of them lies, to three digits; `None` when there are none.
    pub fn quantile(&self, share: f64) -> Option<Span> {
        self.distribution
            .quantile(share)
            .map(|at| at.min(Span::from_micros(self.max_us)))
    }

    /// The exact maximum.
    pub fn max(&self) -> Option<Span> {
        (self.count() > 0).then_some(Span::from_micros(self.max_us))
    }

    /// The exact mean, to the microsecond.
    pub fn mean(&self) -> Option<Span> {
        self.sum_us.checked_div(self.count()).map(Span::from_micros)
    }

    /// The distribution itself.
    pub const fn distribution(&self) -> &Distribution {
        &self.distribution
    }

    fn merge(&mut self, other: &Self) {
        self.distribution.merge(&other.distribution);
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.max_us = self.max_us.max(other.max_us);
    }

    /// Takes one out again. The maximum stays: it was seen.
    fn forget(&mut self, span: Span) {
        self.distribution.forget(span);
        self.sum_us = self.sum_us.saturating_sub(span.as_micros());
    }

    fn record(&mut self, span: Span) {
        self.distribution.record(span);
        self.sum_us = self.sum_us.saturating_add(span.as_micros());
        self.max_us = self.max_us.max(span.as_micros());
    }
}

impl Figures {
    /// Exchanges that a report counts as failed.
    pub const fn failed(&self) -> u64 {
        self.delivered_errors.saturating_add(self.undelivered)
    }

    /// Exchanges that did not fail.
    pub const fn succeeded(&self) -> u64 {
        self.requests.saturating_sub(self.failed())
    }

    /// Adds those of another.
    pub fn merge(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.delivered_errors = self.delivered_errors.saturating_add(other.delivered_errors);
        self.undelivered = self.undelivered.saturating_add(other.undelivered);
        for (status, count) in &other.statuses {
            let sum = self.statuses.entry(*status).or_default();
            *sum = sum.saturating_add(*count);
        }
        self.all.merge(&other.all);
        self.ok.merge(&other.ok);
    }

    /// How many different latencies are held.
    pub(super) const fn values(&self) -> usize {
        self.all.distribution.values() + self.ok.distribution.values()
    }

    /// Adds one row of the file.
    pub(super) fn add(&mut self, row: &TrafficRow) -> Result<(), Unfit> {
        let histogram = |column, blob: &[u8]| {
            Distribution::deserialised(blob).or(Err(Unfit {
                column,
                expected: "a histogram",
            }))
        };
        let ok = Latency {
            distribution: histogram("ok_latencies", &row.ok_latencies.0)?,
            sum_us: row.ok_latency_sum_us,
            max_us: row.ok_latency_max_us,
        };
        let mut all = Latency {
            distribution: histogram("failed_latencies", &row.failed_latencies.0)?,
            sum_us: row.latency_sum_us,
            max_us: row.latency_max_us,
        };
        all.distribution.merge(&ok.distribution);
        let mut statuses = BTreeMap::new();
        add_written(&row.statuses, &mut statuses).ok_or(Unfit {
            column: "statuses",
            expected: "statuses and their counts",
        })?;
        let (requests, delivered_errors, undelivered) = (row.requests, row.delivered_errors, row.undelivered);
        self.merge(&Self {
            requests,
            delivered_errors,
            undelivered,
            statuses,
            all,
            ok,
        });
        Ok(())
    }

    /// Takes out one exchange without a complete answer.
    pub(super) fn forget(&mut self, exchange: &Exchange) {
        self.requests = self.requests.saturating_sub(1);
        self.undelivered = self.undelivered.saturating_sub(1);
        self.all.forget(exchange.phases.total);
    }

    /// Adds one exchange of a second whose counts are missing because the recording was cut off.
    pub(super) fn add_exchange(&mut self, exchange: &Exchange) {
        self.requests += 1;
        self.all.record(exchange.phases.total);
        let Delivery::Complete { status, .. } = exchange.delivery else {
            self.undelivered += 1;
            return;
        };
        *self.statuses.entry(status).or_default() += 1;
        if exchange.delivery.failed() {
            self.delivered_errors += 1;
        } else {
            self.ok.record(exchange.phases.total);
        }
    }
}

/// The counts of one row, as evidence.
pub(super) const fn cell(row: &TrafficRow) -> TrafficCell {
    TrafficCell {
        second: row.second,
        path: row.path,
        route: row.route,
        requests: row.requests,
        delivered_errors: row.delivered_errors,
        undelivered: row.undelivered,
        latency_sum_us: row.latency_sum_us,
        latency_max_us: row.latency_max_us,
    }
}

/// Adds counts to a cell of the same second, path and route.
pub(super) fn add_cell(sum: &mut TrafficCell, more: &TrafficCell) {
    sum.requests = sum.requests.saturating_add(more.requests);
    sum.delivered_errors = sum.delivered_errors.saturating_add(more.delivered_errors);
    sum.undelivered = sum.undelivered.saturating_add(more.undelivered);
    sum.latency_sum_us = sum.latency_sum_us.saturating_add(more.latency_sum_us);
    sum.latency_max_us = sum.latency_max_us.max(more.latency_max_us);
}

/// One exchange as a cell of its own.
pub(super) fn cell_of(exchange: &Exchange) -> TrafficCell {
    let failed = exchange.delivery.failed();
    let complete = matches!(exchange.delivery, Delivery::Complete { .. });
    TrafficCell {
        second: (exchange.began + exchange.phases.total).second(),
        path: exchange.path,
        route: exchange.route,
        requests: 1,
        delivered_errors: u64::from(failed && complete),
        undelivered: u64::from(failed && !complete),
        latency_sum_us: exchange.phases.total.as_micros(),
        latency_max_us: exchange.phases.total.as_micros(),
    }
}
