//! A forward that works.

use hopscope_lab::apiserver::{Cluster, Deployment, Service};
use hopscope_lab::node::{Happening, Pod};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::backend::{self, Habit};
use crate::forwarder::{Forward, SOON, Who, eventually};
use crate::kubectl;
use hopscope_lab::kubectl::Transport;

async fn echo(addr: std::net::SocketAddr, number: u32) -> u32 {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    socket.write_u32(number).await.unwrap();
    socket.read_u32().await.unwrap()
}

#[tokio::test]
async fn two_hundred_connections_get_their_own_bytes_back() {
    for who in Who::four() {
        let cluster = backend::cluster(Habit::Echo).await.start().await.unwrap();
        let forward = Forward::start(&cluster, who).await;
        let mut connections = JoinSet::new();
        for number in 0..200 {
            let addr = forward.addr();
            connections.spawn(async move { (number, echo(addr, number).await) });
        }
        while let Some(done) = connections.join_next().await {
            let (sent, received) = done.unwrap();
            assert_eq!(sent, received);
        }
        assert!(eventually(SOON, || forward.lines_with("Handling connection for") == 200).await);
        let forwarded = || {
            let events = cluster.faults().truth().events();
            events
                .iter()
                .filter(|event| matches!(event.what, Happening::Forwarded { failed: None, .. }))
                .count()
        };
        assert!(
            eventually(SOON, || forwarded() == 200).await,
            "every connection ends on the node as well"
        );
        assert_eq!(forward.lines_with("error"), 0, "{:#?}", forward.lines());
    }
}

#[tokio::test]
async fn large_transfers_arrive_whole_both_ways() {
    const SIZE: u64 = 8 << 20;
    for who in Who::four() {
        let cluster = backend::cluster(Habit::Download).await.start().await.unwrap();
        let forward = Forward::start(&cluster, who.clone()).await;
        let mut socket = TcpStream::connect(forward.addr()).await.unwrap();
        socket.write_u64(SIZE).await.unwrap();
        let mut received = Vec::new();
        socket.read_to_end(&mut received).await.unwrap();
        assert_eq!(received.len() as u64, SIZE, "{who:?}");

        let cluster = backend::cluster(Habit::Upload).await.start().await.unwrap();
        let forward = Forward::start(&cluster, who.clone()).await;
        let mut socket = TcpStream::connect(forward.addr()).await.unwrap();
        let piece = vec![b'u'; 1 << 20];
        for _ in 0..SIZE >> 20 {
            socket.write_all(&piece).await.unwrap();
        }
        socket.write_u8(1).await.unwrap();
        assert_eq!(socket.read_u64().await.unwrap(), SIZE, "{who:?}");
    }
}

#[tokio::test]
async fn every_kubectl_here_finds_the_pod_by_service_and_by_deployment() {
    let labels = [("app", "web")];
    let cluster = Cluster::builder()
        .pod(Pod::new("web").port(8080, backend::start(Habit::Echo).await))
        .service(Service::new("web", &labels).port(80, 8080))
        .deployment(Deployment::new("web", &labels))
        .start()
        .await
        .unwrap();
    for kubectl in kubectl::all() {
        for (target, port) in [("svc/web", 80), ("deploy/web", 8080)] {
            let who = Who::Real(kubectl.clone(), Transport::WebSocket);
            let forward = Forward::try_start(&cluster, who, target, port).await;
            forward.expect_line("Forwarding from 127.0.0.1:", SOON).await;
            assert_eq!(
                echo(forward.addr(), 7).await,
                7,
                "{} {target}",
                kubectl.path.display()
            );
        }
    }
}
