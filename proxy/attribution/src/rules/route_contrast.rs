//! Failures that depend on the route, and failures that only look as if they did.
//!
//! A tunnel carries bytes and knows no routes. When some routes fail and others, as large, as long and at the same
//! time, do not, the tunnel is not the direct cause. When what differs is the size, it may well be.

use std::collections::BTreeMap;

use super::Rule;
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::confidence::{FAIR, GOOD, Ruling};
use crate::evidence::{Cut, Delivery, PathId, PathKind, RouteId, Span};
use crate::failure::{Failure, What};
use crate::figures::{count, counted, percent, probability, real, share};
use crate::hop::Hop;
use crate::statistics::binomial::none_drawn;
use crate::statistics::permutation::sign_flip;
use crate::verdict::Finding;

pub(super) const ROUTES: Rule = Rule {
    name: "route-contrast",
    symptom: "some routes of a tunnel path fail, others do not",
    evidence: "exact counts per second and route; sizes and durations of what was answered; a permutation test over blocks of time, the routes parted on one half of the seconds and compared on the other",
    verdict: "backend for what the other rules left open on the failing routes; a figure that clears the tunnel for what was charged already",
    proves: "the failures follow the route, at the same time and on answers of like size, and a tunnel is blind to routes",
    cannot_prove: "anything when the failing routes are the large or the long ones; that the backend would fail without the tunnel: a per-IP limit sees one client there",
    apply: apply_routes,
};

pub(super) const SIZES: Rule = Rule {
    name: "size-contrast",
    symptom: "answers through a tunnel are cut off in the middle, on some routes more than on others",
    evidence: "bytes received before each cut, and bytes of all that was answered, by route",
    verdict: "tunnel-truncated, when the routes differ as their sizes do: the same number of cuts per byte on every route",
    proves: "the loss follows the size and not the route, so the difference between routes proves nothing against the backend",
    cannot_prove: "more than a likelihood: an application may cut large answers as well",
    apply: apply_sizes,
};

/// A block needs traffic of both groups, and a test needs this many blocks to come below one in a thousand.
const BLOCKS: usize = 10;
/// What is not accepted as chance.
const CHANCE: f64 = 0.002;

#[derive(Clone, Copy, Debug, Default)]
struct Route {
    requests: u64,
    failed: u64,
    undelivered: u64,
    training_requests: u64,
    training_failed: u64,
    answered: u64,
    bytes: u64,
    longest: Span,
}

type Routes = BTreeMap<RouteId, Route>;

fn survey(case: &Case<'_>, path: PathId) -> Routes {
    let mut routes = Routes::new();
    for cell in case.evidence.traffic.iter().filter(|cell| cell.path == path) {
        let route = routes.entry(cell.route).or_default();
        let failed = crate::case::failed_in(cell).min(cell.requests);
        route.requests = route.requests.saturating_add(cell.requests);
        route.failed = route.failed.saturating_add(failed);
        route.undelivered = route
            .undelivered
            .saturating_add(cell.undelivered.min(cell.requests));
        if cell.second % 2 == 0 {
            route.training_requests = route.training_requests.saturating_add(cell.requests);
            route.training_failed = route.training_failed.saturating_add(failed);
        }
    }
    for exchange in case
        .evidence
        .exchanges
        .iter()
        .filter(|exchange| exchange.path == path)
    {
        let Some(route) = routes.get_mut(&exchange.route) else {
            continue;
        };
        if !exchange.delivery.failed() {
            route.answered += 1;
            route.bytes = route.bytes.saturating_add(exchange.bytes_down);
            route.longest = route.longest.max(exchange.phases.total);
        }
    }
    routes
}

impl Route {
    fn typical(&self) -> f64 {
        real(self.bytes) / real(self.answered.max(1))
    }
}

