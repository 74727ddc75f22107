//! What a report says: `hopscope.report/1`.
//!
//! Field names are a contract (docs/report.schema.json): more may be added, none is renamed or removed. Times are in
//! seconds, shares in 0..=1, and what is not known is `null`, with the reason in a field beside it where it has one.

use std::collections::BTreeMap;

use hopscope_attribution::Failed;
use hopscope_attribution::between::Between;
use hopscope_attribution::cause::Cause;
use hopscope_attribution::hop::Hop;
use serde::Serialize;

mod comparison;
mod observer;
mod words;

pub use comparison::{ComparisonReport, DifferenceReport};
pub use observer::{NotReadReport, ObserverReport};
pub use words::either;
use words::{between, cause, cause_or_null, hop, hop_or_none, is_any};

/// The name and version of the format.
pub const SCHEMA: &str = "hopscope.report/1";

/// A whole report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// The run.
    pub run: Run,
    /// Counts over all paths and routes.
    pub totals: Totals,
    /// Latency over all paths and routes.
    pub latency: RunLatency,
    /// The conclusion in one sentence.
    pub verdict: Verdict,
    /// Every hop that is charged with a failure, most failures first.
    pub hops: Vec<HopReport>,
    /// Figures by path.
    pub paths: Vec<PathReport>,
    /// Where there are several paths: how their failure rates and latencies differ.
    pub contrasts: Vec<FindingReport>,
    /// Figures by path and route, most failures first.
    pub routes: Vec<RouteReport>,
    /// What the evidence does not decide.
    pub unknowns: Vec<UnknownReport>,
    /// What to do next, most useful first.
    pub advice: Vec<AdviceReport>,
    /// Whether hopscope itself stood in the way.
    pub observer: ObserverReport,
    /// What the load generator counted, where its result was given.
    pub generator: Option<GeneratorReport>,
    /// What changed since an earlier run, where one was given.
    pub comparison: Option<ComparisonReport>,
    /// Requests and failures over time.
    pub timeline: Timeline,
}

/// The run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// When the recording began, RFC 3339 in UTC.
    pub started: String,
    /// From there to the last thing recorded.
    pub duration_seconds: f64,
    /// The paths over which the load travelled.
    pub paths: Vec<RunPath>,
    /// The load generator's command line, where hopscope ran it.
    pub command: Option<Vec<String>>,
    /// The load generator's exit code, where hopscope ran it and it exited by itself.
    pub exit_code: Option<i32>,
    /// The version of hopscope that made the recording.
    pub recorded_by: String,
    /// Whether the recording was closed properly. Otherwise it says nothing of what came after its end.
    pub complete: bool,
    /// What hopscope changed on the way or did not check, and what the generator saw because hopscope was there.
    pub notes: Vec<String>,
}

/// A path, as it was given.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunPath {
    /// Its name.
    pub name: String,
    /// `tunnel`, `lb`, `direct` or `unstated`.
    pub kind: &'static str,
    /// Its target as it was typed.
    pub target: String,
    /// Each process that carried the path's forward, in the order in which they took over. Empty where none was watched.
    pub forwards: Vec<ForwardReport>,
    /// What happened to them, the first and the last [`MOST_TURNS`] halves of it.
    pub turns: Vec<TurnReport>,
    /// How many turns there were in all.
    pub turns_in_all: u64,
}

/// Turns of a forward's life that a report lists, at most.
pub const MOST_TURNS: usize = 200;

/// A process that carried a forward. What could not be seen is `null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ForwardReport {
    /// Which of the pool's kubectls, from 0.
    pub member: u16,
    /// Its process id on hopscope's host.
    pub pid: Option<u32>,
    /// Its command line.
    pub command: Option<String>,
    /// Whether it is a kubectl.
    pub is_kubectl: Option<bool>,
    /// Its version as it states it.
    pub version: Option<String>,
    /// The local port of the forward.
    pub local_port: u16,
    /// Who listens on that port of `127.0.0.1`: `forward`, `other:PID`, `stranger` or `nobody`.
    pub on_ipv4: Option<String>,
    /// The same of `::1`.
    pub on_ipv6: Option<String>,
    /// The pod that it forwards to, for as long as it runs.
    pub pod: Option<String>,
    /// The node of that pod.
    pub node: Option<String>,
    /// The container runtime of that node.
    pub runtime: Option<String>,
}

/// A turn in the life of a forward.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TurnReport {
    /// Seconds since the recording began.
    pub at_seconds: f64,
    /// Which of the pool's kubectls, from 0.
    pub member: u16,
    /// `started`, `found`, `ready`, `exited`, `replaced`, `left-down`, `stopped` or `drained`.
    pub turn: &'static str,
    /// Its exit code, where it ended by itself and had one.
    pub exit_code: Option<i32>,
    /// What kubectl said that explains it.
    pub reason: Option<&'static str>,
}

