//! The addresses of a name that failed, while a connection was made to another one or could not be made at all.
//!
//! A client tries the addresses of a name until one of them takes the connection (RFC 8305). hopscope does the same, so
//! an address that refuses need not fail any connection; what it did is kept here.

use std::net::SocketAddr;

use super::connection::{ConnectFailure, ConnectionId};
use super::path::PathId;
use super::time::{Moment, Span};

/// One address that did not take a connection. Only of targets that had several addresses at the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedAddress {
    /// The connection that was being made.
    pub connection: ConnectionId,
    /// Its path.
    pub path: PathId,
    /// When it failed, or was overtaken.
    pub at: Moment,
    /// The address.
    pub address: SocketAddr,
    /// From the start of the attempt at this address.
    pub after: Span,
    /// How it failed. [`ConnectFailure::TimedOut`] also where it had not answered when another address took the
    /// connection: `after` says how long it had been given.
    pub failure: ConnectFailure,
}

/// All failures of one kind of one address of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressFailures {
    /// The path.
    pub path: PathId,
    /// The address.
    pub address: SocketAddr,
    /// How it failed.
    pub failure: ConnectFailure,
    /// How often.
    pub times: u64,
    /// When it did so first.
    pub first: Moment,
    /// When it did so last.
    pub last: Moment,
}
