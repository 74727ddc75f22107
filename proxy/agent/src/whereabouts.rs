//! Which namespace an address belongs to: for probes that do not see a socket's own.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use hopscope_host::procfs::Netns;

/// The addresses of every namespace, but loopback.
#[derive(Clone, Debug, Default)]
pub struct Whereabouts {
    /// `None` for an address that more than one namespace has.
    by_address: HashMap<IpAddr, Option<Netns>>,
}

impl Whereabouts {
    /// Reads the addresses of every namespace, each seen through one of its processes.
    pub fn look(proc: &Path, namespaces: &HashMap<Netns, u32>) -> Self {
        let mut found = Self::default();
        for (netns, pid) in namespaces {
            let net = proc.join(pid.to_string()).join("net");
            let read = |name: &str| fs::read_to_string(net.join(name)).unwrap_or_default();
            for address in ipv4(&read("fib_trie")).chain(ipv6(&read("if_inet6"))) {
                found.add(address, *netns);
            }
        }
        found
    }

    fn add(&mut self, address: IpAddr, netns: Netns) {
        if address.is_loopback() {
            return;
        }
        self.by_address
            .entry(address)
            .and_modify(|known| *known = known.filter(|known| *known == netns))
            .or_insert(Some(netns));
    }

    /// The only namespace that has the address.
    pub fn of(&self, address: IpAddr) -> Option<Netns> {
        self.by_address.get(&address).copied().flatten()
    }
}

/// The host's own addresses in `/proc/net/fib_trie`: leaves that are followed by `/32 host LOCAL`.
fn ipv4(text: &str) -> impl Iterator<Item = IpAddr> + '_ {
    let mut leaf = None;
    text.lines().filter_map(move |line| {
        let line = line.trim_start();
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.trim_end().parse::<IpAddr>().ok();
            return None;
        }
        let own = line.starts_with("/32 host LOCAL");
        leaf.take_if(|_| own)
    })
}

/// The addresses in `/proc/net/if_inet6`: 32 digits at the beginning of each line.
fn ipv6(text: &str) -> impl Iterator<Item = IpAddr> + '_ {
    let address = |line: &str| u128::from_str_radix(line.get(..32)?, 16).ok();
    text.lines()
        .filter_map(address)
        .map(|bits| IpAddr::V6(Ipv6Addr::from(bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIE: &str = "Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.9.9.0/24 2 0 1
        |-- 10.9.9.1
           /32 host LOCAL
        |-- 10.9.9.255
           /32 link BROADCAST
     |-- 127.0.0.1
        /32 host LOCAL
";

    #[test]
    fn only_a_hosts_own_addresses_are_read() {
        let own: Vec<_> = ipv4(TRIE).collect();
        assert_eq!(
            own,
            ["10.9.9.1", "127.0.0.1"].map(|own| own.parse::<IpAddr>().unwrap())
        );
        let six: Vec<_> = ipv6("fe800000000000000000000000000001 02 40 20 80 eth0\nno\n").collect();
        assert_eq!(six, ["fe80::1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn an_address_of_two_namespaces_and_loopback_say_nothing() {
        let mut where_ = Whereabouts::default();
        let address = "10.0.0.1".parse().unwrap();
        where_.add(address, 7);
        where_.add(address, 7);
        assert_eq!(where_.of(address), Some(7));
        where_.add(address, 8);
        where_.add(address, 7);
        assert_eq!(where_.of(address), None);
        let loopback = "127.0.0.1".parse().unwrap();
        where_.add(loopback, 7);
        assert_eq!(where_.of(loopback), None);
    }
}
