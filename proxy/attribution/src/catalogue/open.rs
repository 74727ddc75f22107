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
    entry(
        Cause::NotRead,
        "what passed was not read",
        "no rule: it names a verdict where nothing that was read failed",
        &[],
    ),
    entry(
        Cause::NoTraffic,
        "nothing was sent",
        "no rule: it names a verdict where no request came",
        &[],
    ),
];
