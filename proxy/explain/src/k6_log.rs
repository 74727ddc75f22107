//! k6's own log: it writes a warning `Request Failed` for each request that broke, and none for an answer of any status.

use std::collections::BTreeMap;

use serde_json::Value;

use super::summary::{Summary, error_words, sum};

/// What the log said so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    failed: BTreeMap<String, u64>,
}

/// Words that are told apart.
const MOST_WORDS: usize = 200;

impl Log {
    /// Reads a line; whether it is a warning of a failed request. Forms: `time="…" level=warning msg="Request Failed"
    /// error="…"`, `WARN[0003] Request Failed    error="…"`, and JSON.
    pub(super) fn line(&mut self, line: &str) -> bool {
        if !line.contains("Request Failed") {
            return false;
        }
        let error = if line.trim_start().starts_with('{') {
            let Ok(document) = serde_json::from_str::<Value>(line) else {
                return false;
            };
            if document.get("msg").and_then(Value::as_str) != Some("Request Failed") {
                return false;
            }
            document
                .get("error")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        } else {
            let Some((_, rest)) = line.split_once("Request Failed") else {
                return false;
            };
            let Some((_, quoted)) = rest.split_once("error=") else {
                return false;
            };
            unquoted(quoted)
        };
        let words = error_words(&error);
        let known = self.failed.len() < MOST_WORDS || self.failed.contains_key(&words);
        *self
            .failed
            .entry(if known { words } else { "(other words)".to_owned() })
            .or_default() += 1;
        true
    }

    /// Gives the summary what the log says of its failures.
    pub(super) fn tell(self, summary: &mut Summary) {
        let logged = sum(self.failed.values());
        if logged == 0 {
            return;
        }
        let refused = sum(summary.statuses.range(400..).map(|(_, times)| times));
        summary.errors = self.failed;
        match summary.failed {
            Some(failed) if logged == failed || logged.checked_add(refused) == Some(failed) => {
                summary.undelivered = Some(logged);
                summary.delivered_errors = Some(failed - logged);
            }
            // A log that is cut, or that holds more than one run's lines: nothing follows for the others.
            Some(_) | None => summary.undelivered_at_least = logged.min(summary.failed.unwrap_or(logged)),
        }
    }
}

/// The text between quotes, `\"` and `\\` undone; a bare word as it is.
fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"') else {
        return text.split_whitespace().next().unwrap_or_default().to_owned();
    };
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => out.extend(chars.next()),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_the_warning_says_what_broke() {
        let mut log = Log::default();
        for line in [
            r#"time="2026-11-30T22:22:55Z" level=warning msg="Request Failed" error="Get \"http://h/rst\": read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer""#,
            r#"WARN[0003] Request Failed                                error="Get \"http://h:1/\": dial tcp 127.0.0.1:1: connect: connection refused""#,
            r#"{"error":"Get \"http://h/\": EOF","level":"warning","msg":"Request Failed","time":"2026-11-30T22:23:33Z"}"#,
            r#"time="…" level=warning msg="Request Failed" error="request timeout""#,
        ] {
            assert!(log.line(line), "{line}");
        }
        assert!(!log.line("time=\"…\" level=info msg=\"hello\""));
        let words: Vec<_> = log.failed.keys().map(String::as_str).collect();
        assert_eq!(
            words,
            [
                "EOF",
                "connect: connection refused",
                "read: connection reset by peer",
                "request timeout"
            ]
        );
    }
}
