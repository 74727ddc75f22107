//! The node's side of a port-forward: the kubelet and the container runtime, as one.
//!
//! Streams are answered before the pod is dialled, paired by their request id, and copied without ever half-closing the
//! pod's socket; when one direction is done the other has one second. All of that is what containerd and cri-o do.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::spdy::connection::{Connection, Stream};

mod fault;
mod faults;
mod forward;
mod pairing;
mod pod;
mod runtime;
mod truth;

#[cfg(test)]
mod tests;

pub use fault::{Selection, StreamFault, TunnelFault};
pub use faults::Faults;
pub use pod::{Phase, Pod, PodHandle};
pub use runtime::Runtime;
pub(crate) use runtime::errno;
pub use truth::{Event, Happening, Truth};

/// How long the runtime waits for the second stream of a pair (`DefaultStreamCreationTimeout` of the kubelet's
/// cri/streaming/portforward).
pub const PAIR_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the second direction has when the first is done (containerd's `sandbox_portforward_linux.go`, cri-o likewise).
pub const DRAIN: Duration = Duration::from_secs(1);
/// Largest data frame that a copy makes: the buffer of Go's `io.Copy`.
pub const COPY_BUFFER: usize = 32 * 1024;

/// A node's habits.
#[derive(Clone, Debug)]
pub struct Node {
    /// Which runtime's texts and endings it has.
    pub runtime: Runtime,
    /// See [`PAIR_TIMEOUT`]; scaled down by tests.
    pub pair_timeout: Duration,
    /// See [`DRAIN`]; scaled down by tests.
    pub drain: Duration,
    /// What is to go wrong, and the record of it.
    pub faults: Faults,
}

/// One tunnel as the node sees it.
#[derive(Clone, Debug)]
pub(crate) struct Tunnel {
    pub(crate) number: u64,
    pub(crate) node: Arc<Node>,
    pub(crate) pod: PodHandle,
    pub(crate) connection: Connection,
}

/// Serves a tunnel until it ends.
pub(crate) async fn serve(tunnel: Tunnel, streams: mpsc::Receiver<Stream>) {
    let tunnel = Arc::new(tunnel);
    tunnel.node.faults.opened(tunnel.number, &tunnel.connection);
    pairing::accept(&tunnel, streams).await;
    let ended = tunnel.connection.closed().await;
    tunnel.node.faults.closed(tunnel.number, ended);
}
