//! What the failures of one cause have in common: how many, by which rules, and what they looked like.

use std::collections::{BTreeMap, BTreeSet};

use crate::between::Between;
use crate::case::{Case, Unrowed};
use crate::catalogue;
use crate::cause::Cause;
use crate::evidence::{PathId, grpc};
use crate::failed::Failed;
use crate::failure::{Failure, What};
use crate::figures::{count, real};
use crate::phrase;
use crate::verdict::{Confidence, Finding};

/// What the failures of one cause have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) failed: Failed,
    pub(crate) victims: u64,
    pub(crate) contradicted: Failed,
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
    failed: Failed,
    victims: u64,
    statuses: BTreeMap<u16, u64>,
    endings: BTreeMap<&'static str, u64>,
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
    /// Counts one failure.
    pub(crate) fn add(&mut self, failure: &Failure) {
        self.failed.add(failure);
        self.victims += u64::from(failure.victim);
        if failure.contradicted {
            self.contradicted.add(failure);
        }
        self.undelivered += u64::from(!matches!(failure.what, What::Answered { .. }));
        self.paths.insert(failure.path);
        self.confidence = self.confidence.saturating_add(millionths(failure.confidence));
        let looks = self.rules.entry(failure.rule).or_default();
        looks.failed.add(failure);
        looks.victims += u64::from(failure.victim);
        looks.add(failure.what);
    }

    /// Counts failures that are known by their number alone.
    pub(crate) fn add_unrowed(&mut self, unrowed: &Unrowed) {
        self.failed = self.failed.and(unrowed.failed());
        self.confidence = self
            .confidence
            .saturating_add(millionths(unrowed.confidence).saturating_mul(unrowed.failures));
        let looks = self.rules.entry(unrowed.rule).or_default();
        looks.failed = looks.failed.and(unrowed.failed());
    }

    /// What each rule charged, the most first.
    pub(crate) fn findings(&self, case: &Case<'_>, cause: Cause, between: Between) -> Vec<Finding> {
        let mut by_weight: Vec<(&&'static str, &Looks)> = self.rules.iter().collect();
        by_weight.sort_by(|a, b| b.1.failed.all().cmp(&a.1.failed.all()).then(a.0.cmp(b.0)));
        by_weight
            .into_iter()
            .map(|(rule, looks)| looks.finding(rule, &self.reason(case, cause, between)))
            .collect()
    }

    fn reason(&self, case: &Case<'_>, cause: Cause, between: Between) -> String {
        between.noun().map_or_else(
            || {
                let forwarder = case.forwarder_of(self.paths.iter().copied());
                catalogue::with_forwarder(catalogue::of(cause).reason, forwarder)
            },
            |noun| format!("the {noun}"),
        )
    }

    /// The mean of the failures' own confidence, lowered by what is not known of the whole run.
    pub(crate) fn confidence(&self, case: &Case<'_>) -> Confidence {
        Confidence::new(real(self.confidence) / 1e6 / real(self.failed.all().max(1)) * case.trust)
    }
}

/// What failures looked like: `answered 503 × 1,203, connection refused × 12`, the most frequent first.
pub(crate) fn looks<'f>(failures: impl Iterator<Item = &'f Failure>) -> String {
    let mut looks = Looks::default();
    failures.for_each(|failure| looks.add(failure.what));
    looks.list()
}

impl Looks {
    fn add(&mut self, what: What) {
        match what {
            What::Answered { status, .. } => *self.statuses.entry(status).or_default() += 1,
            What::Broken { .. } | What::NotConnected(_) | What::Abandoned { .. } | What::FrontTls(_) => {
                *self.endings.entry(phrase::symptom(what)).or_default() += 1;
            }
        }
    }

    /// `answered 502 × 1,203, answered 503 × 12`, the most frequent first.
    fn list(&self) -> String {
        let statuses = self
            .statuses
            .iter()
            .map(|(status, number)| (format!("answered {}", grpc::told(*status)), *number));
        let endings = self
            .endings
            .iter()
            .map(|(ending, number)| ((*ending).to_owned(), *number));
        let mut all: Vec<(String, u64)> = statuses.chain(endings).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let mut shown: Vec<String> = all
            .iter()
            .take(4)
            .map(|(what, number)| format!("{what} × {}", count(*number)))
            .collect();
        let others = all
            .iter()
            .skip(4)
            .fold(0_u64, |sum, (_, number)| sum.saturating_add(*number));
        if others > 0 {
            shown.push(format!("other × {}", count(others)));
        }
        shown.join(", ")
    }

    fn finding(&self, rule: &'static str, reason: &str) -> Finding {
        let seen: Vec<String> = self
            .failed
            .kinds()
            .into_iter()
            .chain(Some(self.list()).filter(|list| !list.is_empty()))
            .collect();
        let seen = if seen.is_empty() {
            String::new()
        } else {
            format!(" ({})", seen.join("; "))
        };
        let victims = match self.victims {
            0 => String::new(),
            victims if victims == self.failed.all() => ", all of them victims of another failure".to_owned(),
            victims => format!(", {} of them victims of another failure", count(victims)),
        };
        Finding {
            rule,
            statement: format!("{}{seen}{victims}: {reason}.", self.failed.counted()),
            numbers: vec![
                ("failures", real(self.failed.all())),
                ("victims", real(self.victims)),
            ],
        }
    }
}
