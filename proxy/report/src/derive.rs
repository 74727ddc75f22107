//! From what was measured and concluded to what is told: pure, and total for any input.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use hopscope_attribution::Failed;
use hopscope_attribution::evidence::{Evidence, Observation, Path, PathId, RouteId, TrafficCell, grpc};
use hopscope_attribution::verdict::{CauseCharge, Diagnosis, Finding, HopCharge, NotRead};

use super::input::RouteMeasurement;
use super::model::{
    AdviceReport, Bucket, CauseReport, ChargeReport, FailedReport, FindingReport, HopReport, NotReadReport,
    ObserverReport, PathReport, Report, RouteReport, Run, SCHEMA, Timeline, Totals, UnknownReport, Verdict,
};
use hopscope_attribution::evidence::RunFacts;
use hopscope_text::figures::{float, ratio, rfc3339, rounded};

mod addresses;
mod forwards;
mod generator;
mod misdirected;
mod notes;
mod quantiles;
#[cfg(test)]
mod told_of_the_run;

/// Buckets of a timeline, at most: a strip that fits a page.
const MOST_BUCKETS: u32 = 120;

impl Report {
    /// The report of one run, with the exit code of the load generator where hopscope ran it. The same input gives the
    /// same report.
    pub fn new(
        run: &RunFacts,
        exit_code: Option<i32>,
        measured: &[RouteMeasurement],
        evidence: &Evidence,
        diagnosis: &Diagnosis,
    ) -> Self {
        let totals = totals(evidence, diagnosis);
        let mut hops: Vec<_> = diagnosis.hops.iter().map(hop).collect();
        hops.sort_by_key(|hop| (Reverse(hop.failures), hop.hop));
        Self {
            schema: SCHEMA,
            run: run_section(run, exit_code, evidence),
            latency: quantiles::of_the_run(measured, evidence),
            verdict: Verdict {
                hop: diagnosis.verdict.charged.map(|(hop, _)| hop),
                cause: diagnosis.verdict.charged.map(|(_, cause)| cause),
                between: diagnosis.verdict.between,
                share: rounded(diagnosis.verdict.share).unwrap_or(0.0),
                confidence: rounded(diagnosis.verdict.confidence.get()).unwrap_or(0.0),
                headline: diagnosis.verdict.headline.clone(),
            },
            paths: paths(measured, evidence, diagnosis),
            contrasts: diagnosis.contrasts.iter().map(finding).collect(),
            routes: routes(measured, evidence),
            unknowns: diagnosis
                .unknowns
                .iter()
                .map(|unknown| UnknownReport {
                    question: unknown.question.clone(),
                    experiment: unknown.experiment.clone(),
                })
                .collect(),
            advice: advice(run, measured, evidence, diagnosis),
            observer: observer(evidence, diagnosis),
            generator: match &evidence.generator {
                Observation::Seen(result) => Some(generator::joined(result, &totals, &hops)),
                Observation::Unseen(_) => None,
            },
            comparison: None,
            timeline: timeline(evidence),
            totals,
            hops,
        }
    }
}

/// Counts of requests, as all sections need them.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    requests: u64,
    delivered_errors: u64,
    undelivered: u64,
    latency_sum_us: u64,
    latency_max_us: u64,
}

impl Tally {
    fn of<'a>(cells: impl Iterator<Item = &'a TrafficCell>) -> Self {
        cells.fold(Self::default(), |mut tally, cell| {
            tally.add(cell);
            tally
        })
    }

    fn add(&mut self, cell: &TrafficCell) {
        self.requests = self.requests.saturating_add(cell.requests);
        self.delivered_errors = self.delivered_errors.saturating_add(cell.delivered_errors);
        self.undelivered = self.undelivered.saturating_add(cell.undelivered);
        self.latency_sum_us = self.latency_sum_us.saturating_add(cell.latency_sum_us);
        self.latency_max_us = self.latency_max_us.max(cell.latency_max_us);
    }

    const fn failed(&self) -> u64 {
        self.delivered_errors.saturating_add(self.undelivered)
    }
}

fn run_section(run: &RunFacts, exit_code: Option<i32>, evidence: &Evidence) -> Run {
    Run {
        started: rfc3339(run.started_unix_us),
        duration_seconds: rounded(evidence.duration.as_secs_f64()).unwrap_or(0.0),
        paths: evidence
            .paths
            .iter()
            .enumerate()
            .map(|(index, path)| forwards::run_path(evidence, index, path))
            .collect(),
        command: run.command.clone(),
        exit_code,
        recorded_by: run.version.clone(),
        complete: evidence.observer.closed_properly,
        notes: notes::notes(run, evidence),
    }
}

