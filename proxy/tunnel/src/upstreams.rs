//! Where the next connection of a tunnel goes: one slot a member, dealt in turn, read without a lock.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

/// The local ports of a pool's kubectls; 0 while one is down.
#[derive(Debug)]
pub(super) struct Upstreams {
    ports: Box<[AtomicU16]>,
    next: AtomicUsize,
}

impl Upstreams {
    pub(super) fn new(members: u16) -> Self {
        Self {
            ports: (0..members).map(|_| AtomicU16::new(0)).collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// Says where a member listens; `None` while it does not.
    pub(super) fn set(&self, member: u16, port: Option<u16>) {
        if let Some(slot) = self.ports.get(usize::from(member)) {
            slot.store(port.unwrap_or(0), Ordering::Release);
        }
    }

    /// The next member in turn that is up.
    pub(super) fn pick(&self) -> Option<(SocketAddr, u16)> {
        let members = self.ports.len();
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        (0..members).find_map(|step| {
            let index = start.wrapping_add(step) % members;
            let port = self.ports.get(index)?.load(Ordering::Acquire);
            let member = u16::try_from(index).ok()?;
            (port != 0).then_some((SocketAddr::from((Ipv4Addr::LOCALHOST, port)), member))
        })
    }

    /// How many members are up.
    pub(super) fn up(&self) -> usize {
        self.ports
            .iter()
            .filter(|port| port.load(Ordering::Acquire) != 0)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_dealt_in_turn_over_the_members_that_are_up() {
        let upstreams = Upstreams::new(3);
        assert_eq!(upstreams.pick(), None);
        upstreams.set(0, Some(1000));
        upstreams.set(2, Some(1002));
        let dealt: Vec<u16> = (0..6)
            .filter_map(|_| upstreams.pick())
            .map(|(_, member)| member)
            .collect();
        assert_eq!(dealt.iter().filter(|member| **member == 1).count(), 0);
        assert!(dealt.iter().filter(|member| **member == 0).count() >= 2);
        assert!(dealt.iter().filter(|member| **member == 2).count() >= 2);
        assert_eq!(upstreams.up(), 2);
        upstreams.set(0, None);
        assert_eq!(upstreams.pick().map(|(address, _)| address.port()), Some(1002));
    }
}
