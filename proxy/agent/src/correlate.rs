//! Records of one connection, gathered from both of its ends before anyone is charged.
//!
//! On one host both ends report, the victim often before the culprit: a process that closes with bytes unread is told
//! of after its peer was reset. So a connection's records wait for [`PATIENCE_NS`], and then are judged together, once.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use super::parse::{Close, Event, Socket};

/// How long a failed connection's records are gathered.
pub const PATIENCE_NS: u64 = 200_000_000;

/// Connections that are gathered at a time; beyond it the oldest are judged early.
const GATHERED: usize = 16_384;

/// Which connection, whichever end speaks. On loopback the namespace is part of it: every pod has the same addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    one: SocketAddr,
    other: SocketAddr,
    netns: u32,
}

/// All that was told of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Case {
    /// Sockets that ended, in the order in which they did; at most one an end.
    pub ends: Vec<(Socket, Close)>,
    /// Ends that sent RST: the address, this kernel's reason, and whether it was the owner's own doing.
    pub resets_sent: Vec<ResetSent>,
    /// Ends that RST arrived at.
    pub resets_received: Vec<Socket>,
    /// Packets of it that were dropped.
    pub drops: Vec<Dropped>,
    /// Packets of it that were dropped so long before that they were told of already: a black hole swallows the first
    /// SYN seconds before anyone gives up.
    pub earlier_drops: Vec<Dropped>,
}

/// A packet that the kernel dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// When, `CLOCK_MONOTONIC` nanoseconds.
    pub at: u64,
    /// This kernel's reason.
    pub reason: u32,
    /// Flags byte of its TCP header.
    pub flags: u8,
    /// Who had sent it.
    pub from: SocketAddr,
    /// Whom it was meant for.
    pub to: SocketAddr,
    /// The namespace of the device that it was on; 0 where it was on none: not yet sent.
    pub netns: u32,
}

/// An RST that the kernel sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetSent {
    /// From where and to where.
    pub socket: Socket,
    /// This kernel's reason.
    pub reason: Option<u32>,
    /// The owner's own doing.
    pub unprovoked: bool,
}

/// Records of one kind that are kept of one connection; more of the same says nothing new.
const KEPT: usize = 8;

/// Connections whose drops are remembered, for as long as a connect may take to fail.
const REMEMBERED: usize = 4_096;

/// The gathering.
#[derive(Debug, Default)]
pub struct Gathering {
    /// With when each began, by which its place in the order is known.
    cases: HashMap<Key, (u64, Case)>,
    order: VecDeque<(u64, Key)>,
    /// Drops of connections that had not ended, by connection; the oldest go first.
    dropped: HashMap<Key, Vec<Dropped>>,
    dropped_order: VecDeque<Key>,
    /// Cases by the address of who connected and whether it is his end that tells: a translation of the other address
    /// makes two cases of one connection.
    openers: HashMap<(SocketAddr, bool), Key>,
}

impl Gathering {
    /// Takes a record in. Gives back what has to be judged now: the oldest case when there are too many, a connect that
    /// never had a port, which no other record can belong to, and an earlier connection of the same addresses.
    pub fn add(&mut self, event: Event) -> Option<Case> {
        match event {
            Event::Closed(socket, close) if socket.ends.local.port() == 0 => {
                return Some(Case {
                    ends: vec![(socket, close)],
                    ..Case::default()
                });
            }
            Event::Closed(socket, close) => {
                let (key, at) = (key(&socket), socket.at);
                let earlier = self.over(key, &socket);
                self.openers.insert(opener(&socket), key);
                push(&mut self.case(key, at).ends, (socket, close), 2);
                if earlier.is_some() {
                    return earlier;
                }
            }
            Event::ResetSent {
                socket,
                reason,
                unprovoked,
            } => {
                let (key, at) = (key(&socket), socket.at);
                self.openers.entry(opener(&socket)).or_insert(key);
                push(
                    &mut self.case(key, at).resets_sent,
                    ResetSent {
                        socket,
                        reason,
                        unprovoked,
                    },
                    KEPT,
                );
            }
            Event::ResetReceived(socket) => {
                let (key, at) = (key(&socket), socket.at);
                let earlier = self.over(key, &socket);
                push(&mut self.case(key, at).resets_received, socket, KEPT);
                if earlier.is_some() {
                    return earlier;
                }
            }
            Event::Dropped {
                at,
                netns,
                ends,
                reason,
                flags,
            } => {
                let key = ordered(
                    ends.local,
                    ends.remote,
                    if ends.remote.ip().is_loopback() { netns } else { 0 },
                );
                let dropped = Dropped {
                    at,
                    reason,
                    flags,
                    from: ends.local,
                    to: ends.remote,
                    netns,
                };
                push(&mut self.case(key, at).drops, dropped, KEPT);
            }
            Event::SynRetransmit(_) | Event::Listening(_) => {}
        }
        if self.cases.len() > GATHERED {
            self.pop()
        } else {
            None
        }
    }

