//! JMeter's results: JTL as CSV and as XML, the lines of its summariser, and the statistics of its dashboard.
//!
//! `Non HTTP response code: …` stands where no complete answer came. A transaction's row sums up rows that are listed
//! themselves, and a redirect's parts lie in their sample: neither is a request of its own.

use std::borrow::Cow;
use std::io::Read;

use serde_json::Value;

use super::detect::Unrecognised;
use super::durations::seconds;
use super::json::{count, figure};
use super::readers::TextReader;
use super::rows::{Rows, unreadable};
use super::summary::{Group, GroupsFrom, Quantiles, Summary, Tool, error_words};
use super::tally::{Keep, Outcome, Sample, Tally};

/// The order of columns without a head: what is saved by default, without the message of a failed assertion before
/// JMeter 3.
const BY_DEFAULT: [&str; 9] = [
    "timeStamp",
    "elapsed",
    "label",
    "responseCode",
    "responseMessage",
    "threadName",
    "dataType",
    "success",
    "failureMessage",
];

/// Whether a line is the head of a JTL, or one of its rows in the default order.
pub(super) fn begins(line: &str) -> bool {
    (line.starts_with("timeStamp,") && line.contains(",elapsed")) || is_row(line)
}

fn is_row(line: &str) -> bool {
    let mut fields = line.split(',');
    let digits = |field: Option<&str>, least: usize| {
        field.is_some_and(|field| {
            field.len() >= least && field.len() < 20 && field.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    digits(fields.next(), 13)
        && digits(fields.next(), 1)
        && fields.any(|field| field == "true" || field == "false")
}

/// One sample of a JTL.
#[derive(Debug, Default)]
struct One<'a> {
    /// Milliseconds since 1970; JMeter's default is when it began.
    began: Option<f64>,
    /// Milliseconds.
    took: Option<f64>,
    label: Cow<'a, str>,
    code: Cow<'a, str>,
    message: Cow<'a, str>,
    url: Cow<'a, str>,
    success: bool,
}

impl One<'_> {
    /// A transaction controller's row.
    fn is_transaction(&self) -> bool {
        self.message.starts_with("Number of samples in transaction")
    }

    fn count(&self, tally: &mut Tally) {
        if self.is_transaction() {
            return;
        }
        let status = self
            .code
            .trim()
            .parse::<u16>()
            .ok()
            .filter(|status| (100..1_000).contains(status));
        let words;
        let outcome = match (self.success, status) {
            (true, status) => Outcome::Ok(status.unwrap_or(0)),
            (false, Some(status)) => Outcome::Refused(status),
            (false, None) if self.code.is_empty() => Outcome::Failed,
            (false, None) => {
                words = words_of(&self.code, &self.message);
                Outcome::Broken(&words)
            }
        };
        if let Some(took) = self.took {
            tally.latency(took / 1e3, self.success);
        }
        tally.sample(&Sample {
            at: self.began.map(|began| (began + self.took.unwrap_or(0.0)) / 1e3),
            name: &self.label,
            target: if self.url.is_empty() {
                &self.label
            } else {
                &self.url
            },
            outcome,
            code: 0,
            times: 1,
        });
    }
}

/// `Non HTTP response code: java.net.ConnectException` and `Non HTTP response message: Connection refused`.
fn words_of(code: &str, message: &str) -> String {
    let message = message
        .strip_prefix("Non HTTP response message: ")
        .unwrap_or(message);
    let code = code.strip_prefix("Non HTTP response code: ").unwrap_or(code);
    let class = code.rsplit('.').next().unwrap_or(code);
    let words = error_words(message);
    if message.is_empty() {
        error_words(class)
    } else {
        format!("{}: {words}", error_words(class))
    }
}

/// Reads the rows of a JTL.
pub(super) fn read(input: &mut dyn Read, keep: Keep) -> Result<Vec<Summary>, Unrecognised> {
    let mut rows = Rows::new(input)?;
    let mut tally = Tally::new(Tool::JMeter, "JMeter results (JTL, CSV)", keep);
    if rows.column("timeStamp").is_none() {
        // The head was a row: it is counted as one.
        rows.head_is_a_row(&BY_DEFAULT);
    }
    let [began, took, label, code, message, success, url] = [
        "timeStamp",
        "elapsed",
        "label",
        "responseCode",
        "responseMessage",
        "success",
        "URL",
    ]
    .map(|name| rows.column(name));
    let mut runs = Vec::new();
    while rows.next().map_err(unreadable)? {
        if rows.is_head() {
            let next = Tally::new(Tool::JMeter, "JMeter results (JTL, CSV)", keep);
            if runs.len() < super::MOST_RUNS {
                runs.extend(std::mem::replace(&mut tally, next).finish());
            }
            continue;
        }
        let text = |column| rows.field(column).unwrap_or_default();
        let number = |column| rows.field(column).and_then(|field| field.parse::<f64>().ok());
        let success = match &*text(success) {
            "true" => true,
            "false" => false,
            _ => continue,
        };
        One {
            began: number(began).or_else(|| super::k6_points::unix_seconds(&text(began)).map(|at| at * 1e3)),
            took: number(took),
            label: text(label),
            code: text(code),
            message: text(message),
            url: text(url),
            success,
        }
        .count(&mut tally);
    }
    runs.extend(tally.finish());
    Ok(runs)
}

/// Whether a line begins a JTL as XML.
pub(super) fn begins_xml(line: &str) -> bool {
    line.trim_start().starts_with("<testResults")
}

/// The reader of its lines.
pub(super) fn open_xml(keep: Keep) -> Box<dyn TextReader> {
    Box::new(Xml {
        keep,
        tally: Tally::new(Tool::JMeter, "JMeter results (JTL, XML)", keep),
        open: Vec::new(),
        done: Vec::new(),
    })
}

/// Samples nest this deep at most.
const DEEPEST: usize = 64;

#[derive(Debug)]
struct Xml {
    keep: Keep,
    tally: Tally,
    /// Samples around the next one: whether each was counted.
    open: Vec<bool>,
    done: Vec<Summary>,
}

impl TextReader for Xml {
    fn line(&mut self, line: &str) {
        if begins_xml(line) && !self.tally.is_empty() {
            let next = Tally::new(Tool::JMeter, "JMeter results (JTL, XML)", self.keep);
            if self.done.len() < super::MOST_RUNS {
                self.done
                    .extend(std::mem::replace(&mut self.tally, next).finish());
            }
            self.open.clear();
        }
        let mut rest = line;
        while let Some(at) = rest.find('<') {
            rest = rest.get(at + 1..).unwrap_or_default();
            if rest.starts_with("/httpSample>") || rest.starts_with("/sample>") {
                self.open.pop();
            } else if let Some(tag) = rest
                .strip_prefix("httpSample ")
                .or_else(|| rest.strip_prefix("sample "))
            {
                self.element(tag);
            }
        }
    }

    fn takes_all(&self) -> bool {
        true
    }

    fn finish(mut self: Box<Self>) -> Vec<Summary> {
        self.done.extend(self.tally.finish());
        self.done
    }
}

impl Xml {
    fn element(&mut self, tag: &str) {
        let mut one = One::default();
        let mut stated = None;
        let mut rest = tag;
        // `name="value"` up to the tag's end; a quote in a value is written as an entity.
        let closed = loop {
            rest = rest.trim_start();
            if rest.starts_with("/>") {
                break true;
            }
            if rest.starts_with('>') || rest.is_empty() {
                break false;
            }
            let Some((name, after)) = rest.split_once("=\"") else {
                break false;
            };
            let Some((value, after)) = after.split_once('"') else {
                break false;
            };
            match name {
                "t" => one.took = value.parse().ok(),
                "ts" => one.began = value.parse().ok(),
                "s" => stated = Some(value == "true"),
                "lb" => one.label = unescaped(value),
                "rc" => one.code = unescaped(value),
                "rm" => one.message = unescaped(value),
                _ => {}
            }
            rest = after;
        };
        let inside_one = self.open.contains(&true);
        let counts = !inside_one && !one.is_transaction() && stated.is_some();
        if counts {
            one.success = stated.unwrap_or(false);
            one.count(&mut self.tally);
        }
        if !closed && self.open.len() < DEEPEST {
            self.open.push(counts);
        }
    }
}

fn unescaped(value: &str) -> Cow<'_, str> {
    if !value.contains('&') {
        return Cow::Borrowed(value);
    }
    Cow::Owned(
        value
            .replace("&quot;", "\"")
            .replace("&apos;", "'")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&"),
    )
}

