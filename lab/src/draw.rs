//! Chance, seeded: the same seed makes the same choices, whatever the order in which connections happen to run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A numbered sequence of draws. Draw `n` depends on the seed and on `n` alone, so the share of hits among the first
/// `n` draws does not depend on which connection came first.
#[derive(Debug)]
pub struct Draws {
    seed: u64,
    next: AtomicU64,
}

impl Draws {
    /// A sequence for one purpose: `label` keeps the sequences of one seed apart.
    pub fn new(seed: u64, label: &str) -> Self {
        Self {
            seed: fold(seed, label),
            next: AtomicU64::new(0),
        }
    }

    /// The next draw's own generator.
    pub fn draw(&self) -> fastrand::Rng {
        let nth = self.next.fetch_add(1, Ordering::Relaxed);
        fastrand::Rng::with_seed(scramble(self.seed ^ scramble(nth)))
    }

    /// Whether the next draw falls within `share` of one.
    pub fn strikes(&self, share: f64) -> bool {
        share >= 1.0 || (share > 0.0 && self.draw().f64() < share)
    }
}

/// A seed for the part of a lab that `label` names.
pub fn fold(seed: u64, label: &str) -> u64 {
    label
        .bytes()
        .fold(scramble(seed), |state, byte| scramble(state ^ u64::from(byte)))
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood 2014): neighbouring numbers become unrelated ones.
const fn scramble(mut word: u64) -> u64 {
    word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// How long something takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Latency {
    /// No longer than the machine needs.
    None,
    /// Always the same.
    Fixed(Duration),
    /// Log-normal, given by two of its percentiles.
    LogNormal {
        /// Half take less.
        median: Duration,
        /// 95 of 100 take less.
        p95: Duration,
    },
}

impl Latency {
    /// A log-normal latency of whole milliseconds.
    pub const fn log_normal(median_ms: u64, p95_ms: u64) -> Self {
        Self::LogNormal {
            median: Duration::from_millis(median_ms),
            p95: Duration::from_millis(p95_ms),
        }
    }

    /// A fixed latency of whole milliseconds.
    pub const fn fixed(millis: u64) -> Self {
        Self::Fixed(Duration::from_millis(millis))
    }

    /// One draw. A log-normal one is cut off at 50 medians, so that no request takes longer than a test.
    pub fn sample(&self, rng: &mut fastrand::Rng) -> Duration {
        match *self {
            Self::None => Duration::ZERO,
            Self::Fixed(duration) => duration,
            Self::LogNormal { median, p95 } => {
                // 1.6449 is the 95th percentile of the standard normal distribution.
                let sigma = (p95.as_secs_f64() / median.as_secs_f64().max(1e-9)).ln().max(0.0) / 1.6449;
                let factor = (sigma * standard_normal(rng)).exp().min(50.0);
                median.mul_f64(factor)
            }
        }
    }
}

/// One draw from the standard normal distribution (Box and Muller 1958).
fn standard_normal(rng: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_strikes_the_same_draws() {
        let hits = |seed| {
            let draws = Draws::new(seed, "catalog");
            (0..200).map(|_| draws.strikes(0.3)).collect::<Vec<_>>()
        };
        assert_eq!(hits(7), hits(7));
        assert_ne!(hits(7), hits(8));
    }

    #[test]
    fn a_share_is_kept_within_sampling_error() {
        let draws = Draws::new(1, "share");
        let hits = (0..10_000).filter(|_| draws.strikes(0.94)).count();
        assert!((9_300..9_500).contains(&hits), "{hits} of 10000 for 0.94");
        assert!(!draws.strikes(0.0));
        assert!(draws.strikes(1.0));
    }

    #[test]
    fn a_log_normal_latency_keeps_its_two_percentiles() {
        let mut rng = fastrand::Rng::with_seed(3);
        let latency = Latency::log_normal(25, 73);
        let mut drawn: Vec<Duration> = (0..4_000).map(|_| latency.sample(&mut rng)).collect();
        drawn.sort_unstable();
        let (median, p95) = (drawn[2_000].as_secs_f64(), drawn[3_800].as_secs_f64());
        assert!((0.023..0.027).contains(&median), "{median}");
        assert!((0.066..0.080).contains(&p95), "{p95}");
    }
}
