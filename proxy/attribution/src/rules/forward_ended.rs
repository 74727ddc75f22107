//! A forward that ended: synchronised death, its trigger and its victims.
//!
//! kubectl 1.23 and later drops the whole forward when the node reports one error of the pod: the trigger is the
//! backend's, everything else on that forward is a victim. Without the trigger in sight nobody is convicted, unless
//! kubectl's words were read in full and name none.

use super::Rule;
use super::forward::{Collapse, Forward, failures_between, lines_between};
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::confidence::{GOOD, Ruling, STRONG};
use crate::evidence::node::{KernelEnd, KernelSocket};
use crate::evidence::tunnel::{TunnelLife, TunnelMeaning};
use crate::evidence::{
    ConnectFailure, ConnectionId, Moment, Observation, PathId, PathKind, Span, TunnelEvidence, TunnelLine,
    Upstream,
};
use crate::failure::{Failure, What};
use crate::figures::{counted, length, real};
use crate::hop::Hop;
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "forward-ended",
    symptom: "most connections of a forward end at the same moment, then connecting is refused",
    evidence: "the moments of the ends; kubectl's lines and exit; kernel sockets of the node; deliveries after the end",
    verdict: "a pod's refusal, reset or absence right before: backend, one trigger and the rest victims; kubectl's words read in full and naming no trigger: tunnel-lost; otherwise undetermined",
    proves: "the forward as a whole ended and took its connections along, and what kubectl said in that moment",
    cannot_prove: "the trigger when nobody read kubectl's output; which machine behind the API server ended the tunnel's own connection",
    apply,
};

/// How long before the first end a line of kubectl's may be its cause: the node drains for 1 s before it tells.
const BEFORE: Span = Span(2_000_000);
/// How long after the last end the line may still be read.
const AFTER: Span = Span(1_000_000);

/// One end of a forward.
struct End {
    path: PathId,
    port: Option<u16>,
    collapse: Option<Collapse>,
    from: Moment,
    to: Moment,
    /// Until somebody could connect again.
    until: Moment,
    /// kubectl said or showed that it ended.
    stated: bool,
    blame: Option<(Cause, f64)>,
    statement: String,
}

fn apply(case: &mut Case<'_>) {
    let forwards = Forward::all(case);
    let reopened = reopened(case);
    for path in case.paths_of(PathKind::Tunnel) {
        let first_up = next(&reopened, path, Moment(0));
        let mut ends = ends(case, path, &forwards);
        // A forward that had never stood did not end.
        ends.retain(|end| end.to >= first_up);
        for end in &mut ends {
            end.until = next(&reopened, path, end.to);
            blame(case, end);
        }
        for end in &ends {
            charge(case, end, &forwards);
        }
        never_up(case, path, &reopened, ends.is_empty());
    }
}

/// When connections of each path stood again, sorted.
fn reopened(case: &Case<'_>) -> Vec<(PathId, Moment)> {
    let mut opened: Vec<(PathId, Moment)> = case
        .evidence
        .connections
        .iter()
        .filter(|connection| matches!(connection.upstream, Upstream::Connected { .. }))
        .filter(|connection| case.kind(connection.path) == PathKind::Tunnel)
        .map(|connection| (connection.path, connection.opened))
        .collect();
    opened.sort_unstable();
    opened
}

fn next(reopened: &[(PathId, Moment)], path: PathId, after: Moment) -> Moment {
    let at = reopened.partition_point(|opened| *opened <= (path, after));
    reopened
        .get(at)
        .filter(|(of, _)| *of == path)
        .map_or(Moment(u64::MAX), |(_, at)| *at)
}

