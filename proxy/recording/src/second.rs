//! Exact counts of one worker's exchanges in one second of the run, per path and route.

use hopscope_attribution::evidence::{Delivery, Exchange, PathId, Phases, RouteId, Span};

use hopscope_text::latencies::Latencies;

/// Upper bounds of the buckets in which phases are counted for the metrics, microseconds; beyond the last is one more.
pub const PHASE_BOUNDS_US: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// One worker's exchanges of one second.
#[derive(Debug, Default)]
pub struct Second {
    /// The second of the run.
    pub second: u32,
    /// Slot of a path's route in `cells`, plus one; 0 is none yet.
    slots: Vec<Vec<u32>>,
    /// The cells, in the order in which their routes were first seen. A recycled second has cells without requests.
    cells: Vec<Cell>,
    /// Where the time went, by path.
    pub phases: Vec<PhaseCounts>,
    /// Latency that hopscope itself added, as far as it was measured.
    pub added: Latencies,
    /// Successful exchanges sampled so far, over all cells.
    sampled: usize,
}

/// The exchanges of one second, path and route.
#[derive(Debug, Default)]
pub struct Cell {
    /// The path.
    pub path: PathId,
    /// The route.
    pub route: RouteId,
    /// All of them.
    pub requests: u64,
    /// Complete responses of status 400 and above.
    pub delivered_errors: u64,
    /// Those without a complete response.
    pub undelivered: u64,
    /// Sum of all latencies, microseconds.
    pub latency_sum_us: u64,
    /// The largest latency, microseconds.
    pub latency_max_us: u64,
    /// Sum of the successful ones' latencies, microseconds.
    pub ok_latency_sum_us: u64,
    /// The largest latency of a successful one, microseconds.
    pub ok_latency_max_us: u64,
    /// How many complete responses there were of each status.
    pub statuses: Vec<(u16, u64)>,
    /// Latencies of the successful ones.
    pub ok: Latencies,
    /// Latencies of the failed ones.
    pub failed: Latencies,
    /// A uniform random sample of the successful ones.
    pub sample: Vec<Exchange>,
}

/// Where the time of one path's exchanges went.
#[derive(Clone, Debug, Default)]
pub struct PhaseCounts {
    /// Until the request was handed to the upstream socket in full.
    pub request_sent: Buckets,
    /// Until the first byte of the response.
    pub first_byte: Buckets,
    /// Until the end.
    pub total: Buckets,
}

/// Counts per bucket of [`PHASE_BOUNDS_US`], and their sum.
#[derive(Clone, Debug, Default)]
pub struct Buckets {
    /// How many fell in each bucket; the last is above every bound.
    pub counts: [u64; PHASE_BOUNDS_US.len() + 1],
    /// Their sum, microseconds.
    pub sum_us: u64,
}

impl Buckets {
    /// Counts one span.
    pub fn record(&mut self, span: Span) {
        let bucket = PHASE_BOUNDS_US.partition_point(|&bound| bound < span.as_micros());
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum_us = self.sum_us.saturating_add(span.as_micros());
    }

    /// Adds what another counted.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }
}

/// How many successful exchanges are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct SampleLimits {
    /// Per cell.
    pub(super) per_cell: usize,
    /// Per second, over all cells.
    pub(super) per_second: usize,
}

