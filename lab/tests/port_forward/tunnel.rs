//! What happens to the tunnel happens to everyone on it.

use std::time::Duration;

use hopscope_lab::apiserver::Front;
use hopscope_lab::kubectl::Transport;
use hopscope_lab::node::{Happening, TunnelFault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::backend::{self, Habit};
use crate::forwarder::{Forward, SOON, Who, eventually};

#[tokio::test]
async fn however_the_tunnel_ends_every_connection_ends_and_kubectl_exits() {
    let faults = [
        TunnelFault::Fin,
        TunnelFault::Reset,
        TunnelFault::GoAway,
        TunnelFault::WebSocketClose(1000),
    ];
    for fault in faults {
        for who in Who::both(Transport::WebSocket) {
            let cluster = backend::cluster(Habit::Echo).await.start().await.unwrap();
            let mut forward = Forward::start(&cluster, who).await;
            let mut victim = TcpStream::connect(forward.addr()).await.unwrap();
            victim.write_u8(1).await.unwrap();
            assert_eq!(victim.read_u8().await.unwrap(), 1);
            cluster.faults().tunnel(fault).await;
            let end = tokio::time::timeout(SOON, victim.read_u8()).await.unwrap();
            assert!(end.is_err(), "the victim's connection ends");
            assert_eq!(forward.exit_code().await, 1, "{fault:?}");
            forward.expect_line("error: lost connection to pod", SOON).await;
            assert_eq!(cluster.faults().open_tunnels(), 0);
            let injected = Happening::TunnelFault(fault);
            assert!(
                cluster
                    .faults()
                    .truth()
                    .events()
                    .iter()
                    .any(|event| event.what == injected)
            );
        }
    }
}

#[tokio::test]
async fn an_idle_server_ends_a_tunnel_that_does_not_ping_in_time() {
    for who in Who::both(Transport::WebSocket) {
        let front = Front {
            idle: Some(Duration::from_millis(600)),
            ..Front::default()
        };
        let cluster = backend::cluster(Habit::Echo)
            .await
            .front(front)
            .start()
            .await
            .unwrap();
        let mut forward = Forward::start(&cluster, who).await;
        assert_eq!(forward.exit_code().await, 1);
    }
}

#[tokio::test]
async fn a_server_that_stops_reading_stalls_new_connections_until_it_reads_again() {
    for who in Who::both(Transport::WebSocket) {
        let cluster = backend::cluster(Habit::Echo).await.start().await.unwrap();
        let forward = Forward::start(&cluster, who).await;
        cluster.faults().tunnel(TunnelFault::Reading(false)).await;
        // The reader may be past the valve once: this one takes it there.
        let mut socket = TcpStream::connect(forward.addr()).await.unwrap();
        socket.write_u8(4).await.unwrap();
        assert!(eventually(SOON, || forward.lines_with("Handling connection") == 1).await);
        let answer = tokio::time::timeout(Duration::from_millis(500), socket.read_u8()).await;
        assert!(
            answer.is_err(),
            "no byte comes through while nobody reads the tunnel"
        );
        cluster.faults().tunnel(TunnelFault::Reading(true)).await;
        assert_eq!(socket.read_u8().await.unwrap(), 4);
    }
}
