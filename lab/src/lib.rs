//! A whole path in one process, on loopback, without privileges; each hop with faults to inject.
//!
//! In reading order: [`fault`] (when a fault is on, whom it hits, and the ground truth of it), [`generator`] (the
//! load, and what the client saw), [`service`] and [`gateway`] (the application).

pub mod draw;
pub mod fault;
pub mod gateway;
pub mod generator;
pub mod service;
pub mod spdy;
pub use door::DoorFault;
pub use wire::Broken;

mod door;
mod upstream;
mod wire;
