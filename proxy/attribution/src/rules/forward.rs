//! One forward's connections in time: when they ended together, and when the forward is known to have stood.

use std::net::SocketAddr;

use crate::case::Case;
use crate::evidence::{
    Connection, ConnectionId, Connections, Delivery, Ending, Evidence, Moment, PathId, PathKind, Side, Span,
    TunnelLine, Upstream,
};
use crate::failure::{ById, Failure};

/// Ends closer together than this belong together: kubectl closes all its local sockets within a millisecond, and
/// hopscope sees them within a few wake-ups.
const GAP: Span = Span::from_micros(100_000);
/// A forward that delivers this long after an end had survived it: what kubectl had buffered arrives sooner.
const MARGIN: Span = Span::from_micros(100_000);
/// Ends that follow one another for longer than this are not one event.
const AT_ONCE: Span = Span::from_micros(500_000);
/// Fewer ends at once than this are a coincidence.
const TOGETHER: usize = 3;

/// The connections that one process forwarded, by what hopscope was connected to.
pub(super) struct Forward<'e> {
    pub(super) path: PathId,
    pub(super) remote: Option<SocketAddr>,
    /// Every connection of the run.
    all: &'e Connections,
    /// Indices of its connections, in the order in which they were opened.
    pub(super) connections: Vec<u32>,
    ended: Vec<Moment>,
    /// For each of its connections, the last delivery on it or on any that was opened before; zero while there was none.
    delivered: Vec<Moment>,
    /// When an answer came out of it, or began to.
    answers: Vec<Moment>,
    /// Moments at which the forward's side ended a connection by itself, with the connection's index.
    cuts: Vec<(Moment, u32)>,
}

/// Connections of one forward that its side ended at the same time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Collapse {
    pub(super) from: Moment,
    pub(super) to: Moment,
    pub(super) ended: usize,
    pub(super) open: usize,
}

impl<'e> Forward<'e> {
    /// All that paths of this kind go to: forwards of tunnel paths, or applications of direct ones.
    pub(super) fn all(case: &Case<'e>, kind: PathKind) -> Vec<Self> {
        let connections = &case.evidence.connections;
        let key = |index: &u32| {
            let connection = connections.get(*index as usize);
            connection.map(|c| (c.path, c.upstream_tuple.map(|tuple| tuple.remote), c.opened, c.id))
        };
        let mut order: Vec<u32> = (0..u32::MAX)
            .zip(connections)
            .filter(|(_, connection)| case.kind(connection.path) == kind)
            .filter(|(_, connection)| matches!(connection.upstream, Upstream::Connected { .. }))
            .map(|(index, _)| index)
            .collect();
        order.sort_unstable_by_key(key);
        let mut deliveries = deliveries(case, kind);
        deliveries.sort_unstable();
        let same = |a: &u32, b: &u32| {
            let pair =
                |key: Option<(PathId, Option<SocketAddr>, Moment, ConnectionId)>| key.map(|k| (k.0, k.1));
            pair(key(a)) == pair(key(b))
        };
        order
            .chunk_by(same)
            .filter_map(|group| Self::of(case.evidence, group, &deliveries))
            .collect()
    }

    fn of(evidence: &'e Evidence, group: &[u32], deliveries: &[(u32, u32)]) -> Option<Self> {
        let all = &evidence.connections;
        let first = all.get(*group.first()? as usize)?;
        let mut forward = Self {
            path: first.path,
            remote: first.upstream_tuple.map(|tuple| tuple.remote),
            all,
            connections: group.to_vec(),
            ended: Vec::with_capacity(group.len()),
            delivered: Vec::with_capacity(group.len()),
            answers: Vec::new(),
            cuts: Vec::new(),
        };
        let mut latest = Moment(0);
        for index in group {
            let Some(connection) = all.get(*index as usize) else {
                continue;
            };
            forward.ended.push(end_of(&connection));
            let cut = matches!(
                connection.ended_first(),
                Some((Side::Upstream, Ending::Fin | Ending::Reset))
            );
            if cut && !stream_timed_out(&connection) {
                forward.cuts.push((connection.upstream_end.at, *index));
            }
            let from = deliveries.partition_point(|(owner, _)| owner < index);
            let of_it = deliveries.get(from..).unwrap_or(&[]).iter();
            let of_it = of_it.take_while(|(owner, _)| owner == index);
            let complete = of_it.filter_map(|(_, exchange)| evidence.exchanges.get(*exchange as usize));
            let first_byte = connection.first_byte_down.map(|after| connection.opened + after);
            let answers = complete.map(|exchange| exchange.began + exchange.phases.total);
            for answer in answers.chain(first_byte) {
                forward.answers.push(answer);
                latest = latest.max(answer);
            }
            forward.delivered.push(latest);
        }
        forward.ended.sort_unstable();
        forward.cuts.sort_unstable();
        forward.answers.sort_unstable();
        Some(forward)
    }

