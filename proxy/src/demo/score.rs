//! A diagnosis held against the truth.

use std::collections::BTreeMap;

use hopscope_attribution::attribute;
use hopscope_attribution::cause::Cause;
use hopscope_attribution::evidence::Evidence;
use hopscope_attribution::hop::Hop;
use hopscope_attribution::verdict::Diagnosis;
use hopscope_lab::scenario::{Answer, Scenario};
use serde_json::json;

use super::play::Played;
use super::thin::thinned;

/// How the verdict relates to the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Hop and cause are what was broken.
    Right,
    /// The hop is.
    RightHop,
    /// What can be known from where hopscope stands, and that is less than the truth.
    Knowable,
    /// No hop is named: the evidence did not decide.
    Open,
    /// A hop is named that was not broken, or none although one was.
    Wrong,
}

impl Judgement {
    /// The word for machines.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::RightHop => "right-hop",
            Self::Knowable => "knowable",
            Self::Open => "open",
            Self::Wrong => "wrong",
        }
    }
}

/// How right a diagnosis is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Score {
    /// The verdict.
    pub verdict: Judgement,
    /// The cause that it names, if it names one.
    pub named: Option<Cause>,
    /// Failures that it charges.
    pub charged: u64,
    /// Those of them charged to the hop that is to blame.
    pub right_hop: u64,
    /// Those of them charged to the very cause.
    pub right_cause: u64,
    /// Failures by true cause and charged cause.
    pub matrix: BTreeMap<(Cause, Cause), u64>,
}

/// Holds a diagnosis against what was injected.
///
/// Failures are counted, not followed one by one: of each cause, as many charges are right as were injected; what is
/// left over on both sides is set against each other in order. A scenario has one cause, or nearly, so that little is
/// left to chance by that.
///
/// Where hopscope cannot know the cause, the best charge that it can make counts for it; `undetermined` stays open.
pub fn score(
    diagnosis: &Diagnosis,
    truth: &BTreeMap<Cause, u64>,
    answer: Answer,
    knowable: Option<Cause>,
) -> Score {
    let mut by_cause: BTreeMap<Cause, u64> = BTreeMap::new();
    for charge in &diagnosis.charges {
        let counts_for = match answer {
            Answer::Cause(cause) if knowable == Some(charge.cause) && !is_open(charge.cause) => cause,
            Answer::Cause(_) | Answer::Healthy => charge.cause,
        };
        *by_cause.entry(counts_for).or_default() += charge.failures;
    }
    let charged: u64 = by_cause.values().sum();
    let mut owed = scaled_to(truth, charged);
    let mut matrix = BTreeMap::new();
    for (cause, left) in &mut by_cause {
        if let Some(due) = owed.get_mut(cause) {
            let matched = (*due).min(*left);
            add(&mut matrix, (*cause, *cause), matched);
            *due -= matched;
            *left -= matched;
        }
    }
    // Then those of the right hop, then the rest: a miss is never made worse than it was.
    for same_hop in [true, false] {
        for (cause, left) in &mut by_cause {
            for (due_cause, due) in &mut owed {
                if same_hop && due_cause.hop() != cause.hop() {
                    continue;
                }
                let matched = (*due).min(*left);
                add(&mut matrix, (*due_cause, *cause), matched);
                *due -= matched;
                *left -= matched;
            }
        }
    }
    let sum = |wanted: fn(Cause, Cause) -> bool| -> u64 {
        matrix
            .iter()
            .filter(|((due, given), _)| wanted(*due, *given))
            .map(|(_, count)| *count)
            .sum()
    };
    Score {
        // Where what is broken has failed nobody, there is nothing to find.
        verdict: match diagnosis.verdict.charged {
            None if truth.values().all(|failures| *failures == 0) => Judgement::Right,
            _ => judge(diagnosis, answer, knowable),
        },
        named: diagnosis.verdict.charged.map(|(_, cause)| cause),
        charged,
        right_hop: sum(|due, given| due.hop() == given.hop()),
        right_cause: sum(|due, given| due == given),
        matrix,
    }
}

