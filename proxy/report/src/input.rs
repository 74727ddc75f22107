//! What a report is made of, beside the evidence and the diagnosis: facts that the attribution does not need.

use std::collections::BTreeMap;

use hopscope_attribution::evidence::{PathId, RouteId};

use hopscope_text::distribution::Distribution;

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
