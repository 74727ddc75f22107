//! k6's stream of points: `--out json` (a JSON object a line) and `--out csv`.
//!
//! Read point by point and kept as counts: a result of many gigabytes needs no more memory than a small one.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::readers::TextReader;
use super::summary::{Summary, Tool, error_words};
use super::tally::{Keep, Outcome, Sample, Tally, whole};

/// A request of a script that adds up its own points stands for no more than this many.
const MOST_TIMES: u64 = 1_000_000;

/// Reads points one by one.
#[derive(Debug)]
pub(super) struct Points {
    form: &'static str,
    keep: Keep,
    tally: Tally,
    /// Runs before the one that is being read.
    done: Vec<Summary>,
}

/// The tags of one point that matter here.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Tags<'a> {
    #[serde(borrow, default)]
    pub(super) url: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) status: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) error: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) error_code: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) expected_response: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    metric: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    time: Option<Cow<'a, str>>,
    #[serde(default)]
    value: Option<f64>,
    #[serde(borrow, default)]
    tags: Option<Tags<'a>>,
}

/// Whether a line is one of `k6 --out json`.
pub(super) fn is_point(line: &str) -> bool {
    line.starts_with("{\"")
        && line.contains("\"metric\"")
        && serde_json::from_str::<Line<'_>>(line)
            .is_ok_and(|line| line.kind == "Metric" || line.kind == "Point")
}

/// The reader of such lines.
pub(super) fn open(keep: Keep) -> Box<dyn TextReader> {
    Box::new(Points::new("k6 points (--out json)", keep))
}

impl TextReader for Points {
    fn line(&mut self, line: &str) {
        self.json_line(line.as_bytes());
    }

    fn takes_all(&self) -> bool {
        true
    }

    fn finish(self: Box<Self>) -> Vec<Summary> {
        self.runs()
    }
}

impl Points {
    /// Nothing counted yet.
    pub(super) fn new(form: &'static str, keep: Keep) -> Self {
        Self {
            form,
            keep,
            tally: Tally::new(Tool::K6, form, keep),
            done: Vec::new(),
        }
    }

    /// Counts one line of `--out json`. A line that is cut off or none of k6's is passed over: a stream breaks off
    /// when its run was killed.
    pub(super) fn json_line(&mut self, line: &[u8]) {
        if other_metric(line) {
            return;
        }
        let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else {
            return;
        };
        if line.kind == "Metric" && line.metric == "http_reqs" {
            self.begin_run();
        } else if line.kind == "Point"
            && let (Some(value), Some(tags)) = (line.data.value, &line.data.tags)
        {
            let at = line.data.time.as_deref().and_then(unix_seconds);
            self.point(&line.metric, at, value, tags);
        }
    }

    /// Whatever comes belongs to another run: each declares its metrics once.
    pub(super) fn begin_run(&mut self) {
        let tally = std::mem::replace(&mut self.tally, Tally::new(Tool::K6, self.form, self.keep));
        if self.done.len() < super::MOST_RUNS {
            self.done.extend(tally.finish());
        }
    }

    /// Counts one point.
    pub(super) fn point(&mut self, metric: &str, at: Option<f64>, value: f64, tags: &Tags<'_>) {
        match metric {
            "http_reqs" => self.request(at, value, tags),
            "http_req_duration" => self.tally.latency(value / 1e3, succeeded(tags)),
            "data_received" => self.tally.received(whole(value).unwrap_or(0)),
            _ => {}
        }
    }

    fn request(&mut self, at: Option<f64>, value: f64, tags: &Tags<'_>) {
        let status = status(tags);
        let words;
        let outcome = if succeeded(tags) {
            Outcome::Ok(status)
        } else if delivered(tags) {
            Outcome::Refused(status)
        } else {
            words = broken_words(tags);
            Outcome::Broken(&words)
        };
        let name = tags.name.as_deref().unwrap_or_default();
        self.tally.sample(&Sample {
            at,
            name,
            target: tags.url.as_deref().unwrap_or(name),
            outcome,
            code: code(tags).unwrap_or(0),
            times: whole(value).unwrap_or(1).clamp(1, MOST_TIMES),
        });
    }

    /// The results, one a run that made requests.
    pub(super) fn runs(self) -> Vec<Summary> {
        let mut runs = self.done;
        runs.extend(self.tally.finish());
        runs
    }
}

