//! What was seen of a `kubectl port-forward`: its words, its sockets, its life.

use super::observation::Observation;
use super::time::{Moment, Span};

/// All that was seen of one tunnel path's forwarder.
#[derive(Clone, Debug, Default)]
pub struct TunnelEvidence {
    /// kubectl's version as it states it, such as `v1.32.4`.
    pub kubectl_version: Observation<String>,
    /// What it wrote, classified. Unseen when somebody else runs it.
    pub lines: Observation<Vec<TunnelLine>>,
    /// Samples of its sockets and of the process.
    pub gauges: Observation<Vec<TunnelGauge>>,
    /// Starts, losses and restarts.
    pub life: Vec<TunnelLifeEvent>,
}

/// One line of kubectl's, classified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelLine {
    /// When it was read.
    pub at: Moment,
    /// What it says.
    pub meaning: TunnelMeaning,
    /// The line as it was written, bounded in length.
    pub text: String,
}

/// What a line of kubectl's says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TunnelMeaning {
    /// `Forwarding from ...`: it listens.
    Listening,
    /// `Handling connection for ...`: it accepted one.
    Handling,
    /// `Timeout occurred` while a stream was created.
    StreamTimeout,
    /// `Stream reset` while a stream was created.
    StreamReset,
    /// The stream could not be created because the tunnel's connection had ended.
    StreamLost,
    /// The node could not connect to the pod's port: refused.
    PodRefused,
    /// The node could not connect to the pod's port: timed out.
    PodConnectTimeout,
    /// The pod reset an established connection.
    PodReset,
    /// The pod closed while bytes were still being written to it.
    PodBrokenPipe,
    /// The pod's sandbox is gone or not running.
    PodGone,
    /// The node waited in vain for the second stream of a pair.
    NodePairTimeout,
    /// Copying towards the local connection failed: the client went away.
    ClientGone,
    /// Copying from the local connection failed: the client went away.
    ClientReset,
    /// `lost connection to pod`: the forward is over.
    Lost,
    /// Its accept loop ended for want of descriptors.
    NoDescriptor,
    /// It could not listen on the local port.
    CannotListen,
    /// The cluster refused: RBAC.
    Forbidden,
    /// No such pod, service or deployment.
    NotFound,
    /// The pod is not running.
    PodNotRunning,
    /// The API server could not reach the kubelet.
    NodeUnreachable,
    /// The upgrade to a tunnel failed for another reason.
    UpgradeFailed,
    /// The API server itself could not be reached.
    ApiUnreachable,
    /// An error of the node's that none of the above covers.
    NodeError,
    /// Nothing that the classifier knows.
    Unrecognised,
}

/// One sample of a forwarder's sockets and process, about ten a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelGauge {
    /// When it was taken.
    pub at: Moment,
    /// Connections waiting in the listener's accept queue.
    pub accept_queue: u32,
    /// Bytes that the tunnel's connection has received and kubectl has not read.
    pub tunnel_recv_queue: Observation<u32>,
    /// Bytes written to the tunnel's connection and not yet acknowledged.
    pub tunnel_send_queue: Observation<u32>,
    /// Retransmits of the tunnel's connection so far.
    pub tunnel_retransmits: Observation<u32>,
    /// Time since the tunnel's peer last acknowledged anything.
    pub tunnel_last_ack: Observation<Span>,
    /// Milliseconds for which the tunnel's peer's window was the limit, so far.
    pub tunnel_rwnd_limited_ms: Observation<u32>,
    /// Smoothed round-trip time of the tunnel's connection.
    pub tunnel_rtt: Observation<Span>,
    /// Local connections of the forward whose Send-Q is not empty: readers that do not read.
    pub stalled_readers: u32,
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
}

/// What can happen to a forwarder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TunnelLife {
    /// It was started.
    Started,
    /// It listens and takes connections.
    Ready,
    /// It ended by itself, with this exit code where it had one.
    Exited(Option<i32>),
    /// hopscope replaces it because it is damaged: a stream had timed out.
    Replaced,
    /// It is gone for good, and hopscope was told not to restart it.
    LeftDown,
}
