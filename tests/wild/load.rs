//! The generators: how each is called, and what it says that it saw.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::play::{Load, Play};
use crate::scripts;

/// What a generator saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Saw {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    /// The generator's words for its errors.
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) bytes: u64,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
}

impl Saw {
    pub(crate) fn share(&self) -> f64 {
        crate::score::ratio(self.failed, self.requests)
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.bytes += other.bytes;
        for (word, count) in &other.errors {
            *self.errors.entry(word.clone()).or_default() += count;
        }
        self.p50_ms = other.p50_ms.or(self.p50_ms);
        self.p99_ms = other.p99_ms.or(self.p99_ms);
    }
}

/// A generator's command, and where its result will be.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) words: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
    result: PathBuf,
    /// A line a request, where the play joins them.
    points: PathBuf,
    text: PathBuf,
    load: Load,
}

impl Call {
    /// For this base URL (`http://HOST:PORT`, or `{url}` for hopscope to fill in).
    pub(crate) fn new(play: &Play, url: &str, folder: &Path, number: u32) -> Result<Self> {
        let load = play.load;
        let result = folder.join(format!("generator-{number}.result"));
        let text = folder.join(format!("generator-{number}.text"));
        let place = result.display().to_string();
        let points = folder.join(format!("generator-{number}.json"));
        let mut environment = Vec::new();
        let path = format!("{url}/products");
        let script = |name: &str| -> Result<String> { Ok(scripts::path(name)?.display().to_string()) };
        let mut words: Vec<String> = Vec::new();
        let mut say = |more: &[&str]| words.extend(more.iter().map(|word| (*word).to_owned()));
        match load {
            Load::K6(settings) => {
                say(&[
                    "k6",
                    "run",
                    "--quiet",
                    "--no-usage-report",
                    "--summary-export",
                    &place,
                    "-e",
                ]);
                say(&[&format!("URL={url}")]);
                for (name, value) in settings {
                    say(&["-e", &format!("{name}={value}")]);
                }
                if play.join {
                    say(&["--out", &format!("json={}", points.display())]);
                }
                say(&[&script("load.js")?]);
                environment.push(("HOME", folder.display().to_string()));
                environment.push(("K6_INSECURE_SKIP_TLS_VERIFY", "true".to_owned()));
            }
            Load::Hey(own) => {
                say(&["hey"]);
                say(own);
                say(&[&path]);
            }
            Load::Wrk(own) => {
                say(&["wrk", "--latency"]);
                say(own);
                say(&[&path]);
            }
            Load::Ab(own) => {
                say(&["ab", "-r", "-q"]);
                say(own);
                say(&[&path]);
            }
            Load::H2load(own) => {
                say(&["h2load"]);
                say(own);
                say(&[&path]);
            }
            Load::Siege(own) => {
                say(&["siege", "-b", "--json-output"]);
                say(own);
                say(&[&path]);
                environment.push(("HOME", folder.display().to_string()));
            }
            Load::Autocannon(own) => {
                say(&["autocannon", "--json"]);
                say(own);
                say(&[&path]);
            }
            Load::Locust(seconds, patience) => {
                say(&[
                    "locust",
                    "--headless",
                    "--only-summary",
                    "-u",
                    "10",
                    "-r",
                    "100",
                    "-t",
                    seconds,
                ]);
                say(&["--csv", &place, "-H", url, "-f", &script("locustfile.py")?]);
                environment.push(("PATIENCE", patience.to_owned()));
            }
            Load::Client(mode, own) => {
                say(&["python3", &script("client.py")?, mode, url, &place]);
                say(own);
            }
            Load::Grpc => {
                let address = url.trim_start_matches("http://").replace("{url}", "{addr}");
                say(&["python3", &script("grpc_app.py")?, "call", &address, &place]);
            }
        }
        // What it prints is its result, for some; `exec` leaves one process.
        let mut all = vec!["sh".to_owned(), "-c".to_owned()];
        all.push(format!("exec \"$@\" > '{}' 2>&1", text.display()));
        all.push("sh".to_owned());
        all.extend(play.generator_behind.iter().map(|word| (*word).to_owned()));
        all.extend(words);
        Ok(Self {
            words: all,
            environment,
            result,
            points,
            text,
            load,
        })
    }

