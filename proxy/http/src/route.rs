//! Routes: request paths with their variable segments folded, numbered in one table for all workers.

mod fold;
mod pattern;
mod table;

pub use pattern::{Pattern, PatternError};
pub use table::RouteTable;

/// The longest name of a route, in bytes.
const NAME_LIMIT: usize = 192;
