//! Which recorded connection a socket belonged to. Pure.
//!
//! On the recording's own host, and wherever no address is translated, the four addresses say it. Behind a tunnel or a
//! translation they do not: then the byte ledger, the order and the time do ([`ledger`]), and say nothing where they
//! fit more than one.

use std::collections::HashMap;
use std::net::SocketAddr;

use hopscope_attribution::evidence::node::{KernelSocket, KernelWindow, Marks, SocketBytes};
use hopscope_attribution::evidence::{
    Connection, Connections, Evidence, Moment, NodeEvidence, Observation, Path, PodEvidence, Span, WhyUnseen,
};
use hopscope_attribution::hop::Hop;

use super::evidence::{Forgotten, Head, Line, Pods, Seen, SocketSeen, end_from_word};

pub mod arrivals;
mod cluster;
mod fronts;
mod ledger;
mod pods;
mod translated;

/// How an agent's clock relates to the recording's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// When the recording began, microseconds since 1970 on the agent's clock.
    pub began_unix_us: u64,
    /// By how much that may be wrong.
    pub error: Span,
}

impl Clock {
    /// From one question and its answer, as NTP does: the agent's `now` lies between sending and receiving, so the
    /// middle is off by at most half the round trip.
    pub fn estimate(asked: Moment, answered: Moment, agents_now_unix_us: u64) -> Self {
        let round_trip = answered.since(asked).as_micros();
        let middle = asked.0.saturating_add(round_trip / 2);
        Self {
            began_unix_us: agents_now_unix_us.saturating_sub(middle),
            error: Span::from_micros(round_trip.div_ceil(2)),
        }
    }

    /// The recording's time of one of the agent's; `None` for what was before the recording began for certain.
    fn moment(&self, unix_us: u64) -> Option<Moment> {
        let certainly_before = unix_us.saturating_add(self.error.as_micros()) < self.began_unix_us;
        (!certainly_before).then(|| Moment(unix_us.saturating_sub(self.began_unix_us)))
    }
}

/// The connections that sockets are joined to.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// In the order in which they were accepted.
    pub connections: &'a Connections,
    /// The paths that they were dealt to.
    pub paths: &'a [Path],
}

impl<'a> From<&'a Evidence> for Recorded<'a> {
    fn from(evidence: &'a Evidence) -> Self {
        Self {
            connections: &evidence.connections,
            paths: &evidence.paths,
        }
    }
}

/// What an agent gave up of what it saw, as windows in which events were lost: absence proves nothing there. What it
/// gave up of connections that no hop owned on either side is nobody's evidence.
pub fn given_up(forgotten: &[Forgotten], clock: Clock) -> impl Iterator<Item = KernelWindow> + '_ {
    let of_hop = |one: &Forgotten| {
        let known = [&one.owner, &one.peer].into_iter().filter_map(|word| hop(word));
        let mut known = known.filter(|hop| *hop != Hop::Unknown);
        known.next()
    };
    forgotten.iter().filter_map(move |one| {
        let hop = of_hop(one)?;
        let until = clock.moment(one.until_unix_us)?;
        let from = clock.moment(one.from_unix_us).unwrap_or_default();
        Some(KernelWindow {
            from,
            length: until.since(from),
            hop,
            syn_retransmits: 0,
            accept_queue_overflows: 0,
            events_lost: one.lines,
        })
    })
}

/// A socket that an agent told of, placed in the recording's time.
#[derive(Clone, Copy, Debug)]
struct Placed<'a> {
    seen: &'a SocketSeen,
    at: Moment,
    owner: Option<Hop>,
    peer: Option<Hop>,
}

