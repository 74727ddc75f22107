//! `kubectl port-forward` as an object: run it, find it, watch it, read it.
//!
//! [`lines`] is what kubectl says; [`target`] what the user typed.

pub mod lines;
pub mod target;
mod target_error;

pub use target::{Target, TargetError};
