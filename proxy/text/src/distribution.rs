//! How a quantity of the run is distributed: counts by value, exact to three digits.
//!
//! The values are those of an HDR histogram in microseconds, and a recording keeps them in its encoding. Here only the
//! values that occurred are held: a run has thousands of distributions, and each has a few hundred values out of the
//! twenty thousand that a histogram would take memory for.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use hopscope_attribution::evidence::Span;

use super::latencies::{LARGEST_US, Latencies, SIGNIFICANT_DIGITS, count};

/// `HdrHistogram`'s mark of its V2 encoding: `V2EncodingCookieBase | 0x10`.
const V2_COOKIE: u32 = 0x1c84_9313;
/// Length of the V2 encoding's header.
const V2_HEADER: usize = 40;
/// Values of as many bits are told apart singly; each further bit makes the steps twice as wide, as in `HdrHistogram`
/// with [`SIGNIFICANT_DIGITS`].
const SINGLE_BITS: u32 = 11;

/// Counts of spans, exact to [`SIGNIFICANT_DIGITS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// The last value of each step that was counted, ascending, and how often.
    counts: Vec<(u32, u32)>,
}

/// A blob that is not a histogram of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a histogram of this schema")]
pub struct NotAHistogram;

/// How many values are not told apart from this one.
const fn width(value: u64) -> u64 {
    1 << (u64::BITS - value.leading_zeros()).saturating_sub(SINGLE_BITS)
}

/// The last of the values that are not told apart from this one.
fn step(micros: u64) -> u32 {
    let micros = micros.min(LARGEST_US);
    let width = width(micros);
    // An hour has 32 bits, and so has the step that it is in.
    u32::try_from((micros / width + 1) * width - 1).unwrap_or(u32::MAX)
}

/// The middle of the step that ends with this value.
fn middle(last: u32) -> u64 {
    let (last, width) = (u64::from(last), width(u64::from(last)));
    last + 1 - width + width / 2
}

impl Distribution {
    /// How many spans were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    /// Whether none was.
    pub const fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// How many different values were counted.
    pub const fn values(&self) -> usize {
        self.counts.len()
    }

    /// The span below or at which this share of all of them lies, `None` when there are none. To three digits, and
    /// never below the true value by more than that.
    pub fn quantile(&self, share: f64) -> Option<Span> {
        let count = self.count();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count of at most 2^53 is a count again"
        )]
        let wanted = ((share.clamp(0.0, 1.0) * count as f64).ceil() as u64).max(1);
        let mut sum = 0;
        let reached = self.counts.iter().find(|(_, count)| {
            sum += u64::from(*count);
            sum >= wanted
        });
        let (value, _) = reached.or(self.counts.last())?;
        Some(Span::from_micros(u64::from(*value)))
    }

    /// The largest, to three digits and up to an hour; `None` when there are none.
    pub fn max(&self) -> Option<Span> {
        let (value, _) = self.counts.last()?;
        Some(Span::from_micros(u64::from(*value)))
    }

    /// The mean in microseconds, to three digits; `None` when there are none.
    pub fn mean_us(&self) -> Option<f64> {
        let total = self.count();
        #[expect(clippy::cast_precision_loss, reason = "counts and values are far below 2^53")]
        let mean = self.counts.iter().fold(0.0, |sum, (value, count)| {
            sum + middle(*value) as f64 * f64::from(*count) / total as f64
        });
        (total > 0).then_some(mean)
    }

    /// The spans that were counted, ascending, each with how often; to three digits.
    pub fn steps(&self) -> Vec<(Span, u64)> {
        self.counts
            .iter()
            .map(|(value, count)| (Span::from_micros(u64::from(*value)), u64::from(*count)))
            .collect()
    }

    /// Counts one span.
    pub fn record(&mut self, span: Span) {
        let value = step(span.as_micros());
        match self.counts.binary_search_by_key(&value, |(value, _)| *value) {
            Ok(at) => {
                if let Some((_, count)) = self.counts.get_mut(at) {
                    *count = count.saturating_add(1);
                }
            }
            Err(at) => self.counts.insert(at, (value, 1)),
        }
    }

    /// Takes out one span that was counted; one that was not leaves everything as it is.
    pub fn forget(&mut self, span: Span) {
        let value = step(span.as_micros());
        if let Ok(at) = self.counts.binary_search_by_key(&value, |(value, _)| *value)
            && let Some((_, count)) = self.counts.get_mut(at)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(at);
            }
        }
    }

    /// Counts what a worker counted.
    pub fn add(&mut self, latencies: &Latencies) {
        if !latencies.is_empty() {
            self.merge(&Self::of(&latencies.steps()));
        }
    }

    /// Counts what another counted.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.is_empty() {
            self.counts.clone_from(&other.counts);
            return;
        }
        if other.counts.is_empty() {
            return;
        }
        let mut merged = Vec::with_capacity(self.counts.len().max(other.counts.len()));
        let mut ours = self.counts.iter().copied().peekable();
        let mut theirs = other.counts.iter().copied().peekable();
        while let Some(next) = match (ours.peek(), theirs.peek()) {
            (Some(our), Some(their)) if our.0 > their.0 => theirs.next(),
            (Some(_), Some(_) | None) => ours.next(),
            (None, _) => theirs.next(),
        } {
            let (value, count) = next;
            let same = theirs.next_if(|(other, _)| *other == value);
            merged.push((value, count.saturating_add(same.map_or(0, |(_, more)| more))));
        }
        self.counts = merged;
    }

    /// Values that were counted and how often, in any order.
    fn of(values: &[(u64, u64)]) -> Self {
        let mut counts: Vec<(u32, u32)> = values
            .iter()
            .map(|(value, count)| (step(*value), u32::try_from(*count).unwrap_or(u32::MAX)))
            .filter(|(_, count)| *count > 0)
            .collect();
        counts.sort_unstable_by_key(|(value, _)| *value);
        counts.dedup_by(|next, first| {
            let same = next.0 == first.0;
            if same {
                first.1 = first.1.saturating_add(next.1);
            }
            same
        });
        counts.shrink_to_fit();
        Self { counts }
    }

    /// `HdrHistogram`'s V2 encoding; nothing at all when nothing was counted.
    pub fn serialised(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.is_empty() {
            return bytes;
        }
        // Fails only for a number of digits that is out of range, and ours is not.
        let Ok(mut histogram) = Histogram::<u64>::new(SIGNIFICANT_DIGITS) else {
            return bytes;
        };
        histogram.auto(true);
        for (value, times) in &self.counts {
            count(
                &mut histogram,
                u64::from(*value).min(LARGEST_US),
                u64::from(*times),
            );
        }
        if V2Serializer::new().serialize(&histogram, &mut bytes).is_err() {
            bytes.clear();
        }
        bytes
    }

    /// What [`Self::serialised`] wrote.
    ///
    /// # Errors
    /// When it is something else.
    pub fn deserialised(bytes: &[u8]) -> Result<Self, NotAHistogram> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        plausible(bytes).ok_or(NotAHistogram)?;
        let histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut &*bytes)
            .or(Err(NotAHistogram))?;
        let values: Vec<(u64, u64)> = histogram
            .iter_recorded()
            .map(|step| (step.value_iterated_to(), step.count_at_value()))
            .collect();
        Ok(Self::of(&values))
    }
}

