//! How much longer answers take on one path than on another, with its interval.

use std::collections::BTreeMap;

use super::{ALSO, ENOUGH, RULE};
use crate::case::Case;
use crate::evidence::{PathId, PathKind, Span};
use crate::figures::real;
use crate::verdict::Finding;

/// A median and the 95 % interval of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Median {
    low: u64,
    middle: u64,
    high: u64,
}

/// The successful answers of each path that has enough of them, compared two by two.
pub(super) fn compared(case: &Case<'_>) -> Vec<Finding> {
    let mut taken: BTreeMap<PathId, Vec<u64>> = BTreeMap::new();
    let answered = case
        .evidence
        .exchanges
        .iter()
        .filter(|row| !row.delivery.failed());
    for row in answered {
        taken
            .entry(row.path)
            .or_default()
            .push(row.phases.total.as_micros());
    }
    let medians: Vec<(PathId, Median)> = taken
        .into_iter()
        .filter_map(|(path, taken)| Some((path, median(taken)?)))
        .collect();
    let mut findings = Vec::new();
    for (index, first) in medians.iter().enumerate() {
        for second in medians.iter().skip(index + 1) {
            findings.push(tell(case, *first, *second));
        }
    }
    findings
}

/// The interval by order statistics: that many of a half lie below the median whatever the distribution is.
fn median(mut taken: Vec<u64>) -> Option<Median> {
    let rows = u64::try_from(taken.len()).ok().filter(|rows| *rows >= ENOUGH)?;
    taken.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the root of a count of rows"
    )]
    let reach = (0.98 * real(rows).sqrt()).ceil() as usize;
    let half = taken.len() / 2;
    Some(Median {
        low: *taken.get(half.saturating_sub(reach))?,
        middle: *taken.get(half)?,
        high: *taken.get((half + reach).min(taken.len() - 1))?,
    })
}

fn tell(case: &Case<'_>, first: (PathId, Median), second: (PathId, Median)) -> Finding {
    // The slower one is named first, so that the difference is a positive number.
    let (slow, fast) = if first.1.middle >= second.1.middle {
        (first, second)
    } else {
        (second, first)
    };
    let low = real(slow.1.low) - real(fast.1.high);
    let high = real(slow.1.high) - real(fast.1.low);
    let tunnel = case.kind(slow.0) == PathKind::Tunnel;
    let what = if low <= 0.0 {
        "no difference is shown".to_owned()
    } else {
        format!(
            "path {} is slower by {} to {}{}",
            case.path_name(slow.0),
            Span::from_micros(slow.1.low.saturating_sub(fast.1.high)),
            Span::from_micros(slow.1.high.saturating_sub(fast.1.low)),
            if tunnel {
                format!("; {ALSO}")
            } else {
                String::new()
            }
        )
    };
    Finding {
        rule: RULE.name,
        statement: format!(
            "Half of the good answers took {} or less on path {}, {} on path {}: {what}.",
            Span::from_micros(slow.1.middle),
            case.path_name(slow.0),
            Span::from_micros(fast.1.middle),
            case.path_name(fast.0),
        ),
        numbers: vec![
            ("slower_median_seconds", real(slow.1.middle) / 1e6),
            ("faster_median_seconds", real(fast.1.middle) / 1e6),
            ("difference_low_seconds", low / 1e6),
            ("difference_high_seconds", high / 1e6),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_median_holds_it_and_narrows_with_rows() {
        let of = |rows: u64| median((0..rows).map(|n| n * 1_000_000 / rows).collect());
        let (few, many) = (
            of(200).map(|m| m.high - m.low),
            of(20_000).map(|m| m.high - m.low),
        );
        assert!(few > many, "{few:?} {many:?}");
        assert_eq!(of(10), None);
    }
}
