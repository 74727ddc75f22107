//! Failures that depend on the route.
//!
//! A tunnel carries bytes and knows no routes. When some routes fail and others, as large, as long and at the same
//! time, do not, the tunnel is not the direct cause. When what differs is the size, it may well be: `size_contrast.rs`.

use std::collections::BTreeMap;

use super::Rule;
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::confidence::{GOOD, Ruling};
use crate::evidence::{Cut, PathId, PathKind, RouteId};
use crate::failure::What;
use crate::figures::{count, counted, probability, real, share};
use crate::hop::Hop;
use crate::statistics::binomial::none_drawn;
use crate::statistics::permutation::sign_flip;
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "route-contrast",
    symptom: "some routes of a tunnel path fail, others do not",
    evidence: "exact counts per second and route; sizes of requests, sizes and durations of what was answered; a permutation test over blocks of time, the routes parted on one half of the seconds and compared on the other",
    verdict: "backend for what the other rules left open on the failing routes; a figure that clears the tunnel for what was charged already",
    proves: "the failures follow the route, at the same time and on answers of like size, and a tunnel is blind to routes",
    cannot_prove: "anything when the failing routes are the large or the long ones; that the backend would fail without the tunnel: a per-IP limit sees one client there",
    apply,
};

/// A block needs traffic of both groups, and a test needs this many blocks to come below one in a thousand.
const BLOCKS: usize = 10;
/// Sizes up to this, in bytes, are alike: they fit into one segment on every path (IPv6's least MTU is 1280).
const SMALL: f64 = 1_200.0;
/// Durations up to this, in microseconds, are alike: nothing that a forward does by itself ends a wait so short.
const SHORT: f64 = 250_000.0;
/// What is not accepted as chance.
const CHANCE: f64 = 0.002;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Route {
    pub(super) requests: u64,
    pub(super) failed: u64,
    undelivered: u64,
    training_requests: u64,
    training_failed: u64,
    pub(super) answered: u64,
    bytes: u64,
    /// Sum of the durations of what was answered, microseconds.
    lasted: u64,
    /// Rows, failed ones too: a request's size does not depend on what becomes of it.
    asked: u64,
    asked_bytes: u64,
}

pub(super) type Routes = BTreeMap<RouteId, Route>;

pub(super) fn survey(case: &Case<'_>, path: PathId) -> Routes {
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
        if exchange.request_complete {
            route.asked += 1;
            route.asked_bytes = route.asked_bytes.saturating_add(exchange.bytes_up);
        }
        if !exchange.delivery.failed() {
            route.answered += 1;
            route.bytes = route.bytes.saturating_add(exchange.bytes_down);
            route.lasted = route.lasted.saturating_add(exchange.phases.total.as_micros());
        }
    }
    routes
}

impl Route {
    pub(super) fn typical(&self) -> f64 {
        real(self.bytes) / real(self.answered.max(1))
    }

    fn typical_request(&self) -> f64 {
        real(self.asked_bytes) / real(self.asked.max(1))
    }

    fn typical_duration(&self) -> f64 {
        real(self.lasted) / real(self.answered.max(1))
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
    let matched = matched(routes, &clean, &bad);
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

/// Whether the clean routes carry what the failing ones carry, so that neither size nor length explains.
///
/// Compared is what was there before the outcome: sizes of requests, and sizes and durations of what was answered. How
/// long the failures themselves lasted is their outcome and says nothing of the route. Sizes of
/// one segment are alike.
fn matched(routes: &Routes, clean: &[RouteId], bad: &[RouteId]) -> bool {
    let of =
        |ids: &[RouteId]| -> Vec<Route> { ids.iter().filter_map(|id| routes.get(id)).copied().collect() };
    let (clean, bad) = (of(clean), of(bad));
    let most = |figure: fn(&Route) -> f64| clean.iter().map(figure).fold(0.0, f64::max);
    let least = |figure: fn(&Route) -> Option<f64>| bad.iter().filter_map(figure).fold(f64::MAX, f64::min);
    let alike = |clean: f64, bad: f64, small: f64| bad <= small || clean * 2.0 >= bad;
    let answered = |route: &Route| route.answered > 0;
    bad.iter().any(answered)
        && alike(
            most(Route::typical),
            least(|route| (route.answered > 0).then(|| route.typical())),
            SMALL,
        )
        && alike(
            most(Route::typical_request),
            least(|route| Some(route.typical_request())),
            SMALL,
        )
        && alike(
            most(Route::typical_duration),
            least(|route| (route.answered > 0).then(|| route.typical_duration())),
            SHORT,
        )
}

fn apply(case: &mut Case<'_>) {
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
                RULE.name,
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
            Cut::UpstreamErrno(_)
            | Cut::NotConnected
            | Cut::Unreadable
            | Cut::Stopped
            | Cut::UpstreamStream(_)
            | Cut::DownstreamStream(_)
            | Cut::GoAway(_) => None,
        },
        What::Answered { .. } | What::NotConnected(_) | What::Abandoned { .. } | What::FrontTls(_) => None,
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
        rule: RULE.name,
        statement,
        numbers,
    };
    if contrast.matched {
        case.note(About::Hop(Hop::Backend), Speaks::For, finding.clone());
        case.note(About::Hop(Hop::Tunnel), Speaks::Against, finding);
    } else if contrast
        .bad
        .iter()
        .any(|id| routes.get(id).is_some_and(|route| route.undelivered > 0))
    {
        // Where every failure was delivered whole, nothing needs to be cleared by a contrast.
        let statement = format!(
            "{} But the failing routes never succeed, carry more or take longer, so this clears nobody.",
            finding.statement
        );
        let finding = Finding { statement, ..finding };
        case.note(About::Cause(Cause::Undetermined), Speaks::For, finding.clone());
        case.note(About::Hop(Hop::Backend), Speaks::Against, finding);
    }
}
