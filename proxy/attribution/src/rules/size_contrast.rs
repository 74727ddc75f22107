//! Failures that only look as if they depended on the route: what differs is the size of the answers.

use std::collections::BTreeMap;

use super::Rule;
use super::route_contrast::{Route, survey};
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::confidence::{FAIR, Ruling};
use crate::evidence::{Cut, Delivery, PathId, PathKind, RouteId};
use crate::failure::{Failure, What};
use crate::figures::{count, percent, real, share};
use crate::hop::Hop;
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "size-contrast",
    symptom: "answers through a tunnel are cut off in the middle, on some routes more than on others",
    evidence: "bytes received before each cut, and bytes of all that was answered, by route",
    verdict: "tunnel-truncated, when the routes differ as their sizes do: the same number of cuts per byte on every route",
    proves: "the loss follows the size and not the route, so the difference between routes proves nothing against the backend",
    cannot_prove: "more than a likelihood: an application may cut large answers as well",
    apply,
};

fn apply(case: &mut Case<'_>) {
    for path in case.paths_of(PathKind::Tunnel) {
        let Some(found) = per_byte(case, path) else {
            continue;
        };
        case.judge_where(
            RULE.name,
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
            rule: RULE.name,
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