/// Whether the header is one that we write: a hostile one could ask for gigabytes.
fn plausible(bytes: &[u8]) -> Option<()> {
    let header = bytes.get(..V2_HEADER)?;
    let word = |at: usize| header.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    let long = |at: usize| header.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
    let length = usize::try_from(word(4)?).ok()?;
    let ours = word(0)? == V2_COOKIE
        && length == bytes.len() - V2_HEADER
        && word(8)? == 0
        && word(12)? == u32::from(SIGNIFICANT_DIGITS)
        && long(16)? == 1
        && long(24)? <= LARGEST_US.next_power_of_two();
    ours.then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the library says of the same values.
    fn dense(values: &[u64]) -> Histogram<u64> {
        let mut histogram = Histogram::new(SIGNIFICANT_DIGITS).unwrap();
        histogram.auto(true);
        for value in values {
            count(&mut histogram, *value, 1);
        }
        histogram
    }

    fn sparse(values: &[u64]) -> Distribution {
        let mut distribution = Distribution::default();
        for value in values {
            distribution.record(Span::from_micros(*value));
        }
        distribution
    }

    proptest::proptest! {
        #[test]
        fn it_says_what_a_histogram_says(
            values in proptest::collection::vec(proptest::prop_oneof![0..5_000_u64, 0..=LARGEST_US], 1..200),
        ) {
            let (dense, sparse) = (dense(&values), sparse(&values));
            for share in [0.01, 0.5, 0.9, 0.99, 1.0] {
                let told = sparse.quantile(share).unwrap().as_micros();
                proptest::prop_assert_eq!(told, dense.value_at_quantile(share).min(dense.max()), "{}", share);
            }
            proptest::prop_assert_eq!(sparse.max().unwrap().as_micros(), dense.max());
            proptest::prop_assert_eq!(sparse.mean_us().unwrap().to_bits(), dense.mean().to_bits());
            proptest::prop_assert_eq!(sparse.count(), values.len() as u64);
            let again = Distribution::deserialised(&sparse.serialised()).unwrap();
            proptest::prop_assert_eq!(again, sparse);
        }

        #[test]
        fn halves_that_are_merged_are_the_whole(
            values in proptest::collection::vec(0..=LARGEST_US, 0..100),
            others in proptest::collection::vec(0..5_000_u64, 0..100),
        ) {
            let mut merged = sparse(&values);
            merged.merge(&sparse(&others));
            proptest::prop_assert_eq!(merged, sparse(&[values, others].concat()));
        }
    }

    #[test]
    fn what_is_forgotten_was_not_counted() {
        let mut distribution = sparse(&[5, 5, 3_000_000]);
        distribution.forget(Span::from_micros(5));
        assert_eq!(distribution, sparse(&[5, 3_000_000]));
        distribution.forget(Span::from_micros(3_000_000));
        distribution.forget(Span::from_micros(7));
        assert_eq!(distribution, sparse(&[5]));
    }
}
