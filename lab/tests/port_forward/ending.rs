//! How connections end, and what that does to the others.

use std::time::{Duration, Instant};

use hopscope_lab::apiserver::Cluster;
use hopscope_lab::kubectl::{Transport, Version};
use hopscope_lab::node::{Phase, Pod, Runtime, Selection, StreamFault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::backend::{self, Habit};
use crate::forwarder::{Forward, SOON, Who};
use crate::kubectl;

/// What a client gets until the end; a reset is an end.
async fn all(socket: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    let ended = tokio::time::timeout(SOON, socket.read_to_end(&mut received)).await;
    assert!(ended.is_ok(), "the connection did not end");
    received
}

#[tokio::test]
async fn a_refused_pod_port_ends_the_whole_forward_with_the_runtimes_words() {
    for runtime in Runtime::ALL {
        for who in Who::both(Transport::WebSocket) {
            let cluster = Cluster::builder()
                .pod(Pod::new("web"))
                .runtime(runtime)
                .start()
                .await
                .unwrap();
            let mut forward = Forward::start(&cluster, who).await;
            let mut other = TcpStream::connect(forward.addr()).await.unwrap();
            assert_eq!(all(&mut other).await, b"");
            assert_eq!(forward.exit_code().await, 1);
            forward.expect_line("an error occurred forwarding", SOON).await;
            forward.expect_line("connection refused", SOON).await;
            forward.expect_line("error: lost connection to pod", SOON).await;
        }
    }
}

#[tokio::test]
async fn before_1_23_a_refused_pod_port_is_only_that_connections_problem() {
    let cluster = Cluster::builder().pod(Pod::new("web")).start().await.unwrap();
    let forward = Forward::start(&cluster, Who::stand_in(Version::V1_22, Transport::Spdy)).await;
    for _ in 0..2 {
        let mut socket = TcpStream::connect(forward.addr()).await.unwrap();
        assert_eq!(all(&mut socket).await, b"");
    }
    forward.expect_line("an error occurred forwarding", SOON).await;
    assert_eq!(forward.lines_with("lost connection"), 0);
}

#[tokio::test]
async fn a_deleted_pod_ends_the_forward_at_the_next_connection() {
    for who in Who::both(Transport::WebSocket) {
        let cluster = backend::cluster(Habit::Echo).await.start().await.unwrap();
        let mut forward = Forward::start(&cluster, who).await;
        cluster.pod("web").unwrap().set_phase(Phase::Gone);
        let mut socket = TcpStream::connect(forward.addr()).await.unwrap();
        assert_eq!(all(&mut socket).await, b"");
        forward.expect_line("in store: not found", SOON).await;
        assert_eq!(forward.exit_code().await, 1);
    }
}

#[tokio::test]
async fn whether_a_reset_by_the_pod_ends_the_forward_depends_on_the_runtime() {
    let cases = [
        (Runtime::Containerd1621, true),
        (Runtime::Containerd17, false),
        (Runtime::Containerd21, true),
        (Runtime::CriO, true),
    ];
    for (runtime, dies) in cases {
        for who in Who::both(Transport::Spdy) {
            let cluster = backend::cluster(Habit::Reset)
                .await
                .runtime(runtime)
                .start()
                .await
                .unwrap();
            let mut forward = Forward::start(&cluster, who).await;
            let mut socket = TcpStream::connect(forward.addr()).await.unwrap();
            socket.write_u8(0).await.unwrap();
            assert_eq!(all(&mut socket).await, b"");
            if dies {
                assert_eq!(forward.exit_code().await, 1, "{runtime:?}");
                forward.expect_line("connection reset by peer", SOON).await;
            } else {
                cluster
                    .pod("web")
                    .unwrap()
                    .set_port(8080, Some(backend::start(Habit::Echo).await));
                let mut next = TcpStream::connect(forward.addr()).await.unwrap();
                next.write_u8(9).await.unwrap();
                assert_eq!(next.read_u8().await.unwrap(), 9, "{runtime:?}");
                assert_eq!(forward.lines_with("error"), 0, "a silent truncation");
            }
        }
    }
}

#[tokio::test]
async fn the_end_of_a_connection_that_the_pod_closes_comes_a_second_late() {
    for who in Who::both(Transport::WebSocket) {
        let cluster = backend::cluster(Habit::Close).await.start().await.unwrap();
        let forward = Forward::start(&cluster, who).await;
        let mut socket = TcpStream::connect(forward.addr()).await.unwrap();
        let start = Instant::now();
        socket.write_u8(0).await.unwrap();
        assert_eq!(all(&mut socket).await, b"");
        assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_client_that_half_closes_loses_an_answer_that_takes_longer_than_the_drain() {
    for who in Who::both(Transport::Spdy) {
        let cluster = backend::cluster(Habit::Deaf).await.start().await.unwrap();
        let forward = Forward::start(&cluster, who).await;
        let mut socket = TcpStream::connect(forward.addr()).await.unwrap();
        let start = Instant::now();
        socket.shutdown().await.unwrap();
        assert_eq!(all(&mut socket).await, b"");
        assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn faults_on_streams_are_told_in_kubectls_words() {
    let cases = [
        (StreamFault::ResetErrorStream, Some("Error creating error stream")),
        (
            StreamFault::ResetDataStream,
            Some("Error creating forwarding stream"),
        ),
        (StreamFault::ResetOnly, None),
    ];
    for (fault, words) in cases {
        for who in Who::both(Transport::WebSocket) {
            let cluster = backend::cluster(Habit::Echo).await.start().await.unwrap();
            let forward = Forward::start(&cluster, who).await;
            cluster.faults().stream(Selection::Next(1), fault.clone());
            let mut socket = TcpStream::connect(forward.addr()).await.unwrap();
            assert_eq!(all(&mut socket).await, b"", "{fault:?}");
            if let Some(words) = words {
                forward.expect_line(words, SOON).await;
                forward.expect_line("Stream reset", SOON).await;
            }
            let mut next = TcpStream::connect(forward.addr()).await.unwrap();
            next.write_u8(3).await.unwrap();
            assert_eq!(next.read_u8().await.unwrap(), 3, "the tunnel survives {fault:?}");
        }
    }
}

#[tokio::test]
async fn what_a_node_says_reaches_the_user_and_a_flood_reaches_the_client() {
    for who in Who::both(Transport::WebSocket) {
        let cluster = backend::cluster(Habit::Echo).await.start().await.unwrap();
        let mut forward = Forward::start(&cluster, who).await;
        cluster
            .faults()
            .stream(Selection::Request(0), StreamFault::Flood(100_000));
        cluster.faults().stream(
            Selection::Request(1),
            StreamFault::ErrorText("a \"quoted\" text".to_owned()),
        );
        let mut flooded = TcpStream::connect(forward.addr()).await.unwrap();
        let mut bytes = vec![0; 100_000];
        flooded.read_exact(&mut bytes).await.unwrap();
        let mut told = TcpStream::connect(forward.addr()).await.unwrap();
        assert_eq!(all(&mut told).await, b"");
        assert_eq!(forward.exit_code().await, 1);
        forward.expect_line("quoted", SOON).await;
    }
}

/// A line without what differs from run to run: klog's head, source line, and numbers of four digits and more.
fn without_numbers(line: &str) -> String {
    let words = line
        .split_once("] ")
        .filter(|_| line.contains("portforward.go:"))
        .map_or(line, |(_, words)| words);
    let mut kept = String::new();
    for piece in words.split_inclusive(|letter: char| !letter.is_ascii_digit()) {
        let digits = piece.len()
            - piece
                .trim_start_matches(|letter: char| letter.is_ascii_digit())
                .len();
        kept.push_str(if digits >= 4 { "#" } else { &piece[..digits] });
        kept.push_str(&piece[digits..]);
    }
    kept
}

/// Everything that a forward of this kind writes while one thing after the other goes wrong.
async fn words(who: Who) -> Vec<String> {
    let cluster = backend::cluster(Habit::Echo).await.start().await.unwrap();
    let mut forward = Forward::start(&cluster, who).await;
    let troubles = [
        (StreamFault::ResetErrorStream, "creating error stream"),
        (StreamFault::ResetDataStream, "creating forwarding stream"),
        (
            StreamFault::ErrorText("dial \"x\"\n\\".to_owned()),
            "lost connection",
        ),
    ];
    for (fault, line) in troubles {
        cluster.faults().stream(Selection::Next(1), fault);
        let mut socket = TcpStream::connect(forward.addr()).await.unwrap();
        all(&mut socket).await;
        forward.expect_line(line, SOON).await;
    }
    assert_eq!(forward.exit_code().await, 1);
    let mut words: Vec<String> = forward.lines().iter().map(|line| without_numbers(line)).collect();
    // Which of the two output pipes is read first is chance.
    words.sort();
    words
}

#[tokio::test]
async fn the_stand_in_writes_what_kubectl_of_its_version_writes() {
    for kubectl in [kubectl::all().first(), kubectl::all().last()]
        .into_iter()
        .flatten()
    {
        let version = Version::new(kubectl.minor);
        let real = words(Who::Real(kubectl.clone(), Transport::Spdy)).await;
        let stand_in = words(Who::stand_in(version, Transport::Spdy)).await;
        assert_eq!(stand_in, real, "{version:?}");
    }
}
