//! A fact, or the reason why it is missing.

use std::fmt;

/// Like `Option`, but its absence carries a reason: silence is not health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Observation<T> {
    /// It was looked at, and this is what was there.
    Seen(T),
    /// It was not, or could not be, looked at.
    Unseen(WhyUnseen),
}

/// Why a fact is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WhyUnseen {
    /// Nothing was set up to look at it.
    NotWatched,
    /// This operating system or kernel does not tell.
    NotSupported,
    /// We lack the privilege.
    NotPermitted,
    /// It ended or began outside the time that was watched.
    OutsideTheWindow,
    /// It was seen, and the record of it was lost.
    EvidenceLost,
    /// It never happened, so there is nothing to measure.
    NeverHappened,
    /// Who knows it was asked, and gave no answer.
    NoAnswer,
}

impl<T> Observation<T> {
    /// The fact, where there is one.
    pub const fn seen(&self) -> Option<&T> {
        match self {
            Self::Seen(fact) => Some(fact),
            Self::Unseen(_) => None,
        }
    }

    /// The same observation of something derived from the fact.
    #[inline]
    pub fn map<U>(self, derive: impl FnOnce(T) -> U) -> Observation<U> {
        match self {
            Self::Seen(fact) => Observation::Seen(derive(fact)),
            Self::Unseen(why) => Observation::Unseen(why),
        }
    }
}

impl<T> Default for Observation<T> {
    fn default() -> Self {
        Self::Unseen(WhyUnseen::NotWatched)
    }
}

impl WhyUnseen {
    /// Every reason, for stores that keep them by their word.
    pub const ALL: [Self; 7] = [
        Self::NotWatched,
        Self::NotSupported,
        Self::NotPermitted,
        Self::OutsideTheWindow,
        Self::EvidenceLost,
        Self::NeverHappened,
        Self::NoAnswer,
    ];
}

impl fmt::Display for WhyUnseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotWatched => "nothing was watching it",
            Self::NotSupported => "this system does not tell",
            Self::NotPermitted => "not permitted to look",
            Self::OutsideTheWindow => "outside the time that was watched",
            Self::EvidenceLost => "the record of it was lost",
            Self::NeverHappened => "it never happened",
            Self::NoAnswer => "it was asked for, and no answer came",
        })
    }
}