    /// How many of its connections had been opened when this held of the moment of opening.
    fn opened(&self, when: impl Fn(Moment) -> bool) -> usize {
        self.connections.partition_point(|index| {
            let connection = self.all.get(*index as usize);
            connection.is_some_and(|connection| when(connection.opened))
        })
    }

    /// Whether a connection that stood before this moment delivered an answer after it. A forward that is lost takes all
    /// of its connections with it, so one that goes on delivering proves that it was not lost.
    pub(super) fn survived(&self, at: Moment) -> bool {
        let before = Moment(at.0.saturating_sub(MARGIN.as_micros()));
        let started = self.opened(|opened| opened <= before);
        let last = started.checked_sub(1).and_then(|index| self.delivered.get(index));
        last.is_some_and(|last| *last >= at + MARGIN)
    }

    /// The last answer that came out of it before this moment.
    pub(super) fn delivered_before(&self, at: Moment) -> Option<Moment> {
        let end = self.answers.partition_point(|answer| *answer < at);
        end.checked_sub(1)
            .and_then(|last| self.answers.get(last))
            .copied()
    }

    /// How many of its connections stood just before this moment.
    pub(super) fn open_at(&self, at: Moment) -> usize {
        let opened = self.opened(|opened| opened < at);
        opened.saturating_sub(self.ended.partition_point(|ended| *ended < at))
    }

    /// The indices of the connections that its side ended between two moments.
    pub(super) fn cut_between(&self, from: Moment, to: Moment) -> impl Iterator<Item = &u32> {
        let start = self.cuts.partition_point(|(at, _)| *at < from);
        let cuts = self.cuts.get(start..).unwrap_or(&[]).iter();
        cuts.take_while(move |(at, _)| *at <= to).map(|(_, index)| index)
    }

    /// When most of what stood was ended by the forward's side at once, and nothing survived it.
    pub(super) fn collapses(&self) -> Vec<Collapse> {
        let mut collapses = Vec::new();
        let mut rest = self.cuts.as_slice();
        while let Some((from, _)) = rest.first() {
            let steps = rest.windows(2).take_while(|pair| match pair {
                [a, b] => b.0.since(a.0) <= GAP && b.0.since(*from) <= AT_ONCE,
                _ => false,
            });
            let (group, later) = rest.split_at(steps.count() + 1);
            rest = later;
            let Some((to, _)) = group.last() else { continue };
            let open = self.open_at(*from);
            let together =
                group.len() >= TOGETHER && group.len().saturating_mul(10) >= open.saturating_mul(7);
            if together && !self.survived(*to) && !self.survived(*from) {
                collapses.push(Collapse {
                    from: *from,
                    to: *to,
                    ended: group.len(),
                    open,
                });
            }
        }
        collapses
    }
}

/// The lines read in a span of time; they are kept in the order in which they were read.
pub(super) fn lines_between(lines: &[TunnelLine], from: Moment, to: Moment) -> &[TunnelLine] {
    let start = lines.partition_point(|line| line.at < from);
    let end = lines.partition_point(|line| line.at <= to);
    lines.get(start..end).unwrap_or(&[])
}

/// The indices of the failures that ended in a span of time; failures are kept in that order.
pub(super) fn failures_between(failures: &[Failure], from: Moment, to: Moment) -> std::ops::Range<usize> {
    let start = failures.partition_point(|failure| failure.at < from);
    start..failures.partition_point(|failure| failure.at <= to).max(start)
}

/// When a connection was over for the forward: the first end of either side.
fn end_of(connection: &Connection) -> Moment {
    let ended = |how: Ending| !matches!(how, Ending::StillOpen | Ending::NeverStood | Ending::EndedByRelay);
    let up = ended(connection.upstream_end.how).then_some(connection.upstream_end.at);
    let down = ended(connection.downstream_end.how).then_some(connection.downstream_end.at);
    match (up, down) {
        (Some(up), Some(down)) => up.min(down),
        (Some(at), None) | (None, Some(at)) => at,
        (None, None) => connection.closed.seen().copied().unwrap_or(Moment(u64::MAX)),
    }
}

/// Reset 30.00 s after it was opened, without an answer: kubectl's own timer, one connection at a time.
fn stream_timed_out(connection: &Connection) -> bool {
    let age = connection.upstream_end.at.since(connection.opened);
    connection.bytes_down == 0 && age >= Span::from_micros(29_950_000) && age <= Span::from_micros(31_000_000)
}

/// The index of the connection and of the exchange, for every complete answer on paths of a kind.
fn deliveries(case: &Case<'_>, kind: PathKind) -> Vec<(u32, u32)> {
    let by_id = ById::of(&case.evidence.connections);
    (0..u32::MAX)
        .zip(&case.evidence.exchanges)
        .filter(|(_, exchange)| case.kind(exchange.path) == kind)
        .filter(|(_, exchange)| matches!(exchange.delivery, Delivery::Complete { .. }))
        .filter_map(|(index, exchange)| Some((by_id.find(exchange.connection)?, index)))
        .collect()
}
