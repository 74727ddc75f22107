//! Requests that were under way when the generator ended: neither answered nor failed.
//!
//! A generator that runs for a given time closes its sockets when that time is over, with a request under way on many of
//! them. It counts none of these, and nobody failed them. They are set aside before anything is judged, and told as a
//! count of their own; every doubt leaves a request where it was, among the failures.

use std::collections::BTreeMap;

use crate::case::{Baseline, baselines, route_baselines};
use crate::evidence::{
    Connection, ConnectionId, Cut, Ending, Evidence, Exchange, Moment, Observation, Span, TrafficCell,
};
use crate::failure::{self, NONE, What};
use crate::rules::early;

/// From the first cut to the last end. A process that exits has its sockets closed by the kernel one after the other,
/// microseconds each; k6 leaves those that idle open until it has told its summary. Nothing needs a second.
const SWEEP: Span = Span::from_micros(1_000_000);

/// What a generator may still do once its connections are gone: its summary, its results' files.
const SUMMARY: Span = Span::from_micros(5_000_000);

/// How late hopscope may learn of what happened on another connection: what its event loop says of itself, within these.
const LATENESS: (Span, Span) = (Span::from_micros(5_000), Span::from_micros(100_000));

/// Its samples are a second apart: those of the sweep, and the one before.
const SAMPLES: Span = Span::from_micros(3_000_000);

/// Successful exchanges that it takes to know how long an answer usually takes.
const KNOWN: usize = 20;

/// Exit codes of a generator that came to its end: 0, and k6's own of a threshold that was crossed and of a Ctrl-C
/// (`errext/exitcodes/codes.go`). Any other, and a signal's 128 and more, is a generator that broke off.
const ENDED: [i32; 3] = [0, 99, 105];

/// Takes the requests that the generator's end cut off out of the exchanges and their counts, and keeps them in
/// [`Evidence::cut_by_the_end`]. To be called once, before anything is judged.
///
/// Such a request was broken by the generator's own FIN or RST; its answer was not overdue, by how long answers usually
/// take; and it was cut in the last sweep of the run: no request began after it, every connection had ended within
/// [`SWEEP`], and where hopscope ran the generator, it exited then, and not by a crash. Where hopscope did not run it, a
/// crash at the very end looks the same.
pub fn set_aside(evidence: &mut Evidence) {
    let Some(sweep) = Sweep::of(evidence) else {
        return;
    };
    let mut cut = sweep.cut(evidence).into_iter().peekable();
    if cut.peek().is_none() {
        return;
    }
    let mut index = 0_u32;
    let aside = evidence.exchanges.extract_if(.., |_| {
        let take = cut.next_if_eq(&index).is_some();
        index = index.saturating_add(1);
        take
    });
    let aside: Vec<Exchange> = aside.collect();
    for exchange in &aside {
        let counted = |cell: &TrafficCell| cell.requests > 0 && cell.undelivered > 0;
        if let Some(cell) = cell_of(&mut evidence.traffic, exchange, counted) {
            cell.requests = cell.requests.saturating_sub(1);
            cell.undelivered = cell.undelivered.saturating_sub(1);
            cell.latency_sum_us = cell
                .latency_sum_us
                .saturating_sub(exchange.phases.total.as_micros());
        }
    }
    evidence.cut_by_the_end.extend(aside);
}

/// Puts back what was set aside, where the generator counted more failures than are left: then it counted these too, and
/// they are judged like any other. To be called once its result is in the evidence; gives what it put back.
pub fn heed_the_generator(evidence: &mut Evidence) -> Vec<Exchange> {
    let Some(counted) = evidence.generator.seen().map(|result| result.failed) else {
        return Vec::new();
    };
    if evidence.cut_by_the_end.is_empty() || counted <= failures_left(evidence) {
        return Vec::new();
    }
    let back = std::mem::take(&mut evidence.cut_by_the_end);
    for exchange in &back {
        if let Some(cell) = cell_of(&mut evidence.traffic, exchange, |_| true) {
            cell.requests = cell.requests.saturating_add(1);
            cell.undelivered = cell.undelivered.saturating_add(1);
            cell.latency_sum_us = cell
                .latency_sum_us
                .saturating_add(exchange.phases.total.as_micros());
        }
        evidence.exchanges.push(exchange.clone());
    }
    evidence
        .exchanges
        .sort_by_key(|exchange| (ended(exchange), exchange.connection, exchange.ordinal));
    back
}

fn failures_left(evidence: &Evidence) -> u64 {
    let counted = evidence.traffic.iter().map(TrafficCell::failed);
    let alone = failure::enumerate(evidence)
        .iter()
        .filter(|failure| failure.exchange == NONE)
        .count();
    counted.fold(u64::try_from(alone).unwrap_or(u64::MAX), u64::saturating_add)
}

