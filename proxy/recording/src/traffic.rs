//! The exact counts per second, path and route: gathered from all workers, and as rows of the file.

use std::collections::{BTreeMap, HashMap};

use hopscope_attribution::evidence::{PathId, RouteId};

use super::columns::Blob;
use super::second::{Cell, Second};
use super::sparing::Sparing;
use hopscope_text::distribution::Distribution;

/// One row of the table `traffic`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TrafficRow {
    /// Second of the run in which the exchanges ended.
    pub(super) second: u32,
    pub(super) path: PathId,
    pub(super) route: RouteId,
    pub(super) requests: u64,
    pub(super) delivered_errors: u64,
    pub(super) undelivered: u64,
    pub(super) latency_sum_us: u64,
    pub(super) latency_max_us: u64,
    pub(super) ok_latency_sum_us: u64,
    pub(super) ok_latency_max_us: u64,
    /// Rows of `exchange` that are a uniform random sample of the successful ones.
    pub(super) ok_rows: u64,
    /// Complete responses by status, such as `200:1021,404:7`.
    pub(super) statuses: String,
    /// `HdrHistogram` V2 of the successful ones' latencies in microseconds; empty when there were none.
    pub(super) ok_latencies: Blob,
    /// The same of the failed ones.
    pub(super) failed_latencies: Blob,
}

/// One row of the table `added`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AddedRow {
    /// Second of the run.
    pub(super) second: u32,
    /// `HdrHistogram` V2 of what hopscope added to exchanges, microseconds.
    pub(super) latencies: Blob,
}

/// The counts of one cell, over all workers.
#[derive(Debug, Default)]
struct Gathered {
    row: TrafficRow,
    statuses: BTreeMap<u16, u64>,
    ok: Distribution,
    failed: Distribution,
}

/// The seconds that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    seconds: BTreeMap<u32, HashMap<(PathId, RouteId), Gathered>>,
    added: BTreeMap<u32, Distribution>,
}

impl Assembly {
    /// Adds what one worker counted; of the sample, what is kept.
    pub(super) fn add(&mut self, second: &Second, sparing: Sparing) {
        let cells = self.seconds.entry(second.second).or_default();
        for cell in second.cells() {
            cells
                .entry((cell.path, cell.route))
                .or_default()
                .add(cell, sparing);
        }
        if !second.added.is_empty() {
            self.added.entry(second.second).or_default().add(&second.added);
        }
    }

    /// Takes out the rows of all seconds before `end`, in order.
    pub(super) fn take_before(&mut self, end: u32) -> Vec<TrafficRow> {
        let later = self.seconds.split_off(&end);
        let over = std::mem::replace(&mut self.seconds, later);
        let mut rows: Vec<_> = over
            .into_iter()
            .flat_map(|(second, cells)| {
                cells
                    .into_iter()
                    .map(move |(cell, gathered)| gathered.row(second, cell))
            })
            .collect();
        rows.sort_by_key(|row| (row.second, row.path, row.route));
        rows
    }

    /// Takes out what hopscope added in all seconds before `end`, in order.
    pub(super) fn take_added_before(&mut self, end: u32) -> Vec<AddedRow> {
        let later = self.added.split_off(&end);
        std::mem::replace(&mut self.added, later)
            .into_iter()
            .map(|(second, latencies)| AddedRow {
                second,
                latencies: Blob(latencies.serialised()),
            })
            .collect()
    }
}

impl Gathered {
    fn add(&mut self, cell: &Cell, sparing: Sparing) {
        let row = &mut self.row;
        row.requests += cell.requests;
        row.delivered_errors += cell.delivered_errors;
        row.undelivered += cell.undelivered;
        row.latency_sum_us = row.latency_sum_us.saturating_add(cell.latency_sum_us);
        row.latency_max_us = row.latency_max_us.max(cell.latency_max_us);
        row.ok_latency_sum_us = row.ok_latency_sum_us.saturating_add(cell.ok_latency_sum_us);
        row.ok_latency_max_us = row.ok_latency_max_us.max(cell.ok_latency_max_us);
        let kept = cell.sample.iter().filter(|row| sparing.keeps(row.connection));
        row.ok_rows += kept.count() as u64;
        for (status, count) in &cell.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.ok.add(&cell.ok);
        self.failed.add(&cell.failed);
    }

    fn row(self, second: u32, (path, route): (PathId, RouteId)) -> TrafficRow {
        TrafficRow {
            second,
            path,
            route,
            statuses: written(&self.statuses),
            ok_latencies: Blob(self.ok.serialised()),
            failed_latencies: Blob(self.failed.serialised()),
            ..self.row
        }
    }
}

/// Statuses and how often each was seen, as the file has them.
fn written(statuses: &BTreeMap<u16, u64>) -> String {
    let pairs: Vec<_> = statuses
        .iter()
        .map(|(status, count)| format!("{status}:{count}"))
        .collect();
    pairs.join(",")
}

/// Adds what [`written`] wrote to `statuses`. `None` when it is something else.
pub(super) fn add_written(written: &str, statuses: &mut BTreeMap<u16, u64>) -> Option<()> {
    for pair in written.split(',').filter(|pair| !pair.is_empty()) {
        let (status, count) = pair.split_once(':')?;
        let (status, count): (u16, u64) = (status.parse().ok()?, count.parse().ok()?);
        let sum = statuses.entry(status).or_default();
        *sum = sum.saturating_add(count);
    }
    Some(())
}
