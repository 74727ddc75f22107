//! `hopscope.evidence/1`: what an agent saw, as JSON Lines. Bounded, versioned, joined to a recording by [`super::join`].
//!
//! The first line is a [`Head`]; the others are [`Line`]s in order of their number. A reader skips fields and kinds of
//! line that it does not know, so that a newer agent can say more.

use std::net::{IpAddr, SocketAddr};

use hopscope_attribution::evidence::node::KernelEnd;
use serde::{Deserialize, Serialize};

/// The version that is written, and the only one that is read.
pub const SCHEMA: &str = "hopscope.evidence/1";

pub mod journal;
mod pods;

pub use journal::{Journal, Speaker};
pub use pods::{EndpointSeen, RefusalSeen, ServiceSeen, ThrottleSeen};

/// The first line: who speaks, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// [`SCHEMA`].
    pub schema: String,
    /// The agent's clock when it answered, microseconds since 1970.
    pub now_unix_us: u64,
    /// What to ask `since` next time.
    pub next: u64,
    /// Lines after `since` that were forgotten before they could be told: with any, absence proves nothing.
    pub forgotten: u64,
    /// What was forgotten since the agent started, of the groups that lost most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forgotten_of: Vec<Forgotten>,
    /// How the evidence was gathered: a word of [`Rung`](super::rung::Rung).
    pub level: String,
    /// Kernel events lost since the agent started.
    pub events_lost: u64,
    /// What it cannot tell here, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
    /// What the cluster calls the agent's node; absent where it was not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// When it began to watch, microseconds since 1970; absent from an older agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_unix_us: Option<u64>,
    /// Its probes see a SYN that no socket takes, and what becomes of it: [`RefusalSeen`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sees_refusals: bool,
    /// The CPU accounting of pods is read: [`ThrottleSeen`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sees_throttling: bool,
    /// What the agent knows of Services and their endpoints; absent where nobody asked a Kubernetes API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Pods>,
    /// Pods that stand in a state that they do not get out of, such as CrashLoopBackOff, when the agent answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standing: Vec<PodSeen>,
    /// What the agent knows of the pods of its node; absent where nobody asked a Kubernetes API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<Pods>,
    /// Which kernel it tells of: its boot id. Absent where /proc does not say it, and from an older agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// When it was asked, on the clock of whoever keeps the answer; an agent does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_unix_us: Option<u64>,
    /// When the answer came, on the same clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_unix_us: Option<u64>,
}

/// Lines that an agent had and gave up, of sockets that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Word of the hop that owned them; empty of lines that are about no socket.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// Word of the hop at the other end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub peer: String,
    /// The workload's Kubernetes namespace, where it was known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The workload, or the process; empty of too many different ones.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub workload: String,
    /// The service's port; 0 of several.
    pub port: u16,
    /// How many.
    pub lines: u64,
    /// When the first of them happened, microseconds since 1970.
    pub from_unix_us: u64,
    /// And the last.
    pub until_unix_us: u64,
}

/// Whether the Kubernetes API tells an agent of its node's pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pods {
    /// It was asked, and has not answered yet.
    NoAnswer,
    /// It told of them, and tells of every change.
    Told,
    /// Of a newer agent.
    #[serde(other)]
    Newer,
}

/// One thing seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its number, rising by one.
    pub seq: u64,
    /// What it is.
    #[serde(flatten)]
    pub seen: Seen,
}

/// A [`Line`] that is about to be written.
#[derive(Debug, Serialize)]
struct LineRef<'a> {
    seq: u64,
    #[serde(flatten)]
    seen: &'a Seen,
}

/// What a line is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Seen {
    /// The end of a socket.
    Socket(Box<SocketSeen>),
    /// Counts of a window of time.
    Window(WindowSeen),
    /// What the Kubernetes API told of a pod.
    Pod(Box<PodSeen>),
    /// A SYN that no socket took.
    Refusal(Box<RefusalSeen>),
    /// A second in which a CPU limit held a container back.
    Throttle(Box<ThrottleSeen>),
    /// What the Kubernetes API told of a Service.
    Service(Box<ServiceSeen>),
    /// Of a newer agent.
    #[serde(other)]
    Newer,
}

/// The end of one socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketSeen {
    /// When, microseconds since 1970.
    pub unix_us: u64,
    /// For how long before that it lived since its `connect`, microseconds; absent where that was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_us: Option<u64>,
    /// Its own address.
    pub local: SocketAddr,
    /// The other side's.
    pub remote: SocketAddr,
    /// Inode of its network namespace; 0 when unknown.
    pub netns: u32,
    /// `SO_COOKIE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<u64>,
    /// Word of the hop that owns it.
    pub owner: String,
    /// Word of the hop at the other end.
    pub peer: String,
    /// How it ended: a word of [`end_word`].
    pub end: String,
    /// The cause that was charged here, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The socket's error, by its name in errno.h or its number; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<String>,
    /// For a connect that was answered with no: `reset`, or `icmp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_by: Option<String>,
    /// The other side had said FIN before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub after_fin: bool,
    /// The owner had said FIN before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub after_own_fin: bool,
    /// The netfilter of its own namespace dropped packets of the connection.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped_at_home: bool,
    /// Segments sent again, SYNs included.
    pub retransmits: u32,
    /// Payload bytes that the other side acknowledged, where the probes see them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_acked: Option<u64>,
    /// Payload bytes received, where the probes see them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_received: Option<u64>,
    /// The owner's process name, where known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub process: String,
    /// The workload's Kubernetes namespace, where the API names it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The owner's Deployment or the like, its pod's uid where no API names it, its unit or process.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub workload: String,
    /// The name of the owner's pod in that namespace, where the API names it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pod: String,
    /// The kernel's reason for an RST that it sent, where it gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_reason: Option<String>,
    /// The kernel's reasons for packets of the connection that it dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drops: Vec<String>,
}

