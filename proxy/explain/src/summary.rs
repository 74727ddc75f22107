//! What a generator's result says, whichever generator and form it came in.

use std::collections::BTreeMap;

use hopscope_attribution::evidence::GeneratorResult;
use hopscope_secret::text;
use serde::Serialize;

/// The generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    /// Grafana k6.
    K6,
    /// hatoo/oha.
    Oha,
    /// wg/wrk.
    Wrk,
    /// giltene/wrk2.
    Wrk2,
    /// rakyll/hey.
    Hey,
    /// Apache `ab`.
    Ab,
    /// Siege.
    Siege,
    /// tsenart/vegeta.
    Vegeta,
    /// autocannon.
    Autocannon,
    /// Artillery.
    Artillery,
    /// Locust.
    Locust,
    /// Apache `JMeter`.
    JMeter,
    /// Gatling.
    Gatling,
    /// bojand/ghz, for gRPC.
    Ghz,
    /// Postman's Newman.
    Newman,
}

impl Tool {
    /// Its name, as its makers write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::K6 => "k6",
            Self::Oha => "oha",
            Self::Wrk => "wrk",
            Self::Wrk2 => "wrk2",
            Self::Hey => "hey",
            Self::Ab => "ab",
            Self::Siege => "siege",
            Self::Vegeta => "vegeta",
            Self::Autocannon => "autocannon",
            Self::Artillery => "Artillery",
            Self::Locust => "Locust",
            Self::JMeter => "JMeter",
            Self::Gatling => "Gatling",
            Self::Ghz => "ghz",
            Self::Newman => "Newman",
        }
    }

    /// A command line that repeats a load with it through hopscope; words in capitals are to be filled in.
    pub(super) const fn load(self) -> &'static str {
        match self {
            Self::K6 => "k6 run -e BASE_URL={url} SCRIPT.js",
            Self::Oha => "oha -z 60s -c 64 {url}/ROUTE",
            Self::Wrk => "wrk -d60s -c64 {url}/ROUTE",
            Self::Wrk2 => "wrk2 -d60s -c64 -R1000 {url}/ROUTE",
            Self::Hey => "hey -z 60s -c 64 {url}/ROUTE",
            Self::Ab => "ab -t 60 -c 64 {url}/ROUTE",
            Self::Siege => "siege -b -t 60S -c 64 {url}/ROUTE",
            Self::Vegeta => "sh -c 'echo GET {url}/ROUTE | vegeta attack -duration 60s | vegeta report'",
            Self::Autocannon => "autocannon -d 60 -c 64 {url}/ROUTE",
            Self::Artillery => "artillery run --target {url} SCRIPT.yml",
            Self::Locust => "locust --headless -u 64 -t 60s -H {url} -f LOCUSTFILE.py",
            Self::JMeter => "jmeter -n -t PLAN.jmx -Jurl={url} -l RESULT.jtl",
            Self::Gatling => "gatling.sh -s SIMULATION",
            Self::Ghz => "ghz --insecure --call SERVICE.METHOD {addr}",
            Self::Newman => "newman run COLLECTION.json --env-var base_url={url}",
        }
    }

    /// Whether it states what was under way when the run ended, or waits for it.
    pub(super) const fn counts_waiting(self) -> bool {
        match self {
            Self::Oha
            | Self::Hey
            | Self::Vegeta
            | Self::Autocannon
            | Self::Artillery
            | Self::Newman
            | Self::JMeter
            | Self::Gatling => true,
            Self::K6 | Self::Wrk | Self::Wrk2 | Self::Ab | Self::Siege | Self::Locust | Self::Ghz => false,
        }
    }

    /// Whether its latencies include requests that failed without an answer.
    pub(super) const fn times_broken_requests(self) -> bool {
        match self {
            Self::K6 | Self::Vegeta | Self::JMeter | Self::Gatling | Self::Locust => true,
            Self::Oha
            | Self::Wrk
            | Self::Wrk2
            | Self::Hey
            | Self::Ab
            | Self::Siege
            | Self::Autocannon
            | Self::Artillery
            | Self::Ghz
            | Self::Newman => false,
        }
    }
}

