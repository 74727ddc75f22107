//! Latencies of one cell: a short list while there are few, an HDR histogram once there are many.

use hdrhistogram::{Counter, Histogram};

/// The largest latency that is told apart, microseconds: an hour. Larger ones count as an hour; their true maximum
/// and sum are kept beside the histogram.
pub const LARGEST_US: u64 = 3_600_000_000;

/// Significant decimal digits that the histograms keep.
pub const SIGNIFICANT_DIGITS: u8 = 3;

/// A cell with fewer latencies than this needs no histogram: most routes of most seconds.
const FEW: usize = 128;

/// Latencies in microseconds.
#[derive(Debug, Default)]
pub struct Latencies {
    few: Vec<u32>,
    many: Option<Histogram<u32>>,
}

impl Latencies {
    /// Counts one latency.
    pub fn record(&mut self, micros: u64) {
        let micros = micros.min(LARGEST_US);
        if let Some(histogram) = &mut self.many {
            count(histogram, micros, 1);
            return;
        }
        self.few.push(u32::try_from(micros).unwrap_or(u32::MAX));
        if self.few.len() >= FEW {
            self.spill();
        }
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.few.is_empty() && self.many.as_ref().is_none_or(Histogram::is_empty)
    }

    /// How many were counted.
    pub fn len(&self) -> u64 {
        self.few.len() as u64 + self.many.as_ref().map_or(0, Histogram::len)
    }

    /// Forgets all of them and keeps the memory: a route that was busy in one second is busy in the next.
    pub fn clear(&mut self) {
        self.few.clear();
        if let Some(histogram) = &mut self.many {
            histogram.reset();
        }
    }

    /// The values that were counted, in any order, each with how often.
    pub(super) fn steps(&self) -> Vec<(u64, u64)> {
        let few = self.few.iter().map(|&micros| (u64::from(micros), 1));
        let many = self.many.iter().filter(|histogram| !histogram.is_empty());
        let many = many.flat_map(Histogram::iter_recorded);
        few.chain(many.map(|step| (step.value_iterated_to(), u64::from(step.count_at_value()))))
            .collect()
    }

    fn spill(&mut self) {
        if let Ok(mut histogram) = Histogram::new(SIGNIFICANT_DIGITS) {
            histogram.auto(true);
            for &micros in &self.few {
                count(&mut histogram, u64::from(micros), 1);
            }
            self.few = Vec::new();
            self.many = Some(histogram);
        }
    }
}

/// Counts a latency of at most [`LARGEST_US`] so many times. A histogram that resizes itself takes it; the library's
/// `saturating_record` would not resize, and would clamp to the 2 ms that a new histogram begins with.
pub fn count<C: Counter>(histogram: &mut Histogram<C>, micros: u64, times: C) {
    debug_assert!(
        histogram.is_auto_resize(),
        "a histogram of fixed size refuses what it does not cover"
    );
    match histogram.record_n(micros, times) {
        Ok(()) | Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_of_seconds_and_minutes_keep_three_digits() {
        for times in [1, FEW * 2] {
            let mut latencies = Latencies::default();
            (0..times).for_each(|_| latencies.record(61_000_000));
            let mut sum = crate::distribution::Distribution::default();
            sum.add(&latencies);
            let median = sum.quantile(0.5).unwrap().as_micros();
            assert!((60_939_000..=61_061_000).contains(&median), "{median} of {times}");
        }
    }
}
