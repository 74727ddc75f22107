//! What the running kernel calls its reasons for a drop or a reset. The numbers change between kernels.

use std::collections::BTreeMap;

use super::btf::Btf;

/// Drops that say nothing about a failure: packets consumed in the ordinary course of closing, duplicates, queues
/// that are emptied because their socket is gone, and other protocols' business.
const NOISE: [&str; 18] = [
    "NOT_DROPPED_YET",
    "CONSUMED",
    "SKB_CONSUMED",
    "NOT_SPECIFIED",
    "QUEUE_PURGE",
    "SOCKET_CLOSE",
    "TCP_OLD_DATA",
    "TCP_OLD_SEQUENCE",
    "TCP_OLD_ACK",
    "TCP_TOO_OLD_ACK",
    "TCP_ACK_UNSENT_DATA",
    "TCP_RESET",
    "TCP_CLOSE",
    "TCP_FASTOPEN",
    "TCP_FLAGS",
    "TCP_OVERWINDOW",
    "TCP_OFOMERGE",
    "MAX",
];

/// Names by number.
#[derive(Clone, Debug, Default)]
pub struct Reasons {
    drops: BTreeMap<u32, String>,
    resets: BTreeMap<u32, String>,
}

impl Reasons {
    /// Reads both enums; a kernel without one leaves it empty.
    pub fn read(btf: &Btf<'_>) -> Self {
        let named = |of: &str, prefix: &str| btf.enumeration(of, prefix).into_iter().collect();
        Self {
            drops: named("skb_drop_reason", "SKB_DROP_REASON_"),
            resets: named("sk_rst_reason", "SK_RST_REASON_"),
        }
    }

    /// Both lists, by number.
    pub const fn of(drops: BTreeMap<u32, String>, resets: BTreeMap<u32, String>) -> Self {
        Self { drops, resets }
    }

    /// The numbers of the drop reasons that are evidence, and that TCP alone gives.
    pub fn drops_of_tcp(&self) -> impl Iterator<Item = u32> + '_ {
        let of_tcp = |number: &u32| self.drop(*number).starts_with("TCP_");
        self.drops_that_matter().filter(of_tcp)
    }

    /// The numbers of the drop reasons that are evidence.
    pub fn drops_that_matter(&self) -> impl Iterator<Item = u32> + '_ {
        let matters = |name: &str| {
            !NOISE.contains(&name) && !name.starts_with("SUBSYS") && name != "SKB_NOT_DROPPED_YET"
        };
        self.drops
            .iter()
            .filter(move |(_, name)| matters(name))
            .map(|(number, _)| *number)
    }

    /// A drop reason's name, `unnamed` where this kernel has none for it.
    pub fn drop(&self, number: u32) -> &str {
        self.drops.get(&number).map_or("unnamed", String::as_str)
    }

    /// A reset reason's name, `unnamed` where this kernel has none for it.
    pub fn reset(&self, number: u32) -> &str {
        self.resets.get(&number).map_or("unnamed", String::as_str)
    }
}
