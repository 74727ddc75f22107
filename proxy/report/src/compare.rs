//! A run beside an earlier one: what changed, and what could have changed without showing.
//!
//! Each run is cut into up to [`MOST_BLOCKS`] blocks of time, and what differs between the blocks of one run says how far
//! its figures can be trusted: requests of the same moment fail and are slow together, so that they are no independent
//! samples. An interval covers what varies within the two runs. What varies between runs of the same program, such as a
//! noisy machine, one run of each cannot show.

use std::collections::BTreeMap;

use hopscope_attribution::cause::Cause;
use hopscope_attribution::evidence::{Delivery, Evidence};
use hopscope_attribution::verdict::Judged;
use hopscope_text::figures::{float, percent, rounded, time};

use crate::model::{ComparisonReport, DifferenceReport, Report};

mod load;
mod spread;

use spread::Estimate;

/// Blocks of time that a run is cut into, at most.
const MOST_BLOCKS: u32 = 20;
/// With fewer blocks, nothing can be said of how they differ.
const FEWEST_BLOCKS: u32 = 8;
/// Causes that are compared, those with most failures in either run. With failures as a whole and three quantiles these
/// are nine comparisons, for which [`spread`]'s intervals are made.
const MOST_CAUSES: usize = 5;
/// The quantiles of the latency of successful requests that are compared.
const QUANTILES: [(f64, &str); 3] = [(0.5, "p50 ok"), (0.95, "p95 ok"), (0.99, "p99 ok")];

/// One run, cut into blocks of time.
#[derive(Clone, Debug)]
pub struct Side {
    blocks: Vec<Block>,
    /// Requests by route, for the mixture.
    routes: BTreeMap<String, u64>,
    seconds: u32,
}

/// What happened in one block.
#[derive(Clone, Debug, Default)]
struct Block {
    requests: u64,
    failed: u64,
    by_cause: BTreeMap<Cause, u64>,
    /// Microseconds that successful requests took, ascending: a uniform sample where the run was fast.
    ok: Vec<u64>,
}

impl Side {
    /// Cuts a run into blocks. `each` is what each of its failures is charged with.
    pub fn of(evidence: &Evidence, each: &[Judged]) -> Self {
        let seconds = || evidence.traffic.iter().map(|cell| cell.second);
        let (first, last) = (seconds().min().unwrap_or(0), seconds().max().unwrap_or(0));
        let length = if evidence.traffic.is_empty() {
            0
        } else {
            last - first + 1
        };
        let step = length.div_ceil(MOST_BLOCKS).max(1);
        // What is left of a block at the end is no block.
        let mut blocks = vec![Block::default(); (length / step) as usize];
        let index = |second: u32| Some(second.checked_sub(first)? as usize / step as usize);
        let mut routes: BTreeMap<String, u64> = BTreeMap::new();
        for cell in &evidence.traffic {
            if let Some(block) = index(cell.second).and_then(|at| blocks.get_mut(at)) {
                block.requests = block.requests.saturating_add(cell.requests);
                block.failed = block.failed.saturating_add(cell.failed());
            }
            if let Some(route) = evidence.routes.get(usize::from(cell.route.0)) {
                let sum = routes.entry(route.0.clone()).or_default();
                *sum = sum.saturating_add(cell.requests);
            }
        }
        for judged in each.iter().filter(|judged| judged.exchange.is_some()) {
            if let Some(block) = index(judged.at.second()).and_then(|at| blocks.get_mut(at)) {
                *block.by_cause.entry(judged.cause).or_default() += 1;
            }
        }
        for exchange in &evidence.exchanges {
            let went_well = matches!(exchange.delivery, Delivery::Complete { status, .. } if status < 400);
            let ended = (exchange.began + exchange.phases.total).second();
            if went_well && let Some(block) = index(ended).and_then(|at| blocks.get_mut(at)) {
                block.ok.push(exchange.phases.total.as_micros());
            }
        }
        for block in &mut blocks {
            block.ok.sort_unstable();
        }
        Self {
            blocks,
            routes,
            seconds: length,
        }
    }

    fn requests(&self) -> u64 {
        let requests = self.blocks.iter().map(|block| block.requests);
        requests.fold(0, u64::saturating_add)
    }

    fn is_long_enough(&self) -> bool {
        let busy = self.blocks.iter().filter(|block| block.requests > 0).count();
        busy >= FEWEST_BLOCKS as usize
    }

    /// The share of requests of which `count` counts.
    fn share(&self, count: impl Fn(&Block) -> u64) -> Option<Estimate> {
        let blocks = self
            .blocks
            .iter()
            .map(|block| (float(count(block)), float(block.requests)));
        Estimate::of_share(&blocks.collect::<Vec<_>>())
    }

    /// The logarithm of a quantile, over the blocks that have enough successful requests.
    fn quantile(&self, share: f64) -> Option<Estimate> {
        let enough = (2.0 / (1.0 - share)).ceil();
        let quantiles: Vec<f64> = self
            .blocks
            .iter()
            .filter(|block| float(block.ok.len() as u64) >= enough)
            .filter_map(|block| quantile(&block.ok, share))
            .map(|micros| float(micros.max(1)).ln())
            .collect();
        Estimate::of_mean(&quantiles)
    }
}

/// The value at or below which this share lies; the values are ascending.
fn quantile(sorted: &[u64], share: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length is a length"
    )]
    let rank = (share * float(sorted.len() as u64)).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied()
}