impl Second {
    /// The cells that counted anything.
    pub fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| cell.requests > 0)
    }

    /// Exchanges counted, over all cells.
    pub fn requests(&self) -> u64 {
        self.cells.iter().map(|cell| cell.requests).sum()
    }

    /// Whether nothing was counted.
    pub(super) fn is_empty(&self) -> bool {
        self.cells().next().is_none() && self.added.is_empty()
    }

    /// Empties it for another second, keeping its memory.
    pub(super) fn clear(&mut self) {
        self.sampled = 0;
        self.added.clear();
        self.phases.fill(PhaseCounts::default());
        for cell in &mut self.cells {
            cell.clear();
        }
    }

    /// Counts one exchange, and keeps it where the sample takes it.
    pub(super) fn count(&mut self, exchange: &Exchange, limits: SampleLimits, random: &mut fastrand::Rng) {
        let path = usize::from(exchange.path.0);
        if self.phases.len() <= path {
            self.phases.resize_with(path + 1, PhaseCounts::default);
        }
        if let Some(phases) = self.phases.get_mut(path) {
            phases.count(&exchange.phases);
        }
        let room = self.sampled < limits.per_second;
        let cell = self.cell(exchange.path, exchange.route);
        if cell.count(exchange, room, limits.per_cell, random) {
            self.sampled += 1;
        }
    }

    fn cell(&mut self, path: PathId, route: RouteId) -> &mut Cell {
        let (path_at, route_at) = (usize::from(path.0), usize::from(route.0));
        if self.slots.len() <= path_at {
            self.slots.resize_with(path_at + 1, Vec::new);
        }
        let slots = &mut self.slots[path_at];
        if slots.len() <= route_at {
            slots.resize(route_at + 1, 0);
        }
        let slot = &mut slots[route_at];
        if *slot == 0 {
            self.cells.push(Cell {
                path,
                route,
                ..Cell::default()
            });
            *slot = u32::try_from(self.cells.len()).unwrap_or(u32::MAX);
        }
        &mut self.cells[*slot as usize - 1]
    }
}

impl PhaseCounts {
    fn count(&mut self, phases: &Phases) {
        if let Some(span) = phases.request_sent {
            self.request_sent.record(span);
        }
        if let Some(span) = phases.first_byte {
            self.first_byte.record(span);
        }
        self.total.record(phases.total);
    }
}

impl Cell {
    fn clear(&mut self) {
        self.requests = 0;
        self.delivered_errors = 0;
        self.undelivered = 0;
        self.latency_sum_us = 0;
        self.latency_max_us = 0;
        self.ok_latency_sum_us = 0;
        self.ok_latency_max_us = 0;
        self.statuses.clear();
        self.ok.clear();
        self.failed.clear();
        self.sample.clear();
    }

    /// Counts one exchange; whether the sample grew by it.
    fn count(&mut self, exchange: &Exchange, room: bool, limit: usize, random: &mut fastrand::Rng) -> bool {
        let micros = exchange.phases.total.as_micros();
        self.requests += 1;
        self.latency_sum_us = self.latency_sum_us.saturating_add(micros);
        self.latency_max_us = self.latency_max_us.max(micros);
        let Delivery::Complete { status, .. } = exchange.delivery else {
            self.undelivered += 1;
            self.failed.record(micros);
            return false;
        };
        self.status(status);
        if exchange.delivery.failed() {
            self.delivered_errors += 1;
            self.failed.record(micros);
            return false;
        }
        self.ok_latency_sum_us = self.ok_latency_sum_us.saturating_add(micros);
        self.ok_latency_max_us = self.ok_latency_max_us.max(micros);
        self.ok.record(micros);
        self.keep(exchange, room, limit, random)
    }

    fn status(&mut self, status: u16) {
        match self.statuses.iter_mut().find(|(seen, _)| *seen == status) {
            Some((_, count)) => *count += 1,
            None => self.statuses.push((status, 1)),
        }
    }

    /// Reservoir sampling (algorithm R): after n successful exchanges each of them is in the sample with the same
    /// chance.
    fn keep(&mut self, exchange: &Exchange, room: bool, limit: usize, random: &mut fastrand::Rng) -> bool {
        if self.sample.len() < limit && room {
            self.sample.push(*exchange);
            return true;
        }
        let ok = self.requests - self.delivered_errors - self.undelivered;
        let chosen = random.u64(..ok.max(1));
        if let Some(kept) = usize::try_from(chosen)
            .ok()
            .and_then(|at| self.sample.get_mut(at))
        {
            *kept = *exchange;
        }
        false
    }
}