/// First that the load came to the wrong door: then nothing else that is advised matters.
fn advice(
    run: &RunFacts,
    measured: &[RouteMeasurement],
    evidence: &Evidence,
    diagnosis: &Diagnosis,
) -> Vec<AdviceReport> {
    let concluded = diagnosis.advice.iter().map(|advice| AdviceReport {
        action: advice.action.clone(),
        why: advice.why.clone(),
    });
    misdirected::advice(run, measured, evidence)
        .into_iter()
        .chain(concluded)
        .collect()
}

fn totals(evidence: &Evidence, diagnosis: &Diagnosis) -> Totals {
    let tally = Tally::of(evidence.traffic.iter());
    let failures = diagnosis
        .hops
        .iter()
        .fold(Failed::default(), |sum, hop| sum.and(hop.failed));
    let seconds = evidence.duration.as_secs_f64();
    Totals {
        connections: u64::try_from(evidence.connections.len()).unwrap_or(u64::MAX),
        requests: tally.requests,
        cut_by_the_end: count(&evidence.cut_by_the_end),
        connects_cut_by_the_end: count(&evidence.connects_cut_by_the_end),
        failed: tally.failed(),
        failure_ratio: ratio(tally.failed(), tally.requests).and_then(rounded),
        delivered_errors: tally.delivered_errors,
        undelivered: tally.undelivered,
        bytes_up: sum(evidence.connections.iter().map(|connection| connection.bytes_up)),
        bytes_down: sum(evidence
            .connections
            .iter()
            .map(|connection| connection.bytes_down)),
        requests_per_second: (seconds > 0.0)
            .then(|| float(tally.requests) / seconds)
            .and_then(rounded),
        failures_charged: failures.all(),
        failed_connections: failures.connections,
        never_reached: failures.never_came,
        repeated: diagnosis.repeated,
        attempts: tally
            .requests
            .saturating_add(failures.connections)
            .saturating_add(failures.never_came),
    }
}

fn hop(charge: &HopCharge) -> HopReport {
    let mut causes: Vec<_> = charge.causes.iter().map(cause).collect();
    causes.sort_by_key(|cause| (Reverse(cause.failures), cause.cause, cause.between));
    HopReport {
        hop: charge.hop,
        failures: charge.failures,
        failed: failed(charge.failed),
        share: rounded(charge.share).unwrap_or(0.0),
        causes,
    }
}

fn cause(charge: &CauseCharge) -> CauseReport {
    CauseReport {
        cause: charge.cause,
        between: charge.between,
        failures: charge.failures,
        failed: failed(charge.failed),
        victims: charge.victims,
        confidence: rounded(charge.confidence.get()).unwrap_or(0.0),
        speaks_for: charge.evidence_for.iter().map(finding).collect(),
        speaks_against: charge.evidence_against.iter().map(finding).collect(),
    }
}

const fn failed(failed: Failed) -> FailedReport {
    FailedReport {
        failed_requests: failed.requests,
        failed_connections: failed.connections,
        never_reached: failed.never_came,
    }
}

fn finding(finding: &Finding) -> FindingReport {
    FindingReport {
        rule: finding.rule.to_owned(),
        statement: finding.statement.clone(),
        numbers: finding
            .numbers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), significant(*value)))
            .collect(),
    }
}

/// A rule's figure: small probabilities must not be rounded to nothing, so these keep nine significant digits.
fn significant(value: f64) -> Option<f64> {
    value
        .is_finite()
        .then(|| format!("{value:.8e}").parse().unwrap_or(value))
        .map(|value: f64| value + 0.0)
}

fn paths(measured: &[RouteMeasurement], evidence: &Evidence, diagnosis: &Diagnosis) -> Vec<PathReport> {
    let mut by_path: BTreeMap<PathId, Tally> = BTreeMap::new();
    for cell in &evidence.traffic {
        by_path.entry(cell.path).or_default().add(cell);
    }
    let mut connections: BTreeMap<PathId, u64> = BTreeMap::new();
    for connection in &evidence.connections {
        *connections.entry(connection.path).or_default() += 1;
    }
    (0..=u8::MAX)
        .map(PathId)
        .zip(&evidence.paths)
        .map(|(id, path)| {
            let tally = by_path.get(&id).copied().unwrap_or_default();
            let mut charges: Vec<_> = diagnosis
                .charges
                .iter()
                .filter(|charge| charge.path == Some(id))
                .map(|charge| ChargeReport {
                    hop: charge.cause.hop(),
                    cause: charge.cause,
                    between: charge.between,
                    failures: charge.failures,
                    victims: charge.victims,
                    examples: charge.examples.iter().map(|connection| connection.0).collect(),
                })
                .collect();
            charges.sort_by_key(|charge| (Reverse(charge.failures), charge.cause, charge.between));
            PathReport {
                path: path.name.clone(),
                kind: path.kind.word(),
                addresses: addresses::of(evidence, id),
                connections: connections.get(&id).copied().unwrap_or(0),
                requests: tally.requests,
                failed: tally.failed(),
                failure_ratio: ratio(tally.failed(), tally.requests).and_then(rounded),
                delivered_errors: tally.delivered_errors,
                undelivered: tally.undelivered,
                latency: quantiles::merged(
                    measured.iter().filter(|of| of.path == id).map(|of| &of.all),
                    Some(&tally),
                ),
                charges,
            }
        })
        .collect()
}

