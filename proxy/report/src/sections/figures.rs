//! The tables: paths, routes, latency.

use super::titled;
use crate::model::{Latency, Report, RouteReport};
use crate::section::{Block, Column, Measure, Section, Table, Value};
use hopscope_text::figures::{grouped, ratio};

pub(super) fn paths(report: &Report) -> Section {
    if report.paths.is_empty() {
        return titled("Paths", Vec::new());
    }
    let rows = report.paths.iter().zip(&report.run.paths).map(|(path, given)| {
        vec![
            Value::Words((&path.path).into()),
            Value::Words(path.kind.into()),
            Value::Name((&given.target).into()),
            Value::Count(path.connections),
            Value::Count(path.requests),
            Value::Failed(path.failed),
            Value::Share(path.failure_ratio),
            Value::Count(path.undelivered),
            Value::Seconds(path.latency.p50),
            Value::Seconds(path.latency.p95),
            Value::Seconds(path.latency.p99),
        ]
    });
    let table = Table {
        columns: vec![
            Column::of(Measure::Path),
            Column::of(Measure::Kind).giving_way(2),
            Column::of(Measure::Target).shrinking().giving_way(1),
            Column::of(Measure::Connections),
            Column::of(Measure::Requests),
            Column::of(Measure::Failed),
            Column::of(Measure::Share),
            Column::of(Measure::Undelivered).giving_way(3),
            Column::of(Measure::P50),
            Column::of(Measure::P95).giving_way(5),
            Column::of(Measure::P99).giving_way(4),
        ],
        rows: rows.collect(),
    };
    let contrasts = report
        .contrasts
        .iter()
        .map(|of| Block::Line((&of.statement).into()));
    titled(
        "Paths",
        std::iter::once(Block::Table(table)).chain(contrasts).collect(),
    )
}

pub(super) fn routes(report: &Report, most: usize) -> Section {
    if report.routes.is_empty() {
        return titled("Routes", Vec::new());
    }
    let several = report.paths.len() > 1;
    let shown = report.routes.iter().take(most);
    let mut rows: Vec<Vec<Value>> = shown.map(|route| route_row(route, several)).collect();
    rows.extend(rest(report.routes.get(most..).unwrap_or_default()));
    let table = Table {
        columns: vec![
            Column::of(Measure::Route).shrinking(),
            Column::of(Measure::Path),
            Column::of(Measure::Requests),
            Column::of(Measure::Failed),
            Column::of(Measure::Share),
            Column::of(Measure::Undelivered).giving_way(4),
            Column::of(Measure::P50).giving_way(1),
            Column::of(Measure::P95).giving_way(3),
            Column::of(Measure::P99).giving_way(2),
            Column::of(Measure::Statuses).giving_way(5),
        ],
        rows,
    };
    titled("Routes", vec![Block::Table(table)])
}

fn route_row(route: &RouteReport, several: bool) -> Vec<Value> {
    vec![
        Value::Name((&route.route).into()),
        if several {
            Value::Words((&route.path).into())
        } else {
            Value::Empty
        },
        Value::Count(route.requests),
        Value::Failed(route.failed),
        Value::Share(ratio(route.failed, route.requests)),
        Value::Count(route.undelivered),
        Value::Seconds(route.latency.p50),
        Value::Seconds(route.latency.p95),
        Value::Seconds(route.latency.p99),
        Value::Words(statuses(route).into()),
    ]
}

/// The routes for which there is no room, in one row: the column still adds up.
fn rest(routes: &[RouteReport]) -> Option<Vec<Value>> {
    let sum = |of: fn(&RouteReport) -> u64| routes.iter().map(of).fold(0_u64, u64::saturating_add);
    let (requests, failed) = (sum(|route| route.requests), sum(|route| route.failed));
    (!routes.is_empty()).then(|| {
        vec![
            Value::Words(format!("{} more, in the JSON report", routes.len()).into()),
            Value::Empty,
            Value::Count(requests),
            Value::Failed(failed),
            Value::Share(ratio(failed, requests)),
            Value::Count(sum(|route| route.undelivered)),
        ]
    })
}

/// The three most frequent statuses: `503×2,613 200×190`.
fn statuses(route: &RouteReport) -> String {
    let mut by_times: Vec<_> = route.statuses.iter().collect();
    by_times.sort_by_key(|(status, times)| (std::cmp::Reverse(**times), (*status).clone()));
    let mut words: Vec<_> = by_times
        .iter()
        .take(3)
        .map(|(status, times)| format!("{status}×{}", grouped(**times)))
        .collect();
    let others = by_times
        .iter()
        .skip(3)
        .fold(0_u64, |sum, (_, times)| sum.saturating_add(**times));
    if others > 0 {
        words.push(format!("other×{}", grouped(others)));
    }
    words.join(" ")
}

pub(super) fn latency(report: &Report) -> Section {
    if report.totals.requests == 0 {
        return titled("Latency", Vec::new());
    }
    let latency = &report.latency;
    let mut rows = vec![latency_row("all", &latency.all), latency_row("ok", &latency.ok)];
    if latency.added_by_hopscope_unseen.is_none() {
        rows.push(latency_row("added by hopscope", &latency.added_by_hopscope));
    }
    let measures = [
        Measure::Of,
        Measure::P50,
        Measure::P90,
        Measure::P95,
        Measure::P99,
        Measure::Max,
        Measure::Mean,
        Measure::Count,
    ];
    let mut blocks = vec![Block::Table(Table {
        columns: measures.map(Column::of).to_vec(),
        rows,
    })];
    if let Some(why) = &latency.added_by_hopscope_unseen {
        let text = format!("What hopscope itself added was not measured: {why}.");
        blocks.push(Block::Line(text.into()));
    }
    titled("Latency", blocks)
}

fn latency_row(of: &str, latency: &Latency) -> Vec<Value> {
    let quantiles = [
        latency.p50,
        latency.p90,
        latency.p95,
        latency.p99,
        latency.max,
        latency.mean,
    ];
    let mut row = vec![Value::Words(of.into())];
    row.extend(quantiles.map(Value::Seconds));
    row.push(latency.count.map_or(Value::Empty, Value::Count));
    row
}
