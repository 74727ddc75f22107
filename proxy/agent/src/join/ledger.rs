//! The join where no address agrees: across hosts, behind a tunnel or a translation.
//!
//! A forwarder neither adds nor removes bytes, so what the application's side of it has taken and given bounds what
//! hopscope gave and got. With the time, and the clock's error added to every bound, that leaves each socket a few
//! connections that it can have carried. Sockets and connections that hang together by this make a group, and a group
//! is joined only when nothing in it can be confused:
//!
//! - one socket (or the two ends of one connection) and one connection: they belong together;
//! - as many of the one as of the other, and all sockets tell the same story: joined in order. Which of them is whose
//!   may be mistaken, what is said of each is not;
//! - anything else stays unjoined.
//!
//! The right connection is always among a socket's candidates, whatever the clock says within its error. So a clock
//! that is shifted can make a group larger, and unjoined; it never joins a socket to a connection of another story.

use std::collections::{BTreeMap, HashMap};

use hopscope_attribution::evidence::{Connection, ConnectionId, Moment, PathKind, Span, Upstream};
use hopscope_attribution::hop::Hop;

use super::{Ends, Placed, Recorded, ordered};

/// How much later than hopscope's own connection the application's end of a forward may be opened, or end: kubectl,
/// API server and kubelet take their turns, and the runtime drains for a second.
const BEHIND: Span = Span::from_micros(2_000_000);

/// Records of the two ends of one connection come within this.
const TOGETHER: Span = Span::from_micros(1_000_000);

/// Candidates that are looked at in all; a longer search would find groups too large to be told apart anyway.
const STEPS: usize = 8_000_000;

/// A connection between a forwarder and the application, as one or both of its ends told it.
#[derive(Debug)]
struct Leg<'a> {
    /// Indices of the sockets.
    sockets: Vec<usize>,
    /// Owner, other side and end of each: what there is to say of it.
    story: Vec<(Option<Hop>, Option<Hop>, &'a str)>,
    kind: Kinds,
    opened: Option<Moment>,
    ended: Moment,
    /// Bytes that had come out of the path: at most what hopscope sent into it.
    taken: u64,
    /// Bytes that had gone into the path: at least what hopscope got out of it. Only who dialled knows them all, the
    /// application's last ones may have left it without having been acknowledged.
    given: Option<u64>,
    /// Both, as far as they are known.
    ledger: (u64, u64),
}

/// The kinds of path that a leg can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kinds {
    Tunnel,
    Lb,
    Either,
}

/// Legs and connections, by index, that can be confused with one another and with no others.
type Group = (Vec<usize>, Vec<usize>);

/// The connection of each socket that can be told, by the socket's index.
pub(super) fn pair(
    sockets: &[Placed<'_>],
    joined: &[bool],
    recorded: Recorded<'_>,
    error: Span,
) -> Vec<(usize, ConnectionId)> {
    let legs = legs(sockets, joined);
    let rows: Vec<Connection> = recorded.connections.iter().collect();
    let mut forwarded: Vec<(&Connection, PathKind)> = rows
        .iter()
        .filter_map(|connection| {
            let kind = recorded.paths.get(usize::from(connection.path.0))?.kind;
            let stood = matches!(connection.upstream, Upstream::Connected { .. });
            (stood && matches!(kind, PathKind::Tunnel | PathKind::Lb)).then_some((connection, kind))
        })
        .collect();
    forwarded.sort_by_key(|(connection, _)| (connection.opened, connection.id));
    let mut pairs = Vec::new();
    for (legs_of, connections_of) in groups(&legs, &forwarded, error).unwrap_or_default() {
        let mut legs_of: Vec<&Leg<'_>> = legs_of.iter().filter_map(|at| legs.get(*at)).collect();
        let first = legs_of.first().map(|leg| &leg.story);
        let alike = legs_of.iter().all(|leg| Some(&leg.story) == first);
        if legs_of.len() != connections_of.len() || !alike {
            continue;
        }
        legs_of.sort_by_key(|leg| (leg.opened.unwrap_or(leg.ended), leg.ended));
        // The connections are in their order already.
        let connections_of = connections_of.iter().filter_map(|at| forwarded.get(*at));
        let couples: Vec<_> = legs_of.iter().zip(connections_of).collect();
        let every_one_fits = couples
            .iter()
            .all(|(leg, (connection, kind))| fits(leg, connection, *kind, error));
        if every_one_fits {
            for (leg, (connection, _)) in couples {
                pairs.extend(leg.sockets.iter().map(|socket| (*socket, connection.id)));
            }
        }
    }
    pairs.sort_unstable();
    pairs
}

/// Sockets at the application's end of a forward, both ends of a connection together.
fn legs<'a>(sockets: &[Placed<'a>], joined: &[bool]) -> Vec<Leg<'a>> {
    let mut by_ends: HashMap<(Ends, u32), usize> = HashMap::new();
    let mut legs: Vec<Leg<'a>> = Vec::new();
    for (at, socket) in sockets.iter().enumerate() {
        if joined.get(at).copied().unwrap_or(true) {
            continue;
        }
        let Some(leg) = leg(at, socket) else { continue };
        let seen = socket.seen;
        let within = if seen.remote.ip().is_loopback() {
            seen.netns
        } else {
            0
        };
        let key = (ordered(seen.local, seen.remote), within);
        let other = by_ends.get(&key).and_then(|known| legs.get_mut(*known));
        let other =
            other.filter(|other| other.sockets.len() == 1 && other.ended.distance(leg.ended) <= TOGETHER);
        if let Some(other) = other {
            other.absorb(leg);
        } else {
            by_ends.insert(key, legs.len());
            legs.push(leg);
        }
    }
    legs
}

