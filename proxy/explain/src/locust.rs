//! Locust's result: `…_stats.csv`, `--json`, and the tables that it prints. Times are milliseconds.

use std::io::Read;

use serde_json::Value;

use super::detect::Unrecognised;
use super::json::{count, figure};
use super::readers::TextReader;
use super::rows::{Rows, unreadable};
use super::summary::{Group, GroupsFrom, Quantiles, Summary, Tool, error_words, sum};
use super::tally::{Keep, whole};

/// Whether a line is the head of `…_stats.csv`.
pub(super) fn begins(line: &str) -> bool {
    line.starts_with("Type,Name,Request Count,Failure Count")
        || line.starts_with("\"Type\",\"Name\",\"Request Count\"")
}

/// Reads its rows: one a name, and one for all.
pub(super) fn read(input: &mut dyn Read, _: Keep) -> Result<Vec<Summary>, Unrecognised> {
    let mut rows = Rows::new(input)?;
    let [kind, name, requests, failed] =
        ["Type", "Name", "Request Count", "Failure Count"].map(|name| rows.column(name));
    let [p50, p90, p95, p99, max, mean] = [
        "50%",
        "90%",
        "95%",
        "99%",
        "Max Response Time",
        "Average Response Time",
    ]
    .map(|name| rows.column(name));
    let mut runs = Vec::new();
    let mut table = Table::default();
    while rows.next().map_err(unreadable)? {
        if rows.is_head() {
            runs.extend(std::mem::take(&mut table).summary("Locust statistics (CSV)"));
            continue;
        }
        let number = |column| rows.field(column).and_then(|field| field.parse::<f64>().ok());
        let seconds = |column| {
            number(column)
                .map(|millis| millis / 1e3)
                .filter(|time| time.is_finite() && *time >= 0.0)
        };
        let (Some(requests), Some(failed)) =
            (number(requests).and_then(whole), number(failed).and_then(whole))
        else {
            continue;
        };
        let label = rows.field(name).unwrap_or_default();
        if label == "Aggregated" || label == "Total" {
            table.total = Some((requests, failed));
            table.latency = Quantiles {
                p50: seconds(p50),
                p90: seconds(p90),
                p95: seconds(p95),
                p99: seconds(p99),
                max: seconds(max),
                mean: seconds(mean),
            };
        } else {
            let kind = rows.field(kind).unwrap_or_default();
            table.add(format!("{kind} {label}").trim(), requests, failed);
        }
    }
    runs.extend(table.summary("Locust statistics (CSV)"));
    runs.truncate(super::MOST_RUNS);
    Ok(runs)
}

/// What a table says so far.
#[derive(Debug, Default)]
struct Table {
    groups: Vec<Group>,
    total: Option<(u64, u64)>,
    latency: Quantiles,
    errors: Vec<(String, u64)>,
}

/// Names that are kept of a table.
const MOST_NAMES: usize = 10_000;

impl Table {
    fn add(&mut self, name: &str, requests: u64, failed: u64) {
        if requests > 0 && self.groups.len() < MOST_NAMES {
            self.groups.push(Group {
                name: name.to_owned(),
                ok: requests.saturating_sub(failed),
                failed,
            });
        }
    }

    fn summary(self, form: &'static str) -> Option<Summary> {
        let (requests, failed) = match self.total {
            Some(total) => total,
            None if self.groups.is_empty() => return None,
            None => self.groups.iter().fold((0_u64, 0_u64), |(all, failed), group| {
                (
                    all.saturating_add(group.all()),
                    failed.saturating_add(group.failed),
                )
            }),
        };
        let mut summary = Summary::new(Tool::Locust, form);
        summary.requests = Some(requests);
        summary.failed = Some(failed);
        summary.latency = self.latency;
        // Where the report of errors covers every failure, it tells answers from breaks.
        let listed = sum(self.errors.iter().map(|(_, times)| times));
        for (error, times) in self.errors {
            match http_error(&error) {
                Some(status) => summary.status(status, times),
                None => summary.error(words(&error), times),
            }
        }
        if listed == failed && failed > 0 {
            let delivered = sum(summary.statuses.values());
            summary.delivered_errors = Some(delivered);
            summary.undelivered = Some(failed.saturating_sub(delivered));
        }
        if self.groups.len() > 1 {
            summary.groups = self.groups;
            summary.groups_from = GroupsFrom::Requests;
        }
        if requests == 0 {
            summary.failed = None;
            summary.gap(true, "Why no request was made", "Locust's log");
        }
        Some(summary)
    }
}

/// The status in `HTTPError('500 Server Error: …')`: requests raises that for a whole answer.
fn http_error(error: &str) -> Option<u16> {
    let (_, rest) = error.split_once("HTTPError(")?;
    rest.trim_start_matches(['\'', '"']).get(..3)?.parse().ok()
}

/// `ConnectionResetError(104, 'Connection reset by peer')` as it is: its number is the platform's.
fn words(error: &str) -> String {
    let short: String = error.chars().filter(|c| !c.is_control()).take(80).collect();
    if error.len() > 80 {
        error_words(error)
    } else {
        short
    }
}