/// Parts the routes at the widest gap between their rates, by the even seconds alone. `None` without a gap.
fn part(routes: &Routes) -> Option<(Vec<RouteId>, Vec<RouteId>)> {
    let mut rates: Vec<(f64, RouteId)> = routes
        .iter()
        .filter(|(_, route)| route.training_requests >= 5)
        .map(|(id, route)| (share(route.training_failed, route.training_requests), *id))
        .collect();
    rates.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let gaps = rates
        .windows(2)
        .enumerate()
        .filter_map(|(index, pair)| match pair {
            [low, high] => Some((high.0 - low.0, index + 1)),
            _ => None,
        });
    let (gap, at) = gaps.fold((0.0, 0), |best, gap| if gap.0 > best.0 { gap } else { best });
    if gap < 0.1 {
        return None;
    }
    let (clean, bad) = rates.split_at_checked(at)?;
    let ids = |rates: &[(f64, RouteId)]| rates.iter().map(|(_, id)| *id).collect();
    Some((ids(clean), ids(bad)))
}

/// What a contrast of routes came to.
struct Contrast {
    clean: Vec<RouteId>,
    bad: Vec<RouteId>,
    blocks: usize,
    p: f64,
    matched: bool,
}

fn contrast(case: &Case<'_>, path: PathId, routes: &Routes) -> Option<Contrast> {
    let (clean, bad) = part(routes)?;
    let mut seconds: BTreeMap<u32, [(u64, u64); 2]> = BTreeMap::new();
    let cells = case
        .evidence
        .traffic
        .iter()
        .filter(|cell| cell.path == path && cell.second % 2 == 1);
    for cell in cells {
        let group = match (clean.contains(&cell.route), bad.contains(&cell.route)) {
            (true, _) => 0,
            (_, true) => 1,
            (false, false) => continue,
        };
        if let Some(sums) = seconds.entry(cell.second).or_default().get_mut(group) {
            sums.0 = sums
                .0
                .saturating_add(crate::case::failed_in(cell).min(cell.requests));
            sums.1 = sums.1.saturating_add(cell.requests);
        }
    }
    let differences: Vec<f64> = seconds
        .values()
        .filter(|[clean, bad]| clean.1 > 0 && bad.1 > 0)
        .map(|[clean, bad]| share(bad.0, bad.1) - share(clean.0, clean.1))
        .collect();
    let merged = merge(&differences);
    let p = sign_flip(&merged);
    let matched = matched(case, path, routes, &clean, &bad);
    Some(Contrast {
        clean,
        bad,
        blocks: merged.len(),
        p,
        matched,
    })
}

/// At most 512 blocks: a long run gains nothing from more, and longer blocks are the more independent.
fn merge(differences: &[f64]) -> Vec<f64> {
    let per = differences.len().div_ceil(512).max(1);
    differences
        .chunks(per)
        .map(|chunk| chunk.iter().sum::<f64>() / crate::figures::length(chunk.len()))
        .collect()
}

/// Whether the clean routes carry answers as large and as long as the failing ones, so that neither explains.
fn matched(case: &Case<'_>, path: PathId, routes: &Routes, clean: &[RouteId], bad: &[RouteId]) -> bool {
    let of = |ids: &[RouteId]| {
        ids.iter()
            .filter_map(|id| routes.get(id))
            .copied()
            .collect::<Vec<_>>()
    };
    let (clean, bad_routes) = (of(clean), of(bad));
    let largest_clean = clean.iter().map(Route::typical).fold(0.0, f64::max);
    let smallest_bad = bad_routes
        .iter()
        .filter(|route| route.answered > 0)
        .map(Route::typical)
        .fold(f64::MAX, f64::min);
    let size = smallest_bad < f64::MAX && largest_clean * 2.0 >= smallest_bad;
    let mut ages: Vec<Span> = case
        .failures
        .iter()
        .filter(|failure| {
            failure.path == path && case.exchange(failure).is_some_and(|e| bad.contains(&e.route))
        })
        .map(Failure::age)
        .collect();
    ages.sort_unstable();
    let typical_age = ages.get(ages.len() / 2).copied().unwrap_or_default();
    let longest_clean = clean.iter().map(|route| route.longest).max().unwrap_or_default();
    let duration = typical_age < Span(1_000_000) || longest_clean.0.saturating_mul(2) >= typical_age.0;
    size && duration
}

