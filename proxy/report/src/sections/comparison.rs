//! What changed since an earlier run.

use super::titled;
use crate::compare::size;
use crate::model::{DifferenceReport, Report};
use crate::section::{Block, Column, Measure, Section, Table, Value};
use hopscope_text::figures::{counted, length, percent};

pub(super) fn section(report: &Report) -> Section {
    let Some(comparison) = &report.comparison else {
        return titled("", Vec::new());
    };
    let failed = comparison
        .baseline_failure_ratio
        .map_or_else(String::new, |ratio| format!(", {} failed", percent(ratio)));
    let baseline = format!(
        "baseline of {}: {} in {}{failed}",
        comparison.baseline_started,
        counted(comparison.baseline_requests, "request"),
        length(comparison.baseline_seconds)
    );
    let statement = (&comparison.statement).into();
    let mut blocks = vec![
        Block::Line(baseline.into()),
        if comparison.comparable {
            Block::Line(statement)
        } else {
            Block::Warning(statement)
        },
    ];
    if !comparison.differences.is_empty() {
        let measures = [
            Measure::Compared,
            Measure::Before,
            Measure::Now,
            Measure::Difference,
            Measure::Interval,
            Measure::WouldShow,
            Measure::Finding,
        ];
        blocks.push(Block::Table(Table {
            columns: measures.map(Column::of).to_vec(),
            rows: comparison.differences.iter().map(row).collect(),
        }));
        let within = "Intervals (99.5 %) are by blocks of time within the two runs. What varies between runs of the same \
                      program, one run of each cannot show: repeat the baseline to see it.";
        blocks.push(Block::Line(within.into()));
    }
    titled("Compared with the baseline", blocks)
}

fn row(of: &DifferenceReport) -> Vec<Value> {
    let figure = |value| match of.unit {
        "seconds" => Value::Seconds(Some(value)),
        _ => Value::Share(Some(value)),
    };
    let signed = |difference: f64| {
        let sign = if difference < 0.0 { "-" } else { "+" };
        format!("{sign}{}", size(of.unit, difference.abs()))
    };
    vec![
        Value::Words(of.measure.into()),
        figure(of.old),
        figure(of.new),
        Value::Words(signed(of.difference).into()),
        Value::Words(format!("{} to {}", signed(of.low), signed(of.high)).into()),
        Value::Words(size(of.unit, of.would_have_shown).into()),
        Value::Words(of.finding.replace('-', " ").into()),
    ]
}
