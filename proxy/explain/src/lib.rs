//! `hopscope explain`: what an old generator result alone can and cannot say.
//!
//! No proxy was there, so nothing is attributed: the readers of one table ([`READERS`]) turn a result of any form into a
//! [`Summary`], and [`Reading`] says what follows from its figures, hedged, what does not, and the one test that would
//! settle it. A result must not clear the guilty: where it leaves something out, that is said.
//!
//! **Invariant:** a result is hostile input: reading it is bounded and never panics, and nothing is attributed.

use std::io::BufRead;

mod ab;
mod artillery;
mod autocannon;
mod chance;
mod detect;
mod document;
mod durations;
mod gatling;
mod ghz;
mod hey;
mod input;
mod jmeter;
mod json;
mod k6_csv;
mod k6_log;
mod k6_parts;
mod k6_points;
mod k6_summary;
mod k6_text;
mod locust;
mod newman;
mod oha;
mod prefixes;
mod readers;
mod reading;
mod rows;
mod siege;
mod summary;
mod tally;
mod text;
mod vegeta;
mod wrk;

pub use detect::Unrecognised;
pub use readers::{READERS, ResultReader};
pub use reading::{Cannot, Next, Reading, Said, TunnelReading};
pub use summary::{FailedRequest, Gap, Group, GroupsFrom, Quantiles, Summary, Tool};
pub use tally::Keep;
pub use text::render;

/// Results that are read of one input; of more, the later ones are passed over.
const MOST_RUNS: usize = 16;

/// Every result in an input, each with what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// In the input's order; at least one.
    runs: Vec<(Summary, Reading)>,
}

impl Explained {
    /// Every result, in the input's order.
    pub fn runs(&self) -> &[(Summary, Reading)] {
        &self.runs
    }

    /// The one with the most failures, the last of several: what went wrong in any run is not passed over.
    pub fn chief(&self) -> Option<&(Summary, Reading)> {
        self.runs
            .iter()
            .max_by_key(|(summary, _)| summary.known_failures())
    }

    /// The only result.
    ///
    /// # Errors
    /// How many there are, where it is not one.
    pub fn only(self) -> Result<(Summary, Reading), usize> {
        let count = self.runs.len();
        let mut runs = self.runs.into_iter();
        match (runs.next(), count) {
            (Some(run), 1) => Ok(run),
            (Some(_) | None, count) => Err(count),
        }
    }
}

/// Reads the results in an input and says what each says.
///
/// # Errors
/// When it holds no result of a generator that we know, or cannot be read.
pub fn explain(input: impl BufRead, keep: Keep) -> Result<Explained, Unrecognised> {
    let runs = detect::parse(input, keep)?
        .into_iter()
        .map(|summary| {
            let summary = summary.without_secrets();
            let reading = Reading::of(&summary);
            (summary, reading)
        })
        .collect();
    Ok(Explained { runs })
}

#[cfg(test)]
mod tests;
