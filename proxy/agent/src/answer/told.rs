//! Evidence of several tellers, added up. What one kernel told twice counts once: to the probes of the run and to an
//! agent on the same host, or to an agent that was asked by two names. Pure.

use std::collections::HashMap;

use hopscope_attribution::evidence::node::{KernelEnd, KernelSocket};
use hopscope_attribution::evidence::{
    Arrival, ConnectionId, CpuThrottle, Moment, NodeEvidence, Observation, PodEvidence, PodTurn, Span,
    WhyUnseen,
};

/// By how much two accounts of one end may differ beside their clocks: each waits for the other end's records.
const APART: u64 = 1_000_000;

/// What was told so far, and by which kernels.
#[derive(Clone, Debug)]
pub struct Told {
    node: Observation<NodeEvidence>,
    kernels: Vec<String>,
    /// Somebody told something without saying of which kernel.
    unsaid: bool,
}

/// Who tells, as far as that matters to what was told before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Teller {
    /// A kernel of which something was told already.
    Again,
    /// One of which nothing was told.
    Another,
    /// Nobody knows.
    Unsaid,
}

/// What two accounts of one socket's end agree on, whatever else their tellers were told to call its owner.
type Account = (Option<ConnectionId>, KernelEnd, Option<(u64, u64)>);

impl Told {
    /// Begins with what is on record, and the kernel that it is of.
    pub fn new(node: Observation<NodeEvidence>, kernel: Option<&str>) -> Self {
        Self {
            kernels: kernel.map(ToOwned::to_owned).into_iter().collect(),
            unsaid: node.seen().is_some() && kernel.is_none(),
            node,
        }
    }

    /// Adds what another teller said, of this kernel where it names one.
    pub fn add(&mut self, kernel: Option<&str>, more: NodeEvidence) {
        let teller = match kernel {
            Some(kernel) if self.kernels.iter().any(|known| known == kernel) => Teller::Again,
            Some(_) if !self.unsaid => Teller::Another,
            Some(_) | None => Teller::Unsaid,
        };
        match kernel {
            Some(kernel) => self.kernels.push(kernel.to_owned()),
            None => self.unsaid = true,
        }
        let known = std::mem::take(&mut self.node);
        self.node = Observation::Seen(match known {
            Observation::Seen(known) => both(known, more, teller),
            Observation::Unseen(_) => more,
        });
    }

    /// Puts in what became of connections within pods, once everything else is told: `of` gets it.
    pub fn complete(&mut self, of: impl FnOnce(&NodeEvidence) -> Vec<Arrival>) {
        if let Observation::Seen(node) = &mut self.node {
            node.arrivals.extend(of(node));
        }
    }

    /// All of it.
    pub fn into_node(self) -> Observation<NodeEvidence> {
        self.node
    }
}

fn both(mut known: NodeEvidence, more: NodeEvidence, teller: Teller) -> NodeEvidence {
    known.clock_error = known.clock_error.max(more.clock_error);
    let slack = Span::from_micros(known.clock_error.as_micros().saturating_add(APART));
    let mut accounts: HashMap<Account, Vec<Moment>> = HashMap::new();
    for socket in &known.sockets {
        accounts.entry(account(socket)).or_default().push(socket.at);
    }
    let told = more.sockets.len();
    let before = known.sockets.len();
    for socket in more.sockets {
        let may_be_known = match teller {
            Teller::Again => true,
            // A socket ends once: of one connection, with the same bytes, at the same time.
            Teller::Unsaid => socket.connection.seen().is_some(),
            Teller::Another => false,
        };
        let is_known = may_be_known
            && accounts.get_mut(&account(&socket)).is_some_and(|times| {
                let near = |at: &Moment| *at <= socket.at + slack && socket.at <= *at + slack;
                let place = times.iter().position(near);
                // Each account answers for one socket: a host may be refused twice in a second.
                place.map(|place| times.swap_remove(place)).is_some()
            });
        if !is_known {
            known.sockets.push(socket);
        }
    }
    let same_kernel = teller == Teller::Again || known.sockets.len() < before + told;
    let counted: Vec<_> = known.windows.iter().map(|window| window.hop).collect();
    known.windows.extend(
        more.windows
            .into_iter()
            .filter(|window| !(same_kernel && counted.contains(&window.hop))),
    );
    known.nodes.extend(more.nodes);
    known.arrivals.extend(more.arrivals);
    // Every agent of a cluster is told the same of its Services; the first one that was told of them speaks for all.
    if known.services.seen().is_none() {
        known.services = more.services;
    }
    known.throttling = match (known.throttling, more.throttling) {
        (Observation::Seen(mut rows), Observation::Seen(more)) => {
            let before = rows.len();
            let is_known = |row: &CpuThrottle, rows: &[CpuThrottle]| {
                let same = |one: &CpuThrottle| one.pod == row.pod && one.container == row.container;
                let near = |one: &CpuThrottle| one.from <= row.from + slack && row.from <= one.from + slack;
                rows.iter().take(before).any(|one| same(one) && near(one))
            };
            for row in more {
                if teller == Teller::Another || !is_known(&row, &rows) {
                    rows.push(row);
                }
            }
            Observation::Seen(rows)
        }
        (Observation::Unseen(_), more) => more,
        (known, Observation::Unseen(_)) => known,
    };
    known.pods = match (known.pods, more.pods) {
        (Observation::Seen(pods), Observation::Seen(more)) => Observation::Seen(pods_of_both(pods, more)),
        (Observation::Seen(pods), Observation::Unseen(_))
        | (Observation::Unseen(_), Observation::Seen(pods)) => Observation::Seen(pods),
        // That somebody asked says more than that nobody did.
        (known, Observation::Unseen(WhyUnseen::NotWatched)) => known,
        (Observation::Unseen(_), unseen) => unseen,
    };
    known
}

