//! How a scenario is to be staged: its seed, its load, its length, and the figures that it is told with.

use std::time::Duration;

use hopscope_attribution::cause::Cause;

use super::{Ordeal, Staged, StagedPath};
use crate::draw::{Latency, fold};
use crate::fault::{GroundTruth, Window};

/// How a scenario is to be staged.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Of every choice that is made.
    pub seed: u64,
    /// Share of the scenario's own number of users.
    pub level: f64,
    /// How long it runs. Latencies, think times and time-outs do not depend on it.
    pub length: Duration,
    /// What its figures are multiplied by.
    pub parameters: Parameters,
    /// Where hits are noted, and the clock of it all.
    pub truth: GroundTruth,
}

/// What a scenario's own figures are multiplied by, so that a rule can be tried on figures that it was not made on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// How often a fault hits.
    pub share: f64,
    /// How long healthy and failing answers take.
    pub latency: f64,
    /// How long users think.
    pub think: f64,
    /// By which share of the run everything that happens at a time happens later.
    pub later: f64,
}

impl Parameters {
    /// The scenario's own figures.
    pub const OWN: Self = Self {
        share: 1.0,
        latency: 1.0,
        think: 1.0,
        later: 0.0,
    };

    /// Other figures, drawn from a seed: faults from 0.6 to 1.5 times as often, answers from 0.7 to 1.6 times as long,
    /// pauses from 0.8 to 1.3 times as long, everything up to a twentieth of the run earlier or later.
    pub fn drawn(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(fold(seed, "parameters"));
        let mut between = |low: f64, high: f64| low + (high - low) * rng.f64();
        Self {
            share: between(0.6, 1.5),
            latency: between(0.7, 1.6),
            think: between(0.8, 1.3),
            later: between(-0.05, 0.05),
        }
    }
}

impl Stage {
    /// That share of the run.
    pub fn share(&self, of_one: f64) -> Duration {
        self.length.mul_f64(of_one)
    }

    /// When something happens that the scenario has at that share of the run.
    pub fn at(&self, of_one: f64) -> Duration {
        self.share((of_one + self.parameters.later).clamp(0.0, 1.0))
    }

    /// A window between two shares of the run.
    pub fn window(&self, from: f64, until: f64) -> Window {
        Window {
            from: self.at(from),
            until: Some(self.at(until)),
        }
    }

    /// The share of requests that a fault hits which the scenario has hit this one.
    pub fn often(&self, share: f64) -> f64 {
        (share * self.parameters.share).clamp(0.0, 1.0)
    }

    /// A log-normal latency in milliseconds, given by median and 95th percentile.
    pub fn latency(&self, median_ms: u64, p95_ms: u64) -> Latency {
        let length = |millis| Duration::from_millis(millis).mul_f64(self.parameters.latency);
        Latency::LogNormal {
            median: length(median_ms),
            p95: length(p95_ms),
        }
    }

    /// A pause of a user's, in milliseconds.
    pub fn pause(&self, millis: u64) -> Duration {
        Duration::from_millis(millis).mul_f64(self.parameters.think)
    }

    /// So many users at level 1.
    pub fn users(&self, at_level_one: u32) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped into u32's small numbers"
        )]
        let users = (f64::from(at_level_one) * self.level)
            .round()
            .clamp(1.0, 100_000.0) as u32;
        users
    }

    pub(super) fn ready(
        self,
        paths: Vec<StagedPath>,
        load: crate::generator::Load,
        unseen: Option<Cause>,
    ) -> Staged {
        Staged {
            paths,
            load,
            unseen,
            ordeal: Ordeal::None,
            forward: None,
            hog: None,
            truth: self.truth,
            parts: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_parameters_differ_by_seed_and_stay_within_their_bounds() {
        assert_ne!(Parameters::drawn(1), Parameters::drawn(2));
        for seed in 0..200 {
            let drawn = Parameters::drawn(seed);
            assert!((0.6..=1.5).contains(&drawn.share), "{drawn:?}");
            assert!((0.7..=1.6).contains(&drawn.latency), "{drawn:?}");
            assert!((-0.05..=0.05).contains(&drawn.later), "{drawn:?}");
        }
    }
}
