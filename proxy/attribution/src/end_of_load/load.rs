//! Where a load ends: the generator gives up what is under way, and does not go on.
//!
//! A generator that gives up in mid-run goes on: it opens another connection in place of the one that it closed. One
//! that ends does not. Its threads end one after the other, so what others still begin for a moment is no sign.

use super::Open;
use crate::evidence::{Ending, Evidence, Moment, Span};

/// How long after a cut the rest of the generator may still open connections: its threads, its event loops and ours end
/// at different times.
const LAST_CONNECTIONS: Span = Span::from_micros(100_000);

/// How long it may still ask on the connections that it has: wrk's threads look at the clock ten times a second.
const LAST_REQUESTS: Span = Span::from_micros(300_000);

/// A script's last calls, such as a clean-up after the load, are few beside what was cut.
const FEW: usize = 4;

/// Requests that make a load of what comes and goes between two silences.
const LOAD: u64 = 20;

/// After a connection that was alone, so long a silence is an end. Its user may have been thinking.
const SILENCE: Span = Span::from_micros(3_000_000);

/// The loads of a run, and what tells where they end.
#[derive(Debug)]
pub(super) struct Loads {
    /// In order; none, where hopscope ran the generator: then the run is one load.
    bursts: Vec<Load>,
    /// Beginnings of connections, and of requests, in order.
    opened: Vec<Moment>,
    began: Vec<Moment>,
    /// When what is open was given up, in order.
    cuts: Vec<Moment>,
}

#[derive(Clone, Copy, Debug)]
struct Load {
    from: Moment,
    /// When its last connection ended.
    to: Moment,
    /// Whether an end in its midst, with others after it, may be one at all.
    ends: bool,
}

impl Loads {
    pub(super) fn of(evidence: &Evidence, open: &[Open]) -> Self {
        let mut opened: Vec<Moment> = evidence
            .connections
            .iter()
            .map(|connection| connection.opened)
            .collect();
        let mut began: Vec<Moment> = evidence.exchanges.iter().map(|exchange| exchange.began).collect();
        let mut cuts: Vec<Moment> = open.iter().map(|open| open.cut).collect();
        for moments in [&mut opened, &mut began, &mut cuts] {
            moments.sort_unstable();
        }
        let bursts = if evidence.generator_exit.seen().is_some() {
            Vec::new()
        } else {
            bursts(evidence)
        };
        Self {
            bursts,
            opened,
            began,
            cuts,
        }
    }

    /// Whether the load ended where this was given up.
    pub(super) fn ended_with(&self, open: &Open) -> bool {
        let index = self.bursts.partition_point(|load| load.to < open.cut);
        let load = self
            .bursts
            .get(index)
            .copied()
            .filter(|load| load.from <= open.cut);
        let last = index + 1 >= self.bursts.len();
        let until = match load {
            Some(load) if !last && !load.ends => return false,
            Some(load) if !last => load.to,
            Some(_) | None => Moment(u64::MAX),
        };
        let between = |moments: &[Moment], from: Moment, to: Moment| {
            let (from, to) = (
                moments.partition_point(|moment| *moment <= from),
                moments.partition_point(|moment| *moment <= to),
            );
            to.saturating_sub(from)
        };
        let around = Moment(open.cut.0.saturating_sub(LAST_CONNECTIONS.as_micros()));
        let cut = between(&self.cuts, around, open.cut + LAST_REQUESTS);
        let connections = between(&self.opened, open.cut + LAST_CONNECTIONS, until);
        let requests = between(&self.began, open.cut + LAST_REQUESTS, until);
        connections.saturating_mul(FEW) <= cut && requests.saturating_mul(FEW) <= cut
    }
}

/// What lies between the moments at which no connection was open.
fn bursts(evidence: &Evidence) -> Vec<Load> {
    let mut connections: Vec<_> = evidence
        .connections
        .iter()
        .map(|connection| {
            let end = connection.downstream_end;
            let to = match end.how {
                Ending::StillOpen => Moment(u64::MAX),
                Ending::Fin
                | Ending::Reset
                | Ending::TimedOut
                | Ending::Errno(_)
                | Ending::Tls(_)
                | Ending::EndedByRelay
                | Ending::NeverStood => end.at,
            };
            (connection.opened, to, u64::from(connection.exchanges.max(1)))
        })
        .collect();
    connections.sort_unstable();
    let mut loads: Vec<(Load, u64, usize)> = Vec::new();
    for (opened, to, requests) in connections {
        match loads.last_mut() {
            Some((load, sum, together)) if opened <= load.to => {
                load.to = load.to.max(to);
                *sum = sum.saturating_add(requests);
                *together += 1;
            }
            Some(_) | None => loads.push((
                Load {
                    from: opened,
                    to,
                    ends: false,
                },
                requests,
                1,
            )),
        }
    }
    let next: Vec<Moment> = loads.iter().skip(1).map(|(load, ..)| load.from).collect();
    for ((load, requests, together), next) in loads.iter_mut().zip(next) {
        let alone = *together < 2;
        load.ends = *requests >= LOAD && (!alone || next.since(load.to) >= SILENCE);
    }
    loads.into_iter().map(|(load, ..)| load).collect()
}
