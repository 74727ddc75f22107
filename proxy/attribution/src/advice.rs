//! What to do next, most useful first.

use crate::case::Case;
use crate::verdict::{Advice, HopCharge};

pub(crate) fn of(case: &Case<'_>, hops: &[HopCharge]) -> Vec<Advice> {
    let _ = (case, hops);
    Vec::new()
}