fn ended(exchange: &Exchange) -> Moment {
    exchange.began + exchange.phases.total
}

/// The cell that counts an exchange: of the second in which it ended, or the next one where the worker was late.
fn cell_of<'c>(
    cells: &'c mut [TrafficCell],
    exchange: &Exchange,
    fits: impl Fn(&TrafficCell) -> bool,
) -> Option<&'c mut TrafficCell> {
    let second = ended(exchange).second();
    cells
        .iter_mut()
        .filter(|cell| (cell.path, cell.route) == (exchange.path, exchange.route))
        .filter(|cell| cell.second >= second && cell.second <= second.saturating_add(1) && fits(cell))
        .min_by_key(|cell| cell.second)
}

/// The time in which every connection that was still open ended.
struct Sweep {
    from: Moment,
}

impl Sweep {
    /// `None` where the run did not end like that, or where too little is known of its end.
    fn of(evidence: &Evidence) -> Option<Self> {
        let health = &evidence.observer;
        let lost = health.accounting.connections_lost > 0 || health.accounting.exchanges_lost > 0;
        if lost || !health.closed_properly {
            return None;
        }
        let mut last = Moment(0);
        for connection in &evidence.connections {
            if connection.downstream_end.how == Ending::StillOpen {
                return None;
            }
            last = last.max(connection.downstream_end.at);
        }
        let from = Moment(last.0.saturating_sub(SWEEP.as_micros()));
        if let Observation::Seen(exit) = &evidence.generator_exit {
            let then = exit
                .at
                .seen()
                .is_none_or(|at| *at >= from && at.since(last) <= SUMMARY);
            if !then || !ENDED.contains(&exit.code) {
                return None;
            }
        }
        // What hopscope read a little later may have been sent a little earlier.
        let began = evidence.exchanges.iter().map(|exchange| exchange.began);
        let opened = evidence.connections.iter().map(|connection| connection.opened);
        let newest = began.chain(opened).max()?;
        Some(Self {
            from: from.max(Moment(
                newest.0.saturating_sub(lateness(evidence, last).as_micros()),
            )),
        })
    }

    /// The exchanges that were cut off in it, by their index.
    fn cut(&self, evidence: &Evidence) -> Vec<u32> {
        let ended_here = |connection: &&Connection| {
            matches!(connection.downstream_end.how, Ending::Fin | Ending::Reset)
                && connection.downstream_end.at >= self.from
        };
        let connections: BTreeMap<ConnectionId, &Connection> = evidence
            .connections
            .iter()
            .filter(ended_here)
            .map(|connection| (connection.id, connection))
            .collect();
        let left = |exchange: &Exchange| {
            connections
                .get(&exchange.connection)
                .copied()
                .filter(|connection| left_by_the_generator(exchange, connection))
        };
        let candidates: Vec<(u32, &Exchange, &Connection)> = (0..NONE)
            .zip(&evidence.exchanges)
            .filter(|(_, exchange)| exchange.delivery.failed())
            .filter_map(|(index, exchange)| left(exchange).map(|connection| (index, exchange, connection)))
            .collect();
        if candidates.is_empty() {
            return Vec::new();
        }
        let (of_path, of_route) = (baselines(evidence), route_baselines(evidence));
        let usual = |exchange: &Exchange| -> Baseline {
            let known = |baseline: &Baseline| baseline.rows >= KNOWN;
            let route = of_route.get(&(exchange.path, exchange.route)).copied();
            let path = of_path.get(usize::from(exchange.path.0)).copied();
            route.filter(known).or(path).unwrap_or_default()
        };
        let not_overdue = |exchange: &Exchange, connection: &Connection| {
            let usual = usual(exchange);
            let waited = connection.downstream_end.at.since(exchange.began);
            usual.rows >= KNOWN && waited < early(usual)
        };
        candidates
            .into_iter()
            .filter(|(_, exchange, connection)| not_overdue(exchange, connection))
            .map(|(index, _, _)| index)
            .collect()
    }
}

/// Without a complete answer, because the generator ended its side, and before anybody else did.
fn left_by_the_generator(exchange: &Exchange, connection: &Connection) -> bool {
    let by_it = matches!(
        failure::what_of(exchange, Some(connection)),
        Some(What::Broken {
            by: Cut::DownstreamFin | Cut::DownstreamReset,
            ..
        })
    );
    by_it && failure::generator_left(connection) && connection.downstream_end.at >= exchange.began
}

/// How late hopscope's event loop was at the end, by its own measure.
fn lateness(evidence: &Evidence, last: Moment) -> Span {
    let samples = evidence
        .observer
        .samples
        .iter()
        .filter(|sample| sample.at.distance(last) <= SAMPLES);
    let worst = samples.map(|sample| sample.loop_lag).max().unwrap_or_default();
    worst.clamp(LATENESS.0, LATENESS.1)
}
