//! Intervals of shares: Wilson's for one, Newcombe's for the difference of two.

use crate::figures::{real, share};

/// Two-sided 95 %.
const Z: f64 = 1.96;

/// Wilson's score interval of a share, 95 %.
pub(crate) fn wilson(part: u64, whole: u64) -> (f64, f64) {
    if whole == 0 {
        return (0.0, 1.0);
    }
    let n = real(whole);
    let p = share(part.min(whole), whole);
    let z2 = Z * Z;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt() / (1.0 + z2 / n);
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// Newcombe's interval of the difference of two shares, first less second, 95 %.
pub(crate) fn difference(first: (u64, u64), second: (u64, u64)) -> (f64, f64) {
    let (p1, p2) = (share(first.0, first.1), share(second.0, second.1));
    let (l1, u1) = wilson(first.0, first.1);
    let (l2, u2) = wilson(second.0, second.1);
    let low = p1 - p2 - ((p1 - l1).powi(2) + (u2 - p2).powi(2)).sqrt();
    let high = p1 - p2 + ((u1 - p1).powi(2) + (p2 - l2).powi(2)).sqrt();
    (low.max(-1.0), high.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_agree_with_published_examples() {
        // Newcombe 1998, table II (a): 56/70 and 48/80 give 0.0524 to 0.3339 by the score method.
        let (low, high) = difference((56, 70), (48, 80));
        assert!(
            (low - 0.0524).abs() < 5e-4 && (high - 0.3339).abs() < 5e-4,
            "{low} {high}"
        );
        let (low, high) = wilson(81, 263);
        assert!(
            (low - 0.2553).abs() < 5e-4 && (high - 0.3662).abs() < 5e-4,
            "{low} {high}"
        );
    }

    #[test]
    fn nothing_seen_says_nothing() {
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }
}
