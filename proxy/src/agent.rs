//! The node agent: probes, metrics, evidence.

pub mod btf;
pub mod layout;
pub mod loader;
pub mod parse;
pub mod reasons;
