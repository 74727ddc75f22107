//! The port-forward test bed against the real kubectl, and against its stand-in of the same versions.
//!
//! Needs a `kubectl`: `HOPSCOPE_KUBECTL` (one path, or several with `:` between them), else the one on `PATH`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backend;
mod delay;
mod ending;
mod forwarder;
mod kubectl;
mod refusal;
mod stall;
mod tunnel;
mod work;