    /// The next connection that has been waiting long enough at `now` (`CLOCK_MONOTONIC` nanoseconds).
    pub fn due(&mut self, now: u64) -> Option<Case> {
        loop {
            let (since, _) = self.order.front()?;
            if now.saturating_sub(*since) < PATIENCE_NS {
                return None;
            }
            if let Some(case) = self.pop() {
                return Some(case);
            }
        }
    }

    /// The oldest case; `None` when it has been judged already.
    fn pop(&mut self) -> Option<Case> {
        let (since, key) = self.order.pop_front()?;
        self.cases.get(&key).filter(|(began, _)| *began == since)?;
        self.take(key)
    }

    /// The case of an earlier connection with the same addresses: this end of it is closed already. Whoever is refused
    /// fast gets the same port again soon.
    fn over(&mut self, key: Key, socket: &Socket) -> Option<Case> {
        let (_, case) = self.cases.get(&key)?;
        let closed = |(end, _): &(Socket, Close)| end.ends.local == socket.ends.local;
        case.ends.iter().any(closed).then(|| self.take(key))?
    }

    fn take(&mut self, key: Key) -> Option<Case> {
        let (_, mut case) = self.cases.remove(&key)?;
        if let Some((_, other)) = self.other_side(key, &case) {
            other.absorb(case);
            return None;
        }
        if case.ends.is_empty() {
            self.remember(key, &case.drops);
        } else if let Some(drops) = self.dropped.remove(&key) {
            case.earlier_drops = drops;
        }
        Some(case)
    }

    /// The case of the same connection beyond an address translation, where one is still being gathered: who connected
    /// has the same address there, and the other side another.
    fn other_side(&mut self, key: Key, case: &Case) -> Option<&mut (u64, Case)> {
        let mut sockets: Vec<&Socket> = case.ends.iter().map(|(socket, _)| socket).collect();
        sockets.extend(case.resets_sent.iter().map(|reset| &reset.socket));
        let mut openers: Vec<_> = sockets.into_iter().map(opener).collect();
        openers.dedup();
        for opener in &openers {
            if self.openers.get(opener) == Some(&key) {
                self.openers.remove(opener);
            }
        }
        let [(address, connected)] = *openers else {
            // Both ends are here already, or nobody's.
            return None;
        };
        if key.netns != 0 {
            return None;
        }
        let other = *self.openers.get(&(address, !connected))?;
        self.cases
            .get_mut(&other)
            .filter(|(_, other)| other.ends.len() < 2)
    }

    fn remember(&mut self, key: Key, drops: &[Dropped]) {
        if drops.is_empty() {
            return;
        }
        let order = &mut self.dropped_order;
        let kept = self.dropped.entry(key).or_insert_with(|| {
            order.push_back(key);
            Vec::new()
        });
        for dropped in drops {
            push(kept, *dropped, KEPT);
        }
        // A connection that ended meanwhile has left its place in the order.
        while self.dropped_order.len() > REMEMBERED {
            if let Some(oldest) = self.dropped_order.pop_front() {
                self.dropped.remove(&oldest);
            }
        }
    }

    fn case(&mut self, key: Key, at: u64) -> &mut Case {
        let order = &mut self.order;
        let (_, case) = self.cases.entry(key).or_insert_with(|| {
            order.push_back((at, key));
            (at, Case::default())
        });
        case
    }
}

impl Case {
    /// Takes in what was told beyond a translation.
    fn absorb(&mut self, other: Self) {
        for end in other.ends {
            push(&mut self.ends, end, 2);
        }
        for reset in other.resets_sent {
            push(&mut self.resets_sent, reset, KEPT);
        }
        for reset in other.resets_received {
            push(&mut self.resets_received, reset, KEPT);
        }
        for drop in other.drops {
            push(&mut self.drops, drop, KEPT);
        }
    }
}

/// The address of who connected, and whether the socket is his.
fn opener(socket: &Socket) -> (SocketAddr, bool) {
    if socket.active {
        (socket.ends.local, true)
    } else {
        (socket.ends.remote, false)
    }
}

fn push<T>(all: &mut Vec<T>, one: T, limit: usize) {
    if all.len() < limit {
        all.push(one);
    }
}

fn key(socket: &Socket) -> Key {
    let netns = if socket.ends.remote.ip().is_loopback() {
        socket.netns
    } else {
        0
    };
    ordered(socket.ends.local, socket.ends.remote, netns)
}

fn ordered(one: SocketAddr, other: SocketAddr, netns: u32) -> Key {
    let (one, other) = if one <= other { (one, other) } else { (other, one) };
    Key { one, other, netns }
}

#[cfg(test)]
mod tests {
    use hopscope_attribution::evidence::FourTuple;

    use super::*;

    fn socket(at: u64, local: &str, remote: &str, netns: u32) -> Socket {
        Socket {
            at,
            cookie: None,
            key: 1,
            cgroup: 0,
            netns,
            owner: None,
            active: false,
            ends: FourTuple {
                local: local.parse().unwrap(),
                remote: remote.parse().unwrap(),
            },
            state: 1,
        }
    }

