//! The pure core of hopscope: evidence in, verdict out.
//!
//! Nothing here reads a clock, a file, a socket or the environment, and nothing waits: the same evidence gives the
//! same verdict on every machine. Suggested reading order: [`hop`] and [`cause`] (who can be charged, and with what),
//! [`evidence`] (what was seen, and what was not), [`rules`] (what is concluded from what), [`verdict`] (the result).
#![forbid(unsafe_code)]
#![expect(
    clippy::similar_names,
    reason = "a case and its causes are called what they are"
)]

pub mod between;
pub mod catalogue;
pub mod cause;
pub mod court;
pub mod end_of_load;
pub mod evidence;
pub mod hop;
pub mod rules;
pub mod verdict;

mod advice;
mod case;
mod charge;
mod confidence;
mod failed;
mod failure;
mod figures;
mod first;
mod headline;
mod lateness;
mod lattice;
mod missing;
mod not_read;
mod phrase;
mod repeated;
mod statistics;
mod tally;

pub use failed::Failed;
pub use first::{first_charge, first_charge_without_exchange};

use evidence::Evidence;
use verdict::{Diagnosis, Judged};

/// Judges a run: every failure is charged once, to a hop or to `unknown`, with the reasons for and against.
///
/// Never fails and never waits. The sum of [`Diagnosis::charges`] is the number of failures: the failed exchanges that
/// the exact counts know, the connections that failed without an exchange, and the failures that only the generator
/// saw because they never reached hopscope.
#[must_use]
pub fn attribute(evidence: &Evidence) -> Diagnosis {
    charge::conclude(judged(evidence))
}

/// The same, and beside it the charge of each failure that has a row, in the order of time.
#[must_use]
pub fn attribute_each(evidence: &Evidence) -> (Diagnosis, Vec<Judged>) {
    let case = judged(evidence);
    let each = case.failures.iter().map(failure::Failure::judged).collect();
    (charge::conclude(case), each)
}

fn judged(evidence: &Evidence) -> case::Case<'_> {
    let mut case = case::Case::open(evidence);
    for rule in rules::RULES {
        (rule.apply)(&mut case);
    }
    between::settle(&mut case);
    case
}
