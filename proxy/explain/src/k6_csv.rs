//! k6's points as rows: `--out csv`.

use std::io::Read;

use super::detect::Unrecognised;
use super::k6_points::{Points, Tags, csv_seconds};
use super::rows::{Rows, unreadable};
use super::summary::Summary;
use super::tally::Keep;

/// Whether a line is the head of such rows.
pub(super) fn begins(line: &str) -> bool {
    line.starts_with("metric_name,")
}

/// Reads the rows behind it.
pub(super) fn read(input: &mut dyn Read, keep: Keep) -> Result<Vec<Summary>, Unrecognised> {
    let mut rows = Rows::new(input)?;
    let (Some(metric), Some(value)) = (rows.column("metric_name"), rows.column("metric_value")) else {
        return Err(Unrecognised::Unknown);
    };
    let (time, name, status) = (
        rows.column("timestamp"),
        rows.column("name"),
        rows.column("status"),
    );
    let url = rows.column("url");
    let error = rows.column("error");
    let (code, expected) = (rows.column("error_code"), rows.column("expected_response"));
    let mut points = Points::new("k6 points (--out csv)", keep);
    while rows.next().map_err(unreadable)? {
        if rows.is_head() {
            points.begin_run();
            continue;
        }
        let Some(value) = rows
            .field(Some(value))
            .and_then(|value| value.parse::<f64>().ok())
        else {
            continue;
        };
        let at = rows.field(time).and_then(|time| csv_seconds(&time));
        let tags = Tags {
            url: rows.field(url),
            name: rows.field(name),
            status: rows.field(status),
            error: rows.field(error),
            error_code: rows.field(code),
            expected_response: rows.field(expected),
        };
        points.point(&rows.field(Some(metric)).unwrap_or_default(), at, value, &tags);
    }
    Ok(points.runs())
}