    #[test]
    fn both_ends_and_the_reset_that_is_told_last_are_one_case() {
        let mut gathering = Gathering::default();
        let near = socket(0, "10.0.0.1:1", "10.0.0.2:2", 7);
        let far = socket(1, "10.0.0.2:2", "10.0.0.1:1", 8);
        assert_eq!(gathering.add(Event::Closed(near, Close::default())), None);
        assert_eq!(gathering.add(Event::Closed(far.clone(), Close::default())), None);
        let reset = Event::ResetSent {
            socket: far,
            reason: Some(11),
            unprovoked: true,
        };
        assert_eq!(gathering.add(reset), None);
        assert_eq!(gathering.due(PATIENCE_NS - 1), None);
        let case = gathering.due(PATIENCE_NS).unwrap();
        assert_eq!((case.ends.len(), case.resets_sent.len()), (2, 1));
        assert_eq!(gathering.due(u64::MAX), None, "judged once");
    }

    #[test]
    fn a_drop_is_told_at_once_and_remembered_until_its_connection_fails() {
        let mut gathering = Gathering::default();
        let near = socket(9_000_000_000, "10.0.0.1:1", "10.0.0.2:2", 7);
        let dropped = Event::Dropped {
            at: 0,
            netns: 8,
            ends: near.ends,
            reason: 5,
            flags: 2,
        };
        assert_eq!(gathering.add(dropped), None);
        let first = gathering.due(PATIENCE_NS).unwrap();
        assert_eq!((first.ends.len(), first.drops.len()), (0, 1));
        assert_eq!(gathering.add(Event::Closed(near, Close::default())), None);
        let second = gathering.due(u64::MAX).unwrap();
        assert_eq!(second.drops, [], "told already");
        assert_eq!(second.earlier_drops, first.drops);
    }

    #[test]
    fn a_refusal_from_behind_a_translation_belongs_to_the_connect_that_it_answers() {
        let mut gathering = Gathering::default();
        let pod = socket(0, "10.9.0.7:8080", "10.0.0.1:1", 8);
        let refusal = Event::ResetSent {
            socket: pod,
            reason: Some(3),
            unprovoked: false,
        };
        assert_eq!(gathering.add(refusal), None);
        let mut client = socket(5, "10.0.0.1:1", "10.0.0.2:30080", 7);
        client.active = true;
        assert_eq!(gathering.add(Event::Closed(client, Close::default())), None);
        let case = gathering.due(u64::MAX).unwrap();
        assert_eq!((case.ends.len(), case.resets_sent.len()), (1, 1));
        assert_eq!(gathering.due(u64::MAX), None);
        assert_eq!(gathering.openers.len(), 0, "nothing is left behind");
    }

    #[test]
    fn loopback_addresses_of_two_pods_are_two_cases() {
        let mut gathering = Gathering::default();
        for netns in [7, 8] {
            let end = socket(0, "127.0.0.1:1", "127.0.0.1:2", netns);
            assert_eq!(gathering.add(Event::Closed(end, Close::default())), None);
        }
        assert_eq!(gathering.due(u64::MAX).unwrap().ends.len(), 1);
        assert_eq!(gathering.due(u64::MAX).unwrap().ends.len(), 1);
    }

    #[test]
    fn a_port_that_is_used_again_at_once_is_another_connection() {
        let mut gathering = Gathering::default();
        let end = |at| socket(at, "127.0.0.1:1", "127.0.0.1:2", 7);
        let refuse = |gathering: &mut Gathering, at| {
            let first = gathering.add(Event::ResetReceived(end(at)));
            let second = gathering.add(Event::Closed(end(at + 1), Close::default()));
            assert_eq!(second, None);
            first
        };
        assert_eq!(refuse(&mut gathering, 0), None);
        assert_eq!(refuse(&mut gathering, 10).unwrap().ends.len(), 1);
        let third = refuse(&mut gathering, 20).unwrap();
        assert_eq!((third.ends.len(), third.resets_received.len()), (1, 1));
        assert_eq!(gathering.due(PATIENCE_NS), None);
        assert_eq!(gathering.due(PATIENCE_NS + 19), None);
        assert_eq!(gathering.due(PATIENCE_NS + 20).unwrap().ends.len(), 1);
        assert_eq!(gathering.due(u64::MAX), None);
    }

    #[test]
    fn a_connect_without_a_port_is_judged_at_once_and_alone() {
        let mut gathering = Gathering::default();
        let end = socket(0, "10.0.0.1:0", "10.0.0.2:2", 7);
        assert_eq!(
            gathering
                .add(Event::Closed(end, Close::default()))
                .unwrap()
                .ends
                .len(),
            1
        );
    }

    #[test]
    fn too_many_cases_push_the_oldest_out_early() {
        let mut gathering = Gathering::default();
        let mut early = 0;
        for port in 1..=u16::MAX {
            let end = socket(0, &format!("10.0.0.1:{port}"), "10.0.0.2:2", 7);
            early += usize::from(gathering.add(Event::Closed(end, Close::default())).is_some());
        }
        assert_eq!(early, usize::from(u16::MAX) - GATHERED);
    }
}