/// Every end of a path's forwards: collapses, and what kubectl said or its process showed, joined where they coincide.
fn ends(case: &Case<'_>, path: PathId, forwards: &[Forward]) -> Vec<End> {
    let mut ends: Vec<End> = Vec::new();
    for forward in forwards.iter().filter(|forward| forward.path == path) {
        for collapse in forward.collapses() {
            ends.push(End::new(
                path,
                forward.remote.map(|remote| remote.port()),
                collapse.from,
                collapse.to,
            ));
            if let Some(end) = ends.last_mut() {
                end.collapse = Some(collapse);
            }
        }
    }
    let Observation::Seen(tunnel) = case.tunnel(path) else {
        return ends;
    };
    let mut stated: Vec<Moment> = Vec::new();
    if let Observation::Seen(lines) = &tunnel.lines {
        stated.extend(
            lines
                .iter()
                .filter(|line| line.meaning == TunnelMeaning::Lost)
                .map(|line| line.at),
        );
    }
    let exits = tunnel
        .life
        .iter()
        .filter(|event| matches!(event.kind, TunnelLife::Exited(_)));
    stated.extend(exits.map(|event| event.at));
    stated.sort_unstable();
    for at in stated {
        let near = |end: &&mut End| at + BEFORE >= end.from && at <= end.to + BEFORE;
        if let Some(end) = ends.iter_mut().find(near) {
            end.stated = true;
            continue;
        }
        let mut end = End::new(path, None, at, at);
        end.stated = true;
        ends.push(end);
    }
    ends.sort_by_key(|end| (end.from, end.port));
    ends
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
            until,
            stated: false,
            blame: None,
            statement: String::new(),
        }
    }
}

/// What a line of the node's says of the pod; `None` for a line that is no trigger.
pub(super) const fn trigger(meaning: TunnelMeaning) -> Option<Cause> {
    match meaning {
        TunnelMeaning::PodRefused => Some(Cause::BackendRefused),
        TunnelMeaning::PodConnectTimeout => Some(Cause::BackendAcceptQueue),
        TunnelMeaning::PodReset | TunnelMeaning::PodBrokenPipe => Some(Cause::BackendReset),
        TunnelMeaning::PodGone => Some(Cause::BackendNotReady),
        TunnelMeaning::NodePairTimeout => Some(Cause::TunnelTimeout),
        TunnelMeaning::Listening
        | TunnelMeaning::Handling
        | TunnelMeaning::StreamTimeout
        | TunnelMeaning::StreamReset
        | TunnelMeaning::StreamLost
        | TunnelMeaning::ClientGone
        | TunnelMeaning::ClientReset
        | TunnelMeaning::Lost
        | TunnelMeaning::NoDescriptor
        | TunnelMeaning::CannotListen
        | TunnelMeaning::Forbidden
        | TunnelMeaning::NotFound
        | TunnelMeaning::PodNotRunning
        | TunnelMeaning::NodeUnreachable
        | TunnelMeaning::UpgradeFailed
        | TunnelMeaning::ApiUnreachable
        | TunnelMeaning::NotLoggedIn
        | TunnelMeaning::BadConfiguration
        | TunnelMeaning::Fallback
        | TunnelMeaning::NodeError
        | TunnelMeaning::Unrecognised => None,
    }
}

fn blame(case: &Case<'_>, end: &mut End) {
    by_kernel(case, end);
    if end.blame.is_some() {
        return;
    }
    let tunnel = case.tunnel(end.path);
    let tunnel = tunnel.seen().copied();
    match tunnel.map(|tunnel| &tunnel.lines) {
        Some(Observation::Seen(lines)) => by_lines(end, lines, tunnel),
        Some(Observation::Unseen(_)) | None => {}
    }
}

