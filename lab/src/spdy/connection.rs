//! A SPDY/3.1 connection on a socket, with the habits of moby/spdystream, which kubectl and the container runtimes use.
//!
//! There is no flow control; see [`workers`] for what follows from that.

use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::frame::{Frame, ResetStatus, StreamId};
use super::headers::Headers;

mod stream;
mod valve;
mod wire;
pub mod workers;

#[cfg(test)]
mod tests;

pub use stream::{OpenError, SendError, Stream, StreamReceiver, StreamSender};
pub use valve::Valves;
pub use wire::Framing;

use stream::Entry;
use wire::Order;
use workers::Dispatcher;

/// Orders that wait for the writing task. Small: a frame that cannot be written must hold up whoever sends it.
const ORDERS: usize = 4;

/// An end in good order may take so long; the far end may not be reading.
const LEAVE: Duration = Duration::from_secs(1);

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The far end closed its socket.
    Fin,
    /// Reading or writing failed.
    Failed(io::ErrorKind),
    /// The far end sent GOAWAY.
    GoAway,
    /// The far end closed the WebSocket, with this code if it gave one.
    WebSocketClose(Option<u16>),
    /// The far end does not speak the protocol.
    Malformed,
    /// Nothing came for the set time.
    Idle,
    /// Our side closed it.
    Local,
}

/// What a connection is started with.
#[derive(Debug)]
pub struct Start {
    /// The socket, upgraded.
    pub socket: TcpStream,
    /// How the SPDY bytes travel on it.
    pub framing: Framing,
    /// Bytes that were read behind the upgrade's head.
    pub head: Vec<u8>,
    /// End it when nothing came for this long.
    pub idle: Option<Duration>,
    /// What a fault can turn.
    pub valves: Arc<Valves>,
}

/// A running connection; clones are the same one.
#[derive(Clone, Debug)]
pub struct Connection {
    shared: Arc<Shared>,
}

/// What all tasks of a connection share.
#[derive(Debug)]
pub(crate) struct Shared {
    streams: Mutex<HashMap<StreamId, Entry>>,
    orders: mpsc::Sender<Order>,
    ended: watch::Sender<Option<Ended>>,
    /// Taken away when the connection ends, so that its tasks drop the last reference.
    socket: Mutex<Option<Arc<TcpStream>>>,
    valves: Arc<Valves>,
    /// None on the accepting side, which opens no streams. The lock is held over the write: numbers must rise on the wire.
    next_stream: Option<tokio::sync::Mutex<u32>>,
    awaited_pong: AtomicU32,
    pong: Notify,
}

impl Connection {
    /// Starts the client's side.
    #[must_use]
    pub fn client(start: Start) -> Self {
        let (connection, _no_streams) = Self::start(start, Some(1));
        connection
    }

    /// Starts the server's side; the far end's streams come out of the channel, in the order of their workers.
    #[must_use]
    pub fn server(start: Start) -> (Self, mpsc::Receiver<Stream>) {
        Self::start(start, None)
    }

    fn start(start: Start, first_stream: Option<u32>) -> (Self, mpsc::Receiver<Stream>) {
        let Start {
            socket,
            framing,
            head,
            idle,
            valves,
        } = start;
        let (orders, to_write) = mpsc::channel(ORDERS);
        let (opened, incoming) = mpsc::channel(1);
        let socket = Arc::new(socket);
        let shared = Arc::new(Shared {
            streams: Mutex::default(),
            orders,
            ended: watch::Sender::new(None),
            socket: Mutex::new(Some(Arc::clone(&socket))),
            valves,
            next_stream: first_stream.map(tokio::sync::Mutex::new),
            awaited_pong: AtomicU32::new(0),
            pong: Notify::new(),
        });
        let mut dispatcher = Dispatcher::start(&shared, &opened);
        let reading = Arc::clone(&shared);
        let read_half = Arc::clone(&socket);
        tokio::spawn(async move {
            let read = wire::read(&read_half, framing, head, idle, &reading, &mut dispatcher);
            tokio::select! {
                () = reading.closed() => {}
                ended = read => {
                    if ended == Ended::Idle {
                        reading.take_leave().await;
                    }
                    reading.end(ended);
                }
            }
        });
        let writing = Arc::clone(&shared);
        tokio::spawn(async move {
            tokio::select! {
                () = writing.closed() => {}
                ended = wire::write(&socket, framing, to_write, &writing) => writing.end(ended),
            }
        });
        (Self { shared }, incoming)
    }

    /// Opens a stream and waits for the reply. The time counts from when the kernel took the `SYN_STREAM`, as in Go's
    /// library: while the socket takes no bytes, this waits without end. A stream that timed out stays known.
    ///
    /// # Errors
    /// When the reply does not come in time, the stream is reset, or the connection ended.
    pub async fn open(&self, headers: Headers, reply_within: Duration) -> Result<Stream, OpenError> {
        let shared = &self.shared;
        let Some(next_stream) = &shared.next_stream else {
            return Err(OpenError::NoNumber);
        };
        let (reply, replied) = oneshot::channel();
        let (id, receiver) = {
            let mut next = next_stream.lock().await;
            let id = StreamId::new(*next);
            if id.get() != *next {
                return Err(OpenError::NoNumber);
            }
            *next = next.saturating_add(2);
            let (entry, receiver) = Entry::new(Some(reply), false);
            shared.streams().insert(id, entry);
            let (tell, written) = oneshot::channel();
            let frame = Frame::SynStream {
                stream: id,
                headers: headers.clone(),
                fin: false,
            };
            shared
                .order(Order::Frame(frame, Some(tell)))
                .await
                .map_err(|_lost| OpenError::Lost)?;
            written.await.map_err(|_lost| OpenError::Lost)?;
            (id, receiver)
        };
        match timeout(reply_within, replied).await {
            Err(_elapsed) => Err(OpenError::Timeout),
            Ok(Err(_dropped)) => Err(OpenError::Lost),
            Ok(Ok(Err(refused))) => Err(refused),
            Ok(Ok(Ok(()))) => {
                let sender = StreamSender {
                    id,
                    shared: Arc::clone(shared),
                };
                Ok(Stream {
                    headers,
                    sender,
                    receiver,
                })
            }
        }
    }

