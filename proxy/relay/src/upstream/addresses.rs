//! What a target's name stands for, and in which order its addresses are tried.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use hopscope_attribution::evidence::{Moment, Span};

/// How long a resolved name is believed before it is asked for again.
const LIFETIME: Span = Span::from_secs(5);
/// How long the last answer is used when the resolver has none: many generators ask once, and never again.
const STALE_LIMIT: Span = Span::from_secs(30);

/// The addresses of a target, never none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    first: SocketAddr,
    others: VecDeque<SocketAddr>,
}

impl Addresses {
    /// Those of a list that are there once, in its order; `None` where it is empty.
    pub(crate) fn of(list: impl IntoIterator<Item = SocketAddr>) -> Option<Self> {
        let mut list = list.into_iter();
        let first = list.next()?;
        let mut others = VecDeque::new();
        for address in list {
            if address != first && !others.contains(&address) {
                others.push_back(address);
            }
        }
        Some(Self { first, others })
    }

    /// Asks the resolver.
    ///
    /// # Errors
    /// When it has no answer.
    pub(crate) async fn resolve(host: &str, port: u16) -> io::Result<Self> {
        let list = tokio::net::lookup_host((host, port)).await?;
        Self::of(list).ok_or_else(|| io::Error::other("the name has no address"))
    }

    /// The only one, where there is one.
    pub(crate) fn only(&self) -> Option<SocketAddr> {
        self.others.is_empty().then_some(self.first)
    }

    /// All of them, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        std::iter::once(self.first).chain(self.others.iter().copied())
    }

    /// Those for which this holds, if there are any.
    pub(crate) fn only_those(&self, wanted: impl Fn(SocketAddr) -> bool) -> Option<Self> {
        Self::of(self.iter().filter(|address| wanted(*address)))
    }
}

/// What one worker knows of a name.
#[derive(Debug)]
pub(super) struct Known {
    addresses: Addresses,
    since: Moment,
    /// When it was last asked for again.
    asked: Moment,
    /// Connections that have been begun with it: addresses of one family are taken in turn.
    turns: usize,
    /// Addresses that failed while another one took the connection; they are tried last.
    failed: Vec<SocketAddr>,
}

impl Known {
    pub(super) fn new(addresses: Addresses, now: Moment) -> Self {
        Self {
            addresses,
            since: now,
            asked: now,
            turns: 0,
            failed: Vec::new(),
        }
    }

    /// Whether the name is to be asked for again. True once for each time that is due.
    pub(super) fn is_due(&mut self, now: Moment) -> bool {
        let due = now.since(self.asked) >= LIFETIME;
        if due {
            self.asked = now;
        }
        due
    }

    /// Whether the answer is so old, and the resolver has been without one for so long, that it counts no more.
    pub(super) fn is_stale(&self, now: Moment) -> bool {
        now.since(self.since) >= STALE_LIMIT
    }

    /// Takes a newer answer. The turn goes on, so that a worker does not begin with the same address each time.
    pub(super) fn renew(&mut self, addresses: Addresses, now: Moment) {
        self.addresses = addresses;
        self.since = now;
        self.asked = now;
        self.failed.clear();
    }

    /// Remembers that an address failed while another took the connection.
    pub(super) fn failed(&mut self, address: SocketAddr) {
        if !self.failed.contains(&address) {
            self.failed.push(address);
        }
    }

    /// The only address, where there is one.
    pub(super) fn only(&self) -> Option<SocketAddr> {
        self.addresses.only()
    }

    /// The addresses in the order in which the next connection tries them: the resolver's first family first, its
    /// addresses in turn as a round robin of the resolver's would have them, and the other family in between (RFC
    /// 8305, section 4). Those that failed meanwhile come last.
    pub(super) fn in_order(&mut self) -> Vec<SocketAddr> {
        let turn = self.turns;
        self.turns = self.turns.wrapping_add(1);
        let is_first_family = |address: &SocketAddr| address.is_ipv4() == self.addresses.first.is_ipv4();
        let (mut preferred, mut others): (Vec<_>, Vec<_>) = self.addresses.iter().partition(is_first_family);
        for family in [&mut preferred, &mut others] {
            let by = turn % family.len().max(1);
            family.rotate_left(by);
        }
        let (mut preferred, mut others) = (preferred.into_iter(), others.into_iter());
        let mut order = Vec::new();
        loop {
            let (one, other) = (preferred.next(), others.next());
            if one.is_none() && other.is_none() {
                break;
            }
            order.extend(one);
            order.extend(other);
        }
        order.sort_by_key(|address| self.failed.contains(address));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(addresses: &[&str]) -> Known {
        let list = addresses.iter().map(|address| address.parse().unwrap());
        Known::new(Addresses::of(list).unwrap(), Moment(0))
    }

    fn order(known: &mut Known) -> Vec<String> {
        known.in_order().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn addresses_of_one_family_are_taken_in_turn() {
        let mut known = known(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
        let firsts: Vec<String> = (0..4).map(|_| order(&mut known).remove(0)).collect();
        assert_eq!(
            firsts,
            ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.1:80"]
        );
    }

    #[test]
    fn the_resolvers_first_family_stays_the_first() {
        let mut known = known(&["[::1]:80", "127.0.0.1:80"]);
        assert_eq!(order(&mut known), ["[::1]:80", "127.0.0.1:80"]);
        assert_eq!(order(&mut known), ["[::1]:80", "127.0.0.1:80"]);
    }

    #[test]
    fn families_alternate() {
        let mut known = known(&["[::1]:80", "[::2]:80", "127.0.0.1:80", "127.0.0.2:80"]);
        assert_eq!(
            order(&mut known),
            ["[::1]:80", "127.0.0.1:80", "[::2]:80", "127.0.0.2:80"]
        );
    }

    #[test]
    fn what_failed_comes_last_until_the_name_is_resolved_again() {
        let mut known = known(&["[::1]:80", "127.0.0.1:80"]);
        known.failed("[::1]:80".parse().unwrap());
        assert_eq!(order(&mut known), ["127.0.0.1:80", "[::1]:80"]);
        let again = known.addresses.clone();
        known.renew(again, Moment(1));
        assert_eq!(order(&mut known), ["[::1]:80", "127.0.0.1:80"]);
    }

    #[test]
    fn an_address_that_is_there_twice_is_one() {
        assert!(known(&["10.0.0.1:80", "10.0.0.1:80"]).only().is_some());
    }

    #[test]
    fn a_name_is_asked_for_again_after_a_while_and_believed_longer() {
        let mut known = known(&["10.0.0.1:80"]);
        let at = |seconds: u64| Moment(seconds * 1_000_000);
        assert!(!known.is_due(at(4)) && known.is_due(at(5)) && !known.is_due(at(6)));
        assert!(!known.is_stale(at(29)) && known.is_stale(at(30)));
    }
}
