//! Takes the streams of a tunnel in, answers them, and brings those of one connection together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

use super::Tunnel;
use super::fault::StreamFault;
use super::forward::{self, Outgoing, Pair};
use super::truth::Happening;
use crate::spdy::connection::{Stream, StreamReceiver};
use crate::spdy::frame::ResetStatus;

/// Connections of which one stream came and the other did not yet.
type Waiting = Arc<Mutex<HashMap<u64, Half>>>;

/// What came of a connection so far.
#[derive(Debug)]
struct Half {
    fault: Option<StreamFault>,
    error: Option<Outgoing>,
    data: Option<(Outgoing, StreamReceiver, u16)>,
    complete: Arc<Notify>,
}

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Error,
    Data,
}

/// A stream's headers, read once.
#[derive(Clone, Copy, Debug)]
struct Request {
    id: u64,
    purpose: Purpose,
    port: u16,
}

impl Request {
    fn parse(stream: &Stream) -> Option<Self> {
        let purpose = match stream.headers.get("streamtype")? {
            "error" => Purpose::Error,
            "data" => Purpose::Data,
            _ => return None,
        };
        let port = stream
            .headers
            .get("port")?
            .parse()
            .ok()
            .filter(|port| *port > 0)?;
        Some(Self {
            id: stream.headers.get("requestid")?.parse().ok()?,
            purpose,
            port,
        })
    }
}

/// Takes streams in until the tunnel ends.
pub(super) async fn accept(tunnel: &Arc<Tunnel>, mut streams: mpsc::Receiver<Stream>) {
    let waiting = Waiting::default();
    while let Some(stream) = streams.recv().await {
        if let Some(request) = Request::parse(&stream) {
            take(tunnel, &waiting, request, stream).await;
        } else {
            reset(&stream).await;
        }
    }
}

async fn reset(stream: &Stream) {
    if stream.sender.reset(ResetStatus::CANCEL).await.is_err() {
        tracing::trace!("the tunnel ended before a stream was reset");
    }
}

async fn take(tunnel: &Arc<Tunnel>, waiting: &Waiting, request: Request, stream: Stream) {
    let known = {
        let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.get(&request.id).map(|half| half.fault.clone())
    };
    let first = known.is_none();
    let fault = known.unwrap_or_else(|| tunnel.node.faults.draw(tunnel.number, request.id));
    let reply = Reply::of(fault.as_ref(), request.purpose);
    let held_until = match reply {
        Reply::Reset => return reset(&stream).await,
        Reply::Now | Reply::Never => None,
        Reply::After(delay) => Some(Instant::now() + delay),
    };
    let Stream { sender, receiver, .. } = stream;
    let outgoing = Outgoing {
        sender: sender.clone(),
        held_until,
    };
    let answer = async move {
        if let Some(until) = held_until {
            sleep_until(until).await;
        }
        if sender.reply().await.is_err() {
            tracing::trace!("the tunnel ended before a stream was answered");
        }
    };
    match reply {
        Reply::Now => answer.await,
        // Others need not wait for this one.
        Reply::After(_) => drop(tokio::spawn(answer)),
        Reply::Never | Reply::Reset => {}
    }
    let mut halves = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let half = halves.entry(request.id).or_insert_with(|| Half {
        fault,
        error: None,
        data: None,
        complete: Arc::default(),
    });
    match request.purpose {
        Purpose::Error => half.error = Some(outgoing),
        Purpose::Data => half.data = Some((outgoing, receiver, request.port)),
    }
    let complete = Arc::clone(&half.complete);
    if half.error.is_some() && half.data.is_some() {
        complete.notify_one();
        if let Some(Half {
            fault,
            error: Some(error),
            data: Some((data, receiver, port)),
            ..
        }) = halves.remove(&request.id)
        {
            let pair = Pair {
                request: request.id,
                port,
                fault,
                error,
                data,
                receiver,
            };
            let connection = tunnel.connection.clone();
            let forwarded = forward::forward(Arc::clone(tunnel), pair);
            tokio::spawn(async move {
                tokio::select! {
                    _ended = connection.closed() => {}
                    () = forwarded => {}
                }
            });
        }
    } else if first {
        let tunnel = Arc::clone(tunnel);
        let waiting = Arc::clone(waiting);
        tokio::spawn(async move {
            if timeout(tunnel.node.pair_timeout, complete.notified())
                .await
                .is_err()
            {
                give_up(&tunnel, &waiting, request.id).await;
            }
        });
    }
}

/// The second stream did not come: the kubelet's library says so on the error stream, and forgets the connection without
/// closing anything.
async fn give_up(tunnel: &Tunnel, waiting: &Waiting, request: u64) {
    let half = waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&request);
    let Some(half) = half else {
        return;
    };
    tunnel.node.faults.truth().record(Happening::PairTimedOut {
        tunnel: tunnel.number,
        request,
    });
    if let Some(error) = half.error {
        error
            .text(format!(
                "(conn=&{{0xc000{request:06x}}}, request={request}) timed out waiting for streams"
            ))
            .await;
    }
}

/// What becomes of a stream that asks to be opened.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Now,
    After(Duration),
    Never,
    Reset,
}

impl Reply {
    fn of(fault: Option<&StreamFault>, purpose: Purpose) -> Self {
        match (fault, purpose) {
            (Some(StreamFault::NoErrorReply), Purpose::Error)
            | (Some(StreamFault::NoDataReply), Purpose::Data) => Self::Never,
            (Some(StreamFault::LateErrorReply(delay)), Purpose::Error)
            | (Some(StreamFault::LateDataReply(delay)), Purpose::Data)
            | (Some(StreamFault::SlowReply(delay)), _) => Self::After(*delay),
            (Some(StreamFault::ResetErrorStream), Purpose::Error)
            | (Some(StreamFault::ResetDataStream), Purpose::Data) => Self::Reset,
            (
                None
                | Some(
                    StreamFault::NoErrorReply
                    | StreamFault::NoDataReply
                    | StreamFault::LateErrorReply(_)
                    | StreamFault::LateDataReply(_)
                    | StreamFault::ResetErrorStream
                    | StreamFault::ResetDataStream
                    | StreamFault::ResetOnly
                    | StreamFault::Flood(_)
                    | StreamFault::NeverAnswer
                    | StreamFault::ErrorText(_),
                ),
                _,
            ) => Self::Now,
        }
    }
}
