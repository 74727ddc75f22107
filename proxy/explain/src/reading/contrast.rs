//! Whether failures hang on the route.
//!
//! A tunnel carries bytes and does not know routes: if it lost a share of all requests, it would lose that share of
//! every route's. Requests of one run are not independent of each other, so the chance is also given for a few of them.

use super::Said;
use crate::chance::{binomial_at_most, none_among, words};
use crate::summary::{Group, GroupsFrom, Summary};
use hopscope_text::figures::{counted, grouped, percent, ratio};

/// Groups smaller than this are left out: they prove nothing by being clean.
const SMALLEST: u64 = 5;
/// A contrast that chance would bring about less often than this, even with few independent requests, counts.
const SURPRISE: f64 = -4.0;

/// Whether a group that failed at this share hardly failed, in a run that failed at that overall share.
pub(crate) fn is_clean(share: f64, overall: f64) -> bool {
    share < overall / 4.0
}

/// What the division of the requests shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contrast {
    /// No difference beyond chance, or none that is one between requests.
    None,
    /// A difference that may have another reason than the route.
    Weak,
    /// Failures hang on the route.
    Decisive,
}

/// Clean requests must be this share of all before they stand for the path: a login at the start of a run is none.
const SHARE_OF_ALL: f64 = 0.05;
/// Clean requests must have succeeded in this many seconds in which others failed: within one second a path may have broken.
const SECONDS: u64 = 3;

/// Adds what the groups say.
pub(super) fn by_group(summary: &Summary, says: &mut Vec<Said>) -> Contrast {
    if summary.bytes_received == Some(0) {
        return Contrast::None;
    }
    let uncounted = match summary.groups_from {
        GroupsFrom::Nothing => return Contrast::None,
        GroupsFrom::Checks => match uncounted(summary, says) {
            Some(uncounted) => uncounted,
            None => return Contrast::None,
        },
        GroupsFrom::Requests | GroupsFrom::Groups | GroupsFrom::Scenarios | GroupsFrom::Tags => 0,
    };
    let groups: Vec<&Group> = summary
        .groups
        .iter()
        .filter(|group| group.all() >= SMALLEST)
        .collect();
    let sum = |groups: &[&Group], of: fn(&Group) -> u64| {
        groups
            .iter()
            .fold(0_u64, |sum, group| sum.saturating_add(of(group)))
    };
    let (all, failed) = (sum(&groups, Group::all), sum(&groups, |group| group.failed));
    let Some(overall) = ratio(failed, all).filter(|share| *share > 0.0) else {
        return Contrast::None;
    };
    if groups.len() < 2 {
        return Contrast::None;
    }
    let share = |group: &Group| ratio(group.failed, group.all()).unwrap_or(0.0);
    let (clean, failing): (Vec<&Group>, Vec<&Group>) =
        groups.iter().partition(|group| is_clean(share(group), overall));
    let (clean_all, clean_failed) = (sum(&clean, Group::all), sum(&clean, |group| group.failed));
    // At worst all failures that no group counts are the clean ones'.
    let worst = clean_failed.saturating_add(uncounted).min(clean_all);
    let overall = ratio(failed.saturating_add(uncounted).min(all), all).unwrap_or(overall);
    let independent = (clean_all / 50).max(20).min(clean_all);
    let expected_failed = independent.saturating_mul(worst) / clean_all.max(1);
    let few = binomial_at_most(expected_failed, independent, overall);
    let chance = if worst == 0 {
        none_among(clean_all, failed, all)
    } else {
        binomial_at_most(worst, clean_all, overall)
    };
    if clean.is_empty() || chance > SURPRISE {
        says.push(alike(&groups, overall));
        return Contrast::None;
    }
    if few > SURPRISE {
        says.push(too_few(&clean, &failing, independent));
        return Contrast::None;
    }
    let few = if independent < clean_all {
        format!(
            "; if only {independent} of these {} are independent of each other, {}",
            grouped(clean_all),
            words(few)
        )
    } else {
        String::new()
    };
    says.push(Said {
        rule: "route-contrast",
        statement: format!(
            "{} failed {} of {}, while {} failed {} of {} ({}). Had something that does not know routes lost {} of \
             everything, the chance that the first come out so well is {}{few}.",
            names(&clean),
            grouped(clean_failed),
            grouped(clean_all),
            names(&failing),
            grouped(failed.saturating_sub(clean_failed)),
            grouped(all.saturating_sub(clean_all)),
            range(&failing),
            percent(overall),
            words(chance),
        ),
        caveat: Some(caveat(summary, uncounted)),
    });
    if let Some(said) = one_cause(&failing) {
        says.push(said);
    }
    let enough = ratio(clean_all, all).is_some_and(|share| share >= SHARE_OF_ALL);
    if enough && ran_together(summary) {
        Contrast::Decisive
    } else {
        Contrast::Weak
    }
}

