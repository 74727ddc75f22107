//! Who sits where: a bounded number of connections, shared fairly among the addresses that they come from.
//!
//! A newcomer always finds a seat. Where all are taken, the source that holds most of them gives up its oldest, so that
//! no number of connections of one source keeps a health probe or a scraper out.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

/// Connections that are served at a time. Each holds at most two buffers of [`super::BUFFER`].
const SEATS: usize = 128;
/// Of one source. Kubelet, scraper and a person with curl are three.
const OF_ONE: usize = 16;
/// Connections that one source may open in [`SECOND`]; further ones are closed unread. A TLS handshake costs a
/// fifth of a millisecond of CPU.
const OPENED: u32 = 1_000;
const SECOND: Duration = Duration::from_secs(1);
/// Sources whose rate is kept; beyond it all are forgotten and counted anew.
const SOURCES: usize = 4_096;

/// Answers in pieces that are on their way at a time, and those of one source.
const PLACES: usize = 8;
const PLACES_OF_ONE: usize = 2;

/// The seats.
#[derive(Debug, Default)]
pub(super) struct Seats {
    taken: BTreeMap<u64, Seat>,
    next: u64,
    opened: HashMap<IpAddr, (Instant, u32)>,
}

#[derive(Debug)]
struct Seat {
    source: IpAddr,
    /// It has shown that it may ask; it is not asked to leave.
    trusted: bool,
    connection: Option<AbortHandle>,
}

/// A seat that was taken; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Taken {
    seats: Rc<RefCell<Seats>>,
    number: u64,
}

/// An address as a source: of IPv6 the /64, which one host has for itself.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)))
        }
        other @ (IpAddr::V4(_) | IpAddr::V6(_)) => other,
    }
}

/// The sources of the answers in pieces that are on their way.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Rc<RefCell<Vec<IpAddr>>>);

/// One of them; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place {
    all: Places,
    source: IpAddr,
}