fn by_lines(end: &mut End, lines: &[TunnelLine], tunnel: Option<&TunnelEvidence>) {
    let same_forward = |line: &&TunnelLine| match (line.local_port, end.port) {
        (Some(line), Some(end)) => line == end,
        _ => true,
    };
    let around = lines_between(lines, back(end.from, BEFORE), end.to + AFTER);
    let near: Vec<&TunnelLine> = around.iter().filter(same_forward).collect();
    let cause = near
        .iter()
        .filter_map(|line| trigger(line.meaning).map(|cause| (line.at, cause)))
        .min();
    if let Some((_, cause)) = cause {
        end.blame = Some((cause, STRONG + 0.05));
        let line = near.iter().find(|line| trigger(line.meaning) == Some(cause));
        end.statement = line.map_or_else(String::new, |line| {
            format!("kubectl had just said: {}", line.text)
        });
        return;
    }
    let unclear = |line: &&TunnelLine| {
        matches!(
            line.meaning,
            TunnelMeaning::NodeError | TunnelMeaning::Unrecognised | TunnelMeaning::PodNotRunning
        )
    };
    if near.iter().any(unclear) {
        end.statement = "kubectl said something that is not understood just then".to_owned();
        return;
    }
    let omitted = tunnel
        .and_then(|tunnel| tunnel.gauges.seen())
        .and_then(|gauges| gauges.last());
    if omitted.is_some_and(|gauge| gauge.lines_omitted > 0) {
        end.statement =
            "kubectl said more than was recorded, so that no trigger was seen proves nothing".to_owned();
        return;
    }
    if end.stated {
        end.blame = Some((Cause::TunnelLost, GOOD + 0.05));
        end.statement =
            "kubectl's words were read in full and name no error of the pod's: no trigger was seen"
                .to_owned();
        return;
    }
    // The forward did not end, although all its connections did: then it was the pod that ended them.
    let restarted = tunnel.is_some_and(|tunnel| {
        tunnel
            .life
            .iter()
            .any(|event| event.at + BEFORE >= end.from && event.at <= end.until + AFTER)
    });
    if end.until < Moment(u64::MAX) && !restarted {
        end.blame = Some((Cause::BackendReset, GOOD));
        end.statement =
            "the forward itself went on: kubectl neither ended nor complained, so the pod ended them"
                .to_owned();
    }
}

/// A node's kernel saw the pod refuse or reset a connection that ended in the collapse.
fn by_kernel(case: &Case<'_>, end: &mut End) {
    let Observation::Seen(node) = &case.evidence.node else {
        return;
    };
    let around = failures_between(&case.failures, back(end.from, AFTER), end.to + AFTER);
    let around = case.failures.get(around).unwrap_or(&[]);
    let mut ended: Vec<ConnectionId> = around
        .iter()
        .filter(|failure| failure.path == end.path && during(end, failure.at))
        .map(|failure| failure.id)
        .collect();
    ended.sort_unstable();
    let causes = node.sockets.iter().filter(|socket| {
        socket
            .connection
            .seen()
            .is_some_and(|id| ended.binary_search(id).is_ok())
    });
    if let Some(cause) = causes.filter_map(pod_trigger).min() {
        end.blame = Some((cause, STRONG + 0.05));
        end.statement = "the node's kernel saw the pod do it to one of these connections".to_owned();
    }
}

fn pod_trigger(socket: &KernelSocket) -> Option<Cause> {
    let pod_is_peer = socket.peer.seen() == Some(&Hop::Backend);
    let pod_owns = socket.owner.seen() == Some(&Hop::Backend);
    match socket.end {
        KernelEnd::ConnectRefused if pod_is_peer => Some(Cause::BackendRefused),
        KernelEnd::ResetReceived if pod_is_peer => Some(Cause::BackendReset),
        KernelEnd::ResetSentUnread if pod_owns => Some(Cause::BackendUnreadBody),
        KernelEnd::ResetSent if pod_owns => Some(Cause::BackendReset),
        KernelEnd::ConnectRefused
        | KernelEnd::ConnectTimedOut { .. }
        | KernelEnd::NoLocalPort
        | KernelEnd::ResetSentUnread
        | KernelEnd::ResetSent
        | KernelEnd::ResetReceived
        | KernelEnd::RetransmitTimeout
        | KernelEnd::AcceptQueueFull
        | KernelEnd::ClosedFirst
        | KernelEnd::ClosedByPeer => None,
    }
}

/// Within the collapse, give or take what hopscope needs to see it; around a stated end that caught few connections,
/// give or take the node's drain.
fn during(end: &End, at: Moment) -> bool {
    let slack = if end.collapse.is_some() {
        Span(50_000)
    } else {
        AFTER
    };
    at + slack >= end.from && at <= end.to + slack
}