/// Whether a line is one of the summariser's totals.
pub(super) fn begins_text(line: &str) -> bool {
    total(line).is_some()
}

/// A line of totals.
struct Total {
    requests: u64,
    failed: u64,
    /// Seconds, like the latencies.
    took: Option<f64>,
    mean: Option<f64>,
    max: Option<f64>,
}

/// The totals in `summary =    100 in 00:00:03 =   30.0/s Avg:    12 Min:     0 Max:
/// 100 Err:    25 (25.00%)`, and of `in   3.5s` before JMeter 3.
fn total(line: &str) -> Option<Total> {
    let at = line.find("summary = ").or_else(|| line.find("Results = "))?;
    let (_, rest) = line.get(at..)?.split_once('=')?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let after = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1).copied()
    };
    let took = after("in").and_then(|took| {
        let parts: Vec<f64> = took.split(':').filter_map(|part| part.parse().ok()).collect();
        match parts.as_slice() {
            [hours, minutes, seconds] => Some(hours * 3_600.0 + minutes * 60.0 + seconds),
            _ => seconds(took),
        }
    });
    let millis = |name: &str| after(name)?.parse::<f64>().ok().map(|millis| millis / 1e3);
    Some(Total {
        requests: words.first()?.parse().ok()?,
        failed: after("Err:")?.parse().ok()?,
        took,
        mean: millis("Avg:"),
        max: millis("Max:"),
    })
}

