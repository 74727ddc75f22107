//! What a report is held against: the truth, the expected answer, and the generator's own counts.

use hopscope_tests::report::Report;
use serde_json::{Value, json};

use crate::fit::{Fit, Says, Word};
use crate::load::Saw;
use crate::play::{Answer, Play, Truth, Vantage, told};
use crate::run::Outcome;

/// How much the share of failures may differ between two runs of one play before that is hopscope's doing: plays draw
/// lots, and races depend on the machine.
const NOISE: f64 = 0.12;

/// How much the bytes of an average request may differ: the share of failures does, and `Host` and `Date` have lengths.
const BYTES_NOISE: f64 = 0.15;

/// How one vantage of a play went.
#[derive(Clone, Debug)]
pub(crate) struct Card {
    pub(crate) play: &'static Play,
    pub(crate) vantage: Vantage,
    pub(crate) word: Word,
    /// Hop and cause, and between whom, as the verdict has it.
    pub(crate) verdict: String,
    /// Failures that are charged as expected, to nobody though a hop was expected, or wrongly.
    pub(crate) right: u64,
    pub(crate) open: u64,
    pub(crate) wrong: u64,
    /// Failures that are charged to a tunnel that is not broken.
    pub(crate) false_tunnel: u64,
    /// Failures of the generator that no count of hopscope's has.
    pub(crate) missed: u64,
    /// Whether a hop is expected.
    pub(crate) hop_expected: bool,
    /// Whether an open answer names an experiment.
    pub(crate) experiment: bool,
    pub(crate) charges: Vec<(String, String, u64)>,
    pub(crate) saw: Saw,
    pub(crate) without: Option<Saw>,
    /// What the generator saw otherwise through hopscope, beyond noise.
    pub(crate) difference: Option<String>,
    pub(crate) counted: u64,
    pub(crate) seconds: u64,
}

pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of some thousands")]
    let ratio = |part: u64, whole: u64| part as f64 / whole as f64;
    if whole == 0 { 0.0 } else { ratio(part, whole) }
}

/// Holds an outcome against its play.
pub(crate) fn card(play: &'static Play, vantage: Vantage, outcome: Outcome) -> Card {
    let says = Says::of(&outcome.report);
    let answers = play.expected(vantage);
    let fit = answers
        .iter()
        .map(|answer| Fit::of(*answer, play.truth, &says))
        .min_by_key(|fit| (fit.word, fit.wrong, fit.open))
        .unwrap_or(Fit {
            word: Word::Wrong,
            right: 0,
            open: 0,
            wrong: says.failures,
        });
    let Fit {
        mut word,
        right,
        open,
        wrong,
    } = fit;
    let not_read = answers.contains(&Answer::NotRead) && says.cause == "not-read";
    let stated = if play.miscounts.is_empty() && !not_read {
        outcome.saw.failed
    } else {
        0
    };
    // What was under way at the end, and what was not read, have counts of their own: neither is charged, nor missed.
    let cut = outcome.report.number("/totals/cut_by_the_end")
        + outcome.report.number("/totals/connects_cut_by_the_end");
    let missed = stated.saturating_sub(says.failures + cut + unread(&outcome.report));
    if missed > 0 && word <= Word::Open {
        word = Word::Miscounted;
    }
    if wrong > 0 && word < Word::Wrong && wrong * 200 > says.failures {
        word = Word::Wrong;
    }
    let false_tunnel = if play.truth == Truth::Tunnel {
        0
    } else {
        says.sum(|charge| charge.hop == "tunnel")
    };
    let difference = outcome
        .without
        .as_ref()
        .and_then(|without| difference(without, &outcome.saw));
    Card {
        play,
        vantage,
        word,
        verdict: says.verdict(),
        right,
        open,
        wrong,
        false_tunnel,
        missed,
        hop_expected: matches!(answers.first(), Some(Answer::Hop(..))),
        experiment: says.experiment,
        charges: says
            .charges
            .iter()
            .map(|charge| {
                let hop = if charge.between.is_empty() {
                    charge.hop.clone()
                } else {
                    charge.between.join("+")
                };
                (hop, charge.cause.clone(), charge.failures)
            })
            .collect(),
        counted: says.failures,
        saw: outcome.saw,
        without: outcome.without,
        difference,
        seconds: outcome.seconds,
    }
}

/// Connections that were not read to their end.
fn unread(report: &Report) -> u64 {
    let rows = report.field("/observer/not_read");
    let rows = rows.as_array().into_iter().flatten();
    rows.filter_map(|row| row.get("connections").and_then(Value::as_u64))
        .sum()
}

/// What the generator saw otherwise: the share of its failures, how its median request went, and the bytes of a request.
fn difference(without: &Saw, through: &Saw) -> Option<String> {
    let mut all = Vec::new();
    let (before, after) = (without.share(), through.share());
    // The share of a handful of requests says little.
    let few = 1.0 / ratio(without.requests.min(through.requests).max(1), 1).sqrt();
    if (before - after).abs() > NOISE + few {
        all.push(format!(
            "failures: {:.1} % without, {:.1} % through hopscope",
            before * 100.0,
            after * 100.0
        ));
    }
    // Generators measure failed requests from different moments, and a connect that failed often not at all.
    let mostly_answered = before < NOISE && after < NOISE;
    if mostly_answered
        && let (Some(before), Some(after)) = (without.p50_ms, through.p50_ms)
        && after > before * 2.0 + 20.0
    {
        all.push(format!(
            "median: {before:.1} ms without, {after:.1} ms through hopscope"
        ));
    }
    // What a failed request brought depends on the moment at which it failed.
    let (before, after) = (
        ratio(without.bytes, without.requests),
        ratio(through.bytes, through.requests),
    );
    if mostly_answered && before > 0.0 && (before - after).abs() > before * BYTES_NOISE {
        all.push(format!(
            "bytes a request: {before:.0} without, {after:.0} through hopscope"
        ));
    }
    (!all.is_empty()).then(|| all.join("; "))
}

impl Card {
    pub(crate) fn to_json(&self) -> Value {
        let saw = |saw: &Saw| {
            json!({"requests": saw.requests, "failed": saw.failed, "errors": saw.errors, "bytes": saw.bytes,
                   "p50_ms": saw.p50_ms, "p99_ms": saw.p99_ms})
        };
        json!({
            "play": self.play.name, "mirror": self.play.mirror, "truth": self.play.truth.word(),
            "vantage": self.vantage.word(), "expected": told(self.play.expected(self.vantage)),
            "word": self.word.word(), "verdict": self.verdict,
            "right": self.right, "open": self.open, "wrong": self.wrong,
            "false_tunnel": self.false_tunnel, "missed": self.missed, "counted": self.counted,
            "charges": self.charges, "experiment": self.experiment,
            "through": saw(&self.saw), "without": self.without.as_ref().map(saw),
            "difference": self.difference, "seconds": self.seconds,
        })
    }
}
