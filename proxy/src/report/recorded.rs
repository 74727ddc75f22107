//! From a recording to its report: read, attribute, derive.

use hopscope_attribution::attribute;

use super::input::{RouteMeasurement, RunFacts};
use super::model::Report;
use crate::recording::{Recording, RouteFigures};

impl Report {
    /// The diagnosis of a recording. The same recording gives the same report.
    pub fn of_recording(recording: &Recording) -> Self {
        let facts = recording.facts();
        let run = RunFacts {
            started_unix_us: facts.started_unix_us,
            recorded_by: facts.version.clone(),
            command: facts.command.clone(),
            exit_code: recording.exit_code(),
        };
        let measured: Vec<_> = recording.figures().iter().map(measurement).collect();
        let evidence = recording.evidence();
        Self::new(&run, &measured, evidence, &attribute(evidence))
    }
}

fn measurement(recorded: &RouteFigures) -> RouteMeasurement {
    RouteMeasurement {
        path: recorded.path,
        route: recorded.route,
        statuses: recorded.figures.statuses.clone(),
        all: recorded.figures.all.distribution().histogram().cloned(),
        ok: recorded.figures.ok.distribution().histogram().cloned(),
    }
}
