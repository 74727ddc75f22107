//! A whole path in one process, on loopback, without privileges; each hop with faults to inject.

pub mod spdy;
