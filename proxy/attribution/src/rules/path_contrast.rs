//! Several paths to the same application in one run: what differs between them, and what they share.

mod latency;

use std::collections::BTreeMap;

use super::Rule;
use super::delivered::own_words;
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::confidence::{GOOD, Ruling};
use crate::evidence::{Author, ConnectFailure, Cut, PathId, PathKind};
use crate::failure::{NONE, What};
use crate::figures::{count, percent, real, share};
use crate::hop::Hop;
use crate::statistics::interval::difference;
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "path-contrast",
    symptom: "the same load over several paths fails on one of them, or on all alike",
    evidence: "failure rates of the paths, and how long their good answers take, each with the 95 % interval of the difference, dealt at random in one run",
    verdict: "backend, when a path without the hop in question fails in the same way as often; a difference alone convicts nobody",
    proves: "failures that two paths share come from what they share: the application",
    cannot_prove: "that a path which fails more often is itself at fault: it also pins one pod, comes from 127.0.0.1, carries another Host header and passes by the mesh",
    apply,
};

/// Fewer requests than this on either path say nothing.
const ENOUGH: u64 = 100;

/// What else a tunnel changes besides the transport.
const ALSO: &str = "a tunnel also pins one pod, comes from 127.0.0.1, carries another Host header and passes by load balancer and mesh";

/// How a failure looked, as far as two paths can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sign {
    Status(u16),
    CutInAnswer,
    CutBefore,
    Refused,
    NoConnection,
}

fn sign(what: What) -> Option<Sign> {
    match what {
        What::Answered { status, .. } if status >= 500 || status == 429 => Some(Sign::Status(status)),
        What::Broken {
            begun,
            by: Cut::UpstreamFin | Cut::UpstreamReset,
        } => Some(if begun { Sign::CutInAnswer } else { Sign::CutBefore }),
        What::NotConnected(ConnectFailure::Refused) => Some(Sign::Refused),
        What::NotConnected(ConnectFailure::TimedOut | ConnectFailure::Unreachable) => {
            Some(Sign::NoConnection)
        }
        What::Answered { .. }
        | What::Broken { .. }
        | What::NotConnected(_)
        | What::Abandoned { .. }
        | What::FrontTls(_) => None,
    }
}

/// Requests of a path, and connections that failed without carrying one; and those of both that failed.
fn attempts(case: &Case<'_>, path: PathId) -> (u64, u64) {
    let (requests, failed) = case.requests(path);
    let here = case
        .failures
        .iter()
        .filter(|failure| failure.path == path && failure.exchange == NONE);
    let without = u64::try_from(here.count()).unwrap_or(u64::MAX);
    (
        requests.saturating_add(without),
        failed.min(requests).saturating_add(without),
    )
}

fn apply(case: &mut Case<'_>) {
    let paths: Vec<(PathId, u64, u64)> = (0..case.evidence.paths.len())
        .filter_map(|index| u8::try_from(index).ok().map(PathId))
        .map(|path| {
            let (attempts, failed) = attempts(case, path);
            (path, attempts, failed)
        })
        .filter(|(_, attempts, _)| *attempts >= ENOUGH)
        .collect();
    if paths.len() < 2 {
        return;
    }
    shared(case, &paths);
    for (index, first) in paths.iter().enumerate() {
        for second in paths.iter().skip(index + 1) {
            tell(case, *first, *second);
        }
    }
    let compared = latency::compared(case);
    case.contrasts.extend(compared);
}