/// Whether the clean requests may be taken to have run while the others failed.
fn ran_together(summary: &Summary) -> bool {
    match summary.groups_from {
        // Scenarios may run one behind the other, and a tag may be a scenario's.
        GroupsFrom::Nothing | GroupsFrom::Scenarios | GroupsFrom::Tags => false,
        GroupsFrom::Checks | GroupsFrom::Requests | GroupsFrom::Groups => {
            match (summary.clean_while_others_failed, summary.clean_seconds) {
                (Some(clean), Some(seconds)) => clean >= SMALLEST && seconds >= SECONDS,
                (Some(_), None) => false,
                (None, _) => true,
            }
        }
    }
}

/// Whether the checks may stand for requests, and how many failures none of them counts. They may where each request can
/// only have had one: they were evaluated as often as there were requests, and no two of them equally often.
fn uncounted(summary: &Summary, says: &mut Vec<Said>) -> Option<u64> {
    let (requests, failed) = (summary.requests?, summary.failed?);
    let sum = |of: fn(&Group) -> u64| {
        summary
            .groups
            .iter()
            .fold(0_u64, |sum, check| sum.saturating_add(of(check)))
    };
    let (evaluated, failed_checks) = (sum(Group::all), sum(|check| check.failed));
    if evaluated > requests {
        if failed_checks > 0 {
            says.push(Said {
                rule: "checks-overlap",
                statement: format!(
                    "The checks were evaluated {} times for {}: several look at the same answer, so a difference \
                     between two checks is none between two routes.",
                    grouped(evaluated),
                    counted(requests, "request"),
                ),
                caveat: None,
            });
        }
        return None;
    }
    let mut sizes: Vec<u64> = summary.groups.iter().map(Group::all).collect();
    sizes.sort_unstable();
    let distinct = sizes.windows(2).all(|pair| pair.first() != pair.last());
    if evaluated == requests && distinct {
        return Some(failed.saturating_sub(failed_checks));
    }
    // Alike they say the same whatever they look at; different they say nothing.
    let overall = ratio(failed_checks, evaluated).filter(|overall| *overall > 0.0)?;
    let share = |check: &Group| ratio(check.failed, check.all()).unwrap_or(0.0);
    summary
        .groups
        .iter()
        .all(|check| !is_clean(share(check), overall))
        .then_some(0)
}

fn caveat(summary: &Summary, uncounted: u64) -> String {
    let mut caveat = match summary.clean_while_others_failed {
        Some(overlapping) if overlapping > 0 && summary.clean_seconds.unwrap_or(0) >= SECONDS => format!(
            "{} of the clean ones ended in a second in which others failed, so it was not another time. It holds if \
             their sizes are alike.",
            grouped(overlapping)
        ),
        Some(overlapping) if overlapping > 0 => format!(
            "{} of the clean ones ended in a second in which others failed, in fewer than {SECONDS} such seconds: the \
             path may have broken within one, and then this says nothing.",
            grouped(overlapping)
        ),
        Some(_) => "None of the clean ones ended in a second in which others failed: it may have been another time, \
                    and then this says nothing."
            .to_owned(),
        None => "It holds if the clean ones ran at the same time and their sizes are alike, which this result does \
                 not say."
            .to_owned(),
    };
    match summary.groups_from {
        GroupsFrom::Checks => {
            caveat.push_str(
                " The parts are k6 checks: they were evaluated as often as there were requests, which fits one a request \
                 and does not prove it.",
            );
            if uncounted > 0 {
                caveat.push_str(" The chance holds even if all ");
                caveat.push_str(&counted(uncounted, "failure"));
                caveat.push_str(" that no check counts were the clean ones'.");
            }
        }
        GroupsFrom::Scenarios => {
            caveat.push_str(" The parts are scenarios, which may run one behind the other.");
        }
        GroupsFrom::Tags => {
            caveat.push_str(" The parts are a tag of the script's own, which may be a scenario's.");
        }
        GroupsFrom::Requests | GroupsFrom::Groups | GroupsFrom::Nothing => {}
    }
    caveat
}

