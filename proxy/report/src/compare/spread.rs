//! How far a figure of a run can be trusted, by how much its blocks of time differ.

/// Two-sided 0.5 % of Student's t by degrees of freedom (any table of the distribution). Ten comparisons at 0.5 % each find
/// a difference in at most 5 % of pairs of runs that do not differ (Bonferroni).
const CRITICAL: [(f64, f64); 9] = [
    (7.0, 4.029),
    (8.0, 3.833),
    (9.0, 3.690),
    (10.0, 3.581),
    (12.0, 3.428),
    (15.0, 3.286),
    (20.0, 3.153),
    (30.0, 3.030),
    (60.0, 2.915),
];

/// Fewer blocks say nothing of how they differ.
const FEWEST: usize = 8;

/// A figure and its variance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    pub(super) value: f64,
    variance: f64,
    /// Blocks that it was taken from.
    blocks: f64,
}

impl Estimate {
    /// The mean of one value a block.
    pub(super) fn of_mean(values: &[f64]) -> Option<Self> {
        if values.len() < FEWEST {
            return None;
        }
        let blocks = length(values.len());
        let mean = values.iter().sum::<f64>() / blocks;
        let deviations: Vec<f64> = values.iter().map(|value| value - mean).collect();
        Some(Self {
            value: mean,
            variance: squares(&deviations) / (blocks - 1.0) / blocks * runs_on(&deviations),
            blocks,
        })
    }

    /// The share that the first counts of all blocks have of the second ones (a ratio estimate).
    pub(super) fn of_share(counts: &[(f64, f64)]) -> Option<Self> {
        let (part, whole) = counts
            .iter()
            .fold((0.0, 0.0), |(part, whole), (p, w)| (part + p, whole + w));
        if counts.len() < FEWEST || whole <= 0.0 {
            return None;
        }
        let blocks = length(counts.len());
        let share = part / whole;
        let deviations: Vec<f64> = counts.iter().map(|(part, of)| part - share * of).collect();
        let between = squares(&deviations) * blocks / (blocks - 1.0) / whole.powi(2) * runs_on(&deviations);
        // Where no block differs, chance alone still could have: one failure more or less.
        let smoothed = (part + 1.0) / (whole + 2.0);
        Some(Self {
            value: share,
            variance: between.max(smoothed * (1.0 - smoothed) / whole),
            blocks,
        })
    }

    /// The difference to an earlier one, and half the length of its interval.
    pub(super) fn less(&self, earlier: &Self) -> Option<(f64, f64)> {
        let variance = self.variance + earlier.variance;
        // Welch's degrees of freedom.
        let part = |of: &Self| of.variance.powi(2) / (of.blocks - 1.0);
        let degrees = match part(self) + part(earlier) {
            sum if sum > 0.0 => variance.powi(2) / sum,
            _ => self.blocks.min(earlier.blocks) - 1.0,
        };
        let half = critical(degrees) * variance.sqrt();
        (half.is_finite()).then_some((self.value - earlier.value, half))
    }
}

fn critical(degrees: f64) -> f64 {
    let row = CRITICAL.iter().rev().find(|(at, _)| degrees >= *at);
    row.map_or(CRITICAL[0].1, |(_, critical)| *critical)
}

fn squares(deviations: &[f64]) -> f64 {
    deviations.iter().map(|deviation| deviation.powi(2)).sum()
}

/// By how much the variance of a mean is larger where a block resembles the one before it: (1 + r) / (1 - r) for a
/// correlation r of neighbours, never below 1.
fn runs_on(deviations: &[f64]) -> f64 {
    let all = squares(deviations);
    if all <= 0.0 {
        return 1.0;
    }
    let neighbours: f64 = deviations
        .windows(2)
        .map(|pair| match pair {
            [a, b] => a * b,
            _ => 0.0,
        })
        .sum();
    let r = (neighbours / all).clamp(0.0, 0.8);
    (1.0 + r) / (1.0 - r)
}

fn length(of: usize) -> f64 {
    hopscope_text::figures::float(of as u64)
}
