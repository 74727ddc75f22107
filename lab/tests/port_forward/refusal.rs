//! Forwards that never begin.

use hopscope_lab::apiserver::{Front, Refusal, Scope};
use hopscope_lab::kubectl::{PortForward, Transport, Version};
use hopscope_lab::node::Phase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::backend::{self, Habit};
use crate::forwarder::{Forward, SOON, Who};
use crate::kubectl;

/// The texts with which a forward to `web` ends before it listens: the real kubectl's last lines, and its stand-in's.
async fn last_words(front: Front, phase: Phase) -> (Vec<String>, String) {
    let cluster = backend::cluster(Habit::Echo)
        .await
        .front(front)
        .start()
        .await
        .unwrap();
    cluster.pod("web").unwrap().set_phase(phase);
    let kubectl = kubectl::newest();
    let version = Version::new(kubectl.minor);
    let who = Who::Real(kubectl, Transport::Spdy);
    let mut real = Forward::try_start(&cluster, who, "pod/web", 8080).await;
    assert_eq!(real.exit_code().await, 1);
    assert!(crate::forwarder::eventually(SOON, || real.lines_with("error") > 0).await);
    let stand_in = PortForward::to(cluster.addr(), "web", 8080)
        .version(version)
        .transport(Transport::Spdy)
        .start()
        .await;
    (real.lines(), stand_in.unwrap_err().to_string())
}

#[tokio::test]
async fn a_refused_upgrade_is_told_in_the_servers_words() {
    let refusals = [
        Refusal::forbidden("web", "default"),
        Refusal::node_unreachable(),
        Refusal::runtime_refuses(),
        Refusal::too_many(),
    ];
    for refusal in refusals {
        let front = Front {
            refuse: Some((Scope::PortForward, refusal.clone())),
            ..Front::default()
        };
        let (real, stand_in) = last_words(front, Phase::Running).await;
        assert!(
            stand_in.starts_with("error: error upgrading connection: "),
            "{stand_in}"
        );
        assert!(stand_in.ends_with(&refusal.message), "{stand_in}");
        assert!(real.contains(&stand_in), "{stand_in:?} is not among {real:#?}");
    }
}

#[tokio::test]
async fn a_pod_that_does_not_run_or_exist_is_no_target() {
    let (real, stand_in) = last_words(Front::default(), Phase::Pending).await;
    let expected = "error: unable to forward port because pod is not running. Current status=Pending";
    assert!(real.iter().any(|line| line == expected), "{real:#?}");
    assert_eq!(stand_in, expected);

    let (real, stand_in) = last_words(Front::default(), Phase::Gone).await;
    let expected = "Error from server (NotFound): pods \"web\" not found";
    assert!(real.iter().any(|line| line == expected), "{real:#?}");
    assert_eq!(stand_in, expected);
}

#[tokio::test]
async fn a_protocol_that_is_not_named_is_not_spoken() {
    let (real, stand_in) = last_words(
        Front {
            names_protocol: false,
            ..Front::default()
        },
        Phase::Running,
    )
    .await;
    assert!(
        real.iter()
            .any(|line| line.contains("unable to negotiate protocol")),
        "{real:#?}"
    );
    assert!(stand_in.contains("unable to negotiate protocol"), "{stand_in}");
}

#[tokio::test]
async fn without_websocket_the_forward_falls_back_to_spdy() {
    for who in Who::both(Transport::WebSocket) {
        let front = Front {
            offers_websocket: false,
            ..Front::default()
        };
        let cluster = backend::cluster(Habit::Echo)
            .await
            .front(front)
            .start()
            .await
            .unwrap();
        let forward = Forward::start(&cluster, who).await;
        let mut socket = TcpStream::connect(forward.addr()).await.unwrap();
        socket.write_u8(5).await.unwrap();
        assert_eq!(socket.read_u8().await.unwrap(), 5);
    }
}