/// Counts over all paths and routes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Totals {
    /// Connections on record.
    pub connections: u64,
    /// HTTP requests that came to an end, exact.
    pub requests: u64,
    /// Requests that were under way when the generator ended: neither failed nor answered, and in no other count.
    pub cut_by_the_end: u64,
    /// Connections without a request that were under way then, most of them still connecting; in no other count but that
    /// of connections.
    pub connects_cut_by_the_end: u64,
    /// Requests that failed: delivered errors and undelivered ones.
    pub failed: u64,
    /// `failed / requests`; `null` without requests.
    pub failure_ratio: Option<f64>,
    /// Complete responses of status 400 and above: every hop before their author delivered.
    pub delivered_errors: u64,
    /// Requests without a complete response.
    pub undelivered: u64,
    /// Payload bytes handed to the path's side.
    pub bytes_up: u64,
    /// Payload bytes handed to the generator's side.
    pub bytes_down: u64,
    /// Over the whole duration; `null` when there was none.
    pub requests_per_second: Option<f64>,
    /// Failures that the hops are charged with: failed requests, failed connections, and requests that never reached
    /// hopscope.
    pub failures_charged: u64,
    /// Connections that failed by themselves, such as one whose upstream was refused: no failed request counts them.
    pub failed_connections: u64,
    /// Requests that only the generator counted as failed: they never reached hopscope.
    pub never_reached: u64,
    /// Attempts among the failures that the generator probably sent again by itself on a fresh connection, at most.
    /// They leave no count of failures.
    pub repeated: u64,
    /// What failures are a share of in `--fail-on`: requests, failed connections, and requests that never reached hopscope.
    pub attempts: u64,
}

/// Latency over all paths and routes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunLatency {
    /// Always `seconds`.
    pub unit: &'static str,
    /// Of every request, however it ended.
    pub all: Latency,
    /// Of the successful ones.
    pub ok: Latency,
    /// What hopscope itself added, measured in this run.
    pub added_by_hopscope: Latency,
    /// Why `added_by_hopscope` is all `null`, where it is.
    pub added_by_hopscope_unseen: Option<String>,
}

/// Quantiles, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
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
    /// How many were measured; `null` where that is not known.
    pub count: Option<u64>,
}

/// The conclusion.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The hop charged with most failures; `none` when something was sent, all of it was read, and nothing failed.
    #[serde(serialize_with = "hop_or_none")]
    pub hop: Option<Hop>,
    /// The cause that most of its failures are charged to; `not-read` or `no-traffic` where nothing failed and nothing
    /// is known; `null` when nothing failed.
    #[serde(serialize_with = "cause_or_null")]
    pub cause: Option<Cause>,
    /// Where the hop is `unknown`: between which hops it stays open. Left out where it is not narrowed down.
    #[serde(skip_serializing_if = "is_any", serialize_with = "between")]
    pub between: Between,
    /// Failures charged to that hop, as a share of all failures; 0 when nothing failed.
    pub share: f64,
    /// How sure, 0..=1.
    pub confidence: f64,
    /// One sentence.
    pub headline: String,
}

/// All that one hop is charged with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HopReport {
    /// The hop.
    #[serde(serialize_with = "hop")]
    pub hop: Hop,
    /// Failures charged to it, triggers and victims together.
    pub failures: u64,
    /// What they are.
    #[serde(flatten)]
    pub failed: FailedReport,
    /// That, as a share of all failures.
    pub share: f64,
    /// By cause, most failures first.
    pub causes: Vec<CauseReport>,
}

/// What failed. The three add up to the failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FailedReport {
    /// Requests that reached hopscope.
    pub failed_requests: u64,
    /// Connections that failed by themselves: no failed request counts them.
    pub failed_connections: u64,
    /// Requests that only the generator counted: they never reached hopscope.
    pub never_reached: u64,
}

impl FailedReport {
    /// `25,163 failed requests`, `180 failures (100 requests, 80 connections)`.
    pub fn described(self) -> String {
        let failed = Failed {
            requests: self.failed_requests,
            connections: self.failed_connections,
            never_came: self.never_reached,
        };
        failed.described()
    }
}

/// What one cause is charged with, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CauseReport {
    /// The cause.
    #[serde(serialize_with = "cause")]
    pub cause: Cause,
    /// Where the cause is `undetermined`: between which hops it stays open. Left out where it is not narrowed down.
    #[serde(skip_serializing_if = "is_any", serialize_with = "between")]
    pub between: Between,
    /// Failures charged to it, triggers and victims together.
    pub failures: u64,
    /// What they are.
    #[serde(flatten)]
    pub failed: FailedReport,
    /// Those of them that were victims of another failure.
    pub victims: u64,
    /// How sure, 0..=1.
    pub confidence: f64,
    /// What speaks for it.
    #[serde(rename = "for")]
    pub speaks_for: Vec<FindingReport>,
    /// What speaks against it, or was missing.
    #[serde(rename = "against")]
    pub speaks_against: Vec<FindingReport>,
}

