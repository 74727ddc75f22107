//! How likely a split is by chance alone, as powers of ten: the figures are far below what a float can hold.

use hopscope_text::figures::float;

/// Log10 of P(X ≤ k) for X binomial with n trials of chance p; 0 when that is no surprise.
pub(super) fn binomial_at_most(k: u64, n: u64, p: f64) -> f64 {
    if k >= n || p <= 0.0 || !p.is_finite() {
        return 0.0;
    }
    if p >= 1.0 {
        return f64::NEG_INFINITY;
    }
    // Below the mean the terms fall geometrically from k downwards; above it the sum is no surprise.
    if float(k) >= float(n) * p {
        return 0.0;
    }
    let log_term = ln_choose(n, k) + float(k) * p.ln() + float(n - k) * (-p).ln_1p();
    let mut sum = 1.0;
    let mut term = 1.0;
    let mut at = k;
    while at > 0 && term > sum * 1e-15 {
        // term(at - 1) / term(at)
        term *= float(at) * (1.0 - p) / (float(n - at + 1) * p);
        sum += term;
        at -= 1;
    }
    ((log_term + sum.ln()) / std::f64::consts::LN_10).min(0.0)
}

/// Log10 of the chance that none of `clean` requests is among `failed` ones drawn from `all` (hypergeometric).
pub(super) fn none_among(clean: u64, failed: u64, all: u64) -> f64 {
    if clean.saturating_add(failed) > all {
        return f64::NEG_INFINITY;
    }
    ((ln_choose(all - clean, failed) - ln_choose(all, failed)) / std::f64::consts::LN_10).min(0.0)
}

/// A power of ten for a person: `4 in 10^20`, `3 %`.
pub(super) fn words(log10: f64) -> String {
    if log10 == f64::NEG_INFINITY {
        "no chance at all".to_owned()
    } else if log10 > -2.0 {
        format!("{:.0} %", 10_f64.powf(log10) * 100.0)
    } else {
        format!("about 1 in 10^{:.0}", -log10)
    }
}

fn ln_choose(n: u64, k: u64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// Stirling's series; below 16 the product itself.
fn ln_factorial(n: u64) -> f64 {
    if n < 16 {
        return (2..=n).map(|factor| float(factor).ln()).sum();
    }
    let n = float(n);
    n * n.ln() - n + 0.5 * (2.0 * std::f64::consts::PI * n).ln() + 1.0 / (12.0 * n)
        - 1.0 / (360.0 * n * n * n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_clean_requests_at_the_original_rate_are_four_in_ten_to_the_twenty() {
        let log10 = binomial_at_most(0, 20, 0.893);
        assert!((log10 - 20.0 * 0.107_f64.log10()).abs() < 1e-9, "{log10}");
        assert_eq!(words(log10), "about 1 in 10^19");
    }

    #[test]
    fn tails_agree_with_the_sums_written_out() {
        // P(X <= 2), n = 10, p = 0.5: (1 + 10 + 45) / 1024.
        assert!((binomial_at_most(2, 10, 0.5) - (56.0_f64 / 1_024.0).log10()).abs() < 1e-6);
        // No ace in 5 of 52 cards.
        assert!(
            (none_among(4, 5, 52) - (48.0 * 47.0 * 46.0 * 45.0 * 44.0_f64 / 311_875_200.0).log10()).abs()
                < 1e-6
        );
    }

    #[test]
    fn edges_are_no_surprise_and_no_panic() {
        for p in [-1.0, 0.0, 1.0, 2.0, f64::NAN] {
            for (k, n) in [(0, 0), (0, 1), (5, 3), (u64::MAX, u64::MAX), (0, u64::MAX)] {
                assert!(binomial_at_most(k, n, p) <= 0.0);
            }
        }
        assert!(none_among(u64::MAX, u64::MAX, 3) <= 0.0);
        assert!((none_among(0, 0, 0)).abs() < 1e-9);
    }
}