fn apply_routes(case: &mut Case<'_>) {
    for path in case.paths_of(PathKind::Tunnel) {
        let routes = survey(case, path);
        let Some(contrast) = contrast(case, path, &routes) else {
            continue;
        };
        if contrast.blocks < BLOCKS || contrast.p > CHANCE {
            continue;
        }
        if contrast.matched {
            let bad = contrast.bad.clone();
            case.judge_where(
                ROUTES.name,
                |failure| failure.path == path && failure.is_open(),
                |case, failure| {
                    let exchange = case.exchange(failure)?;
                    bad.contains(&exchange.route)
                        .then_some(Ruling::charge(behind(failure.what)?, GOOD))
                },
            );
        }
        tell(case, path, &routes, &contrast);
    }
}

/// What the backend did, when it was the backend.
const fn behind(what: What) -> Option<Cause> {
    match what {
        What::Broken { begun, by } => match by {
            Cut::UpstreamFin if begun => Some(Cause::BackendTruncated),
            Cut::UpstreamFin | Cut::UpstreamReset => Some(Cause::BackendReset),
            Cut::DownstreamFin | Cut::DownstreamReset => Some(Cause::BackendTimeout),
            Cut::UpstreamErrno(_) | Cut::NotConnected | Cut::Unreadable | Cut::Stopped => None,
        },
        What::Answered { .. } | What::NotConnected(_) | What::Abandoned { .. } => None,
    }
}

fn tell(case: &mut Case<'_>, path: PathId, routes: &Routes, contrast: &Contrast) {
    let sum = |ids: &[RouteId]| {
        ids.iter()
            .filter_map(|id| routes.get(id))
            .fold((0_u64, 0_u64), |(failed, requests), route| {
                (failed + route.failed, requests + route.requests)
            })
    };
    let ((clean_failed, clean), (bad_failed, bad)) = (sum(&contrast.clean), sum(&contrast.bad));
    let names = |ids: &[RouteId]| -> String {
        let names: Vec<&str> = ids
            .iter()
            .filter_map(|id| case.evidence.routes.get(usize::from(id.0)))
            .map(|route| route.0.as_str())
            .collect();
        let shown = names.iter().take(4).copied().collect::<Vec<_>>().join(", ");
        if names.len() > 4 {
            format!("{shown} and {} more", names.len() - 4)
        } else {
            shown
        }
    };
    let blind = if clean_failed == 0 {
        let p = none_drawn(clean + bad, bad_failed, clean);
        format!(
            "; were requests independent, a loss blind to routes would have spared them all with {}",
            probability(p)
        )
    } else {
        String::new()
    };
    let statement = format!(
        "On path {} {} failed {} of {} while {} failed {} of {} in the same seconds (permutation over {}: {}){blind}.",
        case.path_name(path),
        names(&contrast.bad),
        count(bad_failed),
        counted(bad, "request", "requests"),
        names(&contrast.clean),
        count(clean_failed),
        count(clean),
        counted(
            u64::try_from(contrast.blocks).unwrap_or(0),
            "block of time",
            "blocks of time"
        ),
        probability(contrast.p)
    );
    let numbers = vec![
        ("p", contrast.p),
        ("failing_routes_failed", real(bad_failed)),
        ("failing_routes_requests", real(bad)),
        ("clean_routes_failed", real(clean_failed)),
        ("clean_routes_requests", real(clean)),
    ];
    let finding = Finding {
        rule: ROUTES.name,
        statement,
        numbers,
    };
    if contrast.matched {
        case.note(About::Hop(Hop::Backend), Speaks::For, finding.clone());
        case.note(About::Hop(Hop::Tunnel), Speaks::Against, finding);
    } else {
        let statement = format!(
            "{} But the failing routes are the larger or the longer ones, so this clears nobody.",
            finding.statement
        );
        let finding = Finding { statement, ..finding };
        case.note(About::Cause(Cause::Undetermined), Speaks::For, finding.clone());
        case.note(About::Hop(Hop::Backend), Speaks::Against, finding);
    }
}

