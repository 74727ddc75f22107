//! The sockets that live: how many, how fast, who does not read, and what passed through them.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use hopscope_abi::state;
use hopscope_attribution::hop::Hop;

use super::super::metrics::Living;
use super::super::snapshot::Live;
use super::super::world::Known;
use super::Observer;
use hopscope_host::procfs::Netns;

/// Bytes that had passed through a socket when it was last listed: acknowledged and received.
pub(super) type Ledger = HashMap<u64, (u64, u64)>;

impl Observer {
    /// Where to list, for a thread of its own.
    pub fn namespaces(&self) -> (PathBuf, Vec<(Netns, u32)>) {
        (self.world.proc().to_owned(), self.world.seen_through())
    }

    /// Takes in the list of all sockets that live.
    pub fn living(&mut self, all: &[Live]) {
        self.world.listeners_of(all);
        let mut hops: BTreeMap<Hop, Living> = BTreeMap::new();
        let mut known = Known::new();
        let mut ledger = Ledger::with_capacity(self.ledger.len());
        let first = self.ledger.is_empty();
        for live in all {
            if live.state == state::LISTEN || live.state == state::SYN_SENT {
                continue;
            }
            let (owner, peer) = self.world.hops_of(live, &mut known);
            let living = hops.entry(owner).or_default();
            living.sockets += 1;
            let Some(going) = live.going else { continue };
            if going.rtt_us > 0 {
                living.round_trips_us.push(going.rtt_us);
            }
            let now = (going.bytes_acked, going.bytes_received);
            // What passed before the agent came was not seen by it.
            let unseen = if first { now } else { (0, 0) };
            let before = self.ledger.get(&going.cookie).copied().unwrap_or(unseen);
            living.sent += now.0.saturating_sub(before.0);
            living.received += now.1.saturating_sub(before.1);
            ledger.insert(going.cookie, now);
            if going.stalled {
                hops.entry(peer).or_default().stalls += 1;
            }
        }
        self.ledger = ledger;
        self.metrics.living(hops);
    }
}