impl ComparisonReport {
    /// Compares two runs. `old_report` and `new_report` are their reports.
    pub fn of(old: (&Side, &Report), new: (&Side, &Report)) -> Self {
        let (old_side, old_report) = old;
        let (new_side, new_report) = new;
        let differs = load::differences(old, new);
        let mut differences = Vec::new();
        if old_side.is_long_enough() && new_side.is_long_enough() {
            differences.extend(share("failed", old_side, new_side, |block| block.failed));
            for cause in causes(old_side, new_side) {
                differences.extend(share(cause.word(), old_side, new_side, |block| {
                    block.by_cause.get(&cause).copied().unwrap_or(0)
                }));
            }
            for (at, name) in QUANTILES {
                differences.extend(latency(name, old_side.quantile(at), new_side.quantile(at)));
            }
        }
        let statement = statement(&differs, &differences);
        Self {
            baseline_started: old_report.run.started.clone(),
            baseline_requests: old_report.totals.requests,
            baseline_failure_ratio: old_report.totals.failure_ratio,
            baseline_seconds: old_report.run.duration_seconds,
            same_version: old_report.run.recorded_by == new_report.run.recorded_by,
            comparable: differs.is_empty() && !differences.is_empty(),
            differs,
            differences,
            statement,
        }
    }
}

/// The causes that are compared, in the order of their words.
fn causes(old: &Side, new: &Side) -> Vec<Cause> {
    let mut sums: BTreeMap<Cause, u64> = BTreeMap::new();
    for (cause, failures) in old
        .blocks
        .iter()
        .chain(&new.blocks)
        .flat_map(|block| &block.by_cause)
    {
        *sums.entry(*cause).or_default() += failures;
    }
    let mut causes: Vec<(Cause, u64)> = sums.into_iter().collect();
    causes.sort_by_key(|(cause, failures)| (std::cmp::Reverse(*failures), *cause));
    causes
        .into_iter()
        .take(MOST_CAUSES)
        .map(|(cause, _)| cause)
        .collect()
}

fn share(
    measure: &'static str,
    old: &Side,
    new: &Side,
    count: impl Fn(&Block) -> u64,
) -> Option<DifferenceReport> {
    let (old, new) = (old.share(&count)?, new.share(&count)?);
    let (difference, half) = new.less(&old)?;
    Some(DifferenceReport {
        measure,
        unit: "share",
        old: rounded(old.value)?,
        new: rounded(new.value)?,
        difference: rounded(difference)?,
        low: rounded(difference - half)?,
        high: rounded(difference + half)?,
        would_have_shown: rounded(half)?,
        finding: finding(difference, half),
    })
}

/// Latencies differ by a factor: the difference is one of logarithms, and told as a change in relation to the old value.
fn latency(measure: &'static str, old: Option<Estimate>, new: Option<Estimate>) -> Option<DifferenceReport> {
    let (old, new) = (old?, new?);
    let (difference, half) = new.less(&old)?;
    let change = |logarithm: f64| rounded(logarithm.exp_m1());
    Some(DifferenceReport {
        measure,
        unit: "seconds",
        old: rounded(old.value.exp() / 1e6)?,
        new: rounded(new.value.exp() / 1e6)?,
        difference: change(difference)?,
        low: change(difference - half)?,
        high: change(difference + half)?,
        would_have_shown: change(half)?,
        finding: finding(difference, half),
    })
}

fn finding(difference: f64, half: f64) -> &'static str {
    match difference {
        difference if difference > half => "worse",
        difference if difference < -half => "better",
        _ => "no-difference",
    }
}

fn statement(differs: &[String], differences: &[DifferenceReport]) -> String {
    if differences.is_empty() {
        return format!(
            "The runs cannot be compared: it takes at least {FEWEST_BLOCKS} seconds with requests in each of them."
        );
    }
    let of = |finding: &str| -> Vec<&DifferenceReport> {
        differences.iter().filter(|of| of.finding == finding).collect()
    };
    let list = |of: &[&DifferenceReport]| {
        let changes: Vec<String> = of.iter().map(|of| change(of)).collect();
        changes.join(", ")
    };
    let (worse, better) = (of("worse"), of("better"));
    let found = match (worse.as_slice(), better.as_slice()) {
        ([], []) => {
            let sizes = differences
                .iter()
                .filter(|of| of.measure == "failed" || of.measure == "p95 ok");
            let sizes: Vec<String> = sizes
                .map(|of| format!("{} by {}", of.measure, size(of.unit, of.would_have_shown)))
                .collect();
            format!(
                "No difference that these runs could have shown, which is one of {} or more.",
                sizes.join(", ")
            )
        }
        (worse, []) => format!("Worse than the baseline: {}.", list(worse)),
        ([], better) => format!("Better than the baseline: {}.", list(better)),
        (worse, better) => format!(
            "Worse than the baseline: {}. Better: {}.",
            list(worse),
            list(better)
        ),
    };
    if differs.is_empty() {
        found
    } else {
        format!(
            "The load was not the same, so that a difference need not be the system's: {}. {found}",
            differs.join("; ")
        )
    }
}

/// `p95 ok 59 ms to 75 ms (+27 %)`.
fn change(of: &DifferenceReport) -> String {
    match of.unit {
        "seconds" => format!(
            "{} {} to {} ({:+.0} %)",
            of.measure,
            time(Some(of.old)),
            time(Some(of.new)),
            of.difference * 100.0
        ),
        _ => format!("{} {} to {}", of.measure, percent(of.old), percent(of.new)),
    }
}

/// How large a difference is: points of a share, or per cent of a latency.
pub(crate) fn size(unit: &str, size: f64) -> String {
    match unit {
        "seconds" => format!("{:.1} %", size * 100.0),
        _ => format!("{:.2} points", size * 100.0),
    }
}

#[cfg(test)]
mod tests;
