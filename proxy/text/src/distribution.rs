//! How a quantity of the run is distributed: an HDR histogram in microseconds, empty without memory.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use hopscope_attribution::evidence::Span;

use super::latencies::{LARGEST_US, Latencies, SIGNIFICANT_DIGITS, count};

/// `HdrHistogram`'s mark of its V2 encoding: `V2EncodingCookieBase | 0x10`.
const V2_COOKIE: u32 = 0x1c84_9313;
/// Length of the V2 encoding's header.
const V2_HEADER: usize = 40;

/// Counts of spans, exact to [`SIGNIFICANT_DIGITS`].
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    histogram: Option<Histogram<u64>>,
}

/// A blob that is not a histogram of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a histogram of this schema")]
pub struct NotAHistogram;

impl Distribution {
    /// How many spans were counted.
    pub fn count(&self) -> u64 {
        self.histogram.as_ref().map_or(0, Histogram::len)
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// The span below or at which this share of all of them lies, `None` when there are none. To three digits, and
    /// never below the true value by more than that.
    pub fn quantile(&self, share: f64) -> Option<Span> {
        let histogram = self
            .histogram
            .as_ref()
            .filter(|histogram| !histogram.is_empty())?;
        Some(Span::from_micros(
            histogram.value_at_quantile(share).min(histogram.max()),
        ))
    }

    /// The largest, to three digits and up to an hour; `None` when there are none.
    pub fn max(&self) -> Option<Span> {
        let histogram = self
            .histogram
            .as_ref()
            .filter(|histogram| !histogram.is_empty())?;
        Some(Span::from_micros(histogram.max()))
    }

    /// The spans that were counted, ascending, each with how often; to three digits.
    pub fn steps(&self) -> Vec<(Span, u64)> {
        self.histogram
            .iter()
            .flat_map(Histogram::iter_recorded)
            .map(|step| (Span::from_micros(step.value_iterated_to()), step.count_at_value()))
            .collect()
    }

    /// The histogram itself, in microseconds; `None` when nothing was counted.
    pub const fn histogram(&self) -> Option<&Histogram<u64>> {
        self.histogram.as_ref()
    }

    /// Counts one span.
    pub fn record(&mut self, span: Span) {
        if let Some(histogram) = self.allocated() {
            count(histogram, span.as_micros().min(LARGEST_US), 1);
        }
    }

    /// Takes out one span that was counted.
    pub fn forget(&mut self, span: Span) {
        let Some(histogram) = &mut self.histogram else {
            return;
        };
        let mut one = Self::default();
        one.record(span);
        if let Some(one) = &one.histogram {
            // Refuses where the span was not counted: then there is nothing to take out.
            match histogram.subtract(one) {
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// Counts what a worker counted.
    pub fn add(&mut self, latencies: &Latencies) {
        if !latencies.is_empty()
            && let Some(histogram) = self.allocated()
        {
            latencies.add_to(histogram);
        }
    }

    /// Counts what another counted.
    pub fn merge(&mut self, other: &Self) {
        let Some(more) = other.histogram.as_ref().filter(|histogram| !histogram.is_empty()) else {
            return;
        };
        match &mut self.histogram {
            // Both resize by themselves, so that the addition cannot fail; if it did, nothing would be counted.
            Some(histogram) => match histogram.add(more) {
                Ok(()) | Err(_) => {}
            },
            none => *none = Some(more.clone()),
        }
    }

    /// `HdrHistogram`'s V2 encoding; nothing at all when nothing was counted.
    pub fn serialised(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(histogram) = self.histogram.as_ref().filter(|histogram| !histogram.is_empty())
            && V2Serializer::new().serialize(histogram, &mut bytes).is_err()
        {
            bytes.clear();
        }
        bytes
    }

    /// What [`Self::serialised`] wrote.
    pub fn deserialised(bytes: &[u8]) -> Result<Self, NotAHistogram> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        plausible(bytes).ok_or(NotAHistogram)?;
        let mut histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut &*bytes)
            .or(Err(NotAHistogram))?;
        histogram.auto(true);
        Ok(Self {
            histogram: Some(histogram),
        })
    }

    fn allocated(&mut self) -> Option<&mut Histogram<u64>> {
        if self.histogram.is_none() {
            // Fails only for a number of digits that is out of range, and ours is not.
            let mut histogram = Histogram::new(SIGNIFICANT_DIGITS).ok()?;
            histogram.auto(true);
            self.histogram = Some(histogram);
        }
        self.histogram.as_mut()
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
