//! k6's stream of points: `--out json` (a JSON object a line) and `--out csv`.
//!
//! Read point by point and kept as counts: a result of many gigabytes needs no more memory than a small one.

use std::collections::{BTreeMap, HashMap};

use hopscope_attribution::evidence::Span;
use serde::Deserialize;
use std::borrow::Cow;

use super::summary::{FailedRequest, Group, GroupsFrom, MOST_FAILURES, Quantiles, Summary, Tool};
use hopscope_text::distribution::Distribution;
use hopscope_text::figures::ratio;

/// Request names that are told apart; what comes after falls into one group.
const MOST_GROUPS: usize = 400;
/// Groups times seconds that are kept; beyond it the result says nothing of overlap.
const MOST_CELLS: usize = 2_000_000;
const OTHERS: &str = "(other names)";

/// What is counted of the points so far.
#[derive(Debug)]
pub(super) struct Points {
    form: &'static str,
    all: Distribution,
    ok: Distribution,
    requests: u64,
    undelivered: u64,
    delivered_errors: u64,
    statuses: BTreeMap<u16, u64>,
    errors: BTreeMap<String, u64>,
    names: HashMap<String, usize>,
    groups: Vec<Group>,
    /// By group and second: successes, failures. `None` once it was more than is kept.
    cells: Option<HashMap<(usize, u64), (u64, u64)>>,
    first: Option<f64>,
    last: Option<f64>,
    failures: Vec<FailedRequest>,
    targets: Targets,
}

/// What failed requests asked for, each kept once.
#[derive(Debug, Default)]
struct Targets {
    known: HashMap<String, u32>,
    names: Vec<String>,
}

impl Targets {
    fn number(&mut self, target: &str) -> u32 {
        if let Some(number) = self.known.get(target) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.known.insert(target.to_owned(), number);
        self.names.push(target.to_owned());
        number
    }
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

impl Points {
    /// Nothing counted yet.
    pub(super) fn new(form: &'static str) -> Self {
        Self {
            form,
            all: Distribution::default(),
            ok: Distribution::default(),
            requests: 0,
            undelivered: 0,
            delivered_errors: 0,
            statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
            names: HashMap::new(),
            groups: Vec::new(),
            cells: Some(HashMap::new()),
            first: None,
            last: None,
            failures: Vec::new(),
            targets: Targets::default(),
        }
    }

    /// Counts one line of `--out json`. A line that is cut off or none of k6's is passed over: a stream breaks off
    /// when its run was killed.
    pub(super) fn json_line(&mut self, line: &[u8]) {
        let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else {
            return;
        };
        if line.kind == "Point"
            && let (Some(value), Some(tags)) = (line.data.value, &line.data.tags)
        {
            let at = line.data.time.as_deref().and_then(unix_seconds);
            self.point(&line.metric, at, value, tags);
        }
    }

    /// Counts one point.
    pub(super) fn point(&mut self, metric: &str, at: Option<f64>, value: f64, tags: &Tags<'_>) {
        match metric {
            "http_reqs" => self.request(at, value, tags),
            "http_req_duration" => {
                if let Some(micros) = micros(value) {
                    self.all.record(Span::from_micros(micros));
                    if succeeded(tags) {
                        self.ok.record(Span::from_micros(micros));
                    }
                }
            }
            _ => {}
        }
    }

    fn request(&mut self, at: Option<f64>, value: f64, tags: &Tags<'_>) {
        let times = micros(value / 1e3).unwrap_or(1).clamp(1, 1_000_000);
        let failed = !succeeded(tags);
        let status = status(tags);
        self.requests = self.requests.saturating_add(times);
        if status != 0 {
            *self.statuses.entry(status).or_default() += times;
        }
        if failed {
            if delivered(tags) {
                self.delivered_errors = self.delivered_errors.saturating_add(times);
            } else {
                self.undelivered = self.undelivered.saturating_add(times);
                *self.errors.entry(error_words(tags)).or_default() += times;
            }
        }
        if failed
            && let Some(at_unix_us) = at.and_then(|at| micros(at * 1e3))
            && self.failures.len() < MOST_FAILURES
        {
            let target = tags.url.as_deref().or(tags.name.as_deref()).unwrap_or_default();
            let failure = FailedRequest {
                at_unix_us,
                target: self.targets.number(path_of(target)),
                status: delivered(tags).then_some(status),
                code: code(tags).unwrap_or(0),
            };
            // A point stands for one request, but for a script that adds them up itself.
            let times = usize::try_from(times)
                .unwrap_or(1)
                .min(MOST_FAILURES - self.failures.len());
            self.failures.extend(std::iter::repeat_n(failure, times));
        }
        let group = self.group(tags.name.as_deref().unwrap_or("(unnamed)"));
        if let Some(of) = self.groups.get_mut(group) {
            let side = if failed { &mut of.failed } else { &mut of.ok };
            *side = side.saturating_add(times);
        }
        // A number may be written that no float holds.
        if let Some(at) = at.filter(|at| at.is_finite() && *at >= 0.0) {
            self.first = Some(self.first.map_or(at, |first| first.min(at)));
            self.last = Some(self.last.map_or(at, |last| last.max(at)));
            if let Some(cells) = &mut self.cells {
                let cell = cells.entry((group, micros(at / 1e3).unwrap_or(0))).or_default();
                let side = if failed { &mut cell.1 } else { &mut cell.0 };
                *side = side.saturating_add(times);
                if cells.len() > MOST_CELLS {
                    self.cells = None;
                }
            }
        }
    }