    /// The file that `hopscope report` can join.
    pub(crate) fn points(&self) -> &Path {
        &self.points
    }

    /// What it saw.
    pub(crate) fn saw(&self) -> Result<Saw> {
        let printed = std::fs::read(&self.text).unwrap_or_default();
        let printed = String::from_utf8_lossy(&printed).into_owned();
        let file = |path: &Path| -> Result<String> {
            std::fs::read_to_string(path)
                .with_context(|| format!("{:?} left no result; it said:\n{printed}", self.words))
        };
        match self.load {
            Load::K6(_) => k6(&file(&self.result)?, &printed),
            Load::Hey(_) => Ok(hey(&printed)),
            Load::Wrk(_) => Ok(wrk(&printed)),
            Load::Ab(_) => Ok(ab(&printed)),
            Load::H2load(_) => Ok(h2load(&printed)),
            Load::Siege(_) => siege(&printed),
            Load::Autocannon(_) => autocannon(&printed),
            Load::Locust(..) => {
                let stats = PathBuf::from(format!("{}_stats.csv", self.result.display()));
                let failures = PathBuf::from(format!("{}_failures.csv", self.result.display()));
                locust(&file(&stats)?, &file(&failures)?)
            }
            Load::Client(..) | Load::Grpc => client(&file(&self.result)?),
        }
    }
}

/// Several runs of one generator as one.
pub(crate) fn sum(calls: &[Call]) -> Result<Saw> {
    let mut all = Saw::default();
    for call in calls {
        all.add(&call.saw()?);
    }
    Ok(all)
}

/// `--summary-export`, and the log lines of the requests that failed.
fn k6(summary: &str, log: &str) -> Result<Saw> {
    let value: Value = serde_json::from_str(summary).context("k6's summary")?;
    let count = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let time = |pointer: &str| value.pointer(pointer).and_then(Value::as_f64);
    let mut errors = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains("Request Failed")) {
        let word = line.split("error=").nth(1).unwrap_or_default();
        *errors.entry(essence(word)).or_default() += 1;
    }
    Ok(Saw {
        requests: count("/metrics/http_reqs/count"),
        failed: count("/metrics/http_req_failed/passes"),
        errors,
        bytes: count("/metrics/data_received/count"),
        p50_ms: time("/metrics/http_req_duration/med"),
        p99_ms: time("/metrics/http_req_duration/p(99)"),
    })
}

/// An error's words without addresses and ports.
fn essence(text: &str) -> String {
    let text = text.trim_matches('"');
    let tail = text.rsplit(": ").take(2).collect::<Vec<_>>();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    tail.join(": ")
        .trim_matches(|c: char| c == '"' || c == '\\')
        .chars()
        .filter(|c| !c.is_ascii_digit())
        .collect()
}

fn number_before(text: &str, mark: &str) -> Option<u64> {
    text.split(mark)
        .next()?
        .split_ascii_whitespace()
        .last()?
        .parse()
        .ok()
}

fn number_after(text: &str, mark: &str) -> Option<f64> {
    let word = text.split(mark).nth(1)?.split_ascii_whitespace().next()?;
    word.trim_matches(|c: char| !c.is_ascii_digit() && c != '.')
        .parse()
        .ok()
}

