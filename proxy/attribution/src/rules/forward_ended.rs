//! A forward that ended: synchronised death, its trigger and its victims.
//!
//! kubectl 1.23 and later drops the whole forward when the node reports one error of the pod: the trigger is the
//! backend's, everything else on that forward is a victim. Without the trigger in sight nobody is convicted, unless
//! kubectl's words were read in full and name none.

mod blame;
mod ends;
mod stall;
mod unread_body;

pub(super) use blame::trigger;
use blame::{blame, during};
use ends::{ends, first, next, reopened};
use stall::Stall;
use unread_body::unread_body;

use std::collections::BTreeMap;

use super::Rule;
use super::forward::{Collapse, Forward, failures_between};
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::confidence::{Ruling, STRONG};
use crate::evidence::tunnel::{StartFailure, TunnelLife};
use crate::evidence::{ConnectFailure, Ending, Moment, Observation, PathId, PathKind, Span, TunnelLine};
use crate::failed::Failed;
use crate::failure::{Failure, What};
use crate::figures::real;
use crate::hop::Hop;
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "forward-ended",
    symptom: "most connections of a forward end at the same moment, then connecting is refused",
    evidence: "the moments of the ends; kubectl's lines and exit; kernel sockets of the node; deliveries after the end",
    verdict: "a pod's refusal, reset or absence right before: backend, one trigger and the rest victims; kubectl's words read in full and naming no trigger, or a forwarder whose process ended and that embeds no client-go: tunnel-lost; otherwise open between tunnel and backend",
    proves: "the forward as a whole ended and took its connections along, and what kubectl said in that moment",
    cannot_prove: "the trigger when nobody read kubectl's output; which machine behind the API server ended the tunnel's own connection",
    apply,
};

/// How long before the first end a line of kubectl's may be its cause: the node drains for 1 s before it tells.
const BEFORE: Span = Span::from_micros(2_000_000);
/// How long after the last end the line may still be read.
const AFTER: Span = Span::from_micros(1_000_000);

/// One end of a forward.
#[expect(
    clippy::struct_excessive_bools,
    reason = "five witnesses that speak or do not, each by itself"
)]
struct End {
    path: PathId,
    port: Option<u16>,
    collapse: Option<Collapse>,
    from: Moment,
    to: Moment,
    /// When the same forward's end before this one was over: what had been said by then belongs to that one.
    since: Moment,
    /// Until somebody could connect again.
    until: Moment,
    /// kubectl said or showed that it ended.
    stated: bool,
    blame: Option<(Cause, f64)>,
    /// A witness takes back what the others would show.
    contradicted: bool,
    /// Each connection was ended for itself: there are no victims.
    each: bool,
    /// It did not end: kubectl refused single streams, and the forward stood.
    stands: bool,
    /// The request that ended it was answered in full: it is no failure, and all that are were its victims.
    answered_trigger: bool,
    statement: String,
}

fn apply(case: &mut Case<'_>) {
    let forwards = Forward::all(case, PathKind::Tunnel);
    let reopened = reopened(case);
    let cut = cut(case);
    for path in case.paths_of(PathKind::Tunnel) {
        let first_up = first(&reopened, path);
        let mut ends = ends(case, path, &forwards);
        // A forward that had never stood did not end.
        ends.retain(|end| end.to >= first_up);
        let mut before: BTreeMap<u16, Moment> = BTreeMap::new();
        for end in &mut ends {
            if let Some(port) = end.port {
                end.since = before.insert(port, end.to).unwrap_or(Moment(0));
            }
            end.until = next(&reopened, path, end.to);
            blame(case, end);
            unread_body(case, end);
        }
        one_fall(case, &mut ends);
        for end in ends.iter().filter(|end| !end.stands) {
            charge(case, end, &forwards, &cut);
        }
        never_up(case, path, &reopened, ends.is_empty());
    }
}

/// Stages of one death that follow one another within this time are one fall.
const STAGES: Span = Span::from_micros(2_000_000);

/// A forward may end in stages: what the pod did ends some connections, and a moment later the rest goes with the
/// tunnel's own. The trigger is that of the first stage, as long as no other process has taken over in between.
fn one_fall(case: &Case<'_>, ends: &mut [End]) {
    let mut began: Vec<Moment> = case
        .evidence
        .tunnels
        .iter()
        .filter_map(|(_, tunnel)| tunnel.seen())
        .flat_map(|tunnel| &tunnel.life)
        .filter(|event| matches!(event.kind, TunnelLife::Ready | TunnelLife::Found))
        .map(|event| event.at)
        .collect();
    began.sort_unstable();
    let mut first: Option<(Moment, Option<u16>, (Cause, f64))> = None;
    for end in ends.iter_mut() {
        let taken_over = |since: Moment| {
            let next = began.partition_point(|at| *at <= since);
            began.get(next).is_some_and(|at| *at <= end.from)
        };
        if let Some((since, port, blame)) = first
            && end.from.since(since) <= STAGES
            && (port == end.port || port.is_none() || end.port.is_none())
            && !taken_over(since)
            && !end.stands
            && end.blame.is_none_or(|(cause, _)| cause == Cause::TunnelLost)
        {
            end.blame = Some(blame);
            end.answered_trigger = true;
            end.contradicted = false;
            "it was the second stage of the end just before, which the pod had triggered"
                .clone_into(&mut end.statement);
        }
        if let Some(blame) = end
            .blame
            .filter(|(cause, _)| cause.hop() == Hop::Backend && !end.each)
        {
            first = Some((end.to, end.port, blame));
        }
    }
}

