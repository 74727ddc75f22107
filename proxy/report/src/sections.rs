//! From a report's values to its sections, in the order in which every form has them.

use super::model::Report;
use super::section::{Block, Section};

mod charges;
mod comparison;
mod counts;
mod figures;
mod generator;
mod itself;
mod next;
mod run;

/// The sections of a report that have something to say. Routes beyond `most_routes` share the last row of their table.
pub(crate) fn of(report: &Report, most_routes: usize) -> Vec<Section> {
    [
        run::section(report),
        counts::section(report),
        comparison::section(report),
        charges::section(report),
        figures::paths(report),
        figures::routes(report, most_routes),
        figures::latency(report),
        next::unknowns(report),
        next::advice(report),
        generator::section(report),
        itself::section(report),
    ]
    .into_iter()
    .filter(|section| !section.blocks.is_empty())
    .collect()
}

fn titled(title: &str, blocks: Vec<Block>) -> Section {
    Section {
        title: title.into(),
        blocks,
    }
}
