//! Forwards that work, slowly or not for everyone.

use std::time::{Duration, Instant};

use hopscope_lab::kubectl::{PortForward, Transport, Version};
use hopscope_lab::node::{Happening, Selection, StreamFault, TunnelFault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::backend::{self, Habit};
use crate::forwarder::{Forward, SOON, Who, eventually};

#[tokio::test]
async fn a_reply_that_takes_its_time_is_paid_twice_before_the_first_byte() {
    let delay = Duration::from_millis(150);
    for who in Who::both(Transport::WebSocket) {
        let cluster = backend::cluster(Habit::Echo).await.start().await.unwrap();
        cluster
            .faults()
            .stream(Selection::Every, StreamFault::SlowReply(delay));
        let forward = Forward::start(&cluster, who).await;
        let mut socket = TcpStream::connect(forward.addr()).await.unwrap();
        let start = Instant::now();
        socket.write_u8(1).await.unwrap();
        assert_eq!(socket.read_u8().await.unwrap(), 1);
        assert!(start.elapsed() >= 2 * delay, "{:?}", start.elapsed());
        socket.write_u8(2).await.unwrap();
        assert_eq!(
            socket.read_u8().await.unwrap(),
            2,
            "an open connection is not delayed"
        );
    }
}

#[tokio::test]
async fn a_throttled_tunnel_is_slow_and_says_nothing() {
    for who in Who::both(Transport::Spdy) {
        let cluster = backend::cluster(Habit::Download).await.start().await.unwrap();
        let forward = Forward::start(&cluster, who).await;
        cluster.faults().tunnel(TunnelFault::Throttle(2_000_000)).await;
        let mut socket = TcpStream::connect(forward.addr()).await.unwrap();
        let start = Instant::now();
        socket.write_u64(1_000_000).await.unwrap();
        let mut received = vec![0; 1_000_000];
        socket.read_exact(&mut received).await.unwrap();
        assert!(
            start.elapsed() >= Duration::from_millis(400),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(forward.lines_with("error"), 0, "{:#?}", forward.lines());
    }
}

#[tokio::test]
async fn a_connection_that_is_never_answered_waits_alone() {
    for who in Who::both(Transport::WebSocket) {
        let cluster = backend::cluster(Habit::Echo).await.start().await.unwrap();
        cluster
            .faults()
            .stream(Selection::Request(0), StreamFault::NeverAnswer);
        let forward = Forward::start(&cluster, who).await;
        let mut silent = TcpStream::connect(forward.addr()).await.unwrap();
        silent.write_u8(1).await.unwrap();
        assert!(eventually(SOON, || forward.lines_with("Handling connection") == 1).await);
        let mut other = TcpStream::connect(forward.addr()).await.unwrap();
        other.write_u8(2).await.unwrap();
        assert_eq!(other.read_u8().await.unwrap(), 2);
        assert!(
            timeout(Duration::from_millis(300), silent.read_u8())
                .await
                .is_err(),
            "no byte, no end"
        );
        assert_eq!(forward.lines_with("error"), 0);
        let dialled = |event: &hopscope_lab::node::Event| matches!(event.what, Happening::Dialled { .. });
        assert_eq!(
            cluster
                .faults()
                .truth()
                .events()
                .iter()
                .filter(|event| dialled(event))
                .count(),
            1
        );
    }
}

#[tokio::test]
async fn an_answer_before_the_whole_request_arrives_and_harms_nobody_else() {
    for who in Who::both(Transport::WebSocket) {
        let cluster = backend::cluster(Habit::Early).await.start().await.unwrap();
        let forward = Forward::start(&cluster, who).await;
        let mut early = TcpStream::connect(forward.addr()).await.unwrap();
        early.write_all(&[1; 10_000]).await.unwrap();
        assert_eq!(early.read_u8().await.unwrap(), 9, "the answer");
        // What is still sent meets a pod that has gone.
        let flood = vec![1; 1 << 16];
        assert!(
            timeout(SOON, async { while early.write_all(&flood).await.is_ok() {} })
                .await
                .is_ok()
        );
        cluster
            .pod("web")
            .unwrap()
            .set_port(8080, Some(backend::start(Habit::Echo).await));
        let mut next = TcpStream::connect(forward.addr()).await.unwrap();
        next.write_u8(3).await.unwrap();
        assert_eq!(timeout(SOON, next.read_u8()).await.unwrap().unwrap(), 3);
    }
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_stops_new_connections_until_it_is_read() {
    let cluster = backend::cluster(Habit::Echo).await.start().await.unwrap();
    let builder = PortForward::to(cluster.addr(), "web", 8080).version(Version::V1_32);
    let (forward, mut lines) = builder.pipe(3).start().await.unwrap();
    // One or two lines that say where it listens leave room for the first connection, and none for the third.
    let mut open = Vec::new();
    for number in 0..3 {
        let mut socket = TcpStream::connect(forward.local_addr()).await.unwrap();
        socket.write_u8(number).await.unwrap();
        open.push(socket);
    }
    assert_eq!(timeout(SOON, open[0].read_u8()).await.unwrap().unwrap(), 0);
    assert!(
        timeout(Duration::from_millis(300), open[2].read_u8())
            .await
            .is_err()
    );
    while let Ok(Some(_line)) = timeout(Duration::from_millis(300), lines.recv()).await {}
    assert_eq!(timeout(SOON, open[2].read_u8()).await.unwrap().unwrap(), 2);
}