fn account(socket: &KernelSocket) -> Account {
    let bytes = socket.bytes.seen();
    (
        socket.connection.seen().copied(),
        socket.end,
        bytes.map(|bytes| (bytes.received, bytes.acknowledged)),
    )
}

/// Of a node's pods the API tells every agent the same.
fn pods_of_both(mut pods: PodEvidence, more: PodEvidence) -> PodEvidence {
    let before = pods.turns.len();
    for turn in more.turns {
        if !pods.turns.iter().take(before).any(|known| is_same(known, &turn)) {
            pods.turns.push(turn);
        }
    }
    for home in more.homes {
        if !pods.homes.contains(&home) {
            pods.homes.push(home);
        }
    }
    pods
}

fn is_same(one: &PodTurn, other: &PodTurn) -> bool {
    let wrong = Span::from_micros(one.error.as_micros().saturating_add(other.error.as_micros()));
    let at_once = one.at <= other.at + wrong && other.at <= one.at + wrong;
    at_once
        && one.pod == other.pod
        && one.change == other.change
        && one.container == other.container
        && one.reason == other.reason
        && one.exit_code == other.exit_code
}

#[cfg(test)]
mod tests {
    use hopscope_attribution::evidence::node::{KernelWindow, Marks, SocketBytes};
    use hopscope_attribution::evidence::{PodChange, PodId};
    use hopscope_attribution::hop::Hop;

    use super::*;

    /// A second after the other one ends another socket, in nobody's connection; and its backend's queue overflowed.
    fn evidence(at: u64, connection: Option<u64>) -> NodeEvidence {
        let socket = |at, connection: Option<u64>| KernelSocket {
            at: Moment(at),
            connection: connection.map_or(Observation::default(), |id| Observation::Seen(ConnectionId(id))),
            owner: Observation::Seen(Hop::Client),
            peer: Observation::default(),
            end: KernelEnd::ConnectRefused,
            bytes: Observation::Seen(SocketBytes::default()),
            marks: Marks::default(),
        };
        NodeEvidence {
            sockets: vec![socket(at, connection), socket(at + 3_000_000, None)],
            windows: vec![KernelWindow {
                from: Moment(at),
                length: Span::from_micros(5_000_000),
                hop: Hop::Backend,
                syn_retransmits: 0,
                accept_queue_overflows: 4,
                events_lost: 0,
            }],
            pods: Observation::Seen(PodEvidence {
                turns: vec![PodTurn {
                    at: Moment(at),
                    error: Span::from_micros(500_000),
                    change: PodChange::Restarted,
                    pod: PodId::default(),
                    workload: String::new(),
                    addresses: Vec::new(),
                    container: None,
                    reason: String::new(),
                    exit_code: Some(1),
                }],
                homes: Vec::new(),
            }),
            ..NodeEvidence::default()
        }
    }

    /// Sockets, overflows and turns of pods, once both have told.
    fn counted(first: Option<&str>, second: Option<&str>, connection: Option<u64>) -> (usize, u64, usize) {
        let mut told = Told::new(Observation::Seen(evidence(7_000_000, connection)), first);
        told.add(second, evidence(7_400_000, connection));
        let node = told.into_node();
        let node = node.seen().unwrap();
        let overflows = node.windows.iter().map(|window| window.accept_queue_overflows);
        let turns = node.pods.seen().map_or(0, |pods| pods.turns.len());
        (node.sockets.len(), overflows.sum(), turns)
    }

    #[test]
    fn what_one_kernel_told_twice_counts_once_on_record_or_not() {
        assert_eq!(counted(Some("a"), Some("a"), Some(1)), (2, 4, 1));
        assert_eq!(counted(Some("a"), Some("a"), None), (2, 4, 1));
    }

    #[test]
    fn two_kernels_that_tell_alike_are_two() {
        assert_eq!(counted(Some("a"), Some("b"), Some(1)), (4, 8, 1));
        assert_eq!(counted(Some("a"), Some("b"), None), (4, 8, 1));
    }

    #[test]
    fn tellers_that_do_not_say_who_they_are_are_one_where_a_connection_shows_it() {
        assert_eq!(counted(None, Some("a"), Some(1)), (3, 4, 1));
        assert_eq!(counted(None, None, None), (4, 8, 1));
    }

    #[test]
    fn three_tellers_of_one_kernel_are_one() {
        let mut told = Told::new(Observation::default(), None);
        for late in 0..3 {
            told.add(Some("a"), evidence(7_000_000 + late, Some(1)));
        }
        assert_eq!(told.into_node().seen().unwrap().sockets.len(), 2);
    }

    #[test]
    fn what_ended_twice_is_told_twice_by_one_teller_as_well() {
        let mut twice = evidence(7_000_000, None);
        twice.sockets.extend(evidence(7_000_001, None).sockets);
        let mut told = Told::new(Observation::default(), None);
        told.add(Some("a"), evidence(7_000_000, None));
        told.add(Some("a"), twice);
        assert_eq!(told.into_node().seen().unwrap().sockets.len(), 4);
    }
}
