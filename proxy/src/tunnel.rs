//! `kubectl port-forward` as an object: run it, find it, watch it, read it.
//!
//! [`target`] is what the user typed.

pub mod target;
mod target_error;

pub use target::{Target, TargetError};