/// A generator's result. What it does not state is `None`, never 0.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The generator.
    pub tool: Tool,
    /// The form that was read, for a person.
    pub form: &'static str,
    /// Requests, as far as they are stated.
    pub requests: Option<u64>,
    /// Those that failed; `None` where the result does not say how many exactly.
    pub failed: Option<u64>,
    /// Failures that are certain where `failed` is `None`; 0 otherwise.
    pub failed_at_least: u64,
    /// Failures with a complete answer.
    pub delivered_errors: Option<u64>,
    /// Failures without one.
    pub undelivered: Option<u64>,
    /// Failures without an answer that are certain where `undelivered` is `None`; 0 otherwise.
    pub undelivered_at_least: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// The generator's words for failures without an answer, each with how often.
    pub errors: BTreeMap<String, u64>,
    /// Requests under way when the run ended: neither answered nor failed.
    pub in_flight: Option<u64>,
    /// Requests that were answered, but later than the generator's time-out.
    pub late: Option<u64>,
    /// Connections that ended while the generator read from them, in part behind a whole answer.
    pub ended_reads: Option<u64>,
    /// Bytes that the generator received, headers and all.
    pub bytes_received: Option<u64>,
    /// How long it ran, seconds.
    pub duration_seconds: Option<f64>,
    /// Latency of all requests, seconds.
    pub latency: Quantiles,
    /// Latency of those that it counts as successful, seconds.
    pub latency_ok: Quantiles,
    /// Outcome by route, check or whatever the result divides its requests by.
    pub groups: Vec<Group>,
    /// What the groups are.
    pub groups_from: GroupsFrom,
    /// The checks of a k6 script, whatever the groups are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Group>,
    /// Successes of groups that hardly failed, in seconds in which requests of other groups failed. Only a result with
    /// a time for every request says it.
    pub clean_while_others_failed: Option<u64>,
    /// The distinct seconds of those successes.
    pub clean_seconds: Option<u64>,
    /// What the result leaves out, beyond what every result does.
    pub gaps: Vec<Gap>,
    /// Every failure with its time, where the result has them, up to two million of them.
    #[serde(skip)]
    pub failures: Vec<FailedRequest>,
    /// What the failures ask for: [`FailedRequest::target`] is an index into it.
    #[serde(skip)]
    pub targets: Vec<String>,
}

/// Failures that are kept one by one: of what comes after, only the counts are.
pub(super) const MOST_FAILURES: usize = 2_000_000;

/// One request that the generator counted as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedRequest {
    /// When it ended, microseconds since 1970.
    pub at_unix_us: u64,
    /// Index into [`Summary::targets`]: its path, or the name that the script gave it.
    pub target: u32,
    /// The status of the answer; `None` where no complete one came.
    pub status: Option<u16>,
    /// The generator's own code for the error; k6's are in `lib/netext/httpext/error_codes.go`.
    pub code: u32,
}

/// Quantiles in seconds, as far as they are stated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Median.
    pub p50: Option<f64>,
    /// 90th percentile.
    pub p90: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
    /// Arithmetic mean.
    pub mean: Option<f64>,
}

/// One part of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Its name, as the result has it.
    pub name: String,
    /// Successes.
    pub ok: u64,
    /// Failures.
    pub failed: u64,
}

impl Group {
    /// Successes and failures.
    pub const fn all(&self) -> u64 {
        self.ok.saturating_add(self.failed)
    }
}

/// What the groups are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupsFrom {
    /// There are none.
    Nothing,
    /// k6 checks: conditions in a script, often but not always one a request.
    Checks,
    /// Requests by their name, URL or endpoint.
    Requests,
    /// Requests by the k6 group that made them.
    Groups,
    /// Requests by the scenario that made them. Scenarios may run one behind the other.
    Scenarios,
    /// Requests by a tag of the script's own.
    Tags,
}

/// Something that a result leaves out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// What is not known, as a sentence without its full stop.
    pub what: String,
    /// What would have to be known.
    pub needs: String,
    /// Whether failures may hide in it that the result does not count.
    pub hides_failures: bool,
}