    /// The group of a name. Names that are whole URLs lose scheme, host and query.
    fn group(&mut self, name: &str) -> usize {
        let name = path_of(name);
        let name = if self.names.len() >= MOST_GROUPS && !self.names.contains_key(name) {
            OTHERS
        } else {
            name
        };
        if let Some(group) = self.names.get(name) {
            return *group;
        }
        self.groups.push(Group {
            name: name.to_owned(),
            ok: 0,
            failed: 0,
        });
        self.names.insert(name.to_owned(), self.groups.len() - 1);
        self.groups.len() - 1
    }

    /// The result, when there was a request in it.
    pub(super) fn finish(self) -> Option<Summary> {
        if self.requests == 0 {
            return None;
        }
        let mut summary = Summary::new(Tool::K6, self.form);
        let failed = self.delivered_errors.saturating_add(self.undelivered);
        summary.clean_while_others_failed = self.overlap(failed);
        summary.requests = Some(self.requests);
        summary.failed = Some(failed);
        summary.delivered_errors = Some(self.delivered_errors);
        summary.undelivered = Some(self.undelivered);
        summary.duration_seconds = self.first.zip(self.last).map(|(first, last)| last - first);
        summary.latency = quantiles(&self.all);
        summary.latency_ok = quantiles(&self.ok);
        summary.statuses = self.statuses;
        summary.errors = self.errors;
        summary.groups = self.groups;
        summary.groups_from = GroupsFrom::Requests;
        summary.failures = self.failures;
        summary.targets = self.targets.names;
        Some(summary)
    }

    /// Successes of groups that hardly fail, in seconds in which another group failed.
    fn overlap(&self, failed: u64) -> Option<u64> {
        let cells = self.cells.as_ref()?;
        self.first?;
        let overall = ratio(failed, self.requests)?;
        let clean: Vec<bool> = self
            .groups
            .iter()
            .map(|group| {
                ratio(group.failed, group.all()).is_some_and(|share| super::reading::is_clean(share, overall))
            })
            .collect();
        let is_clean = |group: usize| clean.get(group).copied().unwrap_or(false);
        let mut failing_seconds: HashMap<u64, u64> = HashMap::new();
        for ((group, second), (_, failed)) in cells {
            if !is_clean(*group) {
                *failing_seconds.entry(*second).or_default() += failed;
            }
        }
        Some(
            cells
                .iter()
                .filter(|((group, second), _)| {
                    is_clean(*group) && failing_seconds.get(second).is_some_and(|failed| *failed > 0)
                })
                .fold(0_u64, |sum, (_, (ok, _))| sum.saturating_add(*ok)),
        )
    }
}

/// The path of a URL, without scheme, host and query; a name that is no URL stays what it is.
fn path_of(name: &str) -> &str {
    let Some((_, rest)) = name.split_once("://") else {
        return name;
    };
    let path = rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/");
    path.split(['?', '#']).next().unwrap_or(path)
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

/// `1220 read: connection reset by peer`, shortened, without the addresses that make each one different.
fn error_words(tags: &Tags<'_>) -> String {
    let code = tags.error_code.as_deref().unwrap_or_default();
    let error: String = tags
        .error
        .as_deref()
        .unwrap_or("no answer")
        .split_whitespace()
        .filter(|word| !word.contains(':') || !word.chars().any(|c| c.is_ascii_digit()))
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(80)
        .collect();
    format!("{code} {error}").trim().to_owned()
}

fn quantiles(distribution: &Distribution) -> Quantiles {
    let at = |quantile| distribution.quantile(quantile).map(Span::as_secs_f64);
    Quantiles {
        p50: at(0.5),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        max: at(1.0),
        mean: distribution.histogram().map(|histogram| histogram.mean() / 1e6),
    }
}

/// Milliseconds to whole microseconds; also used to make whole numbers of other floats.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be positive and below a million hours"
)]
fn micros(millis: f64) -> Option<u64> {
    (0.0..3.6e12).contains(&millis).then_some((millis * 1e3) as u64)
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

/// Seconds since 1970 of an RFC 3339 time, to the microsecond. A time without an offset is taken as UTC.
pub(super) fn unix_seconds(text: &str) -> Option<f64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u32>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || year < 1970
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    // Months from March on, so that a leap day is the last of its year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    let days = days.checked_sub(719_469)?;
    let rest = text.get(19..)?;
    let digits = rest.strip_prefix('.').map_or(0, |fraction| {
        fraction.bytes().take_while(u8::is_ascii_digit).count()
    });
    let fraction = match digits {
        0 => 0.0,
        _ => format!("0{}", rest.get(..=digits)?).parse::<f64>().ok()?,
    };
    let offset = rest.get(digits + usize::from(digits > 0)..)?;
    let offset = match offset.as_bytes() {
        [] | [b'Z' | b'z'] => 0.0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let part = |range: std::ops::Range<usize>| offset.get(range)?.parse::<u32>().ok();
            let seconds = f64::from(part(1..3)? * 3_600 + part(4..6)? * 60);
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    let whole = f64::from(days) * 86_400.0 + f64::from(hour * 3_600 + minute * 60 + second);
    Some(whole + fraction - offset)
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
            "9999999999",
            "2026-11-2€T22:08:28",
        ] {
            assert_eq!(unix_seconds(wrong), None, "{wrong}");
        }
    }
}
