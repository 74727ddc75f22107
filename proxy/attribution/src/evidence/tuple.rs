//! Which two ends a socket joins, as it is worked with and as it is kept.

use std::net::{SocketAddr, SocketAddrV4};

/// Both ends of a socket, from the point of view of hopscope's host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FourTuple {
    /// hopscope's own address and port.
    pub local: SocketAddr,
    /// The other side's.
    pub remote: SocketAddr,
}

/// A [`FourTuple`] as a row keeps it: 16 bytes in place of 64 while both ends are IPv4, and as many and an allocation
/// otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedTuple(Packed);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Packed {
    V4 {
        local: SocketAddrV4,
        remote: SocketAddrV4,
    },
    /// Never both of IPv4: a tuple is packed in one way only, so that equal ones compare equal.
    Other(Box<FourTuple>),
}

impl PackedTuple {
    /// hopscope's own address and port.
    pub fn local(&self) -> SocketAddr {
        match &self.0 {
            Packed::V4 { local, .. } => (*local).into(),
            Packed::Other(tuple) => tuple.local,
        }
    }

    /// The other side's.
    pub fn remote(&self) -> SocketAddr {
        match &self.0 {
            Packed::V4 { remote, .. } => (*remote).into(),
            Packed::Other(tuple) => tuple.remote,
        }
    }
}

impl From<FourTuple> for PackedTuple {
    fn from(tuple: FourTuple) -> Self {
        Self(match (tuple.local, tuple.remote) {
            (SocketAddr::V4(local), SocketAddr::V4(remote)) => Packed::V4 { local, remote },
            (SocketAddr::V4(_) | SocketAddr::V6(_), _) => Packed::Other(Box::new(tuple)),
        })
    }
}

impl From<&PackedTuple> for FourTuple {
    fn from(packed: &PackedTuple) -> Self {
        Self {
            local: packed.local(),
            remote: packed.remote(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_out_as_it_went_in() {
        let ends = ["10.0.0.7:3000", "[fe80::1%3]:80", "[::ffff:10.0.0.7]:3000"];
        let ends = ends.map(|end| end.parse::<SocketAddr>().unwrap());
        for local in ends {
            for remote in ends {
                let tuple = FourTuple { local, remote };
                assert_eq!(FourTuple::from(&PackedTuple::from(tuple)), tuple);
            }
        }
    }

    #[test]
    fn a_pair_of_ipv4_ends_takes_sixteen_bytes_whether_or_not_it_is_there() {
        assert_eq!(size_of::<PackedTuple>(), 16);
        assert_eq!(size_of::<Option<PackedTuple>>(), 16);
    }
}
