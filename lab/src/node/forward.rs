//! Forwards one connection: dial the pod, copy both ways, end as the runtime ends.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until, timeout};

use super::fault::StreamFault;
use super::runtime::{Ending, PodFailure};
use super::truth::Happening;
use super::{COPY_BUFFER, Phase, Tunnel};
use crate::spdy::connection::{SendError, StreamReceiver, StreamSender};
use crate::spdy::frame::ResetStatus;

/// The node's sending end of a stream, which a fault may hold back.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) sender: StreamSender,
    pub(super) held_until: Option<Instant>,
}

impl Outgoing {
    async fn when_let(&self) -> &StreamSender {
        if let Some(until) = self.held_until {
            sleep_until(until).await;
        }
        &self.sender
    }

    /// Writes a text, if the tunnel still takes it.
    pub(super) async fn text(&self, text: String) {
        ignore_lost(self.when_let().await.send(Bytes::from(text)).await);
    }

    async fn finish(&self) {
        ignore_lost(self.when_let().await.finish().await);
    }

    async fn reset(&self) {
        ignore_lost(self.when_let().await.reset(ResetStatus::CANCEL).await);
    }
}

fn ignore_lost(sent: Result<(), SendError>) {
    if let Err(error) = sent {
        tracing::trace!(%error, "the far end is gone");
    }
}

/// Both streams of a connection.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) request: u64,
    pub(super) port: u16,
    pub(super) fault: Option<StreamFault>,
    pub(super) error: Outgoing,
    pub(super) data: Outgoing,
    pub(super) receiver: StreamReceiver,
}

/// Bytes that went each way.
#[derive(Clone, Copy, Debug, Default)]
struct Carried {
    up: u64,
    down: u64,
}

/// Forwards one connection to its end.
pub(super) async fn forward(tunnel: Arc<Tunnel>, mut pair: Pair) {
    // Whatever the node sends on a late stream comes after its reply; until then the pod is served as always.
    let failed = match pair.fault.take() {
        Some(StreamFault::ResetOnly) => {
            pair.data.reset().await;
            pair.error.reset().await;
            return;
        }
        Some(StreamFault::NeverAnswer) => {
            while pair.receiver.receive().await.is_some() {}
            return std::future::pending().await;
        }
        Some(StreamFault::Flood(bytes)) => {
            flood(&pair.data, bytes).await;
            while pair.receiver.receive().await.is_some() {}
            None
        }
        Some(StreamFault::ErrorText(text)) => Some(PodFailure::Said(text)),
        Some(
            StreamFault::NoErrorReply
            | StreamFault::NoDataReply
            | StreamFault::LateErrorReply(_)
            | StreamFault::LateDataReply(_)
            | StreamFault::ResetErrorStream
            | StreamFault::ResetDataStream
            | StreamFault::SlowReply(_),
        )
        | None => carry(&tunnel, &mut pair).await.err(),
    };
    end(&tunnel, &pair, failed).await;
}

async fn flood(data: &Outgoing, bytes: u64) {
    let frame = Bytes::from(vec![b'x'; COPY_BUFFER]);
    let mut left = bytes;
    while left > 0 {
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(frame.len());
        if data.when_let().await.send(frame.slice(..size)).await.is_err() {
            return;
        }
        left -= size as u64;
    }
}

async fn carry(tunnel: &Tunnel, pair: &mut Pair) -> Result<(), PodFailure> {
    let (number, request, port) = (tunnel.number, pair.request, pair.port);
    let truth = tunnel.node.faults.truth();
    let socket = dial(tunnel, port).await.inspect_err(|failure| {
        let failed = failure.kind();
        truth.record(Happening::Dialled {
            tunnel: number,
            request,
            port,
            failed,
        });
    })?;
    truth.record(Happening::Dialled {
        tunnel: number,
        request,
        port,
        failed: None,
    });
    let mut carried = Carried::default();
    let copied = copy(tunnel, pair, socket, &mut carried).await;
    let failed = copied.as_ref().err().and_then(PodFailure::kind);
    let Carried { up, down } = carried;
    truth.record(Happening::Forwarded {
        tunnel: number,
        request,
        up,
        down,
        failed,
    });
    copied
}

