//! The relay between real sockets: what both ends see, and what is on record afterwards.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here is the test")]

mod close_order;
mod connecting;
mod delivery;
mod given_up;
mod session;
