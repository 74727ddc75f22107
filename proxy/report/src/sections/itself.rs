//! Whether hopscope itself stood in the way, and whether anything is missing.

use super::titled;
use crate::model::Report;
use crate::not_read;
use crate::section::{Block, Measure, Section, Sum};
use hopscope_text::figures::counted;

pub(super) fn section(report: &Report) -> Section {
    let observer = &report.observer;
    let mut parts = vec![(observer.connection_rows, Measure::ConnectionRows)];
    if observer.connections_left_out > 0 {
        parts.push((observer.connections_left_out, Measure::LeftOut));
    }
    parts.push((
        observer
            .connections_lost
            .saturating_sub(observer.connections_left_out),
        Measure::CountedLosses,
    ));
    let mut blocks = vec![Block::Sum(Sum {
        total: (observer.accepts, Measure::Accepts),
        parts,
        balanced: Some(observer.accounted),
    })];
    let exchanges_lost = observer
        .exchanges_lost
        .saturating_sub(observer.exchanges_left_out);
    if exchanges_lost > 0 || observer.kernel_events_lost > 0 {
        let lost = format!(
            "lost and counted: {}, {}",
            counted(exchanges_lost, "exchange row"),
            counted(observer.kernel_events_lost, "kernel event"),
        );
        blocks.push(Block::Line(lost.into()));
    }
    let not_read = not_read::lines(report);
    let doubts = not_read.iter().chain(&observer.reasons);
    blocks.extend(doubts.map(|line| Block::Warning(line.into())));
    titled("hopscope itself", blocks)
}
