//! An application whose process ended: all of its connections at once, and then nobody listens.

use super::Rule;
use super::forward::{Collapse, Forward};
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::confidence::{Ruling, STRONG};
use crate::evidence::{ConnectFailure, Moment, PathId, PathKind, Span, Upstream};
use crate::failure::What;
use crate::figures::{count, length, real};
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "process-ended",
    symptom: "on a direct path all connections end in one moment, and connecting is refused right after",
    evidence: "the moments at which the application's side ended its connections; the first connects after that",
    verdict: "backend-not-ready, for what was cut off, what was sent on a connection that had ended, and what was refused until somebody listened again",
    proves: "connections and listener went together: the process, its pod or its host ended or was restarted",
    cannot_prove: "which of the three, and why",
    apply,
};

/// Whoever connects after the end is refused within this time, or the listener had not gone with the connections.
const SOON: Span = Span::from_micros(1_000_000);
/// hopscope's own wake-ups around one moment.
const SLACK: Span = Span::from_micros(50_000);
/// A server that closes after its answer does so within this time, even a loaded one.
const PAUSE: Span = Span::from_micros(20_000);
/// Fewer connections than this are a coincidence.
const TOGETHER: usize = 3;
/// A process that restarts for an hour is told a few times, and counted in full.
const TOLD: usize = 5;

struct End {
    path: PathId,
    collapse: Collapse,
    /// When somebody could connect again.
    until: Moment,
}

fn apply(case: &mut Case<'_>) {
    let attempts = Attempts::of(case);
    let mut ends: Vec<End> = Vec::new();
    for forward in Forward::all(case, PathKind::Direct) {
        for collapse in forward.collapses() {
            if taken_by_surprise(case, &forward, collapse) {
                ends.extend(attempts.after(forward.path, collapse));
            }
        }
    }
    if ends.is_empty() {
        return;
    }
    ends.sort_by_key(|end| (end.path, end.collapse.from, end.collapse.to));
    case.judge_open(RULE.name, |case, failure| {
        let refused = match failure.what {
            What::NotConnected(ConnectFailure::Refused) => true,
            What::Broken { .. } if failure.cut_by_upstream() => false,
            What::Broken { .. }
            | What::NotConnected(_)
            | What::Abandoned { .. }
            | What::Answered { .. }
            | What::FrontTls(_) => return None,
        };
        let at = if refused {
            failure.at
        } else {
            // A request on a connection that had ended failed with that end, however late it was sent.
            case.connection(failure)?.upstream_end.at
        };
        let next = ends.partition_point(|end| (end.path, end.collapse.from) <= (failure.path, at + SLACK));
        let end = ends.get(next.checked_sub(1)?)?;
        let until = if refused {
            end.until
        } else {
            end.collapse.to + SLACK
        };
        (end.path == failure.path && at <= until).then(|| Ruling::charge(Cause::BackendNotReady, STRONG))
    });
    for end in ends.iter().take(TOLD) {
        tell(case, end);
    }
}

/// Whether the connections were ended in the middle of something or in a pause: one that is closed behind its last answer
/// has done what it was for.
fn taken_by_surprise(case: &Case<'_>, forward: &Forward<'_>, collapse: Collapse) -> bool {
    let surprised = |index: &&u32| {
        case.evidence
            .connections
            .get(**index as usize)
            .is_some_and(|row| {
                // A byte after the end is a request that was sent on a connection that had ended.
                row.last_byte.is_some_and(|last| {
                    last > row.upstream_end.at || row.upstream_end.at.since(last) >= PAUSE
                })
            })
    };
    let ended = forward.cut_between(collapse.from, collapse.to);
    ended.filter(surprised).count() >= TOGETHER
}

/// When connects of each direct path were refused, and when they stood, in order.
struct Attempts(Vec<(PathId, Vec<Moment>, Vec<Moment>)>);

impl Attempts {
    fn of(case: &Case<'_>) -> Self {
        let of_path = |path| {
            let rows = case.evidence.connections.iter().filter(|row| row.path == path);
            let (mut refused, mut stood) = (Vec::new(), Vec::new());
            for row in rows {
                match row.upstream {
                    Upstream::Failed {
                        failure: ConnectFailure::Refused,
                        ..
                    } => refused.push(row.opened),
                    Upstream::Connected { .. } => stood.push(row.opened),
                    Upstream::Failed { .. } | Upstream::Abandoned { .. } => {}
                }
            }
            refused.sort_unstable();
            stood.sort_unstable();
            (path, refused, stood)
        };
        Self(case.paths_of(PathKind::Direct).into_iter().map(of_path).collect())
    }

    /// The collapse as an end of the process, when the next that connected were refused.
    fn after(&self, path: PathId, collapse: Collapse) -> Option<End> {
        let (_, refused, stood) = self.0.iter().find(|(of, _, _)| *of == path)?;
        let first = |moments: &[Moment]| {
            let next = moments.partition_point(|at| *at <= collapse.to);
            moments.get(next).copied()
        };
        let until = first(stood).unwrap_or(Moment(u64::MAX));
        let refused = first(refused)?;
        let soon = refused < until && refused.since(collapse.to) <= SOON;
        soon.then_some(End {
            path,
            collapse,
            until,
        })
    }
}

fn tell(case: &mut Case<'_>, end: &End) {
    let at = real(end.collapse.from.0) / 1e6;
    let again = if end.until == Moment(u64::MAX) {
        "nobody listened again".to_owned()
    } else {
        format!(
            "somebody listened again {} later",
            end.until.since(end.collapse.from)
        )
    };
    let ended = u64::try_from(end.collapse.ended).unwrap_or(u64::MAX);
    let finding = Finding {
        rule: RULE.name,
        statement: format!(
            "At {at:.2} s the application's side ended {} of {} connections of path {} within {}, and then refused: {again}.",
            count(ended),
            end.collapse.open.max(end.collapse.ended),
            case.path_name(end.path),
            end.collapse.to.since(end.collapse.from),
        ),
        numbers: vec![("at_seconds", at), ("connections", length(end.collapse.ended))],
    };
    case.note(About::Cause(Cause::BackendNotReady), Speaks::For, finding);
}
