//! Whether failures hang on the route.
//!
//! A tunnel carries bytes and does not know routes: if it lost a share of all requests, it would lose that share of
//! every route's. Requests of one run are not independent of each other, so the chance is also given for a few of them.

use super::Said;
use crate::chance::{binomial_at_most, none_among, words};
use crate::summary::{Group, GroupsFrom, Summary};
use hopscope_text::figures::{grouped, percent, ratio};

/// Groups smaller than this are left out: they prove nothing by being clean.
const SMALLEST: u64 = 5;
/// A contrast that chance would bring about less often than this, even with few independent requests, counts.
const SURPRISE: f64 = -4.0;

/// Whether a group that failed at this share hardly failed, in a run that failed at that overall share.
pub(crate) fn is_clean(share: f64, overall: f64) -> bool {
    share < overall / 4.0
}

/// Adds what the groups say. True when failures hang on the route.
pub(super) fn by_group(summary: &Summary, says: &mut Vec<Said>) -> bool {
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
        return false;
    };
    if groups.len() < 2 {
        return false;
    }
    let share = |group: &Group| ratio(group.failed, group.all()).unwrap_or(0.0);
    let (clean, failing): (Vec<&Group>, Vec<&Group>) =
        groups.iter().partition(|group| is_clean(share(group), overall));
    let (clean_all, clean_failed) = (sum(&clean, Group::all), sum(&clean, |group| group.failed));
    let independent = (clean_all / 50).max(20).min(clean_all);
    let expected_failed = independent * clean_failed / clean_all.max(1);
    let few = binomial_at_most(expected_failed, independent, overall);
    if clean.is_empty() || few > SURPRISE {
        says.push(alike(&groups, overall));
        return false;
    }
    let chance = if clean_failed == 0 {
        none_among(clean_all, failed, all)
    } else {
        binomial_at_most(clean_failed, clean_all, overall)
    };
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
        caveat: Some(caveat(summary)),
    });
    if let Some(said) = one_cause(&failing) {
        says.push(said);
    }
    true
}

fn caveat(summary: &Summary) -> String {
    let mut caveat = match summary.clean_while_others_failed {
        Some(overlapping) if overlapping > 0 => format!(
            "{} of the clean ones ended in a second in which others failed, so it was not another time. It holds if \
             their sizes are alike.",
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
        GroupsFrom::Checks => caveat.push_str(" The parts are k6 checks, which need not be one a request."),
        GroupsFrom::Requests | GroupsFrom::Nothing => {}
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