/// Whether a charge says that it is not known: the evidence does not decide, or is gone. Nobody is blamed by it.
fn is_open(cause: Cause) -> bool {
    cause.hop() == Hop::Unknown || cause == Cause::ObserverEvidenceLost
}

fn judge(diagnosis: &Diagnosis, answer: Answer, knowable: Option<Cause>) -> Judgement {
    match (diagnosis.verdict.charged, answer) {
        (None, Answer::Healthy) => Judgement::Right,
        (Some((_, cause)), Answer::Cause(_)) if knowable == Some(cause) => Judgement::Knowable,
        (Some((_, cause)), Answer::Healthy | Answer::Cause(_)) if is_open(cause) => Judgement::Open,
        (None, Answer::Cause(_)) | (Some(_), Answer::Healthy) => Judgement::Wrong,
        (Some((hop, cause)), Answer::Cause(true_cause)) => {
            if cause == true_cause {
                Judgement::Right
            } else if hop == true_cause.hop() {
                Judgement::RightHop
            } else {
                Judgement::Wrong
            }
        }
    }
}

/// The true causes, brought to a total of `charged`: hopscope may count a failure that the client did not, such as a
/// connection without a request, and the other way round.
fn scaled_to(truth: &BTreeMap<Cause, u64>, charged: u64) -> BTreeMap<Cause, u64> {
    let all: u64 = truth.values().sum();
    let mut scaled: BTreeMap<Cause, u64> = BTreeMap::new();
    if all == 0 {
        return scaled;
    }
    for (cause, count) in truth {
        scaled.insert(*cause, count.saturating_mul(charged) / all);
    }
    let left = charged - scaled.values().sum::<u64>();
    if let Some((main, _)) = truth.iter().max_by_key(|(_, count)| **count) {
        *scaled.entry(*main).or_default() += left;
    }
    scaled
}

fn add(matrix: &mut BTreeMap<(Cause, Cause), u64>, cell: (Cause, Cause), count: u64) {
    if count > 0 {
        *matrix.entry(cell).or_default() += count;
    }
}

/// How right a diagnosis is, and what becomes of it with half of the evidence gone, as one JSON object.
pub fn card(scenario: &Scenario, played: &Played, evidence: &Evidence, full: &Score, seed: u64) -> String {
    let thin = score(
        &attribute(&thinned(evidence, 0.5, seed)),
        &played.truth,
        scenario.answer,
        scenario.knowable.map(|(cause, _)| cause),
    );
    let (answer, hop) = match scenario.answer {
        Answer::Healthy => ("healthy", "none"),
        Answer::Cause(cause) => (cause.word(), cause.hop().word()),
    };
    let card = json!({
        "scenario": scenario.name,
        "broken": scenario.broken,
        "seed": seed,
        "answer": answer,
        "hop": hop,
        "knowable": scenario.knowable.map(|(cause, _)| cause.word()),
        "why": scenario.knowable.map(|(_, why)| why),
        "requests": played.totals.requests(),
        "failed": played.totals.failed(),
        "saturated": attribute(evidence).observer.saturated,
        "balanced": played.summary.accounting.balanced(),
        "full": full.to_json(),
        "half": thin.to_json(),
    });
    format!("{card}\n")
}