fn hey(text: &str) -> Saw {
    let mut saw = Saw::default();
    for line in text.lines() {
        let line = line.trim();
        let bracketed = line
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .and_then(|(inside, rest)| Some((inside.parse::<u64>().ok()?, rest.trim())));
        match bracketed {
            Some((status, rest)) if rest.ends_with("responses") => {
                let count = number_before(rest, "responses").unwrap_or(0);
                saw.requests += count;
                if status >= 400 {
                    saw.failed += count;
                    *saw.errors.entry(format!("status {status}")).or_default() += count;
                }
            }
            Some((count, words)) => {
                saw.requests += count;
                saw.failed += count;
                *saw.errors.entry(essence(words)).or_default() += count;
            }
            None => {
                let time = |mark: &str| number_after(line, mark).map(|seconds| seconds * 1000.0);
                if line.starts_with("50%") {
                    saw.p50_ms = time(" in ");
                } else if line.starts_with("99%") {
                    saw.p99_ms = time(" in ");
                } else if line.starts_with("Total data:") {
                    saw.bytes = number_before(line, "bytes").unwrap_or(0);
                }
            }
        }
    }
    saw
}

/// A time of wrk's, in milliseconds.
fn wrk_time(word: &str) -> Option<f64> {
    let (unit, factor) = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)]
        .into_iter()
        .find(|(unit, _)| word.ends_with(unit))?;
    Some(word.strip_suffix(unit)?.parse::<f64>().ok()? * factor)
}

