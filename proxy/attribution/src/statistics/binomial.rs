//! Tails of the binomial and the hypergeometric distribution, summed in logarithms.

use crate::figures::length;

/// Probability of at least `successes` in `trials` independent trials that succeed with `probability` each.
pub(crate) fn upper_tail(trials: usize, successes: usize, probability: f64) -> f64 {
    if successes == 0 {
        return 1.0;
    }
    if successes > trials || probability.is_nan() || probability <= 0.0 {
        return 0.0;
    }
    if probability >= 1.0 {
        return 1.0;
    }
    let mut term = ln_choose(trials, successes)
        + length(successes) * probability.ln()
        + length(trials - successes) * (-probability).ln_1p();
    let odds = probability.ln() - (-probability).ln_1p();
    let mut sum = term.exp();
    for next in successes + 1..=trials {
        term += (length(trials - next + 1) / length(next)).ln() + odds;
        let add = term.exp();
        sum += add;
        if add < sum * 1e-16 && length(next) > length(trials) * probability {
            break;
        }
    }
    sum.min(1.0)
}

/// Probability that none of `drawn`, drawn at random from `total` of which `marked` are marked, is marked: that a
/// failure which strikes blindly spares a whole group.
pub(crate) fn none_drawn(total: u64, marked: u64, drawn: u64) -> f64 {
    if marked == 0 || drawn == 0 {
        return 1.0;
    }
    if marked.saturating_add(drawn) > total {
        return 0.0;
    }
    let (total, marked, drawn) = (as_real(total), as_real(marked), as_real(drawn));
    let ln = ln_factorial(total - marked) + ln_factorial(total - drawn)
        - ln_factorial(total)
        - ln_factorial(total - marked - drawn);
    ln.exp().min(1.0)
}

fn as_real(number: u64) -> f64 {
    crate::figures::real(number)
}

fn ln_choose(n: usize, k: usize) -> f64 {
    ln_factorial(length(n)) - ln_factorial(length(k)) - ln_factorial(length(n - k))
}

/// ln n! by Stirling's series after shifting small arguments; good to about 1e-10.
fn ln_factorial(n: f64) -> f64 {
    let mut x = n + 1.0;
    let mut shift = 0.0;
    while x < 16.0 {
        shift += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let series = inverse / 12.0 - inverse.powi(3) / 360.0 + inverse.powi(5) / 1260.0;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_agree_with_sums_done_by_hand() {
        assert!((upper_tail(10, 10, 0.5) - 0.5_f64.powi(10)).abs() < 1e-12);
        assert!((upper_tail(3, 2, 0.5) - 0.5).abs() < 1e-9);
        assert!((upper_tail(4, 1, 0.25) - (1.0 - 0.75_f64.powi(4))).abs() < 1e-9);
        assert!((upper_tail(5, 0, 0.1) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_blind_failure_hardly_ever_spares_twenty_of_a_thousand() {
        // 893 of 1,000 fail: 107/1000 * 106/999 * ... for twenty draws.
        let by_hand: f64 = (0..20_u32)
            .map(|i| f64::from(107 - i) / f64::from(1000 - i))
            .product();
        let p = none_drawn(1_000, 893, 20);
        assert!((p / by_hand - 1.0).abs() < 1e-6, "{p} against {by_hand}");
    }
}
