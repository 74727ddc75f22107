//! One stream: its two ends, and the delivery without any buffer that makes one slow reader everybody's problem.

use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::Shared;
use crate::spdy::frame::{Frame, ResetStatus, StreamId};
use crate::spdy::headers::Headers;

/// Why a stream could not be opened. The texts are those of Go's library, which kubectl prints.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum OpenError {
    /// No `SYN_REPLY` in time.
    #[error("Timeout occurred")]
    Timeout,
    /// `RST_STREAM` instead of a reply.
    #[error("Stream reset")]
    Reset,
    /// The connection ended.
    #[error("EOF")]
    Lost,
    /// All stream numbers are used up.
    #[error("Unable to get new stream id")]
    NoNumber,
}

/// Why bytes could not be sent.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SendError {
    /// The stream is finished or reset on our side.
    #[error("Write on closed stream")]
    Closed,
    /// The connection ended.
    #[error("EOF")]
    Lost,
}

/// The connection's side of a stream.
#[derive(Debug)]
pub(super) struct Entry {
    /// Who waits for the reply; taken when it comes.
    pub(super) start: Option<oneshot::Sender<Result<(), OpenError>>>,
    pub(super) replied: bool,
    pub(super) local_done: bool,
    /// Where its bytes go; none once the far end is done.
    pub(super) delivery: Option<Delivery>,
}

/// An unbuffered hand-over: a frame leaves the worker only when the reader asks for it, as with Go's unbuffered channels.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    to_reader: mpsc::Sender<Bytes>,
    /// One permit for each frame that the reader asked for; closed when our side resets the stream.
    demand: Arc<Semaphore>,
}

impl Delivery {
    fn new() -> (Self, StreamReceiver) {
        let (to_reader, incoming) = mpsc::channel(1);
        let demand = Arc::new(Semaphore::new(0));
        let receiver = StreamReceiver {
            incoming,
            demand: Arc::clone(&demand),
            asked: false,
        };
        (Self { to_reader, demand }, receiver)
    }

    /// Waits for the reader, for ever when there is none: that is what poisons a worker.
    pub(super) async fn deliver(&self, bytes: Bytes) {
        let Ok(permit) = self.demand.acquire().await else {
            return;
        };
        permit.forget();
        if self.to_reader.send(bytes).await.is_err() {
            tracing::trace!("a reader left between asking and receiving");
        }
    }

    /// Our side gave the stream up: nobody will be waited for any more.
    pub(super) fn release(&self) {
        self.demand.close();
    }
}

impl Entry {
    pub(super) fn new(
        start: Option<oneshot::Sender<Result<(), OpenError>>>,
        remote_done: bool,
    ) -> (Self, StreamReceiver) {
        let (delivery, receiver) = Delivery::new();
        let delivery = (!remote_done).then_some(delivery);
        (
            Self {
                start,
                replied: false,
                local_done: false,
                delivery,
            },
            receiver,
        )
    }
}

/// A stream that is open.
#[derive(Debug)]
pub struct Stream {
    /// What it was opened with.
    pub headers: Headers,
    /// Our sending end.
    pub sender: StreamSender,
    /// Our receiving end.
    pub receiver: StreamReceiver,
}

impl Stream {
    /// Its number.
    pub fn id(&self) -> StreamId {
        self.sender.id
    }
}

/// The sending end; clones send on the same stream.
#[derive(Clone, Debug)]
pub struct StreamSender {
    pub(super) id: StreamId,
    pub(super) shared: Arc<Shared>,
}

impl StreamSender {
    /// The stream's number.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Accepts the stream that the far end opened.
    ///
    /// # Errors
    /// When the connection ended.
    pub async fn reply(&self) -> Result<(), SendError> {
        if let Some(entry) = self.shared.streams().get_mut(&self.id) {
            entry.replied = true;
        }
        self.shared
            .send(Frame::SynReply {
                stream: self.id,
                headers: Headers::new(),
                fin: false,
            })
            .await
    }

    /// Sends one data frame. Waits while the connection does not take bytes.
    ///
    /// # Errors
    /// When our side is done with the stream, or the connection ended.
    pub async fn send(&self, bytes: Bytes) -> Result<(), SendError> {
        match self.shared.streams().get(&self.id) {
            Some(entry) if !entry.local_done => {}
            Some(_) | None => return Err(self.shared.why_closed()),
        }
        self.shared
            .send(Frame::Data {
                stream: self.id,
                bytes,
                fin: false,
            })
            .await
    }

    /// Says that our side will send nothing more. Nothing is sent when that was said before.
    ///
    /// # Errors
    /// When the connection ended.
    pub async fn finish(&self) -> Result<(), SendError> {
        {
            let mut streams = self.shared.streams();
            match streams.get_mut(&self.id) {
                Some(entry) if !entry.local_done => {
                    entry.local_done = true;
                    if entry.delivery.is_none() {
                        streams.remove(&self.id);
                    }
                }
                Some(_) | None => return Ok(()),
            }
        }
        self.shared
            .send(Frame::Data {
                stream: self.id,
                bytes: Bytes::new(),
                fin: true,
            })
            .await
    }

    /// Ends the stream both ways at once and frees whoever waits to deliver to it.
    /// Go's library sends the frame only when our side had not finished before.
    ///
    /// # Errors
    /// When the connection ended.
    pub async fn reset(&self, status: ResetStatus) -> Result<(), SendError> {
        let Some(entry) = self.shared.streams().remove(&self.id) else {
            return Ok(());
        };
        if let Some(delivery) = &entry.delivery {
            delivery.release();
        }
        if entry.local_done {
            return Ok(());
        }
        self.shared
            .send(Frame::RstStream {
                stream: self.id,
                status,
            })
            .await
    }
}

/// The receiving end.
#[derive(Debug)]
pub struct StreamReceiver {
    incoming: mpsc::Receiver<Bytes>,
    demand: Arc<Semaphore>,
    /// A frame was asked for and has not come yet; keeps [`StreamReceiver::receive`] safe to cancel.
    asked: bool,
}

impl StreamReceiver {
    /// The next frame's bytes; none when the far end is done, reset the stream, or the connection ended. Safe to cancel.
    pub async fn receive(&mut self) -> Option<Bytes> {
        if !self.asked {
            self.demand.add_permits(1);
            self.asked = true;
        }
        let bytes = self.incoming.recv().await;
        self.asked = false;
        bytes
    }
}