impl End {
    const fn new(path: PathId, port: Option<u16>, from: Moment, to: Moment) -> Self {
        let until = Moment(u64::MAX);
        Self {
            path,
            port,
            collapse: None,
            from,
            to,
            since: Moment(0),
            until,
            stated: false,
            blame: None,
            contradicted: false,
            each: false,
            stands: false,
            answered_trigger: false,
            statement: String::new(),
        }
    }

    /// Charges it, and says why.
    fn blame(&mut self, cause: Cause, confidence: f64, statement: String) {
        self.blame = Some((cause, confidence));
        self.statement = statement;
    }

    /// Charges nobody, and says why.
    fn doubt(&mut self, statement: &str) {
        statement.clone_into(&mut self.statement);
    }
}

/// When the path's side ended the connection of a failure that it cut: a request that was sent on a connection after its
/// end failed with that end, however late it came.
fn cut_at(case: &Case<'_>, failure: &Failure) -> Moment {
    let ended = case
        .connection(failure)
        .filter(|connection| matches!(connection.upstream_end.how, Ending::Fin | Ending::Reset))
        .map(|connection| connection.upstream_end.at);
    ended.map_or(failure.at, |ended| ended.min(failure.at))
}

/// Failures of tunnel paths that the path's side cut, by when it did.
fn cut(case: &Case<'_>) -> Vec<(Moment, usize)> {
    let mut cut: Vec<(Moment, usize)> = case
        .failures
        .iter()
        .enumerate()
        .filter(|(_, failure)| failure.cut_by_upstream() && case.kind(failure.path) == PathKind::Tunnel)
        .map(|(index, failure)| (cut_at(case, failure), index))
        .collect();
    cut.sort_unstable();
    cut
}

fn charge(case: &mut Case<'_>, end: &End, forwards: &[Forward<'_>], cut: &[(Moment, usize)]) {
    let port_of = |case: &Case<'_>, failure: &Failure| {
        case.connection(failure)
            .and_then(|connection| connection.upstream_tuple)
            .map(|tuple| tuple.remote.port())
    };
    let several = forwards.iter().filter(|forward| forward.path == end.path).count() > 1;
    // A forward that delivered afterwards did not end then: another of the path's did.
    let went_on = |case: &Case<'_>, failure: &Failure| {
        let remote = case
            .connection(failure)
            .and_then(|connection| connection.upstream_tuple)
            .map(|tuple| tuple.remote);
        let at = cut_at(case, failure);
        let own = |forward: &&Forward<'_>| forward.path == end.path && forward.remote == remote;
        forwards
            .iter()
            .find(own)
            .is_some_and(|forward| forward.survived(at))
    };
    let belongs = |case: &Case<'_>, failure: &Failure| {
        if failure.path != end.path {
            return false;
        }
        if let What::NotConnected(ConnectFailure::Refused | ConnectFailure::Reset) = failure.what {
            return failure.at + Span::from_micros(50_000) >= end.from && failure.at <= end.until;
        }
        failure.cut_by_upstream()
            && during(end, cut_at(case, failure))
            && (!several || end.port.is_none() || port_of(case, failure) == end.port)
            && !went_on(case, failure)
    };
    let reach = failures_between(&case.failures, back(end.from, AFTER), end.until);
    let refused = reach
        .clone()
        .zip(case.failures.get(reach).unwrap_or(&[]))
        .filter(|(_, failure)| matches!(failure.what, What::NotConnected(_)))
        .map(|(index, _)| index);
    let earliest = back(end.from, AFTER);
    let start = cut.partition_point(|(at, _)| *at < earliest);
    let broken = cut.get(start..).unwrap_or(&[]).iter();
    let broken = broken
        .take_while(|(at, _)| *at <= end.to + AFTER)
        .map(|(_, index)| *index);
    let mut caught: Vec<usize> = refused
        .chain(broken)
        .filter(|index| {
            case.failures.get(*index).is_some_and(|failure| {
                (failure.is_open() || failure.cause == Cause::TunnelDown) && belongs(case, failure)
            })
        })
        .collect();
    caught.sort_unstable();
    // A trigger that a witness has named already is not counted again.
    let around = failures_between(&case.failures, back(end.from, AFTER), end.to + AFTER);
    let named = |failure: &Failure| {
        failure.path == end.path
            && !failure.victim
            && end.blame.is_some_and(|(cause, _)| cause == failure.cause)
    };
    let mut triggered = end.answered_trigger || case.failures.get(around).unwrap_or(&[]).iter().any(named);
    let stall = end
        .blame
        .filter(|(cause, _)| *cause == Cause::TunnelLost)
        .map(|_| Stall::before(case, end, forwards));
    for index in &caught {
        let stalled = case
            .failures
            .get(*index)
            .and_then(|failure| stall.as_ref()?.of(case, failure));
        let Some(failure) = case.failures.get_mut(*index) else {
            continue;
        };
        let ruling = match end.blame {
            Some((_, confidence)) if stalled.is_some() => {
                Ruling::charge(stalled.unwrap_or(Cause::TunnelTimeout), confidence)
            }
            Some((cause, confidence)) if end.each => Ruling::charge(cause, confidence),
            // The first that ended was the trigger; the tunnel's own loss has victims only.
            Some((cause, confidence)) => {
                let has_trigger = cause.hop() == Hop::Backend || cause == Cause::TunnelPortsExhausted;
                let trigger = !triggered && has_trigger && matches!(failure.what, What::Broken { .. });
                triggered |= trigger;
                if trigger {
                    Ruling::charge(cause, confidence)
                } else {
                    Ruling::victim(cause, confidence)
                }
            }
            None if end.contradicted => Ruling::contradiction(),
            // That nothing listened is clear, but not who ended what had listened.
            None => Ruling::victim(Cause::Undetermined, 0.0),
        };
        failure.charge(ruling, RULE.name);
    }
    if caught.is_empty() {
        return;
    }
    tell(case, end, &caught);
}

