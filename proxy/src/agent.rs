//! The node agent: probes, metrics, evidence.

pub mod btf;
pub mod cgroup;
pub mod hops;
pub mod judge;
pub mod layout;
pub mod loader;
pub mod parse;
pub mod procfs;
pub mod reasons;
