//! What a report says, and how well that fits an expected answer.

use hopscope_tests::report::Report;
use serde_json::Value;

use crate::play::{Answer, Truth};

/// One word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Word {
    /// As expected.
    Right,
    /// A hop, and the true one, where the evidence was thought not to show it.
    Bold,
    /// Open, though a hop was expected.
    Open,
    /// Nothing failed, it says, and something did; or the other way round.
    Miscounted,
    /// A hop that did nothing.
    Wrong,
}

impl Word {
    pub(crate) const ALL: [Self; 5] = [Self::Right, Self::Bold, Self::Open, Self::Miscounted, Self::Wrong];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Bold => "bold",
            Self::Open => "open",
            Self::Miscounted => "miscounted",
            Self::Wrong => "WRONG",
        }
    }
}

/// What a cause is charged with.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    pub(crate) hop: String,
    pub(crate) cause: String,
    pub(crate) between: Vec<String>,
    pub(crate) failures: u64,
}

/// What the report says, as far as it is scored.
#[derive(Clone, Debug)]
pub(crate) struct Says {
    pub(crate) hop: String,
    pub(crate) cause: String,
    pub(crate) between: Vec<String>,
    pub(crate) charges: Vec<Charge>,
    pub(crate) failures: u64,
    /// Whether anything is said that would decide what is open.
    pub(crate) experiment: bool,
}

fn hops_of(value: Option<&Value>) -> Vec<String> {
    let hops = value.and_then(Value::as_array).into_iter().flatten();
    hops.filter_map(|hop| hop.as_str().map(ToOwned::to_owned))
        .collect()
}

impl Says {
    pub(crate) fn of(report: &Report) -> Self {
        let word = |value: &Value, name: &str| {
            value
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let mut charges = Vec::new();
        let hops = report.field("/hops");
        for hop in hops.as_array().into_iter().flatten() {
            for charge in hop.get("causes").and_then(Value::as_array).into_iter().flatten() {
                charges.push(Charge {
                    hop: word(hop, "hop"),
                    cause: word(charge, "cause"),
                    between: hops_of(charge.get("between")),
                    failures: charge.get("failures").and_then(Value::as_u64).unwrap_or(0),
                });
            }
        }
        let verdict = report.field("/verdict");
        let unknowns = report.field("/unknowns");
        let mut unknowns = unknowns.as_array().into_iter().flatten();
        Self {
            hop: word(&verdict, "hop"),
            cause: word(&verdict, "cause"),
            between: hops_of(verdict.get("between")),
            failures: charges.iter().map(|charge| charge.failures).sum(),
            charges,
            experiment: unknowns.any(|unknown| !word(unknown, "experiment").is_empty()),
        }
    }

    /// Hop and cause of the verdict, and between whom.
    pub(crate) fn verdict(&self) -> String {
        let between = if self.between.is_empty() {
            String::new()
        } else {
            format!(" between {}", self.between.join("+"))
        };
        format!("{} {}{between}", self.hop, self.cause).trim().to_owned()
    }

    /// Failures of the charges that are wanted.
    pub(crate) fn sum(&self, wanted: impl Fn(&Charge) -> bool) -> u64 {
        let charges = self.charges.iter().filter(|charge| wanted(charge));
        charges.map(|charge| charge.failures).sum()
    }
}

/// How one answer fits: the word for the verdict, and the failures that are right, open and wrong by it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fit {
    pub(crate) word: Word,
    pub(crate) right: u64,
    pub(crate) open: u64,
    pub(crate) wrong: u64,
}

