//! What a fault can turn while a connection runs: whether it reads, how fast, whether it answers pings.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// Valves of one connection, or of several that share them.
#[derive(Debug)]
pub struct Valves {
    reads: watch::Sender<bool>,
    answers_pings: AtomicBool,
    bytes_per_second: AtomicU64,
}

impl Default for Valves {
    fn default() -> Self {
        Self {
            reads: watch::Sender::new(true),
            answers_pings: AtomicBool::new(true),
            bytes_per_second: AtomicU64::new(0),
        }
    }
}

impl Valves {
    /// Whether the socket is read; closed, the sender's bytes pile up in the kernel's buffers.
    pub fn set_reading(&self, reads: bool) {
        self.reads.send_replace(reads);
    }

    /// Whether a ping gets its answer.
    pub fn set_answering_pings(&self, answers: bool) {
        self.answers_pings.store(answers, Ordering::Relaxed);
    }

    /// Bytes a second in each direction, as the API server's `--max-connection-bytes-per-sec`; 0 is without limit.
    pub fn set_bytes_per_second(&self, rate: u64) {
        self.bytes_per_second.store(rate, Ordering::Relaxed);
    }

    pub(super) fn answers_pings(&self) -> bool {
        self.answers_pings.load(Ordering::Relaxed)
    }

    /// Waits until reading is allowed.
    pub(super) async fn may_read(&self) {
        let mut reads = self.reads.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        if reads.wait_for(|reads| *reads).await.is_err() {
            tracing::error!("a valve's sender is gone while the valve is in use");
        }
    }

    /// Waits as long as `bytes` take at the set rate.
    pub(super) async fn pace(&self, bytes: usize) {
        let rate = self.bytes_per_second.load(Ordering::Relaxed);
        if let Some(micros) = (bytes as u64).saturating_mul(1_000_000).checked_div(rate) {
            tokio::time::sleep(Duration::from_micros(micros)).await;
        }
    }
}