/// One fact for or against.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FindingReport {
    /// The rule that found it: docs/attribution.md.
    pub rule: String,
    /// What was found, as a sentence with its figures.
    pub statement: String,
    /// The figures by themselves; `null` for one that is not finite.
    pub numbers: BTreeMap<String, Option<f64>>,
}

/// Figures of one path.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PathReport {
    /// The path's name.
    pub path: String,
    /// `tunnel`, `lb`, `direct` or `unstated`.
    pub kind: &'static str,
    /// Connections dealt to it.
    pub connections: u64,
    /// Requests that it carried.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// `failed / requests`; `null` without requests.
    pub failure_ratio: Option<f64>,
    /// Complete responses of status 400 and above.
    pub delivered_errors: u64,
    /// Requests without a complete response.
    pub undelivered: u64,
    /// Latency of every request on it.
    pub latency: Latency,
    /// Failures on it by cause, most first.
    pub charges: Vec<ChargeReport>,
    /// Figures by address; empty where the target had only one.
    pub addresses: Vec<AddressReport>,
}

/// Figures of one address of a target that had several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AddressReport {
    /// The address.
    pub address: String,
    /// Connections that were made to it.
    pub connections: u64,
    /// Requests on them.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Connections that it did not take, for which another address was tried.
    pub not_taken: u64,
}

/// Failures of one path that share a cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChargeReport {
    /// The hop.
    #[serde(serialize_with = "hop")]
    pub hop: Hop,
    /// The cause.
    #[serde(serialize_with = "cause")]
    pub cause: Cause,
    /// Where the cause is `undetermined`: between which hops it stays open. Left out where it is not narrowed down.
    #[serde(skip_serializing_if = "is_any", serialize_with = "between")]
    pub between: Between,
    /// How many, victims included.
    pub failures: u64,
    /// How many of them were victims.
    pub victims: u64,
    /// Row ids of a few of the connections, the earliest first, to look up in the recording.
    pub examples: Vec<u64>,
}

/// Figures of one route on one path.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouteReport {
    /// The path's name.
    pub path: String,
    /// The route, such as `/products/:id`.
    pub route: String,
    /// Requests.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that did not.
    pub ok: u64,
    /// Complete responses by status.
    pub statuses: BTreeMap<String, u64>,
    /// Latency of every request of it.
    pub latency: Latency,
    /// Requests without a complete response.
    pub undelivered: u64,
}

/// A question that the evidence leaves open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnknownReport {
    /// What is not known.
    pub question: String,
    /// The cheapest experiment that would decide it.
    pub experiment: String,
}

/// Something to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AdviceReport {
    /// What to do.
    pub action: String,
    /// Why.
    pub why: String,
}

/// The generator's own counts, and how they compare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GeneratorReport {
    /// Its name, such as `k6`.
    pub tool: String,
    /// Requests that it counted.
    pub requests: u64,
    /// Requests that it counted as failed.
    pub failed: u64,
    /// Its requests less ours.
    pub requests_beyond_ours: i64,
    /// Its failures less ours.
    pub failed_beyond_ours: i64,
    /// Attempts that failed here and that its HTTP library repeated by itself, so that it counts one request for both.
    pub attempts_repeated: u64,
    /// Where its result has a time for each failure: how many were found among ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joined: Option<JoinedReport>,
    /// Every failure that it counted, by the hop that it is charged to. The sum is `failed`.
    pub failures_by_hop: BTreeMap<&'static str, u64>,
    /// Its own words for failures, each with how often.
    pub errors: BTreeMap<String, u64>,
    /// What the differences mean, as sentences.
    pub remarks: Vec<String>,
}

/// Requests and failures over time, in buckets of equal length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// Length of a bucket; 0 when there is none.
    pub bucket_seconds: u32,
    /// The buckets from the start of the run, none left out.
    pub buckets: Vec<Bucket>,
}

/// One bucket of time: the exchanges that ended in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// All of them.
    pub requests: u64,
    /// Complete responses of status 400 and above.
    pub delivered_errors: u64,
    /// Those without a complete response.
    pub undelivered: u64,
}

/// A generator's failures found again one by one, by time, route and status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JoinedReport {
    /// Failures that it stated with a time.
    pub stated: u64,
    /// Those of them that were found in the recording.
    pub found: u64,
    /// Those of the found that ended within 50 ms of ours.
    pub within_50_ms: u64,
}