impl Places {
    /// A place for an answer to this address; `None` where it, or all together, have as many as they may.
    pub(super) fn take(&self, address: IpAddr) -> Option<Place> {
        let source = source(address);
        let mut all = self.0.borrow_mut();
        let own = all.iter().filter(|other| **other == source).count();
        if own >= PLACES_OF_ONE || all.len() >= PLACES {
            return None;
        }
        all.push(source);
        Some(Place {
            all: self.clone(),
            source,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.all.0.borrow_mut();
        if let Some(at) = all.iter().position(|source| *source == self.source) {
            all.swap_remove(at);
        }
    }
}

impl Seats {
    /// A seat for a connection from this address; `None` where its source opens too many, or holds nothing but trusted
    /// ones that it could give up.
    pub(super) fn take(seats: &Rc<RefCell<Self>>, address: IpAddr) -> Option<Taken> {
        let source = source(address);
        let mut table = seats.try_borrow_mut().ok()?;
        if !table.in_time(source, Instant::now()) {
            return None;
        }
        let own = table.held(source);
        let giver = if own >= OF_ONE {
            Some(source)
        } else if table.taken.len() >= SEATS {
            Some(table.greediest()?)
        } else {
            None
        };
        if let Some(giver) = giver {
            let leaves = table
                .taken
                .iter()
                .find(|(_, seat)| seat.source == giver && !seat.trusted)
                .map(|(number, _)| *number)?;
            if let Some(Some(connection)) = table.taken.remove(&leaves).map(|seat| seat.connection) {
                connection.abort();
            }
        }
        let number = table.next;
        table.next += 1;
        table.taken.insert(
            number,
            Seat {
                source,
                trusted: false,
                connection: None,
            },
        );
        drop(table);
        Some(Taken {
            seats: Rc::clone(seats),
            number,
        })
    }

    fn in_time(&mut self, source: IpAddr, now: Instant) -> bool {
        if self.opened.len() >= SOURCES {
            self.opened.clear();
        }
        let (since, opened) = self.opened.entry(source).or_insert((now, 0));
        if now.duration_since(*since) >= SECOND {
            (*since, *opened) = (now, 0);
        }
        *opened = opened.saturating_add(1);
        *opened <= OPENED
    }

    fn held(&self, source: IpAddr) -> usize {
        self.taken.values().filter(|seat| seat.source == source).count()
    }

    /// The source with most seats that it can give up; of two, the one that sat down first.
    fn greediest(&self) -> Option<IpAddr> {
        let mut held: Vec<(IpAddr, usize)> = Vec::new();
        for seat in self.taken.values().filter(|seat| !seat.trusted) {
            match held.iter_mut().find(|(source, _)| *source == seat.source) {
                Some((_, seats)) => *seats += 1,
                None => held.push((seat.source, 1)),
            }
        }
        let most = held.iter().map(|(_, seats)| *seats).max()?;
        held.iter()
            .find(|(_, seats)| *seats == most)
            .map(|(source, _)| *source)
    }
}

impl Taken {
    /// Who sits here, so that it can be asked to leave.
    pub(super) fn is_of(seats: &Rc<RefCell<Seats>>, number: u64, connection: AbortHandle) {
        if let Some(seat) = seats.borrow_mut().taken.get_mut(&number) {
            seat.connection = Some(connection);
        }
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// It has shown that it may ask.
    pub(super) fn trust(&self) {
        if let Some(seat) = self.seats.borrow_mut().taken.get_mut(&self.number) {
            seat.trusted = true;
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // One that was asked to leave has left the table already.
        self.seats.borrow_mut().taken.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn sit(seats: &Rc<RefCell<Seats>>, last: u8) -> Option<Taken> {
        Seats::take(seats, address(last))
    }

    fn held(seats: &Rc<RefCell<Seats>>, last: u8) -> usize {
        seats.borrow().held(address(last))
    }

    #[test]
    fn one_source_has_its_share_and_its_oldest_makes_room_for_its_newest() {
        let seats = Rc::new(RefCell::new(Seats::default()));
        let sitting: Vec<_> = (0..100).map(|_| sit(&seats, 1).unwrap()).collect();
        assert_eq!(held(&seats, 1), OF_ONE);
        drop(sitting);
        assert_eq!(held(&seats, 1), 0);
    }

    #[test]
    fn where_all_seats_are_taken_who_holds_most_gives_one_up() {
        let seats = Rc::new(RefCell::new(Seats::default()));
        let mut sitting = Vec::new();
        for last in 1..=8 {
            sitting.extend((0..OF_ONE).map(|_| sit(&seats, last).unwrap()));
        }
        let probe = sit(&seats, 200).unwrap();
        assert_eq!((held(&seats, 200), held(&seats, 1)), (1, OF_ONE - 1));
        // A hundred more of others come: the probe holds one seat, and keeps it.
        sitting.extend((9..109).map(|last| sit(&seats, last).unwrap()));
        assert_eq!(held(&seats, 200), 1);
        drop(probe);
        assert_eq!(held(&seats, 200), 0);
    }

    #[test]
    fn whoever_showed_that_he_may_ask_is_not_asked_to_leave() {
        let seats = Rc::new(RefCell::new(Seats::default()));
        let trusted: Vec<_> = (0..OF_ONE).map(|_| sit(&seats, 1).unwrap()).collect();
        trusted.iter().for_each(Taken::trust);
        assert!(sit(&seats, 1).is_none());
        let _others: Vec<_> = (2..=200).map(|last| sit(&seats, last).unwrap()).collect();
        assert_eq!(held(&seats, 1), OF_ONE);
    }

    #[test]
    fn a_source_that_opens_without_end_is_closed_unread() {
        let seats = Rc::new(RefCell::new(Seats::default()));
        let opened = (0..5_000).filter(|_| sit(&seats, 1).is_some()).count();
        assert_eq!(opened, usize::try_from(OPENED).unwrap());
        assert!(sit(&seats, 2).is_some());
    }

    #[test]
    fn a_host_with_many_ipv6_addresses_is_one_source() {
        let of = |text: &str| source(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), address(1));
        assert_ne!(of("::1"), of("::2"));
    }
}