/// The result in a document, if it is one of `locust --json`.
pub(super) fn document(document: &Value, _: Keep) -> Option<Summary> {
    let entries = document.as_array().filter(|entries| !entries.is_empty())?;
    let mut table = Table::default();
    let (mut first, mut last) = (f64::INFINITY, 0.0_f64);
    let mut times: Vec<(u64, u64)> = Vec::new();
    for entry in entries {
        let value = |key: &str| entry.get(key).and_then(count);
        let (requests, failed) = (value("num_requests")?, value("num_failures")?);
        let word = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        table.add(
            format!("{} {}", word("method"), word("name")).trim(),
            requests,
            failed,
        );
        let moment = |key: &str| entry.get(key).and_then(figure);
        first = first.min(moment("start_time").unwrap_or(f64::INFINITY));
        last = last.max(moment("last_request_timestamp").unwrap_or(0.0));
        let counted = entry
            .get("response_times")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        times.extend(counted.filter_map(|(millis, number)| {
            Some((millis.parse::<f64>().ok().and_then(whole)?, count(number)?))
        }));
    }
    table.latency = quantiles(times);
    let mut summary = table.summary("Locust result (JSON)")?;
    summary.duration_seconds = Some(last - first).filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
    Some(summary)
}

/// Quantiles of whole milliseconds with their counts.
fn quantiles(mut times: Vec<(u64, u64)>) -> Quantiles {
    times.sort_unstable();
    let all = sum(times.iter().map(|(_, number)| number));
    let at = |quantile: f64| {
        let rank = whole((hopscope_text::figures::float(all) * quantile).ceil())?.max(1);
        let mut seen = 0_u64;
        let found = times.iter().find(|(_, number)| {
            seen = seen.saturating_add(*number);
            seen >= rank
        })?;
        Some(hopscope_text::figures::float(found.0) / 1e3)
    };
    Quantiles {
        p50: at(0.5),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        max: at(1.0),
        mean: None,
    }
}

/// Whether a line is the head of a table that Locust prints.
pub(super) fn begins_text(line: &str) -> bool {
    line.starts_with("Type ") && line.contains("# reqs") && line.contains("# fails")
}

/// The reader of its lines.
pub(super) fn open(_: Keep) -> Box<dyn TextReader> {
    Box::<Text>::default()
}

/// Its tables come again while it runs; the last one holds.
#[derive(Debug, Default)]
struct Text {
    table: Table,
    in_table: bool,
    in_errors: bool,
    in_quantiles: bool,
    done: Vec<Summary>,
}

impl TextReader for Text {
    fn line(&mut self, line: &str) {
        if line.contains("Starting Locust") {
            let table = std::mem::take(&mut self.table);
            if self.done.len() < super::MOST_RUNS {
                self.done.extend(table.summary("Locust statistics (text)"));
            }
            (self.in_table, self.in_errors, self.in_quantiles) = (false, false, false);
        } else if begins_text(line) {
            self.table = Table::default();
            (self.in_table, self.in_errors, self.in_quantiles) = (true, false, false);
        } else if line.starts_with("Response time percentiles") {
            (self.in_table, self.in_errors, self.in_quantiles) = (false, false, true);
        } else if line.starts_with("# occurrences") {
            (self.in_table, self.in_errors, self.in_quantiles) = (false, true, false);
        } else if self.in_table {
            self.row(line);
        } else if self.in_quantiles {
            self.quantiles(line);
        } else if self.in_errors
            && let Some((times, error)) = line.trim().split_once(' ')
            && let Ok(times) = times.parse::<u64>()
        {
            let error = error.trim();
            // `GET /mix: ConnectionResetError(…)`
            let error = error.split_once(": ").map_or(error, |(_, error)| error);
            self.table.errors.push((error.to_owned(), times));
        }
    }

    fn finish(mut self: Box<Self>) -> Vec<Summary> {
        self.done.extend(self.table.summary("Locust statistics (text)"));
        self.done
    }
}

impl Text {
    /// `GET      /mix      132   33(25.00%) |     14       1     205      8 |   59.96       14.99`
    fn row(&mut self, line: &str) {
        let Some((left, right)) = line.split_once('|') else {
            return;
        };
        let words: Vec<&str> = left.split_whitespace().collect();
        let [name @ .., requests, failed] = words.as_slice() else {
            return;
        };
        let failed = failed
            .split('(')
            .next()
            .and_then(|count| count.parse::<u64>().ok());
        let (Ok(requests), Some(failed)) = (requests.parse::<u64>(), failed) else {
            return;
        };
        if name == ["Aggregated"] || name == ["Total"] {
            self.table.total = Some((requests, failed));
            let figures: Vec<f64> = right
                .split_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect();
            if let [mean, _min, max, median, ..] = figures.as_slice() {
                self.table.latency.mean = Some(mean / 1e3);
                self.table.latency.max = Some(max / 1e3);
                self.table.latency.p50 = Some(median / 1e3);
            }
        } else {
            self.table.add(&name.join(" "), requests, failed);
        }
    }

    /// `Aggregated    8     11     12     13     17     23     95    120    210    210    210    402`
    fn quantiles(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.first() != Some(&"Aggregated") {
            return;
        }
        let figures: Vec<f64> = words.iter().filter_map(|word| word.parse().ok()).collect();
        if let [p50, _p66, _p75, _p80, p90, p95, _p98, p99, ..] = figures.as_slice() {
            let latency = &mut self.table.latency;
            latency.p50 = Some(p50 / 1e3);
            latency.p90 = Some(p90 / 1e3);
            latency.p95 = Some(p95 / 1e3);
            latency.p99 = Some(p99 / 1e3);
        }
    }
}