/// Failing groups that fail at the same share point to one cause that they have in common.
fn one_cause(failing: &[&Group]) -> Option<Said> {
    let shares = || {
        failing
            .iter()
            .filter_map(|group| ratio(group.failed, group.all()))
    };
    let (least, most) = (shares().reduce(f64::min)?, shares().reduce(f64::max)?);
    (failing.len() >= 2 && most - least < 0.05).then(|| Said {
        rule: "one-cause",
        statement: format!(
            "The {} failing ones fail alike ({}): one thing that they share behind the application's door explains \
             that better than {} separate faults.",
            failing.len(),
            range(failing),
            failing.len()
        ),
        caveat: None,
    })
}

fn alike(groups: &[&Group], overall: f64) -> Said {
    Said {
        rule: "routes-alike",
        statement: format!(
            "Failures do not hang on the route beyond chance: {} over {} of them ({} overall).",
            range(groups),
            groups.len(),
            percent(overall)
        ),
        caveat: Some(
            "That fits a tunnel that loses connections, and as well a gateway or database that all routes need."
                .to_owned(),
        ),
    }
}

/// A difference that chance would not make of independent requests, and would of as many as are certain to be independent.
fn too_few(clean: &[&Group], failing: &[&Group], independent: u64) -> Said {
    let sum = |groups: &[&Group], of: fn(&Group) -> u64| {
        groups
            .iter()
            .fold(0_u64, |sum, group| sum.saturating_add(of(group)))
    };
    Said {
        rule: "routes-differ-little",
        statement: format!(
            "{} failed {} of {}, and {} failed {} of {}. Requests of one run are not independent of each other: of \
             {independent} that are, that many more would fail by chance alone, so nothing follows.",
            names(clean),
            grouped(sum(clean, |group| group.failed)),
            grouped(sum(clean, Group::all)),
            names(failing),
            grouped(sum(failing, |group| group.failed)),
            grouped(sum(failing, Group::all)),
        ),
        caveat: None,
    }
}

/// `93.4 % to 93.9 %`
fn range(groups: &[&Group]) -> String {
    let shares = || groups.iter().filter_map(|group| ratio(group.failed, group.all()));
    let least = percent(shares().reduce(f64::min).unwrap_or(0.0));
    let most = percent(shares().reduce(f64::max).unwrap_or(0.0));
    if least == most {
        least
    } else {
        format!("{least} to {most}")
    }
}

/// The largest four by name.
fn names(groups: &[&Group]) -> String {
    let mut by_size: Vec<_> = groups.to_vec();
    by_size.sort_by_key(|group| (std::cmp::Reverse(group.all()), &group.name));
    let shown: Vec<_> = by_size
        .iter()
        .take(4)
        .map(|group| format!("`{}`", hopscope_text::paint::cut(&group.name, 48)))
        .collect();
    let more = groups.len().saturating_sub(shown.len());
    match (shown.split_last(), more) {
        (Some((last, [])), 0) => last.clone(),
        (Some((last, before)), 0) => format!("{} and {last}", before.join(", ")),
        (Some(_), more) => format!("{} and {more} more", shown.join(", ")),
        (None, _) => "nothing".to_owned(),
    }
}
