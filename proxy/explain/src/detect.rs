//! Which generator's result it is, and in which form.

use std::io::{self, BufRead, Read};

use serde_json::Value;
use thiserror::Error;

use super::k6_points::{Points, Tags};
use super::summary::Summary;
use super::{k6_summary, k6_text, oha, wrk};

/// A summary is some kilobytes; what is larger is none.
const LARGEST_SUMMARY: u64 = 64 << 20;
/// A point of k6 is some hundred bytes; of a longer line the rest is passed over.
const LONGEST_LINE: u64 = 1 << 20;

/// Why a result cannot be explained.
#[derive(Debug, Error)]
pub enum Unrecognised {
    /// It could not be read.
    #[error("{0}")]
    Unreadable(io::Error),
    /// There is nothing in it.
    #[error("it is empty: give the result that the generator wrote")]
    Empty,
    /// It is compressed.
    #[error("it is compressed: use `gunzip -c FILE | hopscope explain -`")]
    Compressed,
    /// It is one of our recordings.
    #[error("it is a recording of hopscope's: use `hopscope report FILE`")]
    Recording,
    /// It is one of our reports.
    #[error("it is a report of hopscope's already; explain reads what a load generator wrote")]
    Report,
    /// It is oha's result for people, which leaves too much out.
    #[error("it is oha's text: run oha with `--output-format json` and give that")]
    OhaText,
    /// It is too large for a summary, and not a stream of points.
    #[error("it is larger than {} MiB and not a stream of k6 points", LARGEST_SUMMARY >> 20)]
    TooLarge,
    /// A stream of points without a request in it.
    #[error("there is no HTTP request in it: k6 wrote points, and none of `http_reqs`")]
    NoRequests,
    /// Its totals contradict one another: it was altered, or cut.
    #[error("it states {failed} failures of {requests} requests: it is damaged, or not one run's result")]
    Contradiction {
        /// Failures that it states.
        failed: u64,
        /// Requests that it states.
        requests: u64,
    },
    /// None of the forms that are known.
    #[error(
        "it is no result that explain knows: k6 (`--summary-export`, `handleSummary`, `--out json`, `--out csv`, or \
         the text at the end), oha (`--output-format json`) or wrk (its text)"
    )]
    Unknown,
}

/// Reads a result, whichever it is.
///
/// # Errors
/// When it cannot be read, is none that is known, or contradicts itself.
pub fn parse(input: impl BufRead) -> Result<Summary, Unrecognised> {
    let summary = recognise(input)?;
    match (summary.requests, summary.failed) {
        (Some(requests), Some(failed)) if failed > requests => {
            Err(Unrecognised::Contradiction { failed, requests })
        }
        _ => Ok(summary),
    }
}

fn recognise(mut input: impl BufRead) -> Result<Summary, Unrecognised> {
    let mut first = Vec::new();
    // Blank lines before the result, as a paste brings them.
    while first.iter().all(u8::is_ascii_whitespace) {
        first.clear();
        if read_line(&mut input, &mut first)? == 0 {
            return Err(Unrecognised::Empty);
        }
    }
    if first.starts_with(&[0x1f, 0x8b]) {
        return Err(Unrecognised::Compressed);
    }
    if first.starts_with(b"SQLite format 3\0") {
        return Err(Unrecognised::Recording);
    }
    let start = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&first);
    if start.starts_with(b"metric_name,") {
        return csv_points(start.chain(input));
    }
    if is_point(start) {
        return json_points(&first, input);
    }
    let mut text = start.to_vec();
    let read = input
        .take(LARGEST_SUMMARY + 1)
        .read_to_end(&mut text)
        .map_err(Unrecognised::Unreadable)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > LARGEST_SUMMARY {
        return Err(Unrecognised::TooLarge);
    }
    if let Ok(document) = serde_json::from_slice::<Value>(&text) {
        if document
            .get("schema")
            .and_then(Value::as_str)
            .is_some_and(|schema| schema.starts_with("hopscope."))
        {
            return Err(Unrecognised::Report);
        }
        return oha::parse(&document)
            .or_else(|| k6_summary::parse(&document))
            .ok_or(Unrecognised::Unknown);
    }
    let text = String::from_utf8_lossy(&text);
    if text.contains("Success rate:") && text.contains("Slowest:") {
        return Err(Unrecognised::OhaText);
    }
    k6_text::parse(&text)
        .or_else(|| wrk::parse(&text))
        .ok_or(Unrecognised::Unknown)
}

/// Whether a line is one of `k6 --out json`.
fn is_point(line: &[u8]) -> bool {
    serde_json::from_slice::<Value>(line).is_ok_and(|line| {
        line.get("metric").is_some_and(Value::is_string)
            && line.get("data").is_some()
            && matches!(line.get("type").and_then(Value::as_str), Some("Metric" | "Point"))
    })
}

fn json_points(first: &[u8], mut input: impl BufRead) -> Result<Summary, Unrecognised> {
    let mut points = Points::new("k6 points (--out json)");
    points.json_line(first);
    let mut line = Vec::new();
    loop {
        line.clear();
        if read_line(&mut input, &mut line)? == 0 {
            return points.finish().ok_or(Unrecognised::NoRequests);
        }
        points.json_line(&line);
    }
}

/// One line with its end, of bounded length; 0 at the end of the input.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> Result<usize, Unrecognised> {
    let read = input
        .by_ref()
        .take(LONGEST_LINE)
        .read_until(b'\n', line)
        .map_err(Unrecognised::Unreadable)?;
    Ok(read)
}

fn csv_points(input: impl Read) -> Result<Summary, Unrecognised> {
    let mut points = Points::new("k6 points (--out csv)");
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(input);
    let heads = reader
        .byte_headers()
        .map_err(|error| unreadable(error.into_kind()))?
        .clone();
    let column = |name: &str| heads.iter().position(|head| head == name.as_bytes());
    let (Some(metric), Some(value)) = (column("metric_name"), column("metric_value")) else {
        return Err(Unrecognised::Unknown);
    };
    let (time, name, status) = (column("timestamp"), column("name"), column("status"));
    let url = column("url");
    let (error, code, expected) = (column("error"), column("error_code"), column("expected_response"));
    let mut record = csv::ByteRecord::new();
    while reader
        .read_byte_record(&mut record)
        .map_err(|error| unreadable(error.into_kind()))?
    {
        let field = |column: Option<usize>| {
            let field = record.get(column?)?;
            (!field.is_empty()).then(|| String::from_utf8_lossy(field))
        };
        let Some(value) = field(Some(value)).and_then(|value| value.parse::<f64>().ok()) else {
            continue;
        };
        let at = field(time).and_then(|time| super::k6_points::csv_seconds(&time));
        let tags = Tags {
            url: field(url),
            name: field(name),
            status: field(status),
            error: field(error),
            error_code: field(code),
            expected_response: field(expected),
        };
        points.point(&field(Some(metric)).unwrap_or_default(), at, value, &tags);
    }
    points.finish().ok_or(Unrecognised::NoRequests)
}

fn unreadable(kind: csv::ErrorKind) -> Unrecognised {
    if let csv::ErrorKind::Io(error) = kind {
        Unrecognised::Unreadable(error)
    } else {
        Unrecognised::Unknown
    }
}
