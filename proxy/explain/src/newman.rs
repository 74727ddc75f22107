//! Newman's result: its JSON report, and the text that it prints.

use serde_json::Value;

use super::json::{at, count, figure};
use super::readers::TextReader;
use super::summary::{Group, GroupsFrom, Summary, Tool, error_words, sum};
use super::tally::{Keep, Outcome, Sample, Tally};

/// The report in a document, if it is one of Newman's.
pub(super) fn document(document: &Value, keep: Keep) -> Option<Summary> {
    let run = document.get("run")?;
    let executions = run.get("executions")?.as_array()?;
    let mut tally = Tally::new(Tool::Newman, "Newman report (JSON)", keep);
    for execution in executions {
        let name = at(execution, &["item", "name"])
            .and_then(Value::as_str)
            .unwrap_or_default();
        let response = execution.get("response");
        let status = response
            .and_then(|response| response.get("code"))
            .and_then(count)
            .and_then(|status| u16::try_from(status).ok());
        let words;
        let outcome = match status {
            Some(status) if (1..400).contains(&status) => Outcome::Ok(status),
            Some(status) => Outcome::Refused(status),
            None => {
                let error = execution.get("requestError");
                let word = |key: &str| error.and_then(|error| error.get(key)).and_then(Value::as_str);
                words = word("code").map_or_else(
                    || error_words(word("message").unwrap_or("no answer")),
                    |code| code.chars().take(80).collect(),
                );
                Outcome::Broken(&words)
            }
        };
        if let Some(took) = response
            .and_then(|response| response.get("responseTime"))
            .and_then(figure)
        {
            tally.latency(took / 1e3, matches!(outcome, Outcome::Ok(_)));
        }
        tally.sample(&Sample {
            at: None,
            name,
            target: name,
            outcome,
            code: 0,
            times: 1,
        });
    }
    let mut summary = tally.finish()?;
    let time = |key: &str| at(run, &["timings", key]).and_then(figure);
    let duration = time("started")
        .zip(time("completed"))
        .map(|(first, last)| (last - first) / 1e3);
    summary.duration_seconds = duration.filter(|duration| *duration >= 0.0);
    assertions(
        &mut summary,
        at(run, &["stats", "assertions", "failed"])
            .and_then(count)
            .unwrap_or(0),
    );
    let total = at(run, &["stats", "requests", "total"]).and_then(count);
    if total.is_some_and(|total| Some(total) > summary.requests) {
        summary.gap(
            true,
            "How the requests that scripts made by themselves ended: the report lists those of the collection only",
            "a point on the path",
        );
    }
    Some(summary)
}

fn assertions(summary: &mut Summary, failed: u64) {
    if failed > 0 {
        summary.checks.push(Group {
            name: "assertions".to_owned(),
            ok: 0,
            failed,
        });
    }
}

/// Whether a line begins its text.
pub(super) fn begins(line: &str) -> bool {
    line.trim_end() == "newman" || (line.starts_with('│') && line.contains(" requests │"))
}

/// The reader of its lines.
pub(super) fn open(_: Keep) -> Box<dyn TextReader> {
    Box::<Text>::default()
}

#[derive(Debug, Default)]
struct Text {
    requests: Option<(u64, u64)>,
    assertions: u64,
    statuses: Vec<u16>,
    errored: bool,
    errors: Vec<String>,
}

/// Lines of requests that are kept.
const MOST: usize = 1_000_000;

impl TextReader for Text {
    fn line(&mut self, line: &str) {
        let trimmed = line.trim();
        if let Some(row) = trimmed.strip_prefix('│') {
            let cells: Vec<&str> = row.split('│').map(str::trim).collect();
            if let [name, executed, failed, ..] = cells.as_slice() {
                let counts = executed.parse::<u64>().ok().zip(failed.parse::<u64>().ok());
                match (*name, counts) {
                    ("requests", Some(counts)) => self.requests = Some(counts),
                    ("assertions", Some((_, failed))) => self.assertions = failed,
                    _ => {}
                }
            }
            return;
        }
        if self.errored {
            self.errored = false;
            if self.errors.len() < MOST {
                self.errors.push(error_words(trimmed));
            }
            return;
        }
        // `GET http://HOST/PATH [200 OK, 39B, 80ms]` and `[errored]`.
        if let Some((_, end)) = trimmed.rsplit_once(" [").filter(|_| trimmed.ends_with(']')) {
            if end == "errored]" {
                self.errored = true;
            } else if let Some(Ok(status)) = end.get(..3).map(str::parse)
                && self.statuses.len() < MOST
            {
                self.statuses.push(status);
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.requests.is_some()
    }

    fn finish(self: Box<Self>) -> Vec<Summary> {
        let Self {
            requests,
            assertions: failed_assertions,
            statuses,
            errors,
            ..
        } = *self;
        let mut summary = Summary::new(Tool::Newman, "Newman summary (text)");
        for status in statuses {
            summary.status(status, 1);
        }
        for error in errors {
            summary.error(error, 1);
        }
        let listed = sum(summary.statuses.values()).saturating_add(sum(summary.errors.values()));
        match requests {
            Some((requests, _)) if requests == listed => summary.total_of_parts(),
            // `failed` counts what had no answer.
            Some((requests, broken)) => {
                summary.requests = Some(requests);
                summary.failed_at_least = broken.min(requests);
                summary.undelivered_at_least = broken.min(requests);
                summary.statuses.clear();
                summary.gap(
                    true,
                    "How many answers were errors: the table counts only requests without an answer",
                    "Newman's lines for each request, or `--reporters json`",
                );
            }
            None if listed > 0 => {
                summary.total_of_parts();
                summary.failed_at_least = summary.failed.take().unwrap_or(0);
                summary.undelivered_at_least = summary.undelivered.take().unwrap_or(0);
                summary.delivered_errors = None;
                summary.gap(
                    true,
                    "How the run went on: the text ends before its table",
                    "the whole text",
                );
            }
            None => return Vec::new(),
        }
        assertions(&mut summary, failed_assertions);
        summary.groups_from = GroupsFrom::Nothing;
        vec![summary]
    }
}
