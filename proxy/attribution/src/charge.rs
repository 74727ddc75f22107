//! From judged failures to the diagnosis: everything is counted once, and every charge carries its reasons.

use std::collections::{BTreeMap, BTreeSet};

use crate::case::{About, Case, Note, Speaks};
use crate::cause::Cause;
use crate::evidence::{ConnectionId, PathId};
use crate::failure::{Failure, What};
use crate::figures::{count, counted, real, share};
use crate::hop::Hop;
use crate::verdict::{CauseCharge, Charge, Confidence, Diagnosis, Finding, HopCharge, Verdict};
use crate::{advice, headline, missing, phrase};

/// How many connections a charge names for a person to look up.
const EXAMPLES: usize = 5;

/// What the failures of one cause have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) failures: u64,
    pub(crate) victims: u64,
    pub(crate) contradicted: u64,
    /// Those without a complete answer.
    pub(crate) undelivered: u64,
    pub(crate) paths: BTreeSet<PathId>,
    /// Sum over the failures, in millionths: a sum of integers does not depend on its order.
    confidence: u64,
    /// Rule -> how many failures it charged, and what they looked like.
    rules: BTreeMap<&'static str, Looks>,
}

/// What the failures that one rule charged looked like.
#[derive(Clone, Debug, Default)]
struct Looks {
    failures: u64,
    victims: u64,
    statuses: BTreeMap<u16, u64>,
    endings: BTreeMap<&'static str, u64>,
}

pub(crate) fn conclude(mut case: Case<'_>) -> Diagnosis {
    let mut charges: BTreeMap<(PathId, Cause), Charge> = BTreeMap::new();
    let mut tallies: BTreeMap<Cause, Tally> = BTreeMap::new();
    for failure in &case.failures {
        let charge = charges
            .entry((failure.path, failure.cause))
            .or_insert_with(|| empty(failure.path, failure.cause));
        charge.failures += 1;
        charge.victims += u64::from(failure.victim);
        remember(&mut charge.examples, failure.id);
        tallies.entry(failure.cause).or_default().add(failure);
    }
    for unrowed in case.unrowed.iter().filter(|unrowed| unrowed.failures > 0) {
        let charge = charges
            .entry((unrowed.path, unrowed.cause))
            .or_insert_with(|| empty(unrowed.path, unrowed.cause));
        charge.failures = charge.failures.saturating_add(unrowed.failures);
        let tally = tallies.entry(unrowed.cause).or_default();
        tally.failures = tally.failures.saturating_add(unrowed.failures);
        tally.confidence = tally
            .confidence
            .saturating_add(millionths(unrowed.confidence).saturating_mul(unrowed.failures));
        let looks = tally.rules.entry(unrowed.rule).or_default();
        looks.failures = looks.failures.saturating_add(unrowed.failures);
    }
    let total = tallies
        .values()
        .fold(0_u64, |sum, tally| sum.saturating_add(tally.failures));
    let hops = hops(&case, &tallies, total);
    let verdict = verdict(&case, &hops, total);
    missing::ask(&mut case, &charges);
    Diagnosis {
        verdict,
        advice: advice::of(&case, &hops),
        hops,
        contrasts: case.contrasts,
        unknowns: case.unknowns,
        observer: case.observer,
        charges: charges.into_values().collect(),
    }
}

const fn empty(path: PathId, cause: Cause) -> Charge {
    Charge {
        path,
        cause,
        failures: 0,
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

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=1 million"
)]
fn millionths(confidence: f64) -> u64 {
    (confidence.clamp(0.0, 1.0) * 1e6).round() as u64
}

