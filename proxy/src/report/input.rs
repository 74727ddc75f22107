//! What a report is made of, beside the evidence and the diagnosis: facts that the attribution does not need.

use std::collections::BTreeMap;

use hopscope_attribution::evidence::{PathId, RouteId};

use crate::recording::{Distribution, RouteFigures};

/// Facts about the run as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFacts {
    /// When the recording began: microseconds since 1970-01-01T00:00:00Z.
    pub started_unix_us: u64,
    /// The version of hopscope that made the recording.
    pub recorded_by: String,
    /// The load generator's command line, where hopscope ran it.
    pub command: Option<Vec<String>>,
    /// The load generator's exit code, where hopscope ran it and it exited by itself.
    pub exit_code: Option<i32>,
}

/// What was measured of all exchanges of one route on one path, exactly (not sampled).
#[derive(Clone, Debug)]
pub struct RouteMeasurement {
    /// The path that carried them.
    pub path: PathId,
    /// Their route.
    pub route: RouteId,
    /// How many complete responses there were of each status.
    pub statuses: BTreeMap<u16, u64>,
    /// Latency of every exchange, however it ended.
    pub all: Distribution,
    /// Latency of the successful ones.
    pub ok: Distribution,
}

impl From<&RouteFigures> for RouteMeasurement {
    fn from(of: &RouteFigures) -> Self {
        Self {
            path: of.path,
            route: of.route,
            statuses: of.figures.statuses.clone(),
            all: of.figures.all.distribution().clone(),
            ok: of.figures.ok.distribution().clone(),
        }
    }
}