/// Charges to the backend what a path shares with one that lacks the hop in question.
fn shared(case: &mut Case<'_>, paths: &[(PathId, u64, u64)]) {
    let mut signs: BTreeMap<(Sign, PathId), u64> = BTreeMap::new();
    for failure in &case.failures {
        if let Some(sign) = sign(failure.what) {
            *signs.entry((sign, failure.path)).or_default() += 1;
        }
    }
    let mut common: Vec<(Sign, PathId)> = Vec::new();
    for (path, requests, _) in paths {
        for (other, other_requests, _) in paths.iter().filter(|(other, _, _)| other != path) {
            if !lacks(case.kind(*path), case.kind(*other)) {
                continue;
            }
            // A forward that is gone refuses: that says nothing of the application.
            let comparable = |sign: Sign| {
                !matches!(sign, Sign::Refused | Sign::NoConnection)
                    || [*path, *other]
                        .iter()
                        .all(|path| case.kind(*path) != PathKind::Tunnel)
            };
            for ((sign, _), seen) in signs
                .iter()
                .filter(|((sign, of), _)| of == path && comparable(*sign))
            {
                let there = signs.get(&(*sign, *other)).copied().unwrap_or(0);
                if alike((*seen, *requests), (there, *other_requests)) {
                    common.push((*sign, *path));
                }
            }
        }
    }
    // A mark of nginx, HAProxy or Envoy that is there without the load balancer as well is not the load balancer's.
    case.judge_where(
        RULE.name,
        |failure| failure.cause.hop() == Hop::Lb && gateway_mark(failure.what),
        |case, failure| {
            let elsewhere = case.kind(failure.path) == PathKind::Lb
                && sign(failure.what).is_some_and(|sign| common.contains(&(sign, failure.path)));
            elsewhere.then_some(Ruling::charge(Cause::BackendDependency, GOOD))
        },
    );
    case.judge_open(RULE.name, |_, failure| {
        let sign = sign(failure.what)?;
        if !common.contains(&(sign, failure.path)) {
            return None;
        }
        let cause = match sign {
            Sign::Status(429) => Cause::BackendRateLimited,
            Sign::Status(status) => own_words(status),
            Sign::CutInAnswer => Cause::BackendTruncated,
            Sign::CutBefore => Cause::BackendReset,
            Sign::Refused => Cause::BackendRefused,
            Sign::NoConnection => Cause::BackendUnreachable,
        };
        Some(Ruling::charge(cause, GOOD))
    });
}

const fn gateway_mark(what: What) -> bool {
    matches!(
        what,
        What::Answered {
            author: Author::Nginx | Author::HaProxy | Author::Envoy(_),
            status: 502..=504
        }
    )
}

/// Whether the other path reaches the application without the hop that this one's kind stands for.
const fn lacks(kind: PathKind, other: PathKind) -> bool {
    match (kind, other) {
        (PathKind::Lb, PathKind::Tunnel | PathKind::Direct)
        | (PathKind::Tunnel, PathKind::Lb | PathKind::Direct) => true,
        (PathKind::Lb | PathKind::Tunnel | PathKind::Direct | PathKind::Unstated, _) => false,
    }
}

/// As often on both: enough cases, and the interval of the difference small against the rate and around zero.
pub(super) fn alike(first: (u64, u64), second: (u64, u64)) -> bool {
    let rate = share(first.0, first.1).min(share(second.0, second.1));
    let (low, high) = difference(first, second);
    let enough = first.0 >= 20 && second.0 >= 20;
    enough && low <= rate * 0.25 && high >= -rate * 0.25 && high - low <= rate.max(0.02)
}

fn tell(case: &mut Case<'_>, first: (PathId, u64, u64), second: (PathId, u64, u64)) {
    let (low, high) = difference((first.2, first.1), (second.2, second.1));
    let differ = low > 0.0 || high < 0.0;
    let tunnel = [first.0, second.0]
        .iter()
        .any(|path| case.kind(*path) == PathKind::Tunnel);
    let statement = format!(
        "Path {} failed {} of {} ({}), path {} {} of {} ({}): a difference of {:+.1} to {:+.1} points{}.",
        case.path_name(first.0),
        count(first.2),
        count(first.1),
        percent(first.2, first.1),
        case.path_name(second.0),
        count(second.2),
        count(second.1),
        percent(second.2, second.1),
        low * 100.0,
        high * 100.0,
        if differ && tunnel {
            format!("; {ALSO}")
        } else {
            String::new()
        }
    );
    let numbers = vec![
        ("difference_low", low),
        ("difference_high", high),
        ("first_requests", real(first.1)),
        ("second_requests", real(second.1)),
    ];
    let finding = Finding {
        rule: RULE.name,
        statement,
        numbers,
    };
    case.contrasts.push(finding.clone());
    let worse = if high < 0.0 { second.0 } else { first.0 };
    if differ {
        case.note(About::Hop(Hop::Backend), Speaks::Against, finding.clone());
        case.note(About::Cause(Cause::Undetermined), Speaks::For, finding.clone());
        match case.kind(worse) {
            PathKind::Tunnel => case.note(About::Hop(Hop::Tunnel), Speaks::For, finding),
            PathKind::Lb => case.note(About::Hop(Hop::Lb), Speaks::For, finding),
            PathKind::Direct | PathKind::Unstated => {}
        }
    } else {
        case.note(About::Hop(Hop::Tunnel), Speaks::Against, finding.clone());
        case.note(About::Hop(Hop::Lb), Speaks::Against, finding.clone());
        case.note(About::Hop(Hop::Backend), Speaks::For, finding);
    }
}
