//! A recording's diagnosis, for people and programs.
//!
//! [`model::Report`] is derived once, purely, from what was measured and what was concluded; the writers only lay it
//! out and never add a claim of their own. The same input gives the same bytes.
//!
//! Reading order: [`input`] (what a report is made of), [`model`] (what it says: `hopscope.report/1`), [`derive`],
//! then one module a form: [`terminal`],
//! [`json`], [`markdown`], [`html`]. [`condition`] is `--fail-on`.

pub mod condition;
pub mod derive;
pub mod figures;
pub mod html;
pub mod input;
pub mod json;
pub mod markdown;
pub mod model;
#[cfg(test)]
pub(crate) mod sample;
pub mod terminal;

use hopscope_attribution::evidence::{GeneratorResult, Observation};

use crate::recording::Recording;

pub use condition::Condition;
pub use input::{RouteMeasurement, RunFacts};
pub use model::Report;

/// Judges a recording and tells it; with what the load generator counted, where its result is given.
pub fn diagnose(recording: Recording, generator: Option<GeneratorResult>) -> Report {
    let facts = recording.facts();
    let run = RunFacts {
        started_unix_us: facts.started_unix_us,
        recorded_by: facts.version.clone(),
        command: facts.command.clone(),
        exit_code: recording.exit_code(),
    };
    let measured: Vec<_> = recording.figures().iter().map(RouteMeasurement::from).collect();
    let mut evidence = recording.into_evidence();
    if let Some(result) = generator {
        evidence.generator = Observation::Seen(result);
    }
    let diagnosis = hopscope_attribution::attribute(&evidence);
    Report::new(&run, &measured, &evidence, &diagnosis)
}
