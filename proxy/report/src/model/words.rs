//! How hops, causes and what lies between hops are written.

use hopscope_attribution::between::Between;
use hopscope_attribution::cause::Cause;
use hopscope_attribution::hop::Hop;
use serde::Serializer;

/// The two hops that an open charge is left between, as `lb or backend`; `None` where there are none.
pub fn either(between: Between) -> Option<String> {
    let hops: Vec<&str> = between.hops().iter().map(|hop| hop.word()).collect();
    (!hops.is_empty()).then(|| hops.join(" or "))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
pub(super) fn is_any(between: &Between) -> bool {
    between.hops().is_empty()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
pub(super) fn between<S: Serializer>(between: &Between, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(between.hops().iter().map(|hop| hop.word()))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
pub(super) fn hop<S: Serializer>(hop: &Hop, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(hop.word())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
pub(super) fn cause<S: Serializer>(cause: &Cause, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(cause.word())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
#[expect(clippy::ref_option, reason = "the signature is serde's")]
pub(super) fn hop_or_none<S: Serializer>(hop: &Option<Hop>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(hop.map_or("none", Hop::word))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
#[expect(clippy::ref_option, reason = "the signature is serde's")]
pub(super) fn cause_or_null<S: Serializer>(cause: &Option<Cause>, serializer: S) -> Result<S::Ok, S::Error> {
    match cause {
        Some(cause) => serializer.serialize_some(cause.word()),
        None => serializer.serialize_none(),
    }
}
