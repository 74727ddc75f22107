//! From a recording to its report: read, attribute, derive.

use hopscope_attribution::attribute;
use hopscope_attribution::evidence::{Evidence, GeneratorResult, NodeEvidence, Observation};

use super::input::RouteMeasurement;
use super::model::Report;
use crate::recording::Recording;

/// What others saw of a run, to be judged with its recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Witnesses {
    /// What the load generator counted, where its result is given.
    pub generator: Option<GeneratorResult>,
    /// What the kernels on the path saw, where it was asked for; it takes the place of what the recording has.
    pub node: Option<Observation<NodeEvidence>>,
}

impl Report {
    /// The diagnosis of a recording. The same recording gives the same report.
    pub fn of_recording(recording: &Recording) -> Self {
        Self::judged(recording, recording.evidence())
    }

    /// The same, joined with what others saw of the run.
    pub fn of_recording_with(recording: &Recording, witnesses: Witnesses) -> Self {
        let mut evidence = recording.evidence().clone();
        if let Some(result) = witnesses.generator {
            evidence.generator = Observation::Seen(result);
        }
        if let Some(node) = witnesses.node {
            evidence.node = node;
        }
        Self::judged(recording, &evidence)
    }

    fn judged(recording: &Recording, evidence: &Evidence) -> Self {
        let measured: Vec<_> = recording.figures().iter().map(RouteMeasurement::from).collect();
        Self::new(
            recording.facts(),
            recording.exit_code(),
            &measured,
            evidence,
            &attribute(evidence),
        )
    }
}
