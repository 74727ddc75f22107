//! A poisoned frame worker: time-outs that are periodic in the stream number.
//!
//! spdystream hands frames to five workers by stream number modulo 5. A worker that delivers to a stream nobody reads
//! any more is stuck for ever, and with it every later stream of the same residue. Ids start at 1 and go up by 2; a
//! connection uses two, one when its error stream already timed out.

use super::Rule;
use super::forward::Forward;
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::confidence::{Ruling, STRONG};
use crate::evidence::{Cut, Ending, PathKind, Side, Span};
use crate::failure::{Failure, What};
use crate::figures::{length, probability};
use crate::statistics::binomial::upper_tail;
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "stream-residues",
    symptom: "some new connections of a forward time out, others do not, in a strict rhythm",
    evidence: "the order in which the forward's connections were opened, and which of them timed out at 30.00 s",
    verdict: "tunnel-poisoned instead of tunnel-timeout or tunnel-head-of-line, when stuck workers predict which connections hang",
    proves: "the failures follow kubectl's stream numbers modulo 5, which nothing outside kubectl knows",
    cannot_prove: "anything when many connections were opened at once: their stream numbers interleave, and the charge stays tunnel-timeout",
    apply,
};

/// Fewer connections than this fit too many rhythms.
const ENOUGH: usize = 12;
/// Hypotheses tried: 30 sets of stuck workers, 5 phases, 3 first connections.
const HYPOTHESES: f64 = 450.0;
/// As many in a row hang whatever their number when the stuck worker's queue is full: kubectl reads no more.
const WEDGED: usize = 6;

fn apply(case: &mut Case<'_>) {
    let timed_out = |failure: &&Failure| stream_timed_out(failure);
    let mut hung: Vec<u32> = case
        .failures
        .iter()
        .filter(timed_out)
        .map(|failure| failure.connection)
        .collect();
    if hung.is_empty() {
        return;
    }
    hung.sort_unstable();
    let mut poisoned: Vec<u32> = Vec::new();
    for forward in Forward::all(case, PathKind::Tunnel) {
        let fates: Vec<(u32, bool)> = forward
            .connections
            .iter()
            .filter_map(|index| fate(case, *index, &hung).map(|hangs| (*index, hangs)))
            .collect();
        let Some(first) = fates.iter().position(|(_, hangs)| *hangs) else {
            continue;
        };
        // What came before the first time-out was before the worker was stuck.
        let after = fates.get(first..).unwrap_or(&[]);
        let hangs: Vec<bool> = after.iter().map(|(_, hangs)| *hangs).collect();
        let Some(fit) = rhythm(&hangs) else { continue };
        poisoned.extend(after.iter().filter(|(_, hangs)| *hangs).map(|(index, _)| *index));
        let workers: Vec<String> = (0..5)
            .filter(|worker| fit.stuck >> worker & 1 == 1)
            .map(|w: u8| w.to_string())
            .collect();
        let finding = Finding {
            rule: RULE.name,
            statement: format!(
                "{} of {} connections fit {} of kubectl's five frame workers stuck (streams with number mod 5 in {{{}}}), {}.",
                fit.matches,
                fit.of,
                fit.stuck.count_ones(),
                workers.join(", "),
                probability(fit.p)
            ),
            numbers: vec![
                ("matches", length(fit.matches)),
                ("connections", length(fit.of)),
                ("p", fit.p),
            ],
        };
        case.note(About::Cause(Cause::TunnelPoisoned), Speaks::For, finding);
    }
    poisoned.sort_unstable();
    case.judge_where(
        RULE.name,
        |failure| stream_timed_out(failure) && poisoned.binary_search(&failure.connection).is_ok(),
        |_, _| Some(Ruling::charge(Cause::TunnelPoisoned, STRONG)),
    );
}

/// Charged as a stream that kubectl gave up; that kubectl was slow to read the tunnel as well does not explain a rhythm.
fn stream_timed_out(failure: &Failure) -> bool {
    let given_up = matches!(
        failure.what,
        What::Broken {
            begun: false,
            by: Cut::UpstreamReset | Cut::UpstreamFin
        }
    );
    given_up && matches!(failure.cause, Cause::TunnelTimeout | Cause::TunnelHeadOfLine)
}

/// Whether a connection hung on its streams (`true`), or its streams were created (`false`); `None` when neither is
/// known because it ended early for another reason.
fn fate(case: &Case<'_>, index: u32, hung: &[u32]) -> Option<bool> {
    if hung.binary_search(&index).is_ok() {
        return Some(true);
    }
    let connection = case.evidence.connections.get(index as usize)?;
    if connection.bytes_down > 0 {
        return Some(false);
    }
    // Ended by the generator before any answer: either may be true.
    let left_early = matches!(
        connection.ended_first(),
        Some((Side::Downstream, Ending::Fin | Ending::Reset))
    );
    let short = connection.upstream_end.at.since(connection.opened) < Span::from_micros(29_000_000);
    (!left_early && short).then_some(false)
}

struct Fit {
    stuck: u8,
    matches: usize,
    of: usize,
    p: f64,
}

/// The rhythm between the connection that poisoned the worker, which hung for another reason and before it, and the
/// moment from which everything hangs.
fn rhythm(hangs: &[bool]) -> Option<Fit> {
    let tail = hangs.iter().rev().take_while(|hangs| **hangs).count();
    let end = if tail >= WEDGED {
        hangs.len() - tail
    } else {
        hangs.len()
    };
    let starts = hangs.iter().enumerate().filter(|(_, hangs)| **hangs).take(3);
    let fits = starts.filter_map(|(start, _)| best_fit(hangs.get(start..end)?));
    fits.min_by(|a, b| a.p.total_cmp(&b.p))
}

/// The set of stuck workers that predicts best, if it predicts nearly all and chance would not.
fn best_fit(hangs: &[bool]) -> Option<Fit> {
    let all = hangs.len();
    let hung = hangs.iter().filter(|hangs| **hangs).count();
    if all < ENOUGH || hung < 3 || all - hung < 3 {
        return None;
    }
    let mut best: Option<(usize, u8)> = None;
    for stuck in 1..31_u8 {
        for phase in 0..5_u8 {
            {
                let matches = predict(hangs, stuck, phase);
                if best.is_none_or(|(most, _)| matches > most) {
                    best = Some((matches, stuck));
                }
            }
        }
    }
    let (matches, stuck) = best?;
    // By chance, each is guessed as well as always saying the more frequent.
    let guess = length(hung.max(all - hung)) / length(all);
    let p = (upper_tail(all, matches, guess) * HYPOTHESES).min(1.0);
    // Two that are opened at once may take their numbers in the other order: two misses.
    (matches.saturating_mul(10) >= all.saturating_mul(9) && p < 1e-3).then_some(Fit {
        stuck,
        matches,
        of: all,
        p,
    })
}

/// How many fates a set of stuck workers predicts, when the first stream's number has this residue. The real fates, not
/// the predicted ones, say how many numbers each connection used.
fn predict(hangs: &[bool], stuck: u8, phase: u8) -> usize {
    let is_stuck = |residue: u8| stuck >> (residue % 5) & 1 == 1;
    let mut residue = phase;
    let mut matches = 0;
    for hung in hangs {
        let error_stuck = is_stuck(residue);
        let data_stuck = is_stuck(residue + 2);
        matches += usize::from((error_stuck || data_stuck) == *hung);
        let used = if *hung && error_stuck { 1 } else { 2 };
        residue = (residue + 2 * used) % 5;
    }
    matches
}
