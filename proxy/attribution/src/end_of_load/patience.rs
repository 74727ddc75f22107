//! The generator's own time-out: what is given up at the end, at an age at which others were given up in mid-run, was
//! given up for its age.

use crate::evidence::Span;

/// Ages that belong to one timer: those of a busy generator, as a busy hopscope sees them.
const TOLERANCE: Span = Span::from_micros(3_000);

/// Give-ups of one age in mid-run that make it a timer's.
const TIMER: usize = 3;

/// What is younger has no age to compare: answers of a fast application take as long.
const SHORTEST: Span = Span::from_micros(20_000);

/// The ages at which the generator gave up in mid-run, in order.
#[derive(Debug)]
pub(super) struct Patience(Vec<Span>);

impl Patience {
    pub(super) fn of(ages: impl Iterator<Item = Span>) -> Self {
        let mut ages: Vec<Span> = ages.filter(|age| *age >= SHORTEST).collect();
        ages.sort_unstable();
        Self(ages)
    }

    /// Whether this is an age at which it gives up.
    pub(super) fn ran_out_at(&self, age: Span) -> bool {
        let from = self.0.partition_point(|other| *other + TOLERANCE < age);
        let to = self.0.partition_point(|other| *other <= age + TOLERANCE);
        age >= SHORTEST && to.saturating_sub(from) >= TIMER
    }
}
