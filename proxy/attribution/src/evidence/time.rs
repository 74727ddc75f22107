//! Points and spans of a run's own time, in whole microseconds. No clock is read here.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, Sub};

/// A point in the run: microseconds since the recording began, on the observer's monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

/// A length of time in whole microseconds, up to 2^64 - 2 of them: half a million years.
///
/// Kept as one more than it is, so that `Option<Span>` takes no more room than `Span`: rows have many that may be absent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(NonZeroU64);

impl Moment {
    /// The whole second of the run that this moment falls in.
    pub const fn second(self) -> u32 {
        let second = self.0 / 1_000_000;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "compared with the largest u32 just before"
        )]
        if second > u32::MAX as u64 {
            u32::MAX
        } else {
            second as u32
        }
    }

    /// Time since `earlier`; zero when `earlier` is in fact later.
    pub const fn since(self, earlier: Self) -> Span {
        Span::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Distance to another moment, whichever came first.
    pub const fn distance(self, other: Self) -> Span {
        Span::from_micros(self.0.abs_diff(other.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(NonZeroU64::MIN);

    /// A span of whole microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(micros))
    }

    /// The span in whole microseconds.
    pub const fn as_micros(self) -> u64 {
        self.0.get() - 1
    }

    /// A span of whole milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_micros(millis.saturating_mul(1_000))
    }

    /// A span of whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_micros(secs.saturating_mul(1_000_000))
    }

    /// The span in seconds, for statements and statistics.
    pub fn as_secs_f64(self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a span of 2^53 microseconds is 285 years"
        )]
        let micros = self.as_micros() as f64;
        micros / 1e6
    }
}

impl Default for Span {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Span").field(&self.as_micros()).finish()
    }
}

impl From<std::time::Duration> for Span {
    fn from(duration: std::time::Duration) -> Self {
        Self::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }
}

impl Add<Span> for Moment {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.as_micros()))
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.as_micros()))
    }
}

impl Sub for Span {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self::from_micros(self.as_micros().saturating_sub(other.as_micros()))
    }
}

impl fmt::Display for Span {
    /// Two to three significant figures in the unit a person would choose: `870 µs`, `7.8 ms`, `1.01 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.as_secs_f64();
        // The limits are those of what is rounded: 999.7 ms is told as 1.00 s.
        match self.as_micros() {
            micros @ 0..1_000 => write!(f, "{micros} µs"),
            1_000..9_950 => write!(f, "{:.1} ms", secs * 1e3),
            9_950..999_500 => write!(f, "{:.0} ms", secs * 1e3),
            999_500..99_995_000 => write!(f, "{secs:.2} s"),
            _ => write!(f, "{secs:.0} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_the_unit_that_its_rounded_figure_belongs_to() {
        for (micros, told) in [
            (999, "999 µs"),
            (1_000, "1.0 ms"),
            (9_949, "9.9 ms"),
            (9_950, "10 ms"),
            (999_499, "999 ms"),
            (999_500, "1.00 s"),
            (1_014_999, "1.01 s"),
            (99_994_999, "99.99 s"),
            (99_995_000, "100 s"),
        ] {
            assert_eq!(Span::from_micros(micros).to_string(), told);
        }
    }
}
