//! Reading foreign JSON without trusting its shape.

use serde_json::Value;

/// The value under these keys, one below the other.
pub(super) fn at<'a>(value: &'a Value, keys: &[&str]) -> Option<&'a Value> {
    keys.iter().try_fold(value, |value, key| value.get(key))
}

/// A count: a whole number, or a float that is one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be whole, not negative and far below 2^63"
)]
pub(super) fn count(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let float = value.as_f64()?;
        ((0.0..=9e15).contains(&float) && float.fract() == 0.0).then_some(float as u64)
    })
}

/// A finite number that is not negative.
pub(super) fn figure(value: &Value) -> Option<f64> {
    value
        .as_f64()
        .filter(|figure| figure.is_finite() && *figure >= 0.0)
}