/// The reader of its lines.
pub(super) fn open_text(_: Keep) -> Box<dyn TextReader> {
    Box::<Text>::default()
}

/// Each total holds what the one before it did; where the count falls another run has begun.
#[derive(Debug, Default)]
struct Text {
    last: Option<Summary>,
    done: Vec<Summary>,
}

impl TextReader for Text {
    fn line(&mut self, line: &str) {
        let Some(Total {
            requests,
            failed,
            took,
            mean,
            max,
        }) = total(line)
        else {
            return;
        };
        let mut summary = Summary::new(Tool::JMeter, "JMeter summariser (text)");
        summary.requests = Some(requests);
        summary.failed = Some(failed);
        summary.duration_seconds = took;
        summary.latency.mean = mean;
        summary.latency.max = max;
        if let Some(before) = self.last.take()
            && before.requests > summary.requests
            && self.done.len() < super::MOST_RUNS
        {
            self.done.push(before);
        }
        self.last = Some(summary);
    }

    fn finish(mut self: Box<Self>) -> Vec<Summary> {
        self.done.extend(self.last);
        self.done
    }
}

/// The statistics in a document, if they are a dashboard's.
pub(super) fn statistics(document: &Value, _: Keep) -> Option<Summary> {
    let total = document.get("Total")?;
    let mut summary = Summary::new(Tool::JMeter, "JMeter dashboard (statistics.json)");
    summary.requests = Some(total.get("sampleCount").and_then(count)?);
    summary.failed = Some(total.get("errorCount").and_then(count)?);
    let value = |key: &str| total.get(key).and_then(figure).map(|millis| millis / 1e3);
    summary.latency = Quantiles {
        p50: value("medianResTime"),
        p90: value("pct1ResTime"),
        p95: value("pct2ResTime"),
        p99: value("pct3ResTime"),
        max: value("maxResTime"),
        mean: value("meanResTime"),
    };
    let groups: Vec<Group> = document
        .as_object()?
        .iter()
        .filter(|(name, _)| *name != "Total")
        .filter_map(|(name, of)| {
            let (all, failed) = (
                of.get("sampleCount").and_then(count)?,
                of.get("errorCount").and_then(count)?,
            );
            Some(Group {
                name: name.clone(),
                ok: all.checked_sub(failed)?,
                failed,
            })
        })
        .collect();
    // With transactions the names hold requests twice.
    let all = groups
        .iter()
        .fold(0_u64, |sum, group| sum.saturating_add(group.all()));
    if groups.len() > 1 && Some(all) == summary.requests {
        summary.groups = groups;
        summary.groups_from = GroupsFrom::Requests;
    }
    Some(summary)
}
