//! What stands above the sections: who is charged, how sure that is, and the first counts.

use hopscope_attribution::cause::Cause;
use hopscope_attribution::hop::Hop;
use hopscope_text::figures::{counted, grouped, length, percent};

use super::model::{Report, either};
use super::section::Words;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing failed.
    Good,
    /// Somebody is charged.
    Bad,
    /// Nobody can be, or hopscope itself was in the way.
    Doubt,
}

/// The first lines.
#[derive(Clone, Debug)]
pub(crate) struct Front {
    /// `backend`, `lb or backend`, `nothing failed`, `not read`, `no traffic`.
    pub(crate) who: String,
    pub(crate) tone: Tone,
    /// The cause, where failures are charged.
    pub(crate) cause: Option<&'static str>,
    /// The hop's share of all failures, 0..=1, where there are any.
    pub(crate) share: Option<f64>,
    /// How sure, 0..=1; `None` where nothing is claimed.
    pub(crate) confidence: Option<f64>,
    pub(crate) headline: Words,
    pub(crate) facts: Vec<Fact>,
}

/// A count and what is known of it: `29,826 requests (25,163 failed, 84.4 %)`.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub(crate) count: Words,
    pub(crate) of: Vec<String>,
}

impl Fact {
    pub(crate) fn line(&self) -> String {
        match self.of.as_slice() {
            [] => self.count.as_str().to_owned(),
            of => format!("{} ({})", self.count.as_str(), of.join(", ")),
        }
    }

    fn plain(text: impl AsRef<str>) -> Self {
        Self {
            count: text.into(),
            of: Vec::new(),
        }
    }
}

impl Front {
    pub(crate) fn of(report: &Report) -> Self {
        let verdict = &report.verdict;
        let (who, tone) = who(report);
        let charged = !report.hops.is_empty();
        Self {
            who,
            tone,
            cause: verdict.cause.filter(|_| charged).map(Cause::word),
            share: charged.then_some(verdict.share),
            confidence: (verdict.confidence > 0.0 || verdict.hop.is_some()).then_some(verdict.confidence),
            headline: (&verdict.headline).into(),
            facts: facts(report),
        }
    }
}

fn who(report: &Report) -> (String, Tone) {
    let verdict = &report.verdict;
    match (verdict.hop, verdict.cause) {
        (_, Some(Cause::NoTraffic)) => ("no traffic".to_owned(), Tone::Doubt),
        (_, Some(Cause::NotRead)) => ("not read".to_owned(), Tone::Doubt),
        (None, _) => ("nothing failed".to_owned(), Tone::Good),
        (Some(hop @ Hop::Unknown), _) => (
            either(verdict.between).unwrap_or_else(|| hop.word().to_owned()),
            Tone::Doubt,
        ),
        (Some(hop @ Hop::Observer), _) => (hop.word().to_owned(), Tone::Doubt),
        (Some(hop @ (Hop::Client | Hop::Tunnel | Hop::Lb | Hop::Backend)), _) => {
            (hop.word().to_owned(), Tone::Bad)
        }
    }
}

fn facts(report: &Report) -> Vec<Fact> {
    let totals = &report.totals;
    let mut facts = Vec::new();
    if totals.requests > 0 {
        let failed = match totals.failure_ratio {
            Some(ratio) if totals.failed > 0 => {
                vec![format!("{} failed", grouped(totals.failed)), percent(ratio)]
            }
            Some(_) | None => vec!["none failed".to_owned()],
        };
        facts.push(Fact {
            count: counted(totals.requests, "request").into(),
            of: failed,
        });
    }
    let not_read = report.observer.connections_not_read();
    let of_connections = [(totals.failed_connections, "failed"), (not_read, "not read")];
    let of = of_connections
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{} {what}", grouped(number)));
    facts.push(Fact {
        count: counted(totals.connections, "connection").into(),
        of: of.collect(),
    });
    if totals.never_reached > 0 {
        facts.push(Fact::plain(format!(
            "{} never reached hopscope",
            counted(totals.never_reached, "request")
        )));
    }
    if let Some(generator) = report.generator.as_ref().filter(|of| of.attempts_repeated > 0) {
        facts.push(Fact::plain(format!(
            "{} saw {} failed, {} repeated",
            generator.tool,
            grouped(generator.failed),
            counted(generator.attempts_repeated, "attempt")
        )));
    }
    facts.push(Fact::plain(length(report.run.duration_seconds)));
    if !report.run.complete {
        facts.push(Fact::plain("recording cut off"));
    }
    facts
}