impl Tally {
    fn add(&mut self, failure: &Failure) {
        self.failures += 1;
        self.victims += u64::from(failure.victim);
        self.contradicted += u64::from(failure.contradicted);
        self.undelivered += u64::from(!matches!(failure.what, What::Answered { .. }));
        self.paths.insert(failure.path);
        self.confidence = self.confidence.saturating_add(millionths(failure.confidence));
        let looks = self.rules.entry(failure.rule).or_default();
        looks.failures += 1;
        looks.victims += u64::from(failure.victim);
        match failure.what {
            What::Answered { status, .. } => *looks.statuses.entry(status).or_default() += 1,
            What::Broken { .. } | What::NotConnected(_) | What::Abandoned { .. } => {
                *looks.endings.entry(phrase::symptom(failure.what)).or_default() += 1;
            }
        }
    }

    /// The mean of the failures' own confidence, lowered by what is not known of the whole run.
    fn confidence(&self, case: &Case<'_>) -> Confidence {
        Confidence::new(real(self.confidence) / 1e6 / real(self.failures.max(1)) * case.trust)
    }
}

impl Looks {
    /// `502 × 1,203, 503 × 12`, the most frequent first.
    fn list(&self) -> String {
        let statuses = self
            .statuses
            .iter()
            .map(|(status, number)| (format!("status {status}"), *number));
        let endings = self
            .endings
            .iter()
            .map(|(ending, number)| ((*ending).to_owned(), *number));
        let mut all: Vec<(String, u64)> = statuses.chain(endings).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let shown: Vec<String> = all
            .iter()
            .take(4)
            .map(|(what, number)| format!("{what} × {}", count(*number)))
            .collect();
        shown.join(", ")
    }

    fn finding(&self, rule: &'static str, cause: Cause) -> Finding {
        let list = self.list();
        let seen = if list.is_empty() {
            String::new()
        } else {
            format!(" ({list})")
        };
        let victims = match self.victims {
            0 => String::new(),
            victims if victims == self.failures => ", all of them victims of another failure".to_owned(),
            victims => format!(", {} of them victims of another failure", count(victims)),
        };
        Finding {
            rule,
            statement: format!(
                "{}{seen}{victims}: {}.",
                counted(self.failures, "failure", "failures"),
                phrase::reason(cause)
            ),
            numbers: vec![("failures", real(self.failures)), ("victims", real(self.victims))],
        }
    }
}

fn hops(case: &Case<'_>, tallies: &BTreeMap<Cause, Tally>, total: u64) -> Vec<HopCharge> {
    let mut by_hop: BTreeMap<Hop, Vec<CauseCharge>> = BTreeMap::new();
    for (cause, tally) in tallies {
        by_hop
            .entry(cause.hop())
            .or_default()
            .push(cause_charge(case, *cause, tally));
    }
    let mut hops: Vec<HopCharge> = by_hop
        .into_iter()
        .map(|(hop, mut causes)| {
            causes.sort_by(|a, b| b.failures.cmp(&a.failures).then(a.cause.cmp(&b.cause)));
            let failures = causes
                .iter()
                .fold(0_u64, |sum, cause| sum.saturating_add(cause.failures));
            HopCharge {
                hop,
                failures,
                share: share(failures, total),
                causes,
            }
        })
        .collect();
    hops.sort_by(|a, b| b.failures.cmp(&a.failures).then(a.hop.cmp(&b.hop)));
    hops
}

fn cause_charge(case: &Case<'_>, cause: Cause, tally: &Tally) -> CauseCharge {
    let mut by_weight: Vec<(&&'static str, &Looks)> = tally.rules.iter().collect();
    by_weight.sort_by(|a, b| b.1.failures.cmp(&a.1.failures).then(a.0.cmp(b.0)));
    let mut evidence_for: Vec<Finding> = by_weight
        .into_iter()
        .map(|(rule, looks)| looks.finding(rule, cause))
        .collect();
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
        failures: tally.failures,
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

fn verdict(case: &Case<'_>, hops: &[HopCharge], total: u64) -> Verdict {
    let Some((hop, cause)) = hops
        .first()
        .and_then(|hop| hop.causes.first().map(|cause| (hop, cause)))
    else {
        return Verdict {
            charged: None,
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
        share: hop.share,
        confidence,
        headline: headline::charged(case, hop, cause, total, confidence),
    }
}
