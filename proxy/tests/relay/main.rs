//! The relay between real sockets: what both ends see, and what is on record afterwards.

mod close_order;
mod delivery;
mod session;
