//! `kubectl port-forward` as an object: run it, find it, watch it, read it.
//!
//! [`target`] is what the user typed. [`pool`] runs it: a thread of its own, on which each [`member`] starts a kubectl
//! ([`forward`]), reads its [`words`] with [`lines`], samples it ([`gauge`], [`tunnel_socket`], [`process`](hopscope_host::process), [`owner`])
//! and restarts it. [`watch`] does as much of that as is possible for a forward that somebody else runs. All that is seen goes out as a [`report::TunnelReport`]; nothing is concluded here.
//!
//! **Invariant:** what is seen of a forwarder is evidence; nothing is concluded here.

mod child;
mod forward;
mod gauge;
mod kubectl;
pub mod lines;
mod member;
mod owner;
pub mod paths;
mod placing;
mod pool;
mod report;
mod start_error;
pub mod target;
mod target_error;
mod tunnel_socket;
mod upstreams;
mod watch;
mod words;

pub use member::RestartPolicy;
pub use pool::Tunnel;
pub use report::{Clock, Sink, TunnelReport};
pub use start_error::TunnelStartError;
pub use target::{Target, TargetError};
pub use watch::Watch;
