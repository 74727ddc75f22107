//! `hopscope explain`: what an old generator result alone can and cannot say.
//!
//! No proxy was there, so nothing is attributed: [`parse`] reads the result of k6, oha or wrk into a [`Summary`], and
//! [`Reading`] says what follows from its figures, hedged, what does not, and the one test that would settle it.
//!
//! **Invariant:** a result is hostile input: reading it is bounded and never panics, and nothing is attributed.

use std::io::BufRead;

mod chance;
mod detect;
mod durations;
mod json;
mod k6_points;
mod k6_summary;
mod k6_text;
mod oha;
mod reading;
mod summary;
mod text;
mod wrk;

pub use detect::{Unrecognised, parse};
pub use reading::{Cannot, Next, Reading, Said, TunnelReading};
pub use summary::{FailedRequest, Group, GroupsFrom, Quantiles, Summary, Tool};
pub use text::render;

/// Reads a result and says what it says.
///
/// # Errors
/// When it is not a result of a generator that we know, or cannot be read.
pub fn explain(input: impl BufRead) -> Result<(Summary, Reading), Unrecognised> {
    let summary = parse(input)?;
    let reading = Reading::of(&summary);
    Ok((summary, reading))
}

#[cfg(test)]
mod tests;