fn routes(measured: &[RouteMeasurement], evidence: &Evidence) -> Vec<RouteReport> {
    let mut tallies: BTreeMap<(PathId, RouteId), Tally> = BTreeMap::new();
    for cell in &evidence.traffic {
        tallies.entry((cell.path, cell.route)).or_default().add(cell);
    }
    let mut routes: Vec<_> = tallies
        .into_iter()
        .map(|((path, route), tally)| {
            let of_it = || measured.iter().filter(|of| (of.path, of.route) == (path, route));
            let mut statuses = BTreeMap::new();
            for (status, times) in of_it().flat_map(|of| &of.statuses) {
                let entry: &mut u64 = statuses.entry(grpc::told(*status)).or_default();
                *entry = entry.saturating_add(*times);
            }
            RouteReport {
                path: path_name(&evidence.paths, path),
                route: evidence
                    .routes
                    .get(usize::from(route.0))
                    .map_or_else(|| format!("route {}", route.0), |route| route.0.clone()),
                requests: tally.requests,
                failed: tally.failed(),
                ok: tally.requests.saturating_sub(tally.failed()),
                statuses,
                latency: quantiles::merged(of_it().map(|of| &of.all), Some(&tally)),
                undelivered: tally.undelivered,
            }
        })
        .collect();
    routes.sort_by(|a, b| {
        (Reverse(a.failed), Reverse(a.requests), &a.path, &a.route).cmp(&(
            Reverse(b.failed),
            Reverse(b.requests),
            &b.path,
            &b.route,
        ))
    });
    routes
}

fn path_name(paths: &[Path], id: PathId) -> String {
    paths
        .get(usize::from(id.0))
        .map_or_else(|| format!("path {}", id.0), |path| path.name.clone())
}

fn observer(evidence: &Evidence, diagnosis: &Diagnosis) -> ObserverReport {
    let accounting = evidence.observer.accounting;
    ObserverReport {
        saturated: diagnosis.observer.saturated,
        events_lost: sum([
            accounting.connections_lost,
            accounting.exchanges_lost,
            accounting.kernel_events_lost,
        ]
        .into_iter()),
        accounted: accounting.accepts
            == accounting
                .connection_rows
                .saturating_add(accounting.connections_lost),
        reasons: diagnosis.observer.reasons.clone(),
        accepts: accounting.accepts,
        connection_rows: accounting.connection_rows,
        connections_lost: accounting.connections_lost,
        exchanges_lost: accounting.exchanges_lost,
        kernel_events_lost: accounting.kernel_events_lost,
        connections_left_out: accounting.connections_left_out,
        exchanges_left_out: accounting.exchanges_left_out,
        not_read: diagnosis
            .not_read
            .iter()
            .map(|of| not_read(of, evidence))
            .collect(),
    }
}

fn not_read(of: &NotRead, evidence: &Evidence) -> NotReadReport {
    NotReadReport {
        path: path_name(&evidence.paths, of.path),
        reason: of.reason.word(),
        connections: of.connections,
        read_at_first: of.read_at_first,
        failed: of.failed,
        bytes: of.bytes,
        examples: of.examples.iter().map(|connection| connection.0).collect(),
    }
}

fn timeline(evidence: &Evidence) -> Timeline {
    let Some(last) = evidence.traffic.iter().map(|cell| cell.second).max() else {
        return Timeline::default();
    };
    let bucket_seconds = bucket_length(last);
    let mut buckets = vec![Bucket::default(); (last / bucket_seconds) as usize + 1];
    for cell in &evidence.traffic {
        let Some(bucket) = buckets.get_mut((cell.second / bucket_seconds) as usize) else {
            continue;
        };
        bucket.requests = bucket.requests.saturating_add(cell.requests);
        bucket.delivered_errors = bucket.delivered_errors.saturating_add(cell.delivered_errors);
        bucket.undelivered = bucket.undelivered.saturating_add(cell.undelivered);
    }
    Timeline {
        bucket_seconds,
        buckets,
    }
}

/// The shortest length that a person can read off a clock and that keeps the buckets few.
fn bucket_length(last_second: u32) -> u32 {
    const LENGTHS: [u32; 9] = [1, 2, 5, 10, 15, 30, 60, 300, 3_600];
    LENGTHS
        .into_iter()
        .find(|length| last_second / length < MOST_BUCKETS)
        .unwrap_or(last_second / MOST_BUCKETS + 1)
}

fn count<T>(rows: &[T]) -> u64 {
    u64::try_from(rows.len()).unwrap_or(u64::MAX)
}

fn sum(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests;
