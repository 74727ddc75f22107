//! Times as generators write them: `1m2.5s`, `984.5ms`, `838.82µs`, `1.20s`, `870.00us`.

/// Seconds; `None` when it is not such a time.
pub(super) fn seconds(text: &str) -> Option<f64> {
    let mut rest = text.trim();
    if rest.is_empty() || rest.len() > 64 {
        return None;
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        total += value
            * match rest.get(..unit)? {
                "h" => 3_600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                // The micro sign and the Greek letter look alike.
                "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = rest.get(unit..)?;
    }
    total.is_finite().then_some(total)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_of_every_generator_are_read() {
        let close = |text: &str, expected: f64| {
            let read = seconds(text).unwrap_or_else(|| panic!("{text}"));
            assert!((read - expected).abs() < 1e-12, "{text}: {read}");
        };
        close("1m2.5s", 62.5);
        close("984.5ms", 0.9845);
        close("838.82µs", 0.000_838_82);
        close("870.00us", 0.000_87);
        close("854ns", 854e-9);
        close("0s", 0.0);
        close("2h0m1s", 7_201.0);
        for wrong in ["", "s", "1", "1.2.3s", "-1s", "1x", "1e999s", "NaN", "∞s", "µ"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
