//! Figures as a person reads them: grouped digits, shares, times, bytes, dates.

use hopscope_attribution::evidence::Span;
use jiff::Timestamp;

/// A count as a float, for ratios.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts above 2^53 do not occur, and ratios do not need them"
)]
pub fn float(count: u64) -> f64 {
    count as f64
}

/// `part / whole`, unless the whole is nothing.
pub fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| float(part) / float(whole))
}

/// Rounded to six decimals, so that a report's bytes do not hang on the last bit; what is not finite is nothing.
pub fn rounded(value: f64) -> Option<f64> {
    value.is_finite().then(|| {
        let rounded = (value * 1e6).round() / 1e6;
        // Values too large to be scaled have no decimals to lose. Adding zero turns -0 into 0.
        if rounded.is_finite() { rounded + 0.0 } else { value }
    })
}

/// `29,826`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `29,826 requests`, `1 request`.
pub fn counted(count: u64, one: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {one}{plural}", grouped(count))
}

/// `11 requests and 2 connects were under way when the load ended`; `None` where none was.
pub fn under_way(requests: u64, connects: u64) -> Option<String> {
    let what = match (requests, connects) {
        (0, 0) => return None,
        (requests, 0) => counted(requests, "request"),
        (0, connects) => counted(connects, "connect"),
        (requests, connects) => format!(
            "{} and {}",
            counted(requests, "request"),
            counted(connects, "connect")
        ),
    };
    let were = if requests.saturating_add(connects) == 1 {
        "was"
    } else {
        "were"
    };
    Some(format!(
        "{what} {were} under way when the load ended, counted as neither answered nor failed"
    ))
}

/// `89.3 %`. What is not nothing is never shown as `0 %`, and what is not all never as `100 %`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if share.is_nan() {
        "–".to_owned()
    } else if share <= 0.0 {
        "0 %".to_owned()
    } else if share >= 1.0 {
        "100 %".to_owned()
    } else if percent < 0.01 {
        "< 0.01 %".to_owned()
    } else if percent < 1.0 {
        format!("{percent:.2} %")
    } else if percent > 99.99 {
        "> 99.99 %".to_owned()
    } else if percent >= 99.0 {
        format!("{percent:.2} %")
    } else {
        format!("{percent:.1} %")
    }
}

/// A confidence: two digits are all it can carry, and it is never shown as certainty.
pub fn confidence(share: f64) -> String {
    if share > 0.99 {
        "> 99 %".to_owned()
    } else {
        format!("{:.0} %", share * 100.0)
    }
}

/// `7.8 ms`, or a dash for what was not measured.
pub fn time(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "–".to_owned(), |seconds| span(seconds).to_string())
}

/// Seconds as whole microseconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes an integer by saturation"
)]
pub fn span(seconds: f64) -> Span {
    Span::from_micros((seconds * 1e6).round() as u64)
}

/// A run's length: `41 s`, `7 min 0 s`, `2 h 5 min`.
pub fn length(seconds: f64) -> String {
    let whole = span(seconds).as_micros() / 1_000_000;
    match whole {
        0..10 => time(Some(seconds)),
        10..60 => format!("{whole} s"),
        60..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
    }
}

/// `1.5 MB`, in powers of ten.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if count < 1_000 {
        return format!("{count} B");
    }
    let mut value = float(count);
    let mut unit = "B";
    for next in UNITS {
        if value < 999.95 {
            break;
        }
        value /= 1e3;
        unit = next;
    }
    if value < 10.0 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// RFC 3339 in UTC with milliseconds, from microseconds since 1970; the last moment of the year 9999 for any later one.
pub fn rfc3339(unix_us: u64) -> String {
    let moment = i64::try_from(unix_us)
        .ok()
        .and_then(|micros| Timestamp::from_microsecond(micros).ok())
        .unwrap_or(Timestamp::MAX);
    format!("{moment:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!(
            [0, 999, 1_000, 29_826, 1_234_567].map(grouped).join(" "),
            "0 999 1,000 29,826 1,234,567"
        );
        assert_eq!(counted(1, "request"), "1 request");
    }

    #[test]
    fn a_share_that_is_not_nothing_is_never_shown_as_nothing() {
        assert_eq!(
            [0.0, 1e-9, 0.0042, 0.893, 0.9999, 0.999_999, 1.0]
                .map(percent)
                .join(" | "),
            "0 % | < 0.01 % | 0.42 % | 89.3 % | 99.99 % | > 99.99 % | 100 %"
        );
        assert_eq!([0.985, 1.0].map(confidence).join(" "), "98 % > 99 %");
    }

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_000_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(1_735_689_599_999_000), "2024-12-31T23:59:59.999Z");
        assert_eq!(rfc3339(4_107_542_400_000_000), "2100-03-01T00:00:00.000Z");
        assert!(
            rfc3339(u64::MAX).starts_with("9999-12-3"),
            "{}",
            rfc3339(u64::MAX)
        );
    }

    #[test]
    fn bytes_and_lengths_keep_two_figures() {
        assert_eq!(
            [999, 1_500, 999_960, 48_000_000].map(bytes).join(" "),
            "999 B 1.5 kB 1.0 MB 48 MB"
        );
        assert_eq!(
            [3.25, 41.0, 421.4, 7_500.0].map(length).join(", "),
            "3.25 s, 41 s, 7 min 1 s, 2 h 5 min"
        );
    }

    #[test]
    fn what_is_not_finite_becomes_null_and_minus_zero_becomes_zero() {
        assert_eq!(rounded(f64::NAN), None);
        assert_eq!(rounded(f64::INFINITY), None);
        assert_eq!(rounded(-0.000_000_1).map(f64::to_bits), Some(0.0_f64.to_bits()));
        assert_eq!(rounded(1e305), Some(1e305));
        assert_eq!(rounded(0.123_456_78), Some(0.123_457));
    }
}
