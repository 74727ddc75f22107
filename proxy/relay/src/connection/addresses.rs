//! What an attempt to connect taught of the target's addresses: remembered for the next, and recorded.

use hopscope_attribution::evidence::FailedAddress;

use super::Log;
use crate::upstream::Attempted;
use crate::worker;

impl Log {
    /// Remembers what the target's name resolved to, and records the addresses that did not take the connection; where
    /// another one did, they are tried last for a while.
    pub(super) fn learn_addresses(&self, attempted: &Attempted) {
        if let Some(resolved) = &attempted.resolved {
            worker::with(|worker| worker.remember(self.path, resolved));
        }
        for failed in &attempted.failed {
            worker::with(|worker| {
                worker.recorder.failed_address(FailedAddress {
                    connection: self.id,
                    path: self.path,
                    at: failed.at,
                    address: failed.address,
                    after: failed.after,
                    failure: failed.failure,
                });
                if attempted.stream.is_some() {
                    worker.avoid(self.path, failed.address);
                }
            });
        }
    }
}