impl Score {
    fn to_json(&self) -> serde_json::Value {
        let cells = self
            .matrix
            .iter()
            .map(|((due, given), count)| json!([due.word(), given.word(), count]));
        let open = |(_, given): &(Cause, Cause)| is_open(*given);
        let unknown: u64 = self
            .matrix
            .iter()
            .filter(|(cell, _)| open(cell))
            .map(|(_, count)| *count)
            .sum();
        json!({
            "verdict": self.verdict.word(),
            "named": self.named.map(Cause::word),
            "charged": self.charged,
            "right_hop": self.right_hop,
            "right_cause": self.right_cause,
            "unknown": unknown,
            "wrong_hop": self.charged.saturating_sub(self.right_hop + unknown),
            "matrix": cells.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use hopscope_attribution::between::Between;

    use super::*;
    use hopscope_attribution::evidence::PathId;
    use hopscope_attribution::verdict::{Charge, Confidence, ObserverStatement, Verdict};

    fn diagnosis(charges: &[(Cause, u64)]) -> Diagnosis {
        let most = charges
            .iter()
            .max_by_key(|(_, count)| *count)
            .map(|(cause, _)| (cause.hop(), *cause));
        Diagnosis {
            verdict: Verdict {
                charged: most,
                between: Between::Any,
                share: 1.0,
                confidence: Confidence::new(0.9),
                headline: String::new(),
            },
            hops: Vec::new(),
            contrasts: Vec::new(),
            unknowns: Vec::new(),
            advice: Vec::new(),
            observer: ObserverStatement::default(),
            repeated: 0,
            charges: charges
                .iter()
                .map(|(cause, failures)| Charge {
                    path: Some(PathId(0)),
                    cause: *cause,
                    between: Between::Any,
                    failures: *failures,
                    failed: hopscope_attribution::Failed {
                        requests: *failures,
                        ..Default::default()
                    },
                    victims: 0,
                    examples: Vec::new(),
                })
                .collect(),
            not_read: Vec::new(),
        }
    }

    #[test]
    fn a_diagnosis_that_says_what_was_injected_is_right() {
        let truth = [(Cause::BackendError, 90), (Cause::TunnelLost, 10)].into();
        let said = diagnosis(&[(Cause::BackendError, 90), (Cause::TunnelLost, 10)]);
        let score = score(&said, &truth, Answer::Cause(Cause::BackendError), None);
        assert_eq!(score.verdict, Judgement::Right);
        assert_eq!(
            (score.charged, score.right_hop, score.right_cause),
            (100, 100, 100)
        );
    }

    #[test]
    fn a_wrong_charge_is_wrong_even_when_the_total_is_right() {
        let truth = [(Cause::BackendError, 100)].into();
        let said = diagnosis(&[
            (Cause::BackendError, 60),
            (Cause::BackendReset, 30),
            (Cause::TunnelLost, 10),
        ]);
        let score = score(&said, &truth, Answer::Cause(Cause::BackendError), None);
        assert_eq!((score.right_hop, score.right_cause), (90, 60));
        assert_eq!(score.matrix[&(Cause::BackendError, Cause::TunnelLost)], 10);
    }

    #[test]
    fn what_cannot_be_known_better_counts_for_the_truth() {
        let truth = [(Cause::BackendAcceptQueue, 100)].into();
        let said = diagnosis(&[(Cause::BackendUnreachable, 100)]);
        let answer = Answer::Cause(Cause::BackendAcceptQueue);
        let known = score(&said, &truth, answer, Some(Cause::BackendUnreachable));
        assert_eq!((known.verdict, known.right_cause), (Judgement::Knowable, 100));
        let strict = score(&said, &truth, answer, None);
        assert_eq!((strict.verdict, strict.right_cause), (Judgement::RightHop, 0));
    }

    #[test]
    fn nobody_may_be_charged_when_nothing_was_broken() {
        let said = diagnosis(&[(Cause::TunnelLost, 1)]);
        assert_eq!(
            score(&said, &BTreeMap::new(), Answer::Healthy, None).verdict,
            Judgement::Wrong
        );
        assert_eq!(
            score(&diagnosis(&[]), &BTreeMap::new(), Answer::Healthy, None).verdict,
            Judgement::Right
        );
        let open = diagnosis(&[(Cause::Undetermined, 3)]);
        assert_eq!(
            score(&open, &BTreeMap::new(), Answer::Healthy, None).verdict,
            Judgement::Open
        );
    }
}
