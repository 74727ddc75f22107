//! Which two ends a socket joins.

use std::net::SocketAddr;

/// Both ends of a socket, from the point of view of hopscope's host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FourTuple {
    /// hopscope's own address and port.
    pub local: SocketAddr,
    /// The other side's.
    pub remote: SocketAddr,
}
