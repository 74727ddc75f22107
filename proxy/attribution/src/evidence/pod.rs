//! What became of the pods of the watched nodes, as the Kubernetes API told it.

use std::net::IpAddr;

use super::connection::ConnectionId;
use super::time::{Moment, Span};

/// What the API told of the watched nodes' pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodEvidence {
    /// What happened to them.
    pub turns: Vec<PodTurn>,
    /// Connections whose application's end a kernel saw in a pod that the API names.
    pub homes: Vec<(ConnectionId, PodId)>,
}

/// Which pod: names are used again, but no two pods of a cluster have both in common at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId {
    /// Its namespace.
    pub namespace: String,
    /// Its own name.
    pub name: String,
}

/// Something that happened to a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodTurn {
    /// When, on hopscope's clock.
    pub at: Moment,
    /// By how much that may be wrong: the API's whole seconds, or how late it tells, and the clock between the hosts.
    pub error: Span,
    /// What.
    pub change: PodChange,
    /// To which pod.
    pub pod: PodId,
    /// What the pod is one of: its Deployment, StatefulSet, DaemonSet, Job or CronJob.
    pub workload: String,
    /// The pod's own addresses; none where they are not known, or are its node's.
    pub addresses: Vec<IpAddr>,
    /// The container, where it happened to one.
    pub container: Option<String>,
    /// The API's own word for why, such as `OOMKilled` or `Readiness`; empty where it has none.
    pub reason: String,
    /// What the container's process ended with.
    pub exit_code: Option<i32>,
}

macro_rules! changes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)+) => {
        /// What can happen to a pod.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum PodChange { $($(#[$doc])* $variant,)+ }

        impl PodChange {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word used in metrics and evidence.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

changes! {
    /// A container was started again.
    Restarted = "restarted",
    /// The kernel killed a container because memory ran out.
    OomKilled = "oom-killed",
    /// It takes no traffic any more.
    NotReady = "not-ready",
    /// It takes traffic again, or for the first time.
    Ready = "ready",
    /// The node put it out.
    Evicted = "evicted",
    /// It is gone.
    Deleted = "deleted",
    /// A readiness, liveness or startup probe failed.
    ProbeFailed = "probe-failed",
    /// A container crashes again and again: the node waits before it starts it once more.
    BackOff = "back-off",
    /// The node stops a container.
    Killing = "killing",
    /// No node takes it: it waits to be scheduled, with the scheduler's word for why.
    Pending = "pending",
}

impl PodChange {
    /// The change that a word names, if it names one.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|change| change.word() == word)
    }
}
