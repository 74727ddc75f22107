//! The harness: real processes, real sockets, real namespaces.
//!
//! [`process`] runs a program and reads it; [`program`] finds hopscope and the lab's cluster, [`kubectl`] the kubectls;
//! [`cluster`], [`hopscope`] and [`application`] are the parts of a path, [`client`] is the load.
//! [`netns`] makes namespaces, [`cgroup`] takes CPU time away, [`cast`] plays in them, [`scrape`] and
//! [`prometheus`] ask the agent.

pub mod application;
pub mod cast;
pub mod cgroup;
pub mod client;
pub mod cluster;
pub mod hopscope;
pub mod kubectl;
pub mod netns;
pub mod process;
pub mod program;
pub mod prometheus;
pub mod report;
pub mod scrape;
pub mod server;
