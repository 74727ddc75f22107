//! Figures as a person reads them: `29,826`, `89.30 %`, `p < 1e-12`.

/// A count with its thousands parted.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A part of a whole in per cent; a part that is not the whole never reads 100, one that is not nothing never reads 0.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let share = share(part, whole) * 100.0;
    match (part, whole) {
        (0, _) | (_, 0) => "0 %".to_owned(),
        (part, whole) if part >= whole => "100 %".to_owned(),
        _ if share >= 99.95 => "over 99.9 %".to_owned(),
        _ if share < 0.05 => "under 0.1 %".to_owned(),
        _ => format!("{share:.1} %"),
    }
}

/// A part of a whole as a share of one; 0 of nothing.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { real(part) / real(whole) }
}

/// A count as a real number.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) const fn real(number: u64) -> f64 {
    number as f64
}

/// A length as a real number.
pub(crate) fn length(number: usize) -> f64 {
    real(u64::try_from(number).unwrap_or(u64::MAX))
}

/// A probability as a bound: no more digits than it deserves.
pub(crate) fn probability(p: f64) -> String {
    if p >= 0.001 {
        format!("p = {p:.3}")
    } else if p > 1e-300 {
        format!("p < 1e{}", p.log10().ceil())
    } else {
        "p < 1e-300".to_owned()
    }
}