async fn dial(tunnel: &Tunnel, port: u16) -> Result<TcpStream, PodFailure> {
    let pod = tunnel.pod.read();
    if pod.phase != Phase::Running {
        return Err(PodFailure::NoSandbox);
    }
    let listening = pod.ports.get(&port).copied().unwrap_or_default();
    let connect = async |address: Option<_>| match address {
        Some(address) => TcpStream::connect(address).await.map_err(|error| error.kind()),
        // A port of the pod's that nobody listens on.
        None => Err(io::ErrorKind::ConnectionRefused),
    };
    match connect(listening.on_ipv4).await {
        Ok(socket) => Ok(socket),
        Err(ipv4) => connect(listening.on_ipv6)
            .await
            .map_err(|ipv6| PodFailure::Dial { ipv4, ipv6 }),
    }
}

async fn copy(
    tunnel: &Tunnel,
    pair: &mut Pair,
    mut socket: TcpStream,
    carried: &mut Carried,
) -> Result<(), PodFailure> {
    let local = socket.local_addr().map_or(0, |address| address.port());
    let (from_pod, to_pod) = socket.split();
    let mut down = Box::pin(pod_to_client(from_pod, &pair.data, local, &mut carried.down));
    let mut up = Box::pin(client_to_pod(&mut pair.receiver, to_pod, local, &mut carried.up));
    // The first end decides; the other direction has a second, whatever it still has to say. The pod's socket is never
    // half-closed: it is dropped whole.
    let drain = tunnel.node.drain;
    let (first, second) = tokio::select! {
        first = &mut down => (first, timeout(drain, &mut up).await),
        first = &mut up => (first, timeout(drain, &mut down).await),
    };
    first.and(second.unwrap_or(Ok(())))
}

async fn pod_to_client(
    mut pod: ReadHalf<'_>,
    data: &Outgoing,
    local: u16,
    carried: &mut u64,
) -> Result<(), PodFailure> {
    let mut buffer = vec![0; COPY_BUFFER];
    loop {
        let count = pod.read(&mut buffer).await.map_err(|error| PodFailure::Read {
            local,
            error: error.kind(),
        })?;
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        if data
            .when_let()
            .await
            .send(Bytes::copy_from_slice(bytes))
            .await
            .is_err()
        {
            return Ok(());
        }
        *carried += count as u64;
    }
}

async fn client_to_pod(
    client: &mut StreamReceiver,
    mut pod: WriteHalf<'_>,
    local: u16,
    carried: &mut u64,
) -> Result<(), PodFailure> {
    while let Some(bytes) = client.receive().await {
        pod.write_all(&bytes).await.map_err(|error| PodFailure::Write {
            local,
            error: error.kind(),
        })?;
        *carried += bytes.len() as u64;
    }
    Ok(())
}

/// Ends both streams as the runtime does.
async fn end(tunnel: &Tunnel, pair: &Pair, failed: Option<PodFailure>) {
    let runtime = tunnel.node.runtime;
    let Some(failure) = failed else {
        pair.data.finish().await;
        pair.error.finish().await;
        if runtime.resets_after_any_end() {
            pair.data.reset().await;
            pair.error.reset().await;
        }
        return;
    };
    let ending = runtime.ending(&failure);
    if ending != Ending::ResetOnly {
        let sandbox = tunnel.pod.sandbox();
        let text = runtime.text(&failure, pair.port, &sandbox);
        if ending == Ending::TextThenFin {
            pair.data.finish().await;
        }
        pair.error
            .text(format!(
                "error forwarding port {} to pod {sandbox}, uid : {text}",
                pair.port
            ))
            .await;
    }
    match ending {
        Ending::TextThenFin => pair.error.finish().await,
        Ending::TextThenReset | Ending::ResetOnly => {
            pair.data.reset().await;
            pair.error.reset().await;
        }
    }
}

impl PodFailure {
    fn kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Dial { ipv4: error, .. } | Self::Read { error, .. } | Self::Write { error, .. } => {
                Some(*error)
            }
            Self::NoSandbox => Some(io::ErrorKind::NotFound),
            Self::Said(_) => None,
        }
    }
}
