//! From a recording to its report: read, attribute, derive.

use hopscope_attribution::evidence::{GeneratorResult, NodeEvidence, Observation};
use hopscope_attribution::hop::Hop;
use hopscope_attribution::verdict::Diagnosis;
use hopscope_attribution::{attribute, attribute_each};

use hopscope_explain::FailedRequest;
use hopscope_recording::{Recording, RouteFigures};
use hopscope_report::compare::Side;
use hopscope_report::join::{self, Join};
use hopscope_report::model::ComparisonReport;
use hopscope_report::{Report, RouteMeasurement};

/// What others saw of a run, to be judged with its recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Witnesses {
    /// What the load generator counted, where its result is given.
    pub generator: Option<GeneratorResult>,
    /// Its failures one by one, where its result has their times, and what they asked for.
    pub failures: (Vec<FailedRequest>, Vec<String>),
    /// What the kernels on the path saw, where it was asked for; it takes the place of what the recording has.
    pub node: Option<Observation<NodeEvidence>>,
}

/// The diagnosis of a recording. The same recording gives the same report.
pub fn of_recording(recording: &Recording) -> Report {
    judged(recording, &attribute(recording.evidence()))
}

/// The same, joined with what others saw of the run.
pub fn of_recording_with(recording: Recording, witnesses: Witnesses) -> Report {
    let recording = recording.with(witnesses.generator, witnesses.node);
    let (failures, targets) = &witnesses.failures;
    if failures.is_empty() {
        return of_recording(&recording);
    }
    let evidence = recording.evidence();
    let (diagnosis, each) = attribute_each(evidence);
    let mut report = judged(&recording, &diagnosis);
    if let Some(generator) = &mut report.generator {
        let facts = recording.facts();
        let join: Join = join::join(evidence, facts.started_unix_us, &each, failures, targets);
        let charged = diagnosis.charges.iter();
        let clients = charged.filter(|charge| charge.cause.hop() == Hop::Client);
        let clients = clients.fold(0_u64, |sum, charge| sum.saturating_add(charge.failures));
        let on_record = each.iter().filter(|failure| failure.cause.hop() == Hop::Client);
        let never_came = clients.saturating_sub(u64::try_from(on_record.count()).unwrap_or(u64::MAX));
        generator.join(&join, never_came);
    }
    report
}

/// A run as it is compared with another.
#[derive(Clone, Debug)]
pub struct Compared {
    side: Side,
    report: Report,
}

impl Compared {
    /// Judges a recording and cuts it into blocks of time.
    pub fn of(recording: &Recording) -> Self {
        let (diagnosis, each) = attribute_each(recording.evidence());
        Self {
            side: Side::of(recording.evidence(), &each),
            report: judged(recording, &diagnosis),
        }
    }

    /// What changed since an earlier run.
    pub fn with(&self, old: &Self) -> ComparisonReport {
        ComparisonReport::of((&old.side, &old.report), (&self.side, &self.report))
    }
}

fn judged(recording: &Recording, diagnosis: &Diagnosis) -> Report {
    let measured: Vec<_> = recording.figures().iter().map(measurement).collect();
    Report::new(
        recording.facts(),
        recording.exit_code(),
        &measured,
        recording.evidence(),
        diagnosis,
    )
}

fn measurement(of: &RouteFigures) -> RouteMeasurement {
    RouteMeasurement {
        path: of.path,
        route: of.route,
        statuses: of.figures.statuses.clone(),
        all: of.figures.all.distribution().clone(),
        ok: of.figures.ok.distribution().clone(),
    }
}
