//! How a number or a text looks: figures, tables, distributions of times, and paint for a terminal.
//!
//! **Invariant:** no I/O but asking the terminal for its size, no clock; what is printed through [`paint`] cannot
//! carry an escape sequence of somebody else's.

pub mod distribution;
pub mod figures;
pub mod latencies;
pub mod near;
pub mod paint;
pub mod table;
