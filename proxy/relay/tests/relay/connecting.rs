//! What a generator does while hopscope is still connecting upstream.

use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::time::Duration;

use hopscope_attribution::evidence::{Cut, Delivery, Ending, Span, Upstream};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::session::{finish_within, start};

const REQUEST: &[u8] = b"GET /slow HTTP/1.1\r\nhost: web\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// A listener whose accept queue is full: the kernel drops further SYN segments. What fills it goes along.
fn full() -> (StdListener, Vec<StdStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    socket.listen(0).unwrap();
    let listener: StdListener = socket.into();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(stream) = StdStream::connect_timeout(&address, Duration::from_millis(100)) {
        filling.push(stream);
    }
    (listener, filling)
}

#[tokio::test]
async fn a_request_begins_when_it_comes_and_not_when_the_upstream_stands() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, filling) = full();
    let session = start(listener.local_addr().unwrap(), &folder);
    let mut generator = TcpStream::connect(session.address()).await.unwrap();
    generator.write_all(REQUEST).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    // There is room for the SYN that is sent again after a second.
    for _ in &filling {
        drop(listener.accept().unwrap());
    }
    drop(filling);
    let answering = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut accepted, _) = listener.accept().unwrap();
        accepted.read_exact(&mut [0; REQUEST.len()]).unwrap();
        accepted.write_all(ANSWER).unwrap();
    });
    let mut seen = Vec::new();
    generator.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen, ANSWER);
    answering.join().unwrap();
    let recording = finish_within(Duration::from_secs(5), session, &folder);
    let connection = recording.evidence().connections.get(0).unwrap();
    let Upstream::Connected { tcp, .. } = connection.upstream else {
        panic!("{connection:?}")
    };
    assert!(tcp >= Span::from_millis(900), "{tcp}");
    assert!(
        connection.blocked_up < Span::from_millis(100),
        "waiting for a connection is not waiting for its window: {connection:?}"
    );
    let exchange = recording.evidence().exchanges.get(0).unwrap();
    assert!(
        matches!(exchange.delivery, Delivery::Complete { status: 200, .. }),
        "{exchange:?}"
    );
    assert!(
        exchange.began.since(connection.opened) < Span::from_millis(90),
        "{exchange:?}"
    );
    assert!(exchange.phases.total >= Span::from_millis(900), "{exchange:?}");
}

#[tokio::test]
async fn who_leaves_by_fin_while_the_upstream_is_connected_has_waited_until_then() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, _filling) = full();
    let session = start(listener.local_addr().unwrap(), &folder);
    let mut generator = TcpStream::connect(session.address()).await.unwrap();
    generator.write_all(REQUEST).await.unwrap();
    sleep(Duration::from_millis(300)).await;
    drop(generator);
    sleep(Duration::from_millis(300)).await;
    let recording = finish_within(Duration::ZERO, session, &folder);
    let connection = recording.evidence().connections.get(0).unwrap();
    assert_eq!(connection.downstream_end.how, Ending::Fin, "{connection:?}");
    let left = connection.downstream_end.at.since(connection.opened);
    assert!(
        left >= Span::from_millis(200) && left < Span::from_millis(550),
        "{left}"
    );
    let Upstream::Abandoned { after } = connection.upstream else {
        panic!("{connection:?}")
    };
    assert!(
        after >= Span::from_millis(500),
        "it was under way until the end: {after}"
    );
    let exchange = recording.evidence().exchanges.get(0).unwrap();
    assert!(
        matches!(exchange.delivery, Delivery::Nothing { .. }),
        "{exchange:?}"
    );
    let waited = exchange.phases.total;
    assert!(
        waited >= Span::from_millis(200) && waited < Span::from_millis(550),
        "{waited}"
    );
}

#[tokio::test]
async fn who_resets_while_the_upstream_is_connected_ends_the_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, _filling) = full();
    let session = start(listener.local_addr().unwrap(), &folder);
    let mut generator = TcpStream::connect(session.address()).await.unwrap();
    generator.write_all(REQUEST).await.unwrap();
    generator.shutdown().await.unwrap();
    sleep(Duration::from_millis(100)).await;
    socket2::SockRef::from(&generator)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(generator);
    sleep(Duration::from_millis(200)).await;
    let recording = finish_within(Duration::ZERO, session, &folder);
    let connection = recording.evidence().connections.get(0).unwrap();
    assert_eq!(connection.downstream_end.how, Ending::Reset, "{connection:?}");
    let Upstream::Abandoned { after } = connection.upstream else {
        panic!("{connection:?}")
    };
    assert!(after < Span::from_millis(250), "{after}");
    let exchange = recording.evidence().exchanges.get(0).unwrap();
    assert_eq!(
        exchange.delivery,
        Delivery::Nothing {
            cut: Cut::DownstreamReset
        },
        "{exchange:?}"
    );
}