fn tell(case: &mut Case<'_>, end: &End, caught: &[usize]) {
    let caught = Failed::of(caught.iter().filter_map(|index| case.failures.get(*index)));
    let (name, forwarder) = (case.path_name(end.path), case.forwarder_name(end.path));
    let seen = end.collapse.map_or_else(
        || format!("The forward of path {name} ended at {}", clock(end.from)),
        |collapse| {
            format!(
                "At {} {} of {} connections of path {name} were ended within {}",
                clock(end.from),
                collapse.ended,
                collapse.open.max(collapse.ended),
                end.to.since(end.from)
            )
        },
    );
    let why = if end.statement.is_empty() {
        match case.tunnel(end.path) {
            Observation::Seen(tunnel) if tunnel.lines.seen().is_some() => {
                format!("{forwarder}'s words were read and none of them says why")
            }
            Observation::Seen(_) | Observation::Unseen(_) => {
                format!("nobody read what {forwarder} wrote")
            }
        }
    } else {
        end.statement.clone()
    };
    let finding = Finding {
        rule: RULE.name,
        statement: format!("{seen}, {} in all: {why}.", caught.described()),
        numbers: vec![
            ("at_seconds", real(end.from.0) / 1e6),
            ("failures", real(caught.all())),
        ],
    };
    let cause = end.blame.map_or(Cause::Undetermined, |(cause, _)| cause);
    let already = case
        .notes
        .iter()
        .filter(|note| note.finding.rule == RULE.name)
        .count();
    // A forward that flaps for an hour is told a few times, and counted in full.
    if already < 5 {
        case.note(About::Cause(cause), Speaks::For, finding);
    }
}

/// A moment that lies this long before another.
const fn back(at: Moment, by: Span) -> Moment {
    Moment(at.0.saturating_sub(by.as_micros()))
}

/// A moment of the run as a person would say it.
pub(super) fn clock(at: Moment) -> String {
    format!("{:.2} s", real(at.0) / 1e6)
}

/// Refused connections of a forward that had stood before are not evidence of who ended it; of one that the cluster
/// refused to open, its own words say so.
fn never_up(case: &mut Case<'_>, path: PathId, reopened: &[(PathId, Moment)], no_end: bool) {
    let first_up = first(reopened, path);
    let denied = case
        .tunnel(path)
        .seen()
        .and_then(|tunnel| tunnel.lines.seen())
        .and_then(|lines| {
            let denied = |line: &&TunnelLine| {
                matches!(
                    line.meaning.start_failure(),
                    Some(
                        StartFailure::Forbidden
                            | StartFailure::NotFound
                            | StartFailure::PodNotRunning
                            | StartFailure::NodeUnreachable
                            | StartFailure::RuntimeRefused
                            | StartFailure::UpgradeFailed
                            | StartFailure::ApiUnreachable
                    )
                )
            };
            lines
                .iter()
                .filter(denied)
                .min_by_key(|line| (line.at, &line.text))
                .map(|line| line.text.clone())
        });
    case.judge_where(
        RULE.name,
        |failure| failure.path == path && failure.cause == Cause::TunnelDown,
        |_, failure| {
            if failure.at > first_up {
                return Some(Ruling::victim(Cause::Undetermined, 0.0));
            }
            (denied.is_some() && no_end).then_some(Ruling::charge(Cause::TunnelDenied, STRONG))
        },
    );
    if let Some(line) = denied {
        let finding = Finding {
            rule: RULE.name,
            statement: format!("kubectl said: {line}"),
            numbers: Vec::new(),
        };
        case.note(About::Cause(Cause::TunnelDenied), Speaks::For, finding);
    }
}
