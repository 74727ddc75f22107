//! From judged failures to the diagnosis: everything is counted once, and every charge carries its reasons.

use std::collections::BTreeMap;

use crate::between::Between;
use crate::case::{About, Case, Note, Speaks};
use crate::cause::Cause;
use crate::evidence::{ConnectionId, PathId};
use crate::failed::Failed;
use crate::figures::{real, share};
use crate::hop::Hop;
use crate::tally::Tally;
use crate::verdict::{CauseCharge, Charge, Confidence, Diagnosis, HopCharge, Verdict};
use crate::{advice, headline, missing, not_read, repeated};

/// How many connections a charge names for a person to look up.
const EXAMPLES: usize = 5;

pub(crate) fn conclude(mut case: Case<'_>) -> Diagnosis {
    let mut charges: BTreeMap<(Option<PathId>, Cause, Between), Charge> = BTreeMap::new();
    let mut tallies: BTreeMap<(Cause, Between), Tally> = BTreeMap::new();
    for failure in &case.failures {
        let charge = charges
            .entry((Some(failure.path), failure.cause, failure.between))
            .or_insert_with(|| empty(Some(failure.path), failure.cause, failure.between));
        charge.failures += 1;
        charge.failed.add(failure);
        charge.victims += u64::from(failure.victim);
        remember(&mut charge.examples, failure.id);
        tallies
            .entry((failure.cause, failure.between))
            .or_default()
            .add(failure);
    }
    for unrowed in case.unrowed.iter().filter(|unrowed| unrowed.failures > 0) {
        let charge = charges
            .entry((unrowed.path, unrowed.cause, Between::Any))
            .or_insert_with(|| empty(unrowed.path, unrowed.cause, Between::Any));
        charge.failures = charge.failures.saturating_add(unrowed.failures);
        charge.failed = charge.failed.and(unrowed.failed());
        tallies
            .entry((unrowed.cause, Between::Any))
            .or_default()
            .add_unrowed(unrowed);
    }
    let total = tallies
        .values()
        .fold(Failed::default(), |sum, tally| sum.and(tally.failed));
    let hops = hops(&case, &tallies, total.all());
    let mut verdict = verdict(&case, &hops, total);
    let repeated = repeated::repeated(&case);
    verdict.headline.push_str(&repeated::sentence(&case, repeated));
    missing::ask(&mut case, &charges);
    not_read::ask(&mut case);
    Diagnosis {
        verdict,
        advice: advice::of(&case, &hops),
        hops,
        contrasts: case.contrasts,
        unknowns: case.unknowns,
        observer: case.observer,
        repeated,
        charges: charges.into_values().collect(),
        not_read: case.not_read,
    }
}

const fn empty(path: Option<PathId>, cause: Cause, between: Between) -> Charge {
    Charge {
        path,
        cause,
        between,
        failures: 0,
        failed: Failed {
            requests: 0,
            connections: 0,
            never_came: 0,
        },
        victims: 0,
        examples: Vec::new(),
    }
}

/// Failures come in the order of time; a connection is named once.
fn remember(examples: &mut Vec<ConnectionId>, id: ConnectionId) {
    if examples.len() < EXAMPLES && !examples.contains(&id) {
        examples.push(id);
    }
}

fn hops(case: &Case<'_>, tallies: &BTreeMap<(Cause, Between), Tally>, total: u64) -> Vec<HopCharge> {
    let mut by_hop: BTreeMap<Hop, Vec<CauseCharge>> = BTreeMap::new();
    for ((cause, between), tally) in tallies {
        by_hop
            .entry(cause.hop())
            .or_default()
            .push(cause_charge(case, *cause, *between, tally));
    }
    let mut hops: Vec<HopCharge> = by_hop
        .into_iter()
        .map(|(hop, mut causes)| {
            causes.sort_by(|a, b| {
                (std::cmp::Reverse(a.failures), a.cause, a.between).cmp(&(
                    std::cmp::Reverse(b.failures),
                    b.cause,
                    b.between,
                ))
            });
            let failed = causes
                .iter()
                .fold(Failed::default(), |sum, cause| sum.and(cause.failed));
            HopCharge {
                hop,
                failures: failed.all(),
                failed,
                share: share(failed.all(), total),
                causes,
            }
        })
        .collect();
    hops.sort_by(|a, b| b.failures.cmp(&a.failures).then(a.hop.cmp(&b.hop)));
    hops
}

fn cause_charge(case: &Case<'_>, cause: Cause, between: Between, tally: &Tally) -> CauseCharge {
    let mut evidence_for = tally.findings(case, cause, between);
    let mut evidence_against = Vec::new();
    for note in &case.notes {
        if belongs(note, cause) {
            match note.speaks {
                Speaks::For => evidence_for.push(note.finding.clone()),
                Speaks::Against => evidence_against.push(note.finding.clone()),
            }
        }
    }
    evidence_against.extend(missing::against(case, cause, tally));
    CauseCharge {
        cause,
        between,
        failures: tally.failed.all(),
        failed: tally.failed,
        victims: tally.victims,
        confidence: tally.confidence(case),
        evidence_for,
        evidence_against,
    }
}

fn belongs(note: &Note, cause: Cause) -> bool {
    match note.about {
        About::Cause(about) => about == cause,
        About::Hop(hop) => hop == cause.hop(),
    }
}

fn verdict(case: &Case<'_>, hops: &[HopCharge], total: Failed) -> Verdict {
    let Some((hop, cause)) = hops
        .first()
        .and_then(|hop| hop.causes.first().map(|cause| (hop, cause)))
    else {
        if let Some(unknown) = not_read::verdict(case) {
            return unknown;
        }
        return Verdict {
            charged: None,
            between: Between::Any,
            share: 0.0,
            // Nothing failed is as sure as the books are complete.
            confidence: Confidence::new(case.trust),
            headline: headline::healthy(case),
        };
    };
    // A hop is as sure as its causes are, each by its weight.
    let weighted: f64 = hop
        .causes
        .iter()
        .map(|cause| cause.confidence.get() * real(cause.failures))
        .sum();
    let confidence = Confidence::new(weighted / real(hop.failures.max(1)));
    Verdict {
        charged: Some((hop.hop, cause.cause)),
        between: cause.between,
        share: hop.share,
        confidence,
        headline: not_read::beside(case, headline::charged(case, hop, cause, total, confidence)),
    }
}