/// Whether a line is a point of a metric that is not needed, by its first key alone: most lines are.
fn other_metric(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"{\"metric\":\"") else {
        return false;
    };
    ![&b"http_reqs\""[..], b"http_req_duration\"", b"data_received\""]
        .iter()
        .any(|metric| rest.starts_with(metric))
}

fn code(tags: &Tags<'_>) -> Option<u32> {
    tags.error_code.as_deref().and_then(|code| code.parse().ok())
}

fn status(tags: &Tags<'_>) -> u16 {
    tags.status
        .as_deref()
        .and_then(|status| status.parse().ok())
        .unwrap_or(0)
}

fn succeeded(tags: &Tags<'_>) -> bool {
    match tags.expected_response.as_deref() {
        Some("true") => true,
        Some("false") => false,
        Some(_) | None => (1..400).contains(&status(tags)),
    }
}

/// Whether a failure is a complete answer. k6's codes 1400 to 1599 stand for statuses; every other one, and status 0,
/// for an exchange that broke (k6, `lib/netext/httpext/error_codes.go`).
fn delivered(tags: &Tags<'_>) -> bool {
    status(tags) != 0 && code(tags).is_none_or(|code| code == 0 || (1_400..1_600).contains(&code))
}

/// `1220 read: connection reset by peer`: its code and its words.
fn broken_words(tags: &Tags<'_>) -> String {
    let code = tags.error_code.as_deref().unwrap_or_default();
    let words = tags
        .error
        .as_deref()
        .map_or_else(|| "no answer".to_owned(), error_words);
    format!("{code} {words}").trim().to_owned()
}

/// Seconds since 1970 of a time in any of the forms of k6's `K6_CSV_TIME_FORMAT`: a number of seconds, milli-, micro- or
/// nanoseconds, told apart by its size until the year 5138, or an RFC 3339 time.
pub(super) fn csv_seconds(text: &str) -> Option<f64> {
    let Ok(number) = text.parse::<f64>() else {
        return unix_seconds(text);
    };
    let unit = match number {
        _ if number >= 1e17 => 1e9,
        _ if number >= 1e14 => 1e6,
        _ if number >= 1e11 => 1e3,
        _ => 1.0,
    };
    number.is_finite().then_some(number / unit)
}

/// Seconds since 1970 of an RFC 3339 time. A time without an offset is taken as UTC; a day that the calendar does not have
/// is no time.
pub(super) fn unix_seconds(text: &str) -> Option<f64> {
    // A date alone is no moment.
    text.as_bytes()
        .get(10)
        .filter(|byte| matches!(byte, b'T' | b't' | b' '))?;
    let moment = text.parse::<Timestamp>().ok().or_else(|| {
        let civil = text.parse::<DateTime>().ok()?;
        TimeZone::UTC.to_timestamp(civil).ok()
    })?;
    let (seconds, nanos) = (moment.as_second(), moment.subsec_nanosecond());
    let seconds = u32::try_from(seconds).map(f64::from).ok()?;
    Some(seconds + f64::from(nanos) / 1e9)
}

#[cfg(test)]
mod tests {
    use super::{csv_seconds, unix_seconds};

    #[test]
    fn every_time_format_of_a_csv_is_the_same_moment() {
        for text in [
            "1795411122",
            "1795411122000",
            "1795411122000000",
            "1795411122000000000",
            "2026-11-23T05:18:42Z",
            "2026-11-23T05:18:42.000000036Z",
        ] {
            let at = csv_seconds(text).expect(text);
            assert!((at - 1_795_411_122.0).abs() < 1e-5, "{text}: {at}");
        }
        assert_eq!(csv_seconds("inf"), None);
        assert_eq!(csv_seconds("noon"), None);
    }

    #[test]
    fn a_time_is_read_to_the_microsecond() {
        assert_eq!(unix_seconds("1970-01-01T00:00:00Z"), Some(0.0));
        assert_eq!(
            unix_seconds("2026-11-22T22:08:28.677642947Z"),
            Some(1_795_385_308.677_643)
        );
        assert_eq!(unix_seconds("2000-02-29T00:00:00+02:00"), Some(951_775_200.0));
        for wrong in [
            "",
            "now",
            "2026-13-01T00:00:00Z",
            "2026-02-31T00:00:00Z",
            "2026-02-31T00:00:00",
            "2026-02-29T12:00:00Z",
            "2026-04-31T12:00:00+02:00",
            "9999999999",
            "2026-11-2€T22:08:28",
        ] {
            assert_eq!(unix_seconds(wrong), None, "{wrong}");
        }
    }
}