fn apply_sizes(case: &mut Case<'_>) {
    for path in case.paths_of(PathKind::Tunnel) {
        let Some(found) = per_byte(case, path) else {
            continue;
        };
        case.judge_where(
            SIZES.name,
            |failure| failure.path == path && failure.is_open(),
            |_, failure| cut_in_answer(failure).then_some(Ruling::charge(Cause::TunnelTruncated, FAIR)),
        );
        let statement = format!(
            "Answers on path {} were cut once per {} bytes whatever the route: {} cuts on {} routes whose typical sizes differ {}-fold ({} of all requests).",
            case.path_name(path),
            count(found.bytes_per_cut),
            count(found.cuts),
            found.routes,
            count(found.spread),
            percent(found.cuts, found.requests)
        );
        let numbers = vec![
            ("cuts", real(found.cuts)),
            ("bytes_per_cut", real(found.bytes_per_cut)),
        ];
        let finding = Finding {
            rule: SIZES.name,
            statement,
            numbers,
        };
        case.note(About::Cause(Cause::TunnelTruncated), Speaks::For, finding.clone());
        case.note(About::Hop(Hop::Backend), Speaks::Against, finding);
    }
}

fn cut_in_answer(failure: &Failure) -> bool {
    matches!(
        failure.what,
        What::Broken {
            begun: true,
            by: Cut::UpstreamFin | Cut::UpstreamReset
        }
    )
}

struct PerByte {
    bytes_per_cut: u64,
    cuts: u64,
    routes: usize,
    spread: u64,
    requests: u64,
}

/// Whether cuts per byte are alike on all routes, while cuts per request are not.
fn per_byte(case: &Case<'_>, path: PathId) -> Option<PerByte> {
    let routes = survey(case, path);
    let mut cuts: BTreeMap<RouteId, (u64, u64)> = BTreeMap::new();
    for failure in case
        .failures
        .iter()
        .filter(|failure| failure.path == path && failure.is_open())
    {
        let Some(exchange) = case.exchange(failure).filter(|_| cut_in_answer(failure)) else {
            continue;
        };
        if matches!(exchange.delivery, Delivery::Truncated { .. }) {
            let cut = cuts.entry(exchange.route).or_default();
            cut.0 += 1;
            cut.1 = cut.1.saturating_add(exchange.bytes_down);
        }
    }
    let all_cuts: u64 = cuts.values().map(|(cuts, _)| *cuts).sum();
    let known: Vec<(&RouteId, &Route)> = routes.iter().filter(|(_, route)| route.answered >= 5).collect();
    if all_cuts < 20 || known.len() < 3 || cuts.values().filter(|(cuts, _)| *cuts >= 5).count() < 2 {
        return None;
    }
    // Bytes that were at risk: of all answers, sampled sizes times exact counts, and of the cut ones up to the cut.
    let exposure = |id: &RouteId, route: &Route| {
        let answered = route.requests.saturating_sub(route.failed);
        route.typical() * real(answered) + cuts.get(id).map_or(0.0, |(_, bytes)| real(*bytes))
    };
    let total: f64 = known.iter().map(|(id, route)| exposure(id, route)).sum();
    if total <= 0.0 || cuts.keys().any(|id| !known.iter().any(|(known, _)| *known == id)) {
        return None;
    }
    let hazard = real(all_cuts) / total;
    let requests: u64 = known.iter().map(|(_, route)| route.requests).sum();
    let mut per_request_differs = false;
    for (id, route) in &known {
        let seen = real(cuts.get(id).map_or(0, |(cuts, _)| *cuts));
        let by_bytes = hazard * exposure(id, route);
        if !alike(seen, by_bytes) {
            return None;
        }
        let by_requests = real(all_cuts) * share(route.requests, requests);
        per_request_differs |= !alike(seen, by_requests);
    }
    let sizes = known.iter().map(|(_, route)| route.typical().max(1.0));
    let spread = sizes.clone().fold(1.0, f64::max) / sizes.fold(f64::MAX, f64::min);
    (per_request_differs && spread >= 8.0).then(|| PerByte {
        bytes_per_cut: whole(total / real(all_cuts)),
        cuts: all_cuts,
        routes: known.len(),
        spread: whole(spread),
        requests,
    })
}

/// Within a factor of two, or within four standard deviations of a Poisson count.
fn alike(seen: f64, expected: f64) -> bool {
    let within_factor = seen <= expected * 2.0 && expected <= seen * 2.0;
    within_factor || (seen - expected).abs() <= 4.0 * expected.max(1.0).sqrt()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what a u64 holds"
)]
fn whole(number: f64) -> u64 {
    number.clamp(0.0, 9e18) as u64
}