/// Counts of a window of time and one hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSeen {
    /// Its start, microseconds since 1970.
    pub from_unix_us: u64,
    /// Its length, microseconds.
    pub length_us: u64,
    /// Word of the hop.
    pub hop: String,
    /// SYN segments sent again.
    pub syn_retransmits: u64,
    /// Accept-queue overflows at the hop's listeners.
    pub accept_queue_overflows: u64,
    /// Kernel events lost in the window.
    pub events_lost: u64,
}

/// Something that happened to a pod of the agent's node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodSeen {
    /// When the agent heard of it, microseconds since 1970: a second or more after it happened.
    pub unix_us: u64,
    /// When it happened, as the API states it in whole seconds of the node's clock; absent where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub happened_unix_us: Option<u64>,
    /// It was told after a time in which the API did not answer: where it is not dated, it happened at any time of that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missed: bool,
    /// A word of [`PodChange`](hopscope_attribution::evidence::PodChange).
    pub event: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// What it is one of.
    pub workload: String,
    /// The addresses that are the pod's alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// The container, where it happened to one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// The API's own word for why, such as `OOMKilled` or `Readiness`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What the container's process ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

/// The word of an end.
pub const fn end_word(end: KernelEnd) -> &'static str {
    match end {
        KernelEnd::ConnectRefused => "connect-refused",
        KernelEnd::ConnectTimedOut { .. } => "connect-timed-out",
        KernelEnd::ConnectUnreachable => "connect-unreachable",
        KernelEnd::NoLocalPort => "no-local-port",
        KernelEnd::ResetSentUnread => "reset-sent-unread",
        KernelEnd::ResetSent => "reset-sent",
        KernelEnd::ResetReceived => "reset-received",
        KernelEnd::RetransmitTimeout => "retransmit-timeout",
        KernelEnd::AcceptQueueFull => "accept-queue-full",
        KernelEnd::ClosedFirst => "closed-first",
        KernelEnd::ClosedByPeer => "closed-by-peer",
    }
}

/// The end that a word names; `retransmits` completes it.
pub fn end_from_word(word: &str, retransmits: u32) -> Option<KernelEnd> {
    let mut end = KernelEnd::ALL.into_iter().find(|end| end_word(*end) == word)?;
    if let KernelEnd::ConnectTimedOut { retransmits: counted } = &mut end {
        *counted = retransmits;
    }
    Some(end)
}

impl Seen {
    /// When it was seen, microseconds since 1970; of a window, its start.
    pub fn unix_us(&self) -> u64 {
        match self {
            Self::Socket(socket) => socket.unix_us,
            Self::Window(window) => window.from_unix_us,
            Self::Pod(pod) => pod.unix_us,
            Self::Refusal(refusal) => refusal.unix_us,
            Self::Throttle(throttle) => throttle.from_unix_us,
            Self::Service(service) => service.unix_us,
            Self::Newer => 0,
        }
    }
}

/// Why a text is not an agent's evidence.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Nothing there.
    #[error("the agent's answer is empty")]
    Empty,
    /// Another version.
    #[error("the agent speaks '{0}', this hopscope reads '{SCHEMA}': use the same version of both")]
    Schema(String),
    /// Not JSON Lines of these types.
    #[error("line {line} of the agent's answer is not evidence: {source}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What serde said.
        source: serde_json::Error,
    },
}

/// Reads a head and what [`Journal::write`] wrote. A last line that was cut off is left out.
///
/// # Errors
/// When it is no evidence, or of another version.
pub fn read(text: &str) -> Result<(Head, Vec<Line>), Unreadable> {
    let mut lines = text.split_inclusive('\n').enumerate();
    let (_, first) = lines.next().ok_or(Unreadable::Empty)?;
    let head: Head = serde_json::from_str(first).map_err(|source| Unreadable::Line { line: 1, source })?;
    if head.schema != SCHEMA {
        return Err(Unreadable::Schema(head.schema));
    }
    let mut read = Vec::new();
    for (at, line) in lines {
        match serde_json::from_str(line) {
            Ok(line) => read.push(line),
            Err(_) if !line.ends_with('\n') => break,
            Err(source) => return Err(Unreadable::Line { line: at + 1, source }),
        }
    }
    Ok((head, read))
}

#[cfg(test)]
pub(crate) mod tests;
