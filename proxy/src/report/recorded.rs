//! From a recording to its report: read, attribute, derive.

use hopscope_attribution::attribute;
use hopscope_attribution::evidence::{Evidence, GeneratorResult, Observation};

use super::input::{RouteMeasurement, RunFacts};
use super::model::Report;
use crate::recording::Recording;

impl Report {
    /// The diagnosis of a recording. The same recording gives the same report.
    pub fn of_recording(recording: &Recording) -> Self {
        Self::judged(recording, recording.evidence())
    }

    /// The same, joined with what the load generator counted.
    pub fn of_recording_with(recording: &Recording, result: GeneratorResult) -> Self {
        let mut evidence = recording.evidence().clone();
        evidence.generator = Observation::Seen(result);
        Self::judged(recording, &evidence)
    }

    fn judged(recording: &Recording, evidence: &Evidence) -> Self {
        let facts = recording.facts();
        let run = RunFacts {
            started_unix_us: facts.started_unix_us,
            recorded_by: facts.version.clone(),
            command: facts.command.clone(),
            exit_code: recording.exit_code(),
        };
        let measured: Vec<_> = recording.figures().iter().map(RouteMeasurement::from).collect();
        Self::new(&run, &measured, evidence, &attribute(evidence))
    }
}
