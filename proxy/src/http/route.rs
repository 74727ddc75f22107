//! Routes: request paths with their variable segments folded, numbered in one table for all workers.

mod fold;
mod pattern;
mod table;

pub use pattern::{Pattern, PatternError};
pub use table::RouteTable;
