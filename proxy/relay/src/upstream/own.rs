//! The addresses that hopscope listens on itself: a path that led there would come back without end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Where hopscope listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnAddress(SocketAddr);

impl OwnAddress {
    pub(crate) fn new(listening: SocketAddr) -> Self {
        Self(listening)
    }

    /// Whether a connection to this address is one to hopscope. Asks the kernel only where the port is the same.
    pub(crate) fn is_reached_by(self, address: SocketAddr) -> bool {
        if address.port() != self.0.port() {
            return false;
        }
        let (ours, theirs) = (
            self.0.ip().to_canonical(),
            destination(address.ip().to_canonical()),
        );
        if ours.is_unspecified() {
            // One that listens on `::` takes IPv4 as well (ipv6(7), IPV6_V6ONLY); one on 0.0.0.0 does not take IPv6.
            (ours.is_ipv6() || theirs.is_ipv4()) && is_of_this_host(theirs)
        } else {
            ours == theirs
        }
    }
}

/// Where a connection to an address goes: one to "any" goes to this host itself (ip(7)).
fn destination(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V4(_) | IpAddr::V6(_) => ip,
    }
}

/// Whether an address is one of this host's. What is sent to such an address leaves from the same one; nothing is sent
/// to find out.
fn is_of_this_host(ip: IpAddr) -> bool {
    let any = match ip {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    ip.is_loopback()
        || UdpSocket::bind((any, 0))
            .and_then(|socket| {
                socket.connect((ip, 9))?;
                socket.local_addr()
            })
            .is_ok_and(|local| local.ip() == ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(listening: &str, address: &str) -> bool {
        OwnAddress::new(listening.parse().unwrap()).is_reached_by(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_own_when_a_connection_to_it_would_come_back() {
        for (listening, address) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("127.0.0.1:80", "0.0.0.0:80"),
            ("127.0.0.1:80", "[::ffff:127.0.0.1]:80"),
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("0.0.0.0:80", "127.9.9.9:80"),
            ("[::]:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("[::1]:80", "[::]:80"),
        ] {
            assert!(reached(listening, address), "{listening} {address}");
        }
    }

    #[test]
    fn another_port_or_another_listener_is_not_own() {
        for (listening, address) in [
            ("127.0.0.1:80", "127.0.0.1:81"),
            ("127.0.0.1:80", "127.0.0.2:80"),
            ("127.0.0.1:80", "[::1]:80"),
            ("0.0.0.0:80", "[::1]:80"),
            ("0.0.0.0:80", "192.0.2.1:80"),
            ("127.0.0.1:80", "192.0.2.1:80"),
        ] {
            assert!(!reached(listening, address), "{listening} {address}");
        }
    }
}
