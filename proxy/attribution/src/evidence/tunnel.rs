//! What was seen of a forward: the forwarder's words where it is a kubectl, its sockets, its life.

mod forwarder;
mod meaning;

pub use forwarder::{Forwarder, Laws};
pub use meaning::{StartFailure, TunnelMeaning};

use super::observation::Observation;
use super::time::{Moment, Span};

/// All that was seen of one tunnel path's forwarder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TunnelEvidence {
    /// kubectl's version as it states it, such as `v1.32.4`.
    pub kubectl_version: Observation<String>,
    /// What it wrote, classified. Unseen when somebody else runs it.
    pub lines: Observation<Vec<TunnelLine>>,
    /// Samples of its sockets and of the process.
    pub gauges: Observation<Vec<TunnelGauge>>,
    /// Starts, losses and restarts.
    pub life: Vec<TunnelLifeEvent>,
    /// Each process that carried the forward, in the order in which they took over.
    pub processes: Vec<TunnelProcess>,
}

/// A process that carried a forward, and how it was placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelProcess {
    /// When it was ready, or was found.
    pub at: Moment,
    /// Which of the pool's kubectls, from 0.
    pub member: u16,
    /// Its process id on hopscope's host.
    pub pid: Observation<u32>,
    /// Its command line, arguments separated by spaces.
    pub command: Observation<String>,
    /// Whether that is a kubectl. `false`: something else owns the forward's address.
    pub is_kubectl: Observation<bool>,
    /// Its version as it states it, such as `v1.32.4`.
    pub version: Observation<String>,
    /// The local port of the forward; connections of this member have it as their upstream tuple's remote port.
    pub local_port: u16,
    /// Who listens on that port of `127.0.0.1`.
    pub on_ipv4: Observation<PortOwner>,
    /// Who listens on that port of `::1`.
    pub on_ipv6: Observation<PortOwner>,
    /// The pod it resolved its target to. It never resolves it again.
    pub pod: Observation<String>,
    /// The node of that pod.
    pub node: Observation<String>,
    /// The container runtime of that node as the API states it, such as `containerd://1.7.13`.
    pub runtime: Observation<String>,
}

/// Who listens on one loopback address of a forward's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortOwner {
    /// The forward's own process.
    Forward,
    /// Another process, with its id.
    Other(u32),
    /// A process that is not ours to look at.
    Stranger,
    /// Nobody.
    Nobody,
}

/// One line of kubectl's, classified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelLine {
    /// When it was read.
    pub at: Moment,
    /// Which of the pool's kubectls wrote it, from 0.
    pub member: u16,
    /// What it says.
    pub meaning: TunnelMeaning,
    /// The forward's local port, where the line states it.
    pub local_port: Option<u16>,
    /// The pod's port, where the line states it.
    pub remote_port: Option<u16>,
    /// The line as it was written, bounded in length.
    pub text: String,
}

/// One sample of a forwarder's sockets and process, about ten a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelGauge {
    /// When it was taken.
    pub at: Moment,
    /// Which of the pool's kubectls, from 0.
    pub member: u16,
    /// Connections that it said it handles, so far.
    pub handled: Observation<u64>,
    /// Lines that were classified and not recorded because too many came in one second, so far.
    pub lines_omitted: u64,
    /// Connections waiting in the listener's accept queue.
    pub accept_queue: u32,
    /// Bytes that the tunnel's connection has received and kubectl has not read.
    pub tunnel_recv_queue: Observation<u32>,
    /// Bytes written to the tunnel's connection and not yet acknowledged.
    pub tunnel_send_queue: Observation<u32>,
    /// Segments sent on the tunnel's connection and not yet acknowledged.
    pub tunnel_unacked: Observation<u32>,
    /// The receive window that the tunnel's peer last offered, in bytes: 0 is a peer that does not read.
    pub tunnel_peer_window: Observation<u32>,
    /// Retransmits of the tunnel's connection so far.
    pub tunnel_retransmits: Observation<u32>,
    /// Time since the tunnel's peer last acknowledged anything.
    pub tunnel_last_ack: Observation<Span>,
    /// Time since bytes last came from the tunnel's peer: answers, acknowledgements of streams, replies to pings.
    pub tunnel_last_received: Observation<Span>,
    /// Milliseconds for which the tunnel's peer's window was the limit, so far.
    pub tunnel_rwnd_limited_ms: Observation<u32>,
    /// Milliseconds for which the tunnel's connection had something to send, so far.
    pub tunnel_busy_ms: Observation<u32>,
    /// Smoothed round-trip time of the tunnel's connection.
    pub tunnel_rtt: Observation<Span>,
    /// Local connections of the forward that stand.
    pub local_connections: u32,
    /// Local connections of the forward whose Send-Q is not empty: readers that do not read.
    pub stalled_readers: u32,
    /// Local connections of the forward that the other side has closed and the forwarder has not (`CLOSE-WAIT`), with
    /// bytes in them that it has not read.
    pub abandoned: Observation<u32>,
    /// Local connections of the forward, in whatever state, with bytes in them that the forwarder has not read.
    pub unread_connections: Observation<u32>,
    /// Remote port of the local connection with the largest Send-Q: the head-of-line suspect.
    pub worst_reader: Observation<u16>,
    /// Descriptors in use by the process.
    pub descriptors: Observation<u32>,
    /// Descriptors that it may have.
    pub descriptor_limit: Observation<u32>,
    /// Whether the process is stopped (state `T`).
    pub stopped: Observation<bool>,
    /// CPU milliseconds that it used so far.
    pub cpu_ms: Observation<u64>,
    /// Milliseconds for which its threads were ready to run and had no CPU, so far, each thread's added up.
    pub cpu_wait_ms: Observation<u64>,
    /// Whether a thread of it waits to write into a pipe that nobody reads.
    pub output_blocked: Observation<bool>,
}

/// A turn in a forwarder's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelLifeEvent {
    /// When.
    pub at: Moment,
    /// What.
    pub kind: TunnelLife,
    /// Which of the pool's kubectls, from 0.
    pub member: u16,
    /// Why, in kubectl's own words as they were understood: of an end, what it said last; of a replacement, what showed
    /// the damage; of a start, why the one before it was lost. `None` where it said nothing that explains it.
    pub reason: Option<TunnelMeaning>,
}

/// What can happen to a forwarder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TunnelLife {
    /// It was started.
    Started,
    /// It ran already when hopscope looked for it.
    Found,
    /// It listens and takes connections.
    Ready,
    /// It ended by itself, with this exit code where it had one.
    Exited(Option<i32>),
    /// hopscope replaced it because it was damaged: a stream had timed out, or its accept loop had ended.
    Replaced,
    /// It is gone for good, and hopscope was told not to restart it.
    LeftDown,
    /// hopscope ended it because the run was over.
    Stopped,
    /// One that was replaced before has no connection left, or had time enough, and hopscope ended it.
    Drained,
}
