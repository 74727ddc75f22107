//! Pairs of runs that do not differ, and pairs that do.

use std::collections::BTreeMap;

use hopscope_attribution::cause::Cause;

use super::*;
use crate::sample;

/// Numbers that look random: a 64-bit linear congruential generator with Knuth's constants.
struct Dice(u64);

impl Dice {
    fn share(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        float(self.0 >> 33) / float(1 << 31)
    }

    /// Roughly normal: mean 0, variance 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }
}

/// How a generated run behaves.
#[derive(Clone, Copy)]
struct Behaviour {
    rate: u64,
    failing: f64,
    /// Latency, in relation to the usual one.
    slow: f64,
}

const USUAL: Behaviour = Behaviour {
    rate: 120,
    failing: 0.03,
    slow: 1.0,
};

/// Twenty blocks whose failures and latencies drift together from block to block, as those of a real run do.
fn run(seed: u64, behaviour: Behaviour) -> Side {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut weather = 0.0;
    let blocks = (0..20).map(|_| {
        weather = weather * 0.4 + dice.normal() * 0.15;
        let mut block = Block {
            requests: behaviour.rate,
            ..Block::default()
        };
        for _ in 0..behaviour.rate {
            if dice.share() < behaviour.failing * f64::exp(weather * 2.0) {
                block.failed += 1;
                *block.by_cause.entry(Cause::BackendReset).or_default() += 1;
            } else {
                let micros = 20_000.0 * behaviour.slow * f64::exp(weather + dice.normal() * 0.5);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a positive time"
                )]
                block.ok.push(micros as u64);
            }
        }
        block.ok.sort_unstable();
        block
    });
    Side {
        blocks: blocks.collect(),
        routes: BTreeMap::from([("/a".to_owned(), 20 * behaviour.rate)]),
        seconds: 20,
    }
}

fn compared(old: &Side, new: &Side) -> ComparisonReport {
    let report = sample::report();
    ComparisonReport::of((old, &report), (new, &report))
}

fn of<'c>(comparison: &'c ComparisonReport, measure: &str) -> &'c DifferenceReport {
    let mut all = comparison.differences.iter();
    all.find(|of| of.measure == measure).expect(measure)
}

#[test]
fn of_two_hundred_pairs_that_do_not_differ_at_most_five_per_cent_show_a_difference() {
    let shown = (0..200).filter(|pair| {
        let comparison = compared(&run(2 * pair, USUAL), &run(2 * pair + 1, USUAL));
        assert!(comparison.comparable, "{comparison:?}");
        comparison
            .differences
            .iter()
            .any(|of| of.finding != "no-difference")
    });
    let shown = shown.count();
    assert!(shown <= 10, "{shown} of 200");
}

/// Of 50 pairs, in how many a measure has this finding.
fn found(old: Behaviour, new: Behaviour, measure: &str, finding: &str) -> usize {
    let pairs = (0..50).filter(|pair| {
        let comparison = compared(&run(2 * pair, old), &run(2 * pair + 1, new));
        of(&comparison, measure).finding == finding
    });
    pairs.count()
}

#[test]
fn failures_that_became_more_and_latency_that_grew_are_found() {
    let failing = Behaviour {
        failing: 0.15,
        ..USUAL
    };
    let slow = Behaviour { slow: 1.6, ..USUAL };
    for (old, new, measure, finding) in [
        (USUAL, failing, "failed", "worse"),
        (USUAL, failing, "backend-reset", "worse"),
        (failing, USUAL, "failed", "better"),
        (USUAL, slow, "p50 ok", "worse"),
        (slow, USUAL, "p50 ok", "better"),
        (USUAL, slow, "p95 ok", "worse"),
    ] {
        let found = found(old, new, measure, finding);
        assert!(found >= 48, "{measure} {finding}: {found} of 50");
        let opposite = if finding == "worse" { "better" } else { "worse" };
        assert_eq!(self::found(old, new, measure, opposite), 0, "{measure}");
    }
}

#[test]
fn what_is_not_found_says_how_large_it_could_be() {
    let comparison = compared(&run(7, USUAL), &run(8, USUAL));
    for of in &comparison.differences {
        assert!(of.low <= 0.0 && of.high >= 0.0, "{of:?}");
        assert!(of.would_have_shown > 0.0, "{of:?}");
    }
    assert!(
        comparison
            .statement
            .starts_with("No difference that these runs could have shown, which is one of failed by "),
        "{}",
        comparison.statement
    );
}

#[test]
fn runs_of_another_load_are_not_compared_as_if_it_were_the_same() {
    let fast = Behaviour { rate: 240, ..USUAL };
    let comparison = compared(&run(1, USUAL), &run(2, fast));
    assert!(!comparison.comparable);
    assert_eq!(comparison.differs, ["120.0 requests/s then, 240.0 now"]);
    let mut other = run(2, USUAL);
    other.routes = BTreeMap::from([("/b".to_owned(), 20)]);
    assert_eq!(
        compared(&run(1, USUAL), &other).differs,
        ["other routes in 100 % of the requests"]
    );
}

#[test]
fn runs_that_are_too_short_say_so() {
    let mut short = run(1, USUAL);
    short.blocks.truncate(5);
    let comparison = compared(&short, &run(2, USUAL));
    assert!(!comparison.comparable && comparison.differences.is_empty());
    assert!(comparison.statement.contains("cannot be compared"));
}

#[test]
fn a_run_does_not_differ_from_itself() {
    let seed = sample::seed();
    let side = Side::of(&seed.evidence, &[]);
    let comparison = compared(&side, &side);
    assert!(comparison.comparable, "{comparison:#?}");
    let failed = of(&comparison, "failed");
    assert_eq!((failed.finding, failed.difference), ("no-difference", 0.0));
}
