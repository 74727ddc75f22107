//! Whether two runs had the same load: a difference between runs that had not need not be the system's.

use std::collections::BTreeSet;

use hopscope_text::figures::{float, percent};

use super::Side;
use crate::model::Report;

/// Rates that differ by more are not the same load.
const RATE: f64 = 0.2;
/// Mixtures of routes that differ in more of the requests are not the same load.
const MIXTURE: f64 = 0.1;

/// How the loads differ, in words.
pub(super) fn differences(old: (&Side, &Report), new: (&Side, &Report)) -> Vec<String> {
    let mut differs = Vec::new();
    let rate = |side: &Side| float(side.requests()) / f64::from(side.seconds.max(1));
    let (before, now) = (rate(old.0), rate(new.0));
    if (now - before).abs() > RATE * before.max(now) {
        differs.push(format!("{before:.1} requests/s then, {now:.1} now"));
    }
    let apart = apart(old.0, new.0);
    if apart > MIXTURE {
        differs.push(format!("other routes in {} of the requests", percent(apart)));
    }
    let kinds = |report: &Report| -> BTreeSet<&'static str> {
        report.run.paths.iter().map(|path| path.kind).collect()
    };
    let (before, now) = (kinds(old.1), kinds(new.1));
    if before != now {
        let words = |kinds: BTreeSet<&'static str>| kinds.into_iter().collect::<Vec<_>>().join(" and ");
        differs.push(format!("over {} then, over {} now", words(before), words(now)));
    }
    differs
}

/// The share of requests that one run spent on other routes than the other (total variation distance).
fn apart(old: &Side, new: &Side) -> f64 {
    let all = |side: &Side| {
        float(
            side.routes
                .values()
                .fold(0_u64, |sum, of| sum.saturating_add(*of))
                .max(1),
        )
    };
    let (of_old, of_new) = (all(old), all(new));
    let routes: BTreeSet<&String> = old.routes.keys().chain(new.routes.keys()).collect();
    let share =
        |side: &Side, route: &String, of: f64| float(side.routes.get(route).copied().unwrap_or(0)) / of;
    let differences = routes
        .into_iter()
        .map(|route| (share(old, route, of_old) - share(new, route, of_new)).abs());
    differences.sum::<f64>() / 2.0
}