fn leg<'a>(at: usize, socket: &Placed<'a>) -> Option<Leg<'a>> {
    let (kind, dialled) = match (socket.owner, socket.peer) {
        (Some(Hop::Tunnel), Some(Hop::Backend)) => (Kinds::Tunnel, true),
        (Some(Hop::Lb), Some(Hop::Backend)) => (Kinds::Lb, true),
        (Some(Hop::Backend), Some(Hop::Tunnel)) => (Kinds::Tunnel, false),
        (Some(Hop::Backend), Some(Hop::Lb)) => (Kinds::Lb, false),
        // Accepted from whom this host does not know; what the application opened itself is another matter.
        (Some(Hop::Backend), None) if socket.seen.age_us.is_none() => (Kinds::Either, false),
        _ => return None,
    };
    let (acked, received) = (socket.seen.bytes_acked?, socket.seen.bytes_received?);
    let ledger = if dialled {
        (acked, received)
    } else {
        (received, acked)
    };
    let opened = |age| Moment(socket.at.0.saturating_sub(age));
    Some(Leg {
        sockets: vec![at],
        story: vec![(socket.owner, socket.peer, socket.seen.end.as_str())],
        kind,
        opened: socket.seen.age_us.map(opened),
        ended: socket.at,
        taken: ledger.0,
        given: dialled.then_some(received),
        ledger,
    })
}

impl Leg<'_> {
    /// Takes the other end's account in.
    fn absorb(&mut self, other: Self) {
        self.sockets.extend(other.sockets);
        self.story.extend(other.story);
        self.story.sort_unstable();
        if self.kind == Kinds::Either {
            self.kind = other.kind;
        }
        self.opened = self.opened.or(other.opened);
        self.ended = self.ended.max(other.ended);
        self.taken = self.taken.min(other.taken);
        self.given = self.given.or(other.given);
        self.ledger = (
            self.ledger.0.max(other.ledger.0),
            self.ledger.1.max(other.ledger.1),
        );
    }
}

/// Whether the leg can have carried the connection, whatever the clocks say within their error.
fn fits(leg: &Leg<'_>, connection: &Connection, kind: PathKind, error: Span) -> bool {
    let (up, down) = (connection.bytes_up, connection.bytes_down);
    let bytes = match kind {
        PathKind::Tunnel => {
            leg.kind != Kinds::Lb && leg.taken <= up && leg.given.is_none_or(|given| down <= given)
        }
        // A balancer may rewrite what it passes on: only where it did not, the ledger says anything.
        PathKind::Lb => leg.kind != Kinds::Tunnel && leg.ledger == (up, down) && leg.ledger != (0, 0),
        PathKind::Direct | PathKind::Unstated => false,
    };
    let not_before = |at: Moment| at + error >= connection.opened;
    let not_after = |at: Moment, limit: Moment| at <= limit + BEHIND + error;
    let opened = leg
        .opened
        .is_none_or(|at| not_before(at) && not_after(at, connection.opened));
    let closed = connection.closed.seen();
    let ended = not_before(leg.ended) && closed.is_none_or(|closed| not_after(leg.ended, *closed));
    bytes && opened && ended
}

/// Legs and connections that hang together; `None` when there are too many to be looked at.
fn groups(legs: &[Leg<'_>], connections: &[(&Connection, PathKind)], error: Span) -> Option<Vec<Group>> {
    // Nodes: legs first, then connections.
    let mut forest = Forest::of(legs.len() + connections.len());
    let lived = |connection: &Connection| {
        let closed = connection.closed.seen().copied().unwrap_or(Moment(u64::MAX));
        closed.since(connection.opened)
    };
    let longest = connections.iter().map(|(connection, _)| lived(connection)).max();
    let mut steps = 0;
    for (at, leg) in legs.iter().enumerate() {
        // Whatever was opened before this was over by the time, or opened too early for the leg's own beginning.
        let back = |from: Moment, life: Span| {
            let reach = life
                .as_micros()
                .saturating_add(BEHIND.as_micros())
                .saturating_add(error.as_micros());
            Moment(from.0.saturating_sub(reach))
        };
        let early = match leg.opened {
            Some(opened) => back(opened, Span::ZERO),
            None => back(leg.ended, longest.unwrap_or_default()),
        };
        let late = leg.opened.unwrap_or(leg.ended) + error;
        let from = connections.partition_point(|(connection, _)| connection.opened < early);
        let until = connections.partition_point(|(connection, _)| connection.opened <= late);
        for (number, (connection, kind)) in connections.iter().enumerate().take(until).skip(from) {
            steps += 1;
            if steps > STEPS {
                return None;
            }
            if fits(leg, connection, *kind, error) {
                forest.unite(at, legs.len() + number);
            }
        }
    }
    let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
    for node in 0..legs.len() + connections.len() {
        let (legs_of, connections_of) = groups.entry(forest.root(node)).or_default();
        match node.checked_sub(legs.len()) {
            None => legs_of.push(node),
            Some(connection) => connections_of.push(connection),
        }
    }
    Some(groups.into_values().collect())
}

/// Which nodes hang together.
struct Forest {
    above: Vec<usize>,
}

impl Forest {
    fn of(nodes: usize) -> Self {
        Self {
            above: (0..nodes).collect(),
        }
    }

    fn root(&mut self, node: usize) -> usize {
        let mut at = node;
        while let Some(above) = self.above.get(at).copied().filter(|above| *above != at) {
            // Halves the way for the next who asks.
            let higher = self.above.get(above).copied().unwrap_or(above);
            if let Some(link) = self.above.get_mut(at) {
                *link = higher;
            }
            at = higher;
        }
        at
    }

    fn unite(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        if let Some(link) = self.above.get_mut(one) {
            *link = other;
        }
    }
}

#[cfg(test)]
mod tests;