impl Summary {
    /// A result of which nothing is known yet.
    pub fn new(tool: Tool, form: &'static str) -> Self {
        Self {
            tool,
            form,
            requests: None,
            failed: None,
            failed_at_least: 0,
            delivered_errors: None,
            undelivered: None,
            undelivered_at_least: 0,
            statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
            in_flight: None,
            late: None,
            ended_reads: None,
            bytes_received: None,
            duration_seconds: None,
            latency: Quantiles::default(),
            latency_ok: Quantiles::default(),
            groups: Vec::new(),
            groups_from: GroupsFrom::Nothing,
            checks: Vec::new(),
            clean_while_others_failed: None,
            clean_seconds: None,
            gaps: Vec::new(),
            failures: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// Failures that are certain.
    pub fn known_failures(&self) -> u64 {
        self.failed.unwrap_or(self.failed_at_least)
    }

    /// Adds to a count of the generator's words for an error.
    pub(super) fn error(&mut self, words: String, times: u64) {
        if times > 0 {
            let sum = self.errors.entry(words).or_default();
            *sum = sum.saturating_add(times);
        }
    }

    /// Adds to a count of answers by status.
    pub(super) fn status(&mut self, status: u16, times: u64) {
        if times > 0 {
            let sum = self.statuses.entry(status).or_default();
            *sum = sum.saturating_add(times);
        }
    }

    /// Sets right what no reader should have to look at: times that are none, and what follows from bytes.
    pub(super) fn settle(&mut self) {
        let time =
            |value: &mut Option<f64>| *value = value.filter(|value| value.is_finite() && *value >= 0.0);
        time(&mut self.duration_seconds);
        for quantiles in [&mut self.latency, &mut self.latency_ok] {
            let Quantiles {
                p50,
                p90,
                p95,
                p99,
                max,
                mean,
            } = quantiles;
            [p50, p90, p95, p99, max, mean].into_iter().for_each(time);
        }
        if self.bytes_received == Some(0)
            && let Some(failed) = self.failed
        {
            self.delivered_errors = Some(0);
            self.undelivered = Some(failed);
        }
    }

    /// Takes the totals from statuses and errors that cover every request between them.
    pub(super) fn total_of_parts(&mut self) {
        let answered = sum(self.statuses.values());
        let undelivered = sum(self.errors.values());
        let delivered_errors = sum(self.statuses.range(400..).map(|(_, times)| times));
        self.requests = Some(answered.saturating_add(undelivered));
        self.failed = Some(delivered_errors.saturating_add(undelivered));
        self.delivered_errors = Some(delivered_errors);
        self.undelivered = Some(undelivered);
    }

    /// Notes what the result leaves out.
    pub(super) fn gap(&mut self, hides_failures: bool, what: impl Into<String>, needs: impl Into<String>) {
        self.gaps.push(Gap {
            what: what.into(),
            needs: needs.into(),
            hides_failures,
        });
    }

    /// The same without what looks like a secret in the generator's own words: its errors quote URLs and addresses.
    pub(super) fn without_secrets(mut self) -> Self {
        let mut errors = BTreeMap::new();
        for (words, times) in self.errors {
            let sum: &mut u64 = errors.entry(text::redacted(&words)).or_default();
            *sum = sum.saturating_add(times);
        }
        self.errors = errors;
        for group in &mut self.groups {
            group.name = text::redacted(&group.name);
        }
        self
    }

    /// What a report joins to its own counts; `None` when the totals are not stated.
    pub fn generator_result(&self) -> Option<GeneratorResult> {
        let statuses = self
            .statuses
            .iter()
            .filter(|(status, _)| **status >= 400)
            .map(|(status, times)| (format!("status {status}"), *times));
        let beside = [
            (
                GeneratorResult::NOT_COUNTED,
                self.failed.is_none().then(|| self.ended_reads.unwrap_or(1)),
            ),
            ("answered late", self.late),
            ("in flight at the end", self.in_flight),
        ];
        let beside = beside
            .into_iter()
            .filter_map(|(words, times)| Some((words.to_owned(), times.filter(|times| *times > 0)?)));
        Some(GeneratorResult {
            tool: self.tool.word().to_owned(),
            requests: self.requests?,
            failed: self.known_failures(),
            timeout: None,
            errors: self
                .errors
                .clone()
                .into_iter()
                .chain(statuses)
                .chain(beside)
                .collect(),
        })
    }
}

/// The sum of counts, at most `u64::MAX`.
pub(super) fn sum<'a>(counts: impl Iterator<Item = &'a u64>) -> u64 {
    counts.fold(0, |sum, count| sum.saturating_add(*count))
}

/// A generator's words for an error, without the addresses and URLs that make each one different: the last two parts of
/// `Get "http://…": read tcp A->B: read: connection reset by peer` that hold none.
pub(super) fn error_words(error: &str) -> String {
    let names_one =
        |part: &str| part.contains(['/', '"', '@']) || part.bytes().filter(u8::is_ascii_digit).count() > 3;
    let parts: Vec<&str> = error
        .split(": ")
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    let mut last: Vec<&str> = parts
        .iter()
        .rev()
        .take_while(|part| !names_one(part))
        .take(2)
        .copied()
        .collect();
    last.reverse();
    let words = if last.is_empty() {
        let plain = |word: &&str| {
            !(names_one(word) || word.contains(':') && word.bytes().any(|byte| byte.is_ascii_digit()))
        };
        error
            .split_whitespace()
            .filter(plain)
            .collect::<Vec<_>>()
            .join(" ")
    } else {
        last.join(": ")
    };
    let words: String = words.chars().filter(|c| !c.is_control()).take(80).collect();
    if words.is_empty() {
        "no words for it".to_owned()
    } else {
        words
    }
}
