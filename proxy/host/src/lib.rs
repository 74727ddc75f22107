//! This machine: what `/proc` and sock_diag tell of sockets and processes, what the process may use, and whose
//! certificates it trusts.
//!
//! **Invariant:** this crate alone reads `/proc` and asks the kernel about sockets; it concludes nothing.

pub mod label;
pub mod limits;
pub mod process;
pub mod procfs;
pub mod sock_diag;
pub mod trust;
