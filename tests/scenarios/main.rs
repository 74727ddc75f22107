//! The real binary against real parts.
fn main() {}
