//! When a forward ended: what its connections show, what kubectl said, and what its process did, put together.

use super::{BEFORE, End};
use crate::case::Case;
use crate::evidence::tunnel::{TunnelLife, TunnelMeaning};
use crate::evidence::{Moment, Observation, PathId, PathKind, Span, Upstream};
use crate::rules::forward::Forward;

/// What a forward had buffered when it ended arrives sooner.
const WENT_ON: Span = Span::from_micros(100_000);

/// When connections of each path stood again, sorted.
pub(super) fn reopened(case: &Case<'_>) -> Vec<(PathId, Moment)> {
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

pub(super) fn first(reopened: &[(PathId, Moment)], path: PathId) -> Moment {
    let at = reopened.partition_point(|(of, _)| *of < path);
    let first = reopened.get(at).filter(|(of, _)| *of == path);
    first.map_or(Moment(u64::MAX), |(_, at)| *at)
}

pub(super) fn next(reopened: &[(PathId, Moment)], path: PathId, after: Moment) -> Moment {
    let at = reopened.partition_point(|opened| *opened <= (path, after));
    reopened
        .get(at)
        .filter(|(of, _)| *of == path)
        .map_or(Moment(u64::MAX), |(_, at)| *at)
}

/// Every end of a path's forwards: collapses, and what kubectl said or its process showed, joined where they coincide.
pub(super) fn ends(case: &Case<'_>, path: PathId, forwards: &[Forward<'_>]) -> Vec<End> {
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
    let mut ready: Vec<Moment> = tunnel
        .life
        .iter()
        .filter(|event| event.kind == TunnelLife::Ready)
        .map(|event| event.at)
        .collect();
    ready.sort_unstable();
    for at in stated {
        // Another process stood in between: then that was another end.
        let again = |from: Moment, to: Moment| {
            let next = ready.partition_point(|ready| *ready <= from);
            ready.get(next).is_some_and(|ready| *ready < to)
        };
        // A server that closes after each answer ends many at once as well: what answered afterwards had not ended then.
        let went_on = |end: &End| {
            let of_end = |forward: &&Forward<'_>| {
                forward.path == path
                    && (end.port.is_none() || forward.remote.map(|remote| remote.port()) == end.port)
            };
            forwards.iter().filter(of_end).any(|forward| {
                let last = forward.delivered_before(at);
                last.is_some_and(|last| last > end.to + WENT_ON)
            })
        };
        let near = |end: &&mut End| {
            at + BEFORE >= end.from
                && at <= end.to + BEFORE
                && !again(at, end.from)
                && !again(end.to, at)
                && !went_on(end)
        };
        // Streams may have timed out together shortly before: it is the nearest end that was told.
        let apart = |end: &&mut End| (end.from.since(at).max(at.since(end.to)), end.from);
        if let Some(end) = ends.iter_mut().filter(near).min_by_key(apart) {
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
