//! Who can be charged with a failure.

use std::fmt;

/// A part of the path between the generator and the application's dependencies: the unit of blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hop {
    /// The load generator and its host.
    Client,
    /// hopscope itself and its host. Charged, it voids every other charge.
    Observer,
    /// kubectl, API server, kubelet, container runtime and the connections between them.
    Tunnel,
    /// Load balancer, ingress, kube-proxy or NAT.
    Lb,
    /// Gateway, the services behind it, their dependencies and their pods.
    Backend,
    /// The evidence does not decide.
    Unknown,
}

impl Hop {
    /// Every hop, in the order in which reports list them.
    pub const ALL: [Self; 6] = [
        Self::Client,
        Self::Observer,
        Self::Tunnel,
        Self::Lb,
        Self::Backend,
        Self::Unknown,
    ];

    /// The word used in reports, metrics and `--fail-on`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Observer => "observer",
            Self::Tunnel => "tunnel",
            Self::Lb => "lb",
            Self::Backend => "backend",
            Self::Unknown => "unknown",
        }
    }

    /// The hop that a report's word names, if it names one.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hop| hop.word() == word)
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
