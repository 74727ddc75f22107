//! `--fail-on`: when a run's outcome should make the command fail.
//!
//! `SUBJECT>LIMIT` or `SUBJECT>=LIMIT`. The subject is `any`, `undelivered`, a hop's word, several joined by `+`, or
//! `cause:WORD`; several hops count what stays open between them as well. The limit is
//! a count, or a share of all attempts when it ends in `%`.

use std::fmt;
use std::str::FromStr;

use hopscope_attribution::cause::Cause;
use hopscope_attribution::hop::Hop;
use thiserror::Error;

use super::model::Report;
use hopscope_text::figures::{float, grouped, percent, ratio};

/// One condition, as it was typed.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    subject: Subject,
    inclusive: bool,
    limit: Limit,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    /// All failures.
    Any,
    /// Requests without a complete response.
    Undelivered,
    /// Failures charged to one of these hops, or left open between them.
    Hops(Vec<Hop>),
    /// Failures charged to one cause.
    Cause(Cause),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    Count(f64),
    /// Share of all attempts, 0..=1.
    Share(f64),
}

/// Why a condition cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConditionError {
    /// There is neither `>` nor `>=` in it.
    #[error("`{0}` has no `>` or `>=`: write SUBJECT>LIMIT, such as `tunnel>0.5%` or `backend>=10`")]
    NoOperator(String),
    /// A comparison that a limit on failures has no use for.
    #[error("`{0}` compares with `<`, `=` or `!`: a limit on failures is `>` or `>=`")]
    WrongOperator(String),
    /// What stands left of the operator is not a subject.
    #[error("`{0}` is not something that can fail: use any, undelivered, {hops}, several of these as in lb+backend, or cause:WORD", hops = hop_words())]
    Subject(String),
    /// A cause without the prefix.
    #[error("`{0}` is a cause: write `cause:{0}`")]
    BareCause(String),
    /// What follows `cause:` is not a cause.
    #[error("there is no cause `{0}`{near}: docs/report.md lists them all", near = nearest(.0))]
    Cause(String),
    /// What stands right of the operator is not a limit.
    #[error("`{0}` is not a limit: use a whole count (`10`) or a share from 0 to 100 (`0.5%`)")]
    Limit(String),
}

/// What a condition found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the condition holds: then the command fails.
    pub holds: bool,
    /// What was compared with what, as a sentence.
    pub statement: String,
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let text = text.trim();
        if text.contains(['<', '!']) || (text.contains('=') && !text.contains(">=")) {
            return Err(ConditionError::WrongOperator(text.to_owned()));
        }
        let (subject, right) = text
            .split_once('>')
            .ok_or_else(|| ConditionError::NoOperator(text.to_owned()))?;
        let (inclusive, limit) = match right.strip_prefix('=') {
            Some(limit) => (true, limit),
            None => (false, right),
        };
        Ok(Self {
            subject: parse_subject(subject.trim())?,
            inclusive,
            limit: parse_limit(limit.trim())?,
            text: text.to_owned(),
        })
    }
}

fn parse_subject(word: &str) -> Result<Subject, ConditionError> {
    if let Some(cause) = word.strip_prefix("cause:") {
        return Cause::from_word(cause)
            .map(Subject::Cause)
            .ok_or_else(|| ConditionError::Cause(cause.to_owned()));
    }
    match word {
        "any" => Ok(Subject::Any),
        "undelivered" => Ok(Subject::Undelivered),
        _ => {
            let hops: Option<Vec<Hop>> = word.split('+').map(|word| Hop::from_word(word.trim())).collect();
            match (hops, Cause::from_word(word)) {
                (Some(hops), _) => Ok(Subject::Hops(hops)),
                (None, Some(_)) => Err(ConditionError::BareCause(word.to_owned())),
                (None, None) => Err(ConditionError::Subject(word.to_owned())),
            }
        }
    }
}

fn parse_limit(text: &str) -> Result<Limit, ConditionError> {
    let wrong = || ConditionError::Limit(text.to_owned());
    match text.strip_suffix('%') {
        Some(share) => match plain_number(share.trim_end()) {
            Some(share) if (0.0..=100.0).contains(&share) => Ok(Limit::Share(share / 100.0)),
            Some(_) | None => Err(wrong()),
        },
        None => text
            .parse::<u64>()
            .map(|count| Limit::Count(float(count)))
            .map_err(|_not_a_count| wrong()),
    }
}

/// Digits with at most one point: `f64`'s own parser also takes `inf`, `nan` and `1e9`.
fn plain_number(text: &str) -> Option<f64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
        .then(|| text.parse().ok())
        .flatten()
}

fn hop_words() -> String {
    Hop::ALL.map(Hop::word).join(", ")
}

/// ` (nearest: ...)` when a cause shares a part of the word.
fn nearest(word: &str) -> String {
    let near: Vec<_> = Cause::ALL
        .iter()
        .map(|cause| cause.word())
        .filter(|cause| {
            word.split('-')
                .any(|part| part.len() > 3 && cause.split('-').any(|of| of == part))
        })
        .take(4)
        .collect();
    if near.is_empty() {
        String::new()
    } else {
        format!(" (like it: {})", near.join(", "))
    }
}

impl Condition {
    /// Compares the report with the limit. A share of no attempts at all holds nowhere.
    pub fn evaluate(&self, report: &Report) -> Outcome {
        let failures = match &self.subject {
            Subject::Any => report.totals.failures_charged,
            Subject::Undelivered => report.totals.undelivered,
            Subject::Hops(hops) => report
                .hops
                .iter()
                .flat_map(|hop| hop.causes.iter().map(move |cause| (hop.hop, cause)))
                .filter(|(hop, cause)| hops.contains(hop) || cause.between.within(hops))
                .fold(0, |sum: u64, (_, cause)| sum.saturating_add(cause.failures)),
            Subject::Cause(cause) => report
                .hops
                .iter()
                .flat_map(|hop| &hop.causes)
                .filter(|of| of.cause == *cause)
                .fold(0, |sum: u64, of| sum.saturating_add(of.failures)),
        };
        let attempts = report.totals.attempts;
        let share = ratio(failures, attempts);
        let (measured, limit) = match self.limit {
            Limit::Count(limit) => (Some(float(failures)), limit),
            Limit::Share(limit) => (share, limit),
        };
        let holds = measured.is_some_and(|measured| {
            if self.inclusive {
                measured >= limit
            } else {
                measured > limit
            }
        });
        let share = share.map_or_else(|| "no attempts".to_owned(), percent);
        Outcome {
            holds,
            statement: format!(
                "--fail-on '{}' {}: {} of {} ({share})",
                self.text,
                if holds { "holds" } else { "does not hold" },
                grouped(failures),
                grouped(attempts),
            ),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
