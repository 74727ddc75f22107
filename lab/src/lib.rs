//! A whole path in one process, on loopback, without privileges; each hop with faults to inject.
//!
//! In reading order: [`fault`] (when a fault is on, whom it hits, and the ground truth of it), [`generator`] (the
//! load, and what the client saw), [`service`] and [`gateway`] (the application), [`balancer`], [`apiserver`] and
//! [`node`] (what the real `kubectl port-forward` talks to), [`kubectl`] (its stand-in), with [`spdy`] and
//! [`websocket`] beneath them.

pub mod apiserver;
pub mod balancer;
pub mod deal;
pub mod draw;
pub mod fault;
pub mod gateway;
pub mod generator;
pub mod kubectl;
pub mod node;
pub mod scenario;
pub mod service;
pub mod spdy;
pub mod websocket;
pub use door::{DoorFault, DoorPlan};
pub use wire::Broken;

mod door;
mod pump;
mod upstream;
mod wire;
