//! Head-of-line blocking, time-outs, and workers that never come back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hopscope_lab::kubectl::{Transport, Version};
use hopscope_lab::node::{Selection, StreamFault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::backend::{self, Habit};
use crate::forwarder::{Forward, SOON, Who, eventually};
use crate::kubectl;

/// Longer than any connection here takes when nothing blocks it.
const STALLED: Duration = Duration::from_millis(1500);
/// More than all queues and kernel buffers of a tunnel hold.
const TOO_MUCH: u64 = 40 << 20;

/// Whether a small download comes through now.
async fn works(addr: SocketAddr) -> bool {
    let download = async {
        let mut socket = TcpStream::connect(addr).await?;
        socket.write_u64(1).await?;
        socket.read_u8().await
    };
    timeout(STALLED, download).await.is_ok_and(|read| read.is_ok())
}

/// Waits until everyone's connections stall.
async fn wait_for_stall(addr: SocketAddr) -> bool {
    let start = Instant::now();
    while start.elapsed() < SOON {
        if !works(addr).await {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn one_client_that_does_not_read_stalls_everybody_until_it_reads() {
    for transport in [Transport::WebSocket, Transport::Spdy] {
        for who in Who::both(transport) {
            let cluster = backend::cluster(Habit::Download).await.start().await.unwrap();
            let forward = Forward::start(&cluster, who.clone()).await;
            let mut culprit = TcpStream::connect(forward.addr()).await.unwrap();
            culprit.write_u64(TOO_MUCH).await.unwrap();
            assert!(wait_for_stall(forward.addr()).await, "{who:?}");
            let mut received = Vec::new();
            culprit.read_to_end(&mut received).await.unwrap();
            assert_eq!(received.len() as u64, TOO_MUCH);
            assert!(
                works(forward.addr()).await,
                "{who:?} recovers when the culprit reads"
            );
        }
    }
}

/// Downloads a lot, reads a little, and leaves.
async fn abort_a_download(addr: SocketAddr) {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    socket.write_u64(TOO_MUCH).await.unwrap();
    socket.read_u8().await.unwrap();
}

#[tokio::test]
async fn an_aborted_download_wedges_the_tunnel_for_good_until_1_31_and_not_from_1_32_on() {
    let mut all = vec![
        Who::stand_in(Version::V1_31, Transport::WebSocket),
        Who::stand_in(Version::V1_32, Transport::WebSocket),
        Who::stand_in(Version::V1_28, Transport::Spdy),
    ];
    all.push(Who::Real(kubectl::newest(), Transport::WebSocket));
    all.extend(
        kubectl::all()
            .iter()
            .find(|kubectl| kubectl.minor <= 31)
            .map(|old| Who::Real(old.clone(), Transport::Spdy)),
    );
    for who in all {
        let cluster = backend::cluster(Habit::Download).await.start().await.unwrap();
        let forward = Forward::start(&cluster, who.clone()).await;
        abort_a_download(forward.addr()).await;
        if who.version().minor() <= 31 {
            assert!(wait_for_stall(forward.addr()).await, "{who:?}");
            assert!(
                !works(forward.addr()).await,
                "{who:?}: nobody is left who could read"
            );
        } else {
            assert!(!wait_until_two_stall(forward.addr()).await, "{who:?}");
        }
    }
}

/// Whether connections stall for longer than a moment.
async fn wait_until_two_stall(addr: SocketAddr) -> bool {
    for _ in 0..20 {
        if !works(addr).await && !works(addr).await {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn an_upload_that_the_pod_does_not_read_stalls_new_connections_without_a_word() {
    for who in Who::both(Transport::Spdy) {
        let cluster = backend::cluster(Habit::Deaf).await.start().await.unwrap();
        let forward = Forward::start(&cluster, who.clone()).await;
        let mut culprit = TcpStream::connect(forward.addr()).await.unwrap();
        let piece = vec![b'u'; 1 << 20];
        let mut sent: u64 = 0;
        while sent < TOO_MUCH
            && timeout(STALLED, culprit.write_all(&piece))
                .await
                .is_ok_and(|wrote| wrote.is_ok())
        {
            sent += piece.len() as u64;
        }
        assert!(sent < TOO_MUCH, "{who:?}: the upload itself stalls");
        cluster
            .pod("web")
            .unwrap()
            .set_port(8080, Some(backend::start(Habit::Download).await));
        assert!(!works(forward.addr()).await, "{who:?}");
        assert_eq!(forward.lines_with("error"), 0, "{:#?}", forward.lines());
    }
}

/// Connections to a tunnel of which worker 1 is lost: those that need it hang, all others work.
async fn expect_worker_one_lost(forward: &Forward, connections: u32) {
    // Stream 1 was the first connection's error stream. A good connection takes two numbers; one whose error stream times out takes one.
    let mut next = 3;
    for _ in 0..connections {
        let (error, data) = (next, next + 2);
        let expected = error % 5 != 1 && data % 5 != 1;
        assert_eq!(
            works(forward.addr()).await,
            expected,
            "{:?}: streams {error} and {data}",
            forward.who
        );
        next += if error % 5 == 1 { 2 } else { 4 };
    }
}

/// Ends the connection, which must take kubectl's thirty seconds.
async fn expect_time_out(mut socket: TcpStream, start: Instant) {
    let mut rest = Vec::new();
    let bound = Duration::from_secs(50);
    assert!(timeout(bound, socket.read_to_end(&mut rest)).await.is_ok());
    assert!(
        start.elapsed() >= Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
}

async fn time_out() {
    let cluster = backend::cluster(Habit::Download).await.start().await.unwrap();
    cluster
        .faults()
        .stream(Selection::Request(0), StreamFault::NoErrorReply);
    cluster
        .faults()
        .stream(Selection::Request(1), StreamFault::NoDataReply);
    let forward = Forward::start(&cluster, Who::Real(kubectl::newest(), Transport::WebSocket)).await;
    let start = Instant::now();
    let first = TcpStream::connect(forward.addr()).await.unwrap();
    assert!(eventually(SOON, || forward.lines_with("Handling connection") == 1).await);
    let second = TcpStream::connect(forward.addr()).await.unwrap();
    tokio::join!(expect_time_out(first, start), expect_time_out(second, start));
    assert!(
        eventually(SOON, || forward.lines_with("Timeout occurred") == 2).await,
        "{:#?}",
        forward.lines()
    );
    assert_eq!(forward.lines_with("creating error stream"), 1);
    assert_eq!(forward.lines_with("creating forwarding stream"), 1);
    assert!(
        works(forward.addr()).await,
        "a reply that never comes harms nobody else"
    );
}

async fn poison() {
    let cluster = backend::cluster(Habit::Download).await.start().await.unwrap();
    cluster.faults().stream(
        Selection::Request(0),
        StreamFault::LateErrorReply(Duration::from_secs(31)),
    );
    let forward = Forward::start(&cluster, Who::Real(kubectl::newest(), Transport::Spdy)).await;
    let start = Instant::now();
    let first = TcpStream::connect(forward.addr()).await.unwrap();
    expect_time_out(first, start).await;
    forward.expect_line("Timeout occurred", SOON).await;
    tokio::time::sleep_until((start + Duration::from_secs(32)).into()).await;
    expect_worker_one_lost(&forward, 4).await;
}

#[tokio::test]
async fn a_reply_that_does_not_come_in_thirty_seconds_costs_one_connection_and_a_late_one_a_worker() {
    tokio::join!(time_out(), poison());
}

#[tokio::test]
async fn a_late_reply_poisons_the_worker_of_its_stream_for_ever() {
    let cluster = backend::cluster(Habit::Download).await;
    let cluster = cluster
        .pair_timeout(Duration::from_millis(400))
        .start()
        .await
        .unwrap();
    cluster.faults().stream(
        Selection::Request(0),
        StreamFault::LateErrorReply(Duration::from_millis(800)),
    );
    let patience = Duration::from_millis(400);
    let who = Who::StandIn(Version::V1_32, Transport::WebSocket, patience);
    let forward = Forward::start(&cluster, who).await;
    // Stream 1 times out; its late reply and the node's text then lie in worker 1, and nobody will take them.
    assert!(!works(forward.addr()).await);
    forward.expect_line("Timeout occurred", SOON).await;
    let given_up = || {
        let events = cluster.faults().truth().events();
        events
            .iter()
            .any(|event| matches!(event.what, hopscope_lab::node::Happening::PairTimedOut { .. }))
    };
    assert!(eventually(SOON, given_up).await);
    tokio::time::sleep(Duration::from_millis(800)).await;
    expect_worker_one_lost(&forward, 12).await;
}