    /// Sends a ping and waits for its answer; none when the connection ended first. One at a time.
    pub async fn ping(&self, id: u32) -> Option<()> {
        self.shared.awaited_pong.store(id, Ordering::Relaxed);
        self.shared.send(Frame::Ping { id }).await.ok()?;
        tokio::select! {
            () = self.shared.closed() => None,
            () = self.shared.pong.notified() => Some(()),
        }
    }

    /// Sends a frame of any kind, below the streams: for faults.
    ///
    /// # Errors
    /// When the connection ended.
    pub async fn send(&self, frame: Frame) -> Result<(), SendError> {
        self.shared.send(frame).await
    }

    /// Ends it in good order: GOAWAY, then the socket.
    pub async fn go_away(&self) {
        let frame = Frame::GoAway {
            last_good: StreamId::new(0),
            status: 0,
        };
        if self.send(frame).await.is_ok() {
            self.finish(None).await;
        }
    }

    /// Sends what is under way, then closes the socket; before that a WebSocket close frame if `close` has a code.
    pub async fn finish(&self, close: Option<u16>) {
        if self
            .shared
            .order(Order::End {
                ended: Ended::Local,
                close,
            })
            .await
            .is_ok()
        {
            self.closed().await;
        }
    }

    /// Closes the socket at once, its FIN first; where bytes are unread the kernel sends RST behind it.
    ///
    /// # Errors
    /// When the socket is no longer connected; the connection is closed all the same.
    pub fn fin(&self) -> io::Result<()> {
        let socket = self
            .shared
            .socket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let finished = socket.map_or(Ok(()), |socket| SockRef::from(&*socket).shutdown(Shutdown::Write));
        self.shared.end(Ended::Local);
        finished
    }

    /// Closes the socket at once. The kernel sends FIN, or RST when bytes are unread.
    pub fn abort(&self) {
        self.shared.end(Ended::Local);
    }

    /// Closes the socket at once with RST.
    ///
    /// # Errors
    /// When the socket refuses the option; the connection is closed all the same.
    pub fn reset(&self) -> io::Result<()> {
        let socket = self
            .shared
            .socket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let lingered = socket.map_or(Ok(()), |socket| {
            SockRef::from(&*socket).set_linger(Some(Duration::ZERO))
        });
        self.shared.end(Ended::Local);
        lingered
    }

    /// Numbers of the streams that are known now.
    pub fn streams(&self) -> Vec<StreamId> {
        self.shared.streams().keys().copied().collect()
    }

    /// Waits until it is over, and says why.
    pub async fn closed(&self) -> Ended {
        let mut ended = self.shared.ended.subscribe();
        match ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.unwrap_or(Ended::Local),
            Err(_sender_gone) => Ended::Local,
        }
    }
}

impl Shared {
    fn streams(&self) -> MutexGuard<'_, HashMap<StreamId, Entry>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_client(&self) -> bool {
        self.next_stream.is_some()
    }

    async fn closed(&self) {
        let mut ended = self.ended.subscribe();
        if ended.wait_for(Option::is_some).await.is_err() {
            tracing::error!("a connection's sender is gone while the connection is in use");
        }
    }

    fn end(&self, reason: Ended) {
        let first = self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert(reason);
            first
        });
        if first {
            self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.streams().clear();
        }
    }

    fn why_closed(&self) -> SendError {
        if self.ended.borrow().is_some() {
            SendError::Lost
        } else {
            SendError::Closed
        }
    }

    async fn order(&self, order: Order) -> Result<(), SendError> {
        tokio::select! {
            biased;
            () = self.closed() => Err(SendError::Lost),
            sent = self.orders.send(order) => sent.map_err(|_writer_gone| SendError::Lost),
        }
    }

    async fn send(&self, frame: Frame) -> Result<(), SendError> {
        self.order(Order::Frame(frame, None)).await
    }

    /// What a server does when nothing came for too long: it resets every stream and goes away.
    async fn take_leave(&self) {
        let open: Vec<StreamId> = self.streams().keys().copied().collect();
        let resets = open.into_iter().map(|stream| Frame::RstStream {
            stream,
            status: ResetStatus::CANCEL,
        });
        let go_away = Frame::GoAway {
            last_good: StreamId::new(0),
            status: 0,
        };
        let leave = async {
            for frame in resets.chain([go_away]) {
                self.send(frame).await?;
            }
            self.order(Order::End {
                ended: Ended::Idle,
                close: None,
            })
            .await?;
            self.closed().await;
            Ok::<(), SendError>(())
        };
        if let Ok(Err(_)) | Err(_) = timeout(LEAVE, leave).await {
            tracing::debug!("an idle connection could not be closed in good order");
        }
    }

    async fn pinged(&self, id: u32) {
        let ours = (id % 2 == 1) == self.is_client();
        if ours {
            if self.awaited_pong.load(Ordering::Relaxed) == id {
                self.pong.notify_one();
            }
        } else if self.valves.answers_pings() && self.send(Frame::Ping { id }).await.is_err() {
            tracing::trace!("the connection ended before a ping was answered");
        }
    }
}
