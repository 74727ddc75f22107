//! The rungs of the ladder: how much of the kernel can be watched here, best first.

use std::fmt;
use std::str::FromStr;

/// One way to watch sockets. A better one claims more; each gives the same hops for the failures that it sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// BTF tracepoints, with the kernel's own types.
    #[default]
    BtfTracepoints,
    /// Classic tracepoints, by the format files of tracefs.
    Tracepoints,
    /// A `sock_ops` program on the root of the cgroup tree.
    SockOps,
    /// No probe: sock_diag and /proc.
    Procfs,
}

impl Rung {
    /// Every rung, best first.
    pub const ALL: [Self; 4] = [
        Self::BtfTracepoints,
        Self::Tracepoints,
        Self::SockOps,
        Self::Procfs,
    ];

    /// Its word: `level` of the evidence.
    pub const fn word(self) -> &'static str {
        match self {
            Self::BtfTracepoints => "tp_btf",
            Self::Tracepoints => "tracepoint",
            Self::SockOps => "sock_ops",
            Self::Procfs => "procfs",
        }
    }

    /// What cannot be claimed here that the rung above can; `None` of the best.
    pub const fn forgoes(self) -> Option<&'static str> {
        match self {
            Self::BtfTracepoints => None,
            Self::Tracepoints => Some(
                "socket errors are concluded from resets and retransmits; no bytes, no round trips, no ICMP errors; \
                 namespaces only where process, address or port tell them; dropped packets without their addresses",
            ),
            Self::SockOps => Some(
                "who reset is concluded from who closed first, where both ends are on this host, and a refusal from the \
                 namespace's counters; no reasons, no drops, no want of ports; nothing of connections older than the agent",
            ),
            Self::Procfs => Some("how often, and in whose namespace; not which connection, nor with whom"),
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Rung {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|rung| rung.word() == word);
        found.ok_or_else(|| format!("'{word}' is no rung: tp_btf, tracepoint, sock_ops or procfs"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rung_is_named_by_its_word_and_better_ones_come_first() {
        for rung in Rung::ALL {
            assert_eq!(rung.word().parse(), Ok(rung));
        }
        assert!(Rung::ALL.is_sorted());
        assert!("kprobe".parse::<Rung>().unwrap_err().contains("tp_btf"));
    }
}
