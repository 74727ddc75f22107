//! 429: whether the limit counts all of a tunnel's traffic as one client.

use std::collections::BTreeMap;

use super::Rule;
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::evidence::{PathId, PathKind};
use crate::failure::What;
use crate::figures::{count, counted, length, percent, real};
use crate::statistics::interval::difference;
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "rate-limit",
    symptom: "answers of status 429",
    evidence: "how many requests were let through in each second while more were offered; the share of 429 on other paths",
    verdict: "none of its own: it says of backend-rate-limited whether the limit is a fixed rate, and whether a tunnel makes all users one client",
    proves: "a constant number is let through however many are offered; that a tunnel path is limited and another is not",
    cannot_prove: "what the limit counts by, without a second path or a second source address",
    apply,
};

fn apply(case: &mut Case<'_>) {
    let limited =
        |failure: &crate::failure::Failure| matches!(failure.what, What::Answered { status: 429, .. });
    let mut by_path: BTreeMap<PathId, BTreeMap<u32, u64>> = BTreeMap::new();
    for failure in case.failures.iter().filter(|failure| limited(failure)) {
        *by_path
            .entry(failure.path)
            .or_default()
            .entry(failure.at.second())
            .or_default() += 1;
    }
    let totals: BTreeMap<PathId, u64> = by_path
        .iter()
        .map(|(path, seconds)| (*path, seconds.values().sum()))
        .collect();
    for (path, seconds) in &by_path {
        steady(case, *path, seconds);
        if case.kind(*path) == PathKind::Tunnel {
            one_client(case, *path, &totals);
        }
    }
}

/// Whether about as many get through in every limited second, however many are offered.
fn steady(case: &mut Case<'_>, path: PathId, limited: &BTreeMap<u32, u64>) {
    let mut offered: BTreeMap<u32, u64> = BTreeMap::new();
    for cell in case.evidence.traffic.iter().filter(|cell| cell.path == path) {
        let sum = offered.entry(cell.second).or_default();
        *sum = sum.saturating_add(cell.requests);
    }
    let through: Vec<f64> = limited
        .iter()
        .filter_map(|(second, refused)| offered.get(second).map(|all| real(all.saturating_sub(*refused))))
        .collect();
    if through.len() < 5 {
        return;
    }
    let mean = through.iter().sum::<f64>() / length(through.len());
    let variance = through.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / length(through.len());
    if mean < 1.0 || variance.sqrt() > mean * 0.2 {
        return;
    }
    let statement = format!(
        "In {} with 429s, {mean:.0} requests a second were let through on path {}, give or take {:.0}, however many were offered: a fixed rate.",
        counted(u64::try_from(through.len()).unwrap_or(0), "second", "seconds"),
        case.path_name(path),
        variance.sqrt()
    );
    let numbers = vec![("admitted_per_second", mean)];
    case.note(
        About::Cause(Cause::BackendRateLimited),
        Speaks::For,
        Finding {
            rule: RULE.name,
            statement,
            numbers,
        },
    );
}

/// Compares a tunnel, where every user is 127.0.0.1 to the application, with the other paths.
fn one_client(case: &mut Case<'_>, path: PathId, totals: &BTreeMap<PathId, u64>) {
    let here = totals.get(&path).copied().unwrap_or(0);
    let (requests, _) = case.requests(path);
    let others: Vec<PathId> = (0..case.evidence.paths.len())
        .filter_map(|index| u8::try_from(index).ok().map(PathId))
        .filter(|other| *other != path && case.kind(*other) != PathKind::Tunnel)
        .filter(|other| case.requests(*other).0 >= 100)
        .collect();
    for other in &others {
        let there = totals.get(other).copied().unwrap_or(0);
        let (other_requests, _) = case.requests(*other);
        let (low, _) = difference(
            (here.min(requests), requests),
            (there.min(other_requests), other_requests),
        );
        if low > 0.0 {
            let statement = format!(
                "429 on path {}: {} of {} ({}); on path {}: {} of {} ({}). Through a tunnel all users come from 127.0.0.1, so a limit by address counts them as one client.",
                case.path_name(path),
                count(here),
                count(requests),
                percent(here, requests),
                case.path_name(*other),
                count(there),
                count(other_requests),
                percent(there, other_requests)
            );
            let numbers = vec![("tunnel_limited", real(here)), ("other_limited", real(there))];
            case.note(
                About::Cause(Cause::BackendRateLimited),
                Speaks::For,
                Finding {
                    rule: RULE.name,
                    statement,
                    numbers,
                },
            );
        }
    }
    if others.is_empty() {
        case.ask(
            format!(
                "Does the rate limit count all of path {} as one client? To the application every user of a tunnel is 127.0.0.1.",
                case.path_name(path)
            ),
            format!(
                "hopscope run --via {}={} --via lb=http://HOST:PORT -- COMMAND",
                case.path_name(path),
                case.path_target(path)
            ),
        );
    }
}
