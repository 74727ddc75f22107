//! The probes. Built for the kernel by `cargo xtask ebpf`.
fn main() {}
