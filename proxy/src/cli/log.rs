//! What hopscope says of itself while it works, on standard error: `RUST_LOG` chooses how much.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Shows warnings and errors, or what `RUST_LOG` asks for (`debug`, `hopscope_relay=trace`, `off`).
pub(super) fn begin() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}
