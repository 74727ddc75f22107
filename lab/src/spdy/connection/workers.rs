//! How Go's library takes frames in: one reader, five workers with fifty frames each, and every delivery blocks.
//!
//! This is the root of a port-forward's head-of-line blocking: a stream that nobody reads blocks its worker, fifty more
//! frames for that worker block the reader, and then nothing of the whole connection is read any more.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::stream::{Entry, OpenError, Stream, StreamSender};
use super::{Ended, Shared};
use crate::spdy::frame::{Frame, ResetStatus, StreamId};

/// `FRAME_WORKERS` of moby/spdystream's connection.go: a stream belongs to the worker of its number modulo this.
pub const WORKERS: usize = 5;
/// `QUEUE_SIZE` of moby/spdystream's connection.go.
pub const QUEUE: usize = 50;

/// The reader's side of the workers.
#[derive(Debug)]
pub(super) struct Dispatcher {
    queues: Vec<mpsc::Sender<Frame>>,
    round_robin: usize,
    shared: Arc<Shared>,
    /// The last stream that the far end opened: its numbers must rise.
    highest: u32,
}

/// The worker that serves a stream.
#[must_use]
pub const fn worker_of(stream: StreamId) -> usize {
    stream.get() as usize % WORKERS
}

impl Dispatcher {
    /// Starts the workers; they end with the connection.
    pub(super) fn start(shared: &Arc<Shared>, opened: &mpsc::Sender<Stream>) -> Self {
        let queues = (0..WORKERS).map(|_| {
            let (queue, frames) = mpsc::channel(QUEUE);
            let shared = Arc::clone(shared);
            let opened = opened.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = shared.closed() => {}
                    () = work(&shared, frames, &opened) => {}
                }
            });
            queue
        });
        Self {
            queues: queues.collect(),
            round_robin: 0,
            shared: Arc::clone(shared),
            highest: 0,
        }
    }

    /// Puts a frame in its worker's queue; waits while that is full, and with it the whole connection.
    pub(super) async fn dispatch(&mut self, frame: Frame) -> Result<(), Ended> {
        let worker = match &frame {
            Frame::GoAway { .. } => return Err(Ended::GoAway),
            Frame::SynStream { stream, .. } => {
                if stream.get() <= self.highest || stream.get() % 2 == u32::from(self.shared.is_client()) {
                    let reset = Frame::RstStream {
                        stream: *stream,
                        status: ResetStatus::PROTOCOL_ERROR,
                    };
                    return self.shared.send(reset).await.map_err(|_lost| Ended::Local);
                }
                self.highest = stream.get();
                worker_of(*stream)
            }
            Frame::SynReply { stream, .. }
            | Frame::RstStream { stream, .. }
            | Frame::Headers { stream, .. }
            | Frame::WindowUpdate { stream, .. }
            | Frame::Data { stream, .. } => worker_of(*stream),
            Frame::Settings | Frame::Ping { .. } => {
                self.round_robin = (self.round_robin + 1) % WORKERS;
                self.round_robin
            }
        };
        let Some(queue) = self.queues.get(worker) else {
            return Ok(());
        };
        queue.send(frame).await.map_err(|_worker_gone| Ended::Local)
    }
}

async fn work(shared: &Arc<Shared>, mut frames: mpsc::Receiver<Frame>, opened: &mpsc::Sender<Stream>) {
    while let Some(frame) = frames.recv().await {
        take(shared, frame, opened).await;
    }
}

async fn take(shared: &Arc<Shared>, frame: Frame, opened: &mpsc::Sender<Stream>) {
    match frame {
        Frame::SynStream {
            stream: id,
            headers,
            fin,
        } => {
            let (entry, receiver) = Entry::new(None, fin);
            shared.streams().insert(id, entry);
            let sender = StreamSender {
                id,
                shared: Arc::clone(shared),
            };
            let refused = opened
                .send(Stream {
                    headers,
                    sender: sender.clone(),
                    receiver,
                })
                .await
                .is_err();
            if refused && sender.reset(ResetStatus::REFUSED_STREAM).await.is_err() {
                tracing::trace!("the connection ended before a stream could be refused");
            }
        }
        Frame::SynReply { stream, fin, .. } => {
            let mut streams = shared.streams();
            if let Some(entry) = streams.get_mut(&stream)
                && !entry.replied
            {
                entry.replied = true;
                if let Some(start) = entry.start.take()
                    && start.send(Ok(())).is_err()
                {
                    // Late: the opener has given up. The stream stays known, as in Go's library, and counts as replied.
                    tracing::debug!(%stream, "reply to a stream that timed out");
                }
                if fin {
                    entry.delivery = None;
                }
            }
        }
        Frame::RstStream { stream, .. } => reset(shared, stream).await,
        Frame::Data { stream, bytes, fin } => {
            let known = shared
                .streams()
                .get(&stream)
                .map(|entry| (entry.replied, entry.delivery.clone()));
            let Some((true, delivery)) = known else {
                return;
            };
            if let Some(delivery) = delivery
                && !bytes.is_empty()
            {
                delivery.deliver(bytes).await;
            }
            if fin {
                let mut streams = shared.streams();
                if let Some(entry) = streams.get_mut(&stream) {
                    entry.delivery = None;
                    if entry.local_done {
                        streams.remove(&stream);
                    }
                }
            }
        }
        Frame::Ping { id } => shared.pinged(id).await,
        Frame::Settings | Frame::Headers { .. } | Frame::WindowUpdate { .. } | Frame::GoAway { .. } => {}
    }
}

async fn reset(shared: &Shared, stream: StreamId) {
    let Some(entry) = shared.streams().remove(&stream) else {
        return;
    };
    let Some(start) = entry.start else {
        return;
    };
    drop(entry.delivery);
    if start.send(Err(OpenError::Reset)).is_err() {
        // Go's library writes to an unbuffered channel here that nobody reads after a time-out: the worker is lost.
        std::future::pending::<()>().await;
    }
}
