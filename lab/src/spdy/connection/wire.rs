//! The two tasks that own the socket: one reads, one writes, with or without WebSocket framing.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::workers::Dispatcher;
use super::{Ended, Shared};
use crate::spdy::decoder::Decoder;
use crate::spdy::encoder::Encoder;
use crate::spdy::frame::Frame;
use crate::websocket::{self, Piece, Role};

/// What a write gathers at most.
const BATCH: usize = 64 * 1024;

/// How the SPDY bytes travel on the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// As they are: `Upgrade: SPDY/3.1`.
    Raw,
    /// In binary messages: `Upgrade: websocket`.
    WebSocket(Role),
}

/// An order to the writing task.
#[derive(Debug)]
pub(super) enum Order {
    /// Send it; tell when the kernel has it.
    Frame(Frame, Option<oneshot::Sender<()>>),
    /// Answer a WebSocket ping.
    Pong(Bytes),
    /// Send what was ordered before, then end: with a WebSocket close frame of this code if there is one.
    End { ended: Ended, close: Option<u16> },
}

/// Reads until the connection ends, and says why it did.
pub(super) async fn read(
    socket: &TcpStream,
    framing: Framing,
    head: Vec<u8>,
    idle: Option<Duration>,
    shared: &Arc<Shared>,
    dispatcher: &mut Dispatcher,
) -> Ended {
    let mut unframe = match framing {
        Framing::Raw => None,
        Framing::WebSocket(role) => Some(websocket::Decoder::new(role)),
    };
    let mut frames = Decoder::new();
    let mut buffer = vec![0; BATCH];
    let mut pieces = Vec::new();
    let mut bytes = head;
    loop {
        match &mut unframe {
            None => pieces.push(Piece::Payload(std::mem::take(&mut bytes).into())),
            Some(decoder) => {
                if decoder.feed(&bytes, &mut pieces).is_err() {
                    return Ended::Malformed;
                }
            }
        }
        for piece in pieces.drain(..) {
            if let Err(ended) = take(piece, &mut frames, shared, dispatcher).await {
                return ended;
            }
        }
        shared.valves.may_read().await;
        let read = async {
            match idle {
                None => Ok(read_some(socket, &mut buffer).await),
                Some(idle) => timeout(idle, read_some(socket, &mut buffer)).await,
            }
        };
        match read.await {
            Err(_elapsed) => return Ended::Idle,
            Ok(Err(error)) => return Ended::Failed(error.kind()),
            Ok(Ok(0)) => return Ended::Fin,
            Ok(Ok(count)) => {
                bytes.clear();
                bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
                shared.valves.pace(count).await;
            }
        }
    }
}

async fn take(
    piece: Piece,
    frames: &mut Decoder,
    shared: &Shared,
    dispatcher: &mut Dispatcher,
) -> Result<(), Ended> {
    match piece {
        Piece::Payload(bytes) => {
            frames.feed(&bytes);
            loop {
                match frames.next_frame() {
                    Ok(Some(frame)) => dispatcher.dispatch(frame).await?,
                    Ok(None) => return Ok(()),
                    Err(malformed) => {
                        tracing::debug!(%malformed, "the far end does not speak SPDY/3.1");
                        return Err(Ended::Malformed);
                    }
                }
            }
        }
        Piece::Ping(bytes) => shared
            .order(Order::Pong(bytes))
            .await
            .map_err(|_lost| Ended::Local),
        Piece::Pong(_) => Ok(()),
        Piece::Close(code) => Err(Ended::WebSocketClose(code)),
    }
}

/// Writes until it is told to end, and says with what.
pub(super) async fn write(
    socket: &TcpStream,
    framing: Framing,
    mut orders: mpsc::Receiver<Order>,
    shared: &Shared,
) -> Ended {
    let mut encoder = match Encoder::new() {
        Ok(encoder) => encoder,
        Err(error) => return Ended::Failed(error.kind()),
    };
    let mut spdy = Vec::new();
    let mut wire = Vec::new();
    let mut written = Vec::new();
    while let Some(first) = orders.recv().await {
        let mut next = Some(first);
        let mut end = None;
        while let Some(order) = next {
            match order {
                Order::Frame(frame, tell) => {
                    if let Err(error) = encoder.encode(&frame, &mut spdy) {
                        return Ended::Failed(error.kind());
                    }
                    written.extend(tell);
                }
                Order::Pong(bytes) => {
                    enclose(
                        framing,
                        Piece::Payload(std::mem::take(&mut spdy).into()),
                        &mut wire,
                    );
                    enclose(framing, Piece::Pong(bytes), &mut wire);
                }
                Order::End { ended, close } => {
                    end = Some((ended, close));
                    break;
                }
            }
            if spdy.len() + wire.len() >= BATCH {
                break;
            }
            next = orders.try_recv().ok();
        }
        enclose(
            framing,
            Piece::Payload(std::mem::take(&mut spdy).into()),
            &mut wire,
        );
        if let Some((_, Some(code))) = end {
            enclose(framing, Piece::Close(Some(code)), &mut wire);
        }
        if let Err(error) = write_all(socket, &wire).await {
            return Ended::Failed(error.kind());
        }
        shared.valves.pace(wire.len()).await;
        wire.clear();
        for tell in written.drain(..) {
            if tell.send(()).is_err() {
                tracing::trace!("whoever waited for a write has left");
            }
        }
        if let Some((ended, _)) = end {
            return ended;
        }
    }
    Ended::Local
}

fn enclose(framing: Framing, piece: Piece, wire: &mut Vec<u8>) {
    match (framing, piece) {
        (_, Piece::Payload(bytes)) if bytes.is_empty() => {}
        (Framing::Raw, Piece::Payload(bytes)) => wire.extend_from_slice(&bytes),
        (Framing::Raw, Piece::Ping(_) | Piece::Pong(_) | Piece::Close(_)) => {}
        (Framing::WebSocket(role), piece) => websocket::encode(role, &piece, wire),
    }
}

async fn read_some(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        socket.readable().await?;
        match socket.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

async fn write_all(socket: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        socket.writable().await?;
        match socket.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
        }
    }
    Ok(())
}
