//! How sure a rule is: a few levels with a meaning each, and the ruling that carries one.

use crate::cause::Cause;

/// Nothing else that is known to exist produces this evidence.
pub(crate) const PROVEN: f64 = 0.98;
/// Several independent facts agree, and what else could do it was looked for and not seen.
pub(crate) const STRONG: f64 = 0.90;
/// One good fact, and the alternatives are rare.
pub(crate) const GOOD: f64 = 0.80;
/// More likely than all alternatives together, not more than that.
pub(crate) const FAIR: f64 = 0.65;

/// What a rule says of one failure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ruling {
    pub(crate) cause: Cause,
    pub(crate) confidence: f64,
    /// The failure was dragged along by another one, the trigger.
    pub(crate) victim: bool,
    /// A witness contradicts what would otherwise have been concluded.
    pub(crate) contradicted: bool,
}

impl Ruling {
    pub(crate) const fn charge(cause: Cause, confidence: f64) -> Self {
        Self {
            cause,
            confidence,
            victim: false,
            contradicted: false,
        }
    }

    pub(crate) const fn victim(cause: Cause, confidence: f64) -> Self {
        Self {
            cause,
            confidence,
            victim: true,
            contradicted: false,
        }
    }

    /// Two witnesses contradict each other: nobody is charged.
    pub(crate) const fn contradiction() -> Self {
        Self {
            cause: Cause::Undetermined,
            confidence: 0.0,
            victim: false,
            contradicted: true,
        }
    }
}
