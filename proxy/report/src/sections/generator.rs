//! What the load generator counted.

use super::titled;
use crate::model::Report;
use crate::section::{Block, Column, Measure, Section, Table, Value};
use hopscope_text::figures::{counted, ratio};

pub(super) fn section(report: &Report) -> Section {
    let Some(generator) = &report.generator else {
        return titled("", Vec::new());
    };
    let counts = format!(
        "{}, {}",
        counted(generator.requests, "request"),
        counted(generator.failed, "failed request")
    );
    let mut blocks = vec![Block::Line(counts.into())];
    let rows: Vec<Vec<Value>> = generator
        .failures_by_hop
        .iter()
        .map(|(hop, failures)| {
            vec![
                Value::Words((*hop).into()),
                Value::Count(*failures),
                Value::Share(ratio(*failures, generator.failed)),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let measures = [Measure::ChargedTo, Measure::Failures, Measure::Share];
        blocks.push(Block::Table(Table {
            columns: measures.map(Column::of).to_vec(),
            rows,
        }));
    }
    blocks.extend(generator.remarks.iter().map(|remark| Block::Line(remark.into())));
    titled(&format!("What {} counted", generator.tool), blocks)
}