impl Fit {
    pub(crate) fn of(answer: Answer, truth: Truth, says: &Says) -> Self {
        let unknown = says.sum(|charge| charge.hop == "unknown");
        let guilty = says.sum(|charge| !truth.hop().is_empty() && charge.hop == truth.hop());
        let wrong = says.failures - unknown - guilty;
        let open_to = |hops: &[&str], between: &[String]| {
            between.len() == hops.len() && between.iter().all(|hop| hops.contains(&hop.as_str()))
        };
        let (fits, right) = match answer {
            Answer::Nothing => (says.failures == 0 && says.hop == "none", 0),
            Answer::Hop(hop, _) => (says.hop == hop, guilty),
            Answer::Between(hops) => {
                let right = says.sum(|charge| {
                    charge.hop == "unknown"
                        && (open_to(hops, &charge.between)
                            || charge.between.is_empty() && open_to(hops, &says.between))
                });
                // Who is charged and guilty is no miss, though bold.
                (
                    says.hop == "unknown" && open_to(hops, &says.between),
                    right + guilty,
                )
            }
            Answer::Open => {
                let holds = says.between.is_empty()
                    || truth.hop().is_empty()
                    || says.between.iter().any(|hop| hop == truth.hop());
                let open = says.hop == "unknown" && says.cause != "not-read" && says.failures > 0;
                (open && holds, unknown + guilty)
            }
            Answer::NotRead => (says.hop == "unknown" && says.cause == "not-read", 0),
            Answer::Rejected => {
                let rejected = says.sum(|charge| charge.cause == "request-rejected");
                (
                    says.hop == "unknown" && says.cause == "request-rejected",
                    rejected,
                )
            }
        };
        let word = if fits {
            Word::Right
        } else if says.failures == 0 || answer == Answer::Nothing && wrong == 0 {
            Word::Miscounted
        } else if says.hop == "unknown" {
            Word::Open
        } else if says.hop == truth.hop() {
            Word::Bold
        } else {
            Word::Wrong
        };
        Self {
            word,
            right,
            open: says.failures - wrong - right.min(says.failures - wrong),
            wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(hop: &str, between: &[&str], charges: &[(&str, &[&str], u64)]) -> Says {
        let own = |hops: &[&str]| hops.iter().map(|hop| (*hop).to_owned()).collect::<Vec<_>>();
        let charges: Vec<Charge> = charges
            .iter()
            .map(|(hop, between, failures)| Charge {
                hop: (*hop).to_owned(),
                cause: "a-cause".to_owned(),
                between: own(between),
                failures: *failures,
            })
            .collect();
        Says {
            hop: hop.to_owned(),
            cause: "a-cause".to_owned(),
            between: own(between),
            failures: charges.iter().map(|charge| charge.failures).sum(),
            charges,
            experiment: true,
        }
    }

    const BOTH: Answer = Answer::Between(&["lb", "backend"]);

    #[test]
    fn an_open_answer_is_a_miss_where_a_hop_is_expected() {
        let open = says(
            "unknown",
            &["lb", "backend"],
            &[("unknown", &["lb", "backend"], 5)],
        );
        let fit = Fit::of(Answer::Hop("backend", &[]), Truth::Backend, &open);
        assert_eq!((fit.word, fit.right, fit.open, fit.wrong), (Word::Open, 0, 5, 0));
        let fit = Fit::of(BOTH, Truth::Backend, &open);
        assert_eq!((fit.word, fit.right, fit.open, fit.wrong), (Word::Right, 5, 0, 0));
    }

    #[test]
    fn a_hop_that_did_nothing_is_wrong_whatever_was_expected() {
        let wrong = says("lb", &[], &[("lb", &[], 4), ("backend", &[], 1)]);
        for answer in [BOTH, Answer::Open, Answer::Nothing, Answer::Hop("backend", &[])] {
            let fit = Fit::of(answer, Truth::Backend, &wrong);
            assert_eq!((fit.word, fit.wrong), (Word::Wrong, 4), "{answer:?}");
        }
    }

    #[test]
    fn the_guilty_hop_is_bold_where_it_was_thought_not_to_be_known() {
        let bold = says("lb", &[], &[("lb", &[], 4)]);
        assert_eq!(Fit::of(BOTH, Truth::Lb, &bold).word, Word::Bold);
    }

    #[test]
    fn failures_that_are_in_no_count_are_no_right_answer() {
        let none = says("none", &[], &[]);
        let fit = Fit::of(Answer::Hop("backend", &[]), Truth::Backend, &none);
        assert_eq!(fit.word, Word::Miscounted);
        assert_eq!(Fit::of(Answer::Nothing, Truth::Nothing, &none).word, Word::Right);
        let some = says("unknown", &[], &[("unknown", &[], 2)]);
        assert_eq!(
            Fit::of(Answer::Nothing, Truth::Nothing, &some).word,
            Word::Miscounted
        );
    }
}
