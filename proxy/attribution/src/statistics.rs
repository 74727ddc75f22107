//! The statistics that the rules lean on: exact where that is cheap, deterministic always.

pub(crate) mod binomial;
pub(crate) mod interval;
pub(crate) mod permutation;
mod random;
