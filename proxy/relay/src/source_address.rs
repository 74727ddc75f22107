//! Which local address a connection to a loopback upstream leaves from.
//!
//! A closed connection keeps its pair of ports in `TIME_WAIT` for 60 s (include/net/tcp.h, `TCP_TIMEWAIT_LEN`), so one
//! source address carries no more than about 28,000 new connections a minute to one port. On loopback every address
//! of 127.0.0.0/8 is ours: they are taken in turn, a block of connections each, so that a test below one block's size
//! still comes from 127.0.0.1 as it would without hopscope.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// New connections from one address before the next is taken: safely below the default
/// `net.ipv4.ip_local_port_range` of 28,232 ports.
const BLOCK: u64 = 20_000;
/// Addresses in turn: 127.0.0.1 to 127.0.0.64. A block's ports are free again after 60 s below 21,000 connections/s.
const ADDRESSES: u64 = 64;

/// The turn-taking of one worker towards one upstream.
#[derive(Debug)]
pub(super) struct SourceAddresses {
    connections: u64,
    block: u64,
}

impl SourceAddresses {
    /// For one of `workers` that all connect to the same upstream.
    pub(super) fn shared_by(workers: usize) -> Self {
        Self {
            connections: 0,
            block: (BLOCK / u64::try_from(workers.max(1)).unwrap_or(1)).max(1),
        }
    }

    /// The address that the next connection to `upstream` must be bound to; `None` leaves the choice to the kernel.
    pub(super) fn next(&mut self, upstream: SocketAddr) -> Option<Ipv4Addr> {
        let IpAddr::V4(address) = upstream.ip() else {
            return None;
        };
        if !address.is_loopback() {
            return None;
        }
        let turn = self.connections / self.block % ADDRESSES;
        self.connections += 1;
        let last = u8::try_from(turn + 1).unwrap_or(1);
        (last != 1).then(|| Ipv4Addr::new(127, 0, 0, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_leaves_from_the_address_that_the_kernel_chooses() {
        let mut sources = SourceAddresses::shared_by(2);
        let upstream = "127.0.0.1:80".parse().unwrap();
        assert!((0..10_000).all(|_| sources.next(upstream).is_none()));
        assert_eq!(sources.next(upstream), Some(Ipv4Addr::new(127, 0, 0, 2)));
    }

    #[test]
    fn only_loopback_upstreams_get_another_source() {
        let mut sources = SourceAddresses {
            connections: BLOCK * 3,
            block: BLOCK,
        };
        assert_eq!(sources.next("10.0.0.1:80".parse().unwrap()), None);
        assert_eq!(sources.next("[::1]:80".parse().unwrap()), None);
        assert_eq!(
            sources.next("127.0.0.1:80".parse().unwrap()),
            Some(Ipv4Addr::new(127, 0, 0, 4))
        );
    }

    #[test]
    fn after_the_last_address_comes_the_first_again() {
        let mut sources = SourceAddresses {
            connections: BLOCK * ADDRESSES,
            block: BLOCK,
        };
        assert_eq!(sources.next("127.0.0.1:80".parse().unwrap()), None);
    }
}
