//! What hopscope says of itself while it works, on standard error: `RUST_LOG` chooses how much.

use std::io::{self, Write};

use hopscope_secret::text;
use tracing_subscriber::EnvFilter;

/// Shows what is of this level or worse, or what `RUST_LOG` asks for (`debug`, `hopscope_relay=trace`, `off`), without secrets: what
/// libraries trace are headers and URLs.
pub(super) fn begin(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Discreet(io::stderr()))
        // Colours would stand between a name and its value.
        .with_ansi(false)
        .with_target(false)
        .init();
}

/// Writes each line without the secrets in it. A line comes in one piece.
struct Discreet<W>(W);

impl<W: Write> Write for Discreet<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = text::redacted(&String::from_utf8_lossy(bytes));
        self.0.write_all(line.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_library_traces_is_told_without_its_secrets() {
        let mut told = Vec::new();
        let line = b"TRACE hyper: GET /api?token=abc9 headers={\"authorization\": \"Bearer abc9\"}\n";
        Discreet(&mut told).write_all(line).unwrap();
        let told = String::from_utf8(told).unwrap();
        assert!(!told.contains("abc9") && told.ends_with('\n'), "{told}");
    }
}