/// Joins an agent's lines to the connections of a recording, and says how many sockets were joined by the byte ledger.
///
/// By addresses a socket belongs to a connection when it has its four addresses, from either end, and ended within its
/// life give or take a second and the clock's error: an address pair can come again. What cannot be joined stays,
/// unjoined. What happened before the recording began is left out. `head` is what the agent said of itself; a run's own probes
/// have none.
pub fn join(
    lines: &[Line],
    head: Option<&Head>,
    recorded: Recorded<'_>,
    clock: Clock,
) -> (NodeEvidence, usize) {
    let pods = head.and_then(|head| head.pods);
    let by_ends = by_ends(recorded.connections);
    let slack = Span::from_micros(clock.error.as_micros().saturating_add(1_000_000));
    let mut evidence = NodeEvidence {
        clock_error: clock.error,
        ..NodeEvidence::default()
    };
    let (mut placed, mut turns) = (Vec::new(), Vec::new());
    for line in lines {
        match &line.seen {
            Seen::Socket(socket) => {
                let Some(at) = clock.moment(socket.unix_us) else {
                    continue;
                };
                let Some(end) = end_from_word(&socket.end, socket.retransmits) else {
                    continue;
                };
                let candidates = by_ends.get(&ordered(socket.local, socket.remote));
                let connection = alive(candidates, recorded, at, slack);
                let (owner, peer) = (hop(&socket.owner), hop(&socket.peer));
                placed.push(Placed {
                    seen: socket,
                    at,
                    owner,
                    peer,
                });
                evidence.sockets.push(KernelSocket {
                    at,
                    connection: seen_or(connection.map(|one| one.id), WhyUnseen::NotWatched),
                    owner: seen_or(owner, WhyUnseen::NotWatched),
                    peer: seen_or(peer, WhyUnseen::NotWatched),
                    end,
                    bytes: match (socket.bytes_received, socket.bytes_acked) {
                        (Some(received), Some(acknowledged)) => Observation::Seen(SocketBytes {
                            received,
                            acknowledged,
                        }),
                        _ => Observation::Unseen(WhyUnseen::NotSupported),
                    },
                    marks: Marks {
                        after_fin: socket.after_fin,
                        after_own_fin: socket.after_own_fin,
                        dropped_at_home: socket.dropped_at_home,
                    },
                });
            }
            Seen::Window(window) => {
                let Some(from) = clock.moment(window.from_unix_us) else {
                    continue;
                };
                evidence.windows.push(KernelWindow {
                    from,
                    length: Span::from_micros(window.length_us),
                    hop: Hop::from_word(&window.hop).unwrap_or(Hop::Unknown),
                    syn_retransmits: window.syn_retransmits,
                    accept_queue_overflows: window.accept_queue_overflows,
                    events_lost: window.events_lost,
                });
            }
            Seen::Pod(pod) => turns.extend(pods::turn(pod, clock)),
            // Placed by themselves: no connection is needed for it.
            Seen::Refusal(_) | Seen::Throttle(_) | Seen::Service(_) | Seen::Newer => {}
        }
    }
    translated::join(&mut evidence.sockets, &placed, recorded, slack);
    fronts::name(&mut evidence.sockets, &mut placed, recorded);
    let joined: Vec<bool> = evidence
        .sockets
        .iter()
        .map(|socket| socket.connection.seen().is_some())
        .collect();
    let by_ledger = ledger::pair(&placed, &joined, recorded, clock.error);
    for (socket, id) in &by_ledger {
        if let Some(socket) = evidence.sockets.get_mut(*socket) {
            socket.connection = Observation::Seen(*id);
        }
    }
    if let Some(head) = head {
        turns.extend(pods::standing(&head.standing, &turns, clock));
        let given: Vec<_> = given_up(&head.forgotten_of, clock).collect();
        let given_up = given.iter().map(|window| window.events_lost).sum();
        evidence
            .nodes
            .extend(cluster::node(head, &evidence.windows, given_up));
        evidence.windows.extend(given);
        evidence.services = cluster::services(head, lines, clock);
        evidence.throttling = cluster::throttling(head, lines, clock);
    }
    if pods.is_some() || !turns.is_empty() {
        evidence.pods = match pods {
            Some(Pods::NoAnswer) => Observation::Unseen(WhyUnseen::NoAnswer),
            Some(Pods::Told | Pods::Newer) | None => Observation::Seen(PodEvidence {
                turns,
                homes: pods::homes(&placed, &evidence.sockets),
            }),
        };
    }
    (evidence, by_ledger.len())
}

type Ends = (SocketAddr, SocketAddr);

/// The indices of connections, by the ends of either of their sockets.
fn by_ends(connections: &Connections) -> HashMap<Ends, Vec<usize>> {
    let mut found: HashMap<Ends, Vec<usize>> = HashMap::new();
    for (index, connection) in connections.iter().enumerate() {
        for ends in connection
            .upstream_tuple
            .iter()
            .chain([&connection.downstream_tuple])
        {
            let key = ordered(ends.local, ends.remote);
            found.entry(key).or_default().push(index);
        }
    }
    found
}

/// The first of the candidates, by their index, that lived at a moment.
fn alive(
    candidates: Option<&Vec<usize>>,
    recorded: Recorded<'_>,
    at: Moment,
    slack: Span,
) -> Option<Connection> {
    let mut rows = candidates?
        .iter()
        .filter_map(|index| recorded.connections.get(*index));
    rows.find(|one| lived_at(one, at, slack))
}

fn lived_at(connection: &Connection, at: Moment, slack: Span) -> bool {
    let began = at + slack >= connection.opened;
    let not_over = connection
        .closed
        .seen()
        .is_none_or(|closed| at <= *closed + slack);
    began && not_over
}

fn ordered(one: SocketAddr, other: SocketAddr) -> Ends {
    if one <= other { (one, other) } else { (other, one) }
}

fn seen_or<T>(found: Option<T>, why: WhyUnseen) -> Observation<T> {
    found.map_or(Observation::Unseen(why), Observation::Seen)
}

fn hop(word: &str) -> Option<Hop> {
    Hop::from_word(word).filter(|hop| *hop != Hop::Unknown)
}

#[cfg(test)]
mod tests;