fn charge(case: &mut Case<'_>, end: &End, forwards: &[Forward]) {
    let port_of = |case: &Case<'_>, failure: &Failure| {
        case.connection(failure)
            .and_then(|connection| connection.upstream_tuple)
            .map(|tuple| tuple.remote.port())
    };
    let several = forwards.iter().filter(|forward| forward.path == end.path).count() > 1;
    let belongs = |case: &Case<'_>, failure: &Failure| {
        if failure.path != end.path {
            return false;
        }
        match failure.what {
            What::NotConnected(ConnectFailure::Refused | ConnectFailure::Reset) => {
                failure.at + Span(50_000) >= end.from && failure.at <= end.until
            }
            What::Broken { .. } if failure.cut_by_upstream() && during(end, failure.at) => {
                !several || end.port.is_none() || port_of(case, failure) == end.port
            }
            What::Broken { .. } | What::NotConnected(_) | What::Abandoned { .. } | What::Answered { .. } => {
                false
            }
        }
    };
    let reach = failures_between(
        &case.failures,
        back(end.from, AFTER),
        (end.to + AFTER).max(end.until),
    );
    let caught: Vec<usize> = reach
        .clone()
        .zip(case.failures.get(reach).unwrap_or(&[]))
        .filter(|(_, failure)| failure.is_open() || failure.cause == Cause::TunnelDown)
        .filter(|(_, failure)| belongs(case, failure))
        .map(|(index, _)| index)
        .collect();
    let mut triggers = 0_u64;
    for index in &caught {
        let Some(failure) = case.failures.get_mut(*index) else {
            continue;
        };
        let ruling = match end.blame {
            Some((cause, confidence)) => {
                // The first that ended was the trigger; the tunnel's own loss has victims only.
                let first = triggers == 0 && matches!(failure.what, What::Broken { .. });
                let trigger = first && cause.hop() == Hop::Backend;
                triggers += u64::from(trigger);
                if trigger {
                    Ruling::charge(cause, confidence)
                } else {
                    Ruling::victim(cause, confidence)
                }
            }
            // That nothing listened is clear, but not who ended what had listened.
            None => Ruling {
                victim: true,
                ..Ruling::charge(Cause::Undetermined, 0.0)
            },
        };
        failure.charge(ruling, RULE.name);
    }
    if caught.is_empty() {
        return;
    }
    tell(case, end, caught.len());
}

fn tell(case: &mut Case<'_>, end: &End, caught: usize) {
    let name = case.path_name(end.path);
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
        "nobody read kubectl's output"
    } else {
        end.statement.as_str()
    };
    let finding = Finding {
        rule: RULE.name,
        statement: format!(
            "{seen}, {} in all: {why}.",
            counted(u64::try_from(caught).unwrap_or(0), "failure", "failures")
        ),
        numbers: vec![
            ("at_seconds", real(end.from.0) / 1e6),
            ("failures", length(caught)),
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
    Moment(at.0.saturating_sub(by.0))
}

/// A moment of the run as a person would say it.
pub(super) fn clock(at: Moment) -> String {
    format!("{:.2} s", real(at.0) / 1e6)
}

/// Refused connections of a forward that had stood before are not evidence of who ended it; of one that the cluster
/// refused to open, its own words say so.
fn never_up(case: &mut Case<'_>, path: PathId, reopened: &[(PathId, Moment)], no_end: bool) {
    let first_up = next(reopened, path, Moment(0));
    let denied = case
        .tunnel(path)
        .seen()
        .and_then(|tunnel| tunnel.lines.seen())
        .and_then(|lines| {
            let denied = |line: &&TunnelLine| {
                matches!(
                    line.meaning,
                    TunnelMeaning::Forbidden
                        | TunnelMeaning::NotFound
                        | TunnelMeaning::PodNotRunning
                        | TunnelMeaning::NodeUnreachable
                        | TunnelMeaning::UpgradeFailed
                        | TunnelMeaning::ApiUnreachable
                )
            };
            lines.iter().find(denied).map(|line| line.text.clone())
        });
    case.judge_where(
        RULE.name,
        |failure| failure.path == path && failure.cause == Cause::TunnelDown,
        |_, failure| {
            if failure.at > first_up && no_end {
                return Some(Ruling {
                    victim: true,
                    ..Ruling::charge(Cause::Undetermined, 0.0)
                });
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
