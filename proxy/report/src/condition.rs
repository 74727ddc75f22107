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
use hopscope_text::near::did_you_mean;

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
    #[error("`{0}` is not something that can fail{near}: use any, undelivered, {hops}, several of these as in lb+backend, or cause:WORD", hops = hop_words(), near = near_subject(.0))]
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
    /// What it comes to.
    pub judgement: Judgement,
    /// What was compared with what, as a sentence.
    pub statement: String,
}

/// What a condition comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It holds: the command fails.
    Holds,
    /// It does not hold, whatever became of what was not read.
    DoesNotHold,
    /// It depends on what was not read, or nothing was sent that it could be judged by.
    CannotBeJudged,
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

/// Subjects that a word which is none may be meant to be.
fn near_subject(word: &str) -> String {
    let hops = Hop::ALL.map(Hop::word);
    did_you_mean(word, hops.into_iter().chain(["any", "undelivered"]))
}

fn hop_words() -> String {
    Hop::ALL.map(Hop::word).join(", ")
}

/// ` (nearest: ...)` when a cause shares a part of the word.
fn nearest(word: &str) -> String {
    let meant = did_you_mean(word, Cause::ALL.iter().map(|cause| cause.word()));
    if !meant.is_empty() {
        return meant;
    }
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
    /// Compares the report with the limit, by bounds: once as if no connection that was not read had failed, once as if
    /// every one had.
    pub fn evaluate(&self, report: &Report) -> Outcome {
        let failures = self.failures(report);
        let undecided = report.observer.connections_undecided();
        let attempts = report.totals.attempts.saturating_add(undecided);
        let most = failures.saturating_add(undecided);
        let judgement = match (self.exceeds(failures, attempts), self.exceeds(most, attempts)) {
            _ if attempts == 0 => Judgement::CannotBeJudged,
            (true, _) => Judgement::Holds,
            (false, false) => Judgement::DoesNotHold,
            (false, true) => Judgement::CannotBeJudged,
        };
        let share = |failures| ratio(failures, attempts).map_or_else(|| "no attempts".to_owned(), percent);
        let measured = match undecided {
            0 => format!(
                "{} of {} ({})",
                grouped(failures),
                grouped(attempts),
                share(failures)
            ),
            _ => format!(
                "between {} ({}) and {} ({}) of {}, since {} not read",
                grouped(failures),
                share(failures),
                grouped(most),
                share(most),
                grouped(attempts),
                if undecided == 1 {
                    "1 connection was".to_owned()
                } else {
                    format!("{} connections were", grouped(undecided))
                },
            ),
        };
        let measured = if attempts == 0 {
            "nothing was sent: is {url} (or HOPSCOPE_URL) missing in the generator's command?".to_owned()
        } else {
            measured
        };
        Outcome {
            judgement,
            statement: format!("--fail-on '{}' {}: {measured}", self.text, judgement.words()),
        }
    }

    fn failures(&self, report: &Report) -> u64 {
        match &self.subject {
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
        }
    }

    /// Whether so many failures are more than the limit. A share of no attempts at all exceeds nothing.
    fn exceeds(&self, failures: u64, attempts: u64) -> bool {
        let (measured, limit) = match self.limit {
            Limit::Count(limit) => (Some(float(failures)), limit),
            Limit::Share(limit) => (ratio(failures, attempts), limit),
        };
        measured.is_some_and(|measured| {
            if self.inclusive {
                measured >= limit
            } else {
                measured > limit
            }
        })
    }
}

impl Judgement {
    const fn words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::DoesNotHold => "does not hold",
            Self::CannotBeJudged => "cannot be judged",
        }
    }

    /// What several conditions come to together: one that holds is enough, and then one that cannot be judged.
    pub fn of_all(judgements: impl Iterator<Item = Self>) -> Self {
        judgements.fold(Self::DoesNotHold, |all, one| match (all, one) {
            (Self::Holds, _) | (_, Self::Holds) => Self::Holds,
            (Self::CannotBeJudged, _) | (_, Self::CannotBeJudged) => Self::CannotBeJudged,
            (Self::DoesNotHold, Self::DoesNotHold) => Self::DoesNotHold,
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
