//! Two ends on a loopback socket: what one unread stream does to the others.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::workers::{QUEUE, WORKERS, worker_of};
use super::{Connection, Ended, Framing, OpenError, SendError, Start, Stream, Valves};
use crate::spdy::frame::{ResetStatus, StreamId};
use crate::spdy::headers::Headers;
use crate::websocket::Role;

/// Far more than anything here takes.
const SOON: Duration = Duration::from_secs(10);
/// Long enough to call something blocked; nothing depends on its being short.
const A_WHILE: Duration = Duration::from_millis(150);

fn start(socket: TcpStream, framing: Framing) -> Start {
    Start {
        socket,
        framing,
        head: Vec::new(),
        idle: None,
        valves: Arc::new(Valves::default()),
    }
}

async fn pair(framed: bool) -> (Connection, Connection, mpsc::Receiver<Stream>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    let framing = |role| {
        if framed {
            Framing::WebSocket(role)
        } else {
            Framing::Raw
        }
    };
    let client = Connection::client(start(near, framing(Role::Client)));
    let (server, streams) = Connection::server(start(far, framing(Role::Server)));
    (client, server, streams)
}

/// Opens a stream and accepts it at the far end.
async fn open(client: &Connection, streams: &mut mpsc::Receiver<Stream>) -> (Stream, Stream) {
    let accept = async {
        let far = streams.recv().await.unwrap();
        far.sender.reply().await.unwrap();
        far
    };
    let (near, far) = tokio::join!(client.open(Headers::new().with("a", "b"), SOON), accept);
    (near.unwrap(), far)
}

#[tokio::test]
async fn bytes_and_ends_travel_both_ways_with_and_without_websocket() {
    for framed in [false, true] {
        let (client, _server, mut streams) = pair(framed).await;
        let (mut near, mut far) = open(&client, &mut streams).await;
        assert_eq!(far.headers.get("A"), Some("b"));
        near.sender.send(Bytes::from_static(b"up")).await.unwrap();
        far.sender.send(Bytes::from_static(b"down")).await.unwrap();
        assert_eq!(far.receiver.receive().await.unwrap(), "up");
        assert_eq!(near.receiver.receive().await.unwrap(), "down");
        near.sender.finish().await.unwrap();
        assert_eq!(far.receiver.receive().await, None);
        assert_eq!(near.sender.send(Bytes::new()).await, Err(SendError::Closed));
        far.sender.finish().await.unwrap();
        assert_eq!(near.receiver.receive().await, None);
        assert_eq!(
            client.streams(),
            [],
            "both ends are done, the stream is forgotten"
        );
        assert_eq!(client.ping(1).await, Some(()));
    }
}

#[tokio::test]
async fn an_unread_stream_blocks_its_worker_and_only_that_until_the_queue_is_full() {
    let (client, _server, mut streams) = pair(false).await;
    let mut pairs = Vec::new();
    for _ in 0..=WORKERS {
        pairs.push(open(&client, &mut streams).await);
    }
    let (unread, same_worker) = (pairs[0].1.id(), pairs[WORKERS].1.id());
    assert_eq!(worker_of(unread), worker_of(same_worker));
    // The far end sends on a stream that the near end does not read.
    for _ in 0..5 {
        pairs[0].1.sender.send(Bytes::from_static(b"x")).await.unwrap();
    }
    for pair in &pairs[1..] {
        pair.1.sender.send(Bytes::from_static(b"y")).await.unwrap();
    }
    for (near, _) in &mut pairs[1..WORKERS] {
        assert_eq!(
            near.receiver.receive().await.unwrap(),
            "y",
            "another worker is free"
        );
    }
    let (culprit, rest) = pairs.split_first_mut().unwrap();
    let victim = &mut rest[WORKERS - 1].0;
    assert!(
        timeout(A_WHILE, victim.receiver.receive()).await.is_err(),
        "the same worker is blocked"
    );
    for _ in 0..QUEUE {
        culprit.1.sender.send(Bytes::from_static(b"x")).await.unwrap();
    }
    assert!(
        timeout(A_WHILE, client.ping(1)).await.is_err(),
        "the queue is full: nothing at all is read"
    );
    culprit.0.sender.reset(ResetStatus::CANCEL).await.unwrap();
    assert_eq!(
        timeout(SOON, victim.receiver.receive()).await.unwrap().unwrap(),
        "y",
        "giving the stream up frees all"
    );
}

#[tokio::test]
async fn a_late_reset_costs_a_worker_as_it_does_in_gos_library() {
    let (client, _server, mut streams) = pair(false).await;
    let opening = client.open(Headers::new(), Duration::from_millis(20));
    let (opened, far) = tokio::join!(opening, streams.recv());
    assert_eq!(opened.err(), Some(OpenError::Timeout));
    let far = far.unwrap();
    assert_eq!(far.id(), StreamId::new(1));
    far.sender.reset(ResetStatus::CANCEL).await.unwrap();
    // Streams 3, 5, 7 and 9 have other workers than 1; 11 has the same.
    for _ in 0..4 {
        open(&client, &mut streams).await;
    }
    let accept = async {
        let far = streams.recv().await.unwrap();
        far.sender.reply().await.unwrap();
    };
    let (opened, ()) = tokio::join!(client.open(Headers::new(), A_WHILE), accept);
    assert_eq!(opened.err(), Some(OpenError::Timeout));
}

#[tokio::test]
async fn every_way_to_end_is_told_apart_at_the_far_end() {
    let (client, server, _streams) = pair(false).await;
    server.go_away().await;
    assert_eq!(client.closed().await, Ended::GoAway);
    let (client, server, _streams) = pair(false).await;
    server.abort();
    assert_eq!(client.closed().await, Ended::Fin);
    let (client, server, _streams) = pair(false).await;
    server.reset().unwrap();
    assert_eq!(
        client.closed().await,
        Ended::Failed(std::io::ErrorKind::ConnectionReset)
    );
    let (client, server, _streams) = pair(true).await;
    server.finish(Some(1001)).await;
    assert_eq!(client.closed().await, Ended::WebSocketClose(Some(1001)));
    assert_eq!(
        client.open(Headers::new(), SOON).await.err(),
        Some(OpenError::Lost)
    );
}