/// A size of wrk's, in bytes.
fn wrk_bytes(word: &str) -> Option<u64> {
    let (unit, factor) = [
        ("KB", 1_024.0),
        ("MB", 1_048_576.0),
        ("GB", 1_073_741_824.0),
        ("B", 1.0),
    ]
    .into_iter()
    .find(|(unit, _)| word.ends_with(unit))?;
    Some(whole(word.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
}

fn wrk(text: &str) -> Saw {
    let mut saw = Saw::default();
    for line in text.lines() {
        let line = line.trim();
        let percentile = |mark: &str| line.strip_prefix(mark).and_then(|rest| wrk_time(rest.trim()));
        if line.contains("requests in") {
            saw.requests = number_before(line, "requests in").unwrap_or(0);
            let read = line
                .strip_suffix(" read")
                .and_then(|line| line.rsplit(' ').next());
            saw.bytes = read.and_then(wrk_bytes).unwrap_or(0);
        } else if let Some(errors) = line.strip_prefix("Socket errors:") {
            for (word, count) in errors.split(',').filter_map(|part| part.trim().split_once(' ')) {
                let count: u64 = count.parse().unwrap_or(0);
                if count > 0 {
                    *saw.errors.entry(word.to_owned()).or_default() += count;
                    saw.failed += count;
                }
            }
        } else if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses:") {
            let count = count.trim().parse().unwrap_or(0);
            saw.failed += count;
            saw.errors.insert("status".to_owned(), count);
        }
        saw.p50_ms = percentile("50%").or(saw.p50_ms);
        saw.p99_ms = percentile("99%").or(saw.p99_ms);
    }
    saw
}

fn ab(text: &str) -> Saw {
    let mut saw = Saw::default();
    for line in text.lines() {
        let of = |mark: &str| {
            line.strip_prefix(mark)
                .and_then(|rest| rest.trim().split(' ').next()?.parse::<u64>().ok())
        };
        if let Some(count) = of("Complete requests:") {
            saw.requests = count;
        } else if let Some(count) = of("Failed requests:") {
            saw.failed += count;
        } else if let Some(count) = of("Non-2xx responses:") {
            saw.failed += count;
            saw.errors.insert("status".to_owned(), count);
        } else if let Some(bytes) = of("Total transferred:") {
            saw.bytes = bytes;
        } else if let Some(rest) = line.trim().strip_prefix("50%") {
            saw.p50_ms = rest.trim().parse().ok();
        } else if let Some(rest) = line.trim().strip_prefix("99%") {
            saw.p99_ms = rest.trim().parse().ok();
        }
    }
    saw
}

fn h2load(text: &str) -> Saw {
    let mut saw = Saw::default();
    for line in text.lines() {
        if line.starts_with("requests:") {
            let of = |mark: &str| number_before(line, mark).unwrap_or(0);
            saw.requests = of("done");
            for word in ["failed", "errored", "timeout"] {
                let count = of(word);
                if count > 0 {
                    saw.errors.insert(word.to_owned(), count);
                }
            }
            saw.failed += of("failed");
        } else if line.starts_with("traffic:") {
            saw.bytes = line
                .split('(')
                .nth(1)
                .and_then(|rest| rest.split(')').next()?.parse().ok())
                .unwrap_or(0);
        } else if let Some(rest) = line.strip_prefix("time for request:") {
            saw.p50_ms = rest.split_ascii_whitespace().nth(2).and_then(wrk_time);
        }
    }
    saw
}

fn siege(text: &str) -> Result<Saw> {
    let start = text.find('{').context("siege printed no result")?;
    let end = text.rfind('}').context("siege printed no result")?;
    let value: Value =
        serde_json::from_str(text.get(start..=end).unwrap_or_default()).context("siege's result")?;
    let count = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or(0);
    let failed = count("failed_transactions");
    let megabytes = value.get("data_transferred").and_then(Value::as_f64);
    Ok(Saw {
        requests: count("transactions") + failed,
        failed,
        bytes: megabytes.map_or(0, |megabytes| whole(megabytes * 1_048_576.0)),
        ..Saw::default()
    })
}

fn autocannon(text: &str) -> Result<Saw> {
    let start = text.find('{').context("autocannon printed no result")?;
    let value: Value = serde_json::Deserializer::from_str(text.get(start..).unwrap_or_default())
        .into_iter()
        .next()
        .context("autocannon printed no result")??;
    let count = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    Ok(Saw {
        requests: count("/requests/total"),
        failed: count("/errors") + count("/non2xx"),
        bytes: count("/throughput/total"),
        p50_ms: value.pointer("/latency/p50").and_then(Value::as_f64),
        p99_ms: value.pointer("/latency/p99").and_then(Value::as_f64),
        ..Saw::default()
    })
}

/// The line of all requests, and a line a kind of failure.
fn locust(stats: &str, failures: &str) -> Result<Saw> {
    let mut lines = stats.lines();
    let names: Vec<&str> = lines.next().context("locust's statistics")?.split(',').collect();
    let all: Vec<&str> = lines
        .find(|line| line.starts_with(",Aggregated"))
        .context("locust's sum")?
        .split(',')
        .collect();
    let of = |name: &str| -> Option<f64> { all.get(names.iter().position(|is| *is == name)?)?.parse().ok() };
    let count = |name: &str| of(name).map_or(0, whole);
    let mut errors = BTreeMap::new();
    for line in failures.lines().skip(1) {
        let count = line.rsplit(',').find_map(|field| field.parse::<u64>().ok());
        let words = line.split(',').nth(2).unwrap_or_default();
        *errors.entry(essence(words)).or_default() += count.unwrap_or(0);
    }
    Ok(Saw {
        requests: count("Request Count"),
        failed: count("Failure Count"),
        errors,
        bytes: 0,
        p50_ms: of("50%"),
        p99_ms: of("99%"),
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
fn whole(count: f64) -> u64 {
    count as u64
}

fn client(text: &str) -> Result<Saw> {
    let value: Value = serde_json::from_str(text).context("the client's result")?;
    let count = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or(0);
    let errors = value.get("errors").and_then(Value::as_object);
    Ok(Saw {
        requests: count("requests"),
        failed: count("failed"),
        errors: errors
            .into_iter()
            .flatten()
            .map(|(word, count)| (word.clone(), count.as_u64().unwrap_or(0)))
            .collect(),
        bytes: count("bytes"),
        p50_ms: value.get("p50_ms").and_then(Value::as_f64),
        p99_ms: value.get("p99_ms").and_then(Value::as_f64),
    })
}
