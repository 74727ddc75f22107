//! What is charged to nobody.

use super::{Entry, entry};
use crate::cause::Cause;

pub(super) const ENTRIES: &[Entry] = &[
    entry(
        Cause::RequestRejected,
        "they were answered with 4xx: every hop delivered",
        "the complete answer itself",
        &[],
    ),
    entry(
        Cause::Undetermined,
        "the evidence fits more than one hop",
        "no rule decides; the report names the experiment that would",
        &[],
    ),
];
