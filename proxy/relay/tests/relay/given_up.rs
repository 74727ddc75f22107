//! Connections that an end gives up: over as soon as that shows, and nothing runs for them until then.

use std::time::Duration;

use hopscope_attribution::evidence::{Connection, Cut, Delivery, Ending, Moment, Observation, Span};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::session::{finish, start};

const REQUEST: &[u8] = b"GET /slow HTTP/1.1\r\nhost: web\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

fn lasted(connection: &Connection) -> Span {
    match connection.closed {
        Observation::Seen(closed) => closed.since(connection.opened),
        Observation::Unseen(why) => panic!("it never closed: {why:?}"),
    }
}

#[tokio::test]
async fn a_connection_that_the_generator_gave_up_ends_with_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let session = start(listener.local_addr().unwrap(), &folder);
    let generator = async {
        let mut stream = TcpStream::connect(session.address()).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        sleep(Duration::from_millis(20)).await;
    };
    let application = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; REQUEST.len()]).await.unwrap();
        sleep(Duration::from_millis(60)).await;
        stream.write_all(ANSWER).await.unwrap();
        std::time::Instant::now()
    };
    let ((), answered) = tokio::join!(generator, application);
    // Longer than it may take, shorter than the second that bytes to a reset socket would be waited for.
    sleep(Duration::from_millis(300)).await;
    let ended = answered.elapsed();
    let recording = finish(session, &folder);
    let [connection] = &recording.evidence().connections.iter().collect::<Vec<_>>()[..] else {
        panic!("{:?}", recording.evidence().connections)
    };
    assert!(
        matches!(connection.closed, Observation::Seen(_)),
        "open {ended:?} after its answer"
    );
    assert!(lasted(connection) < Span::from_millis(300), "{connection:?}");
    assert_eq!(connection.downstream_end.how, Ending::Reset, "{connection:?}");
    let [exchange] = &recording.evidence().exchanges.iter().collect::<Vec<_>>()[..] else {
        panic!("{:?}", recording.evidence().exchanges)
    };
    assert!(
        matches!(
            exchange.delivery,
            Delivery::Truncated {
                cut: Cut::DownstreamFin,
                ..
            }
        ),
        "{exchange:?}"
    );
    // It had waited until it left, and not until the answer came.
    assert!(
        exchange.phases.total < Span::from_millis(55),
        "waited {} of {}",
        exchange.phases.total,
        lasted(connection)
    );
}

#[tokio::test]
async fn a_generator_that_half_closed_and_resets_later_ends_the_connection_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let session = start(listener.local_addr().unwrap(), &folder);
    let mut generator = TcpStream::connect(session.address()).await.unwrap();
    generator.write_all(REQUEST).await.unwrap();
    generator.shutdown().await.unwrap();
    let (mut application, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    application.read_to_end(&mut request).await.unwrap();
    assert_eq!(request, REQUEST);
    sleep(Duration::from_millis(30)).await;
    let clock = session.clock();
    socket2::SockRef::from(&generator)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    let reset: Moment = clock.now();
    drop(generator);
    let failed = application.ready(tokio::io::Interest::ERROR).await.unwrap();
    assert!(failed.is_error());
    assert!(
        application.take_error().unwrap().is_some(),
        "the reset was handed on"
    );
    let recording = finish(session, &folder);
    let [connection] = &recording.evidence().connections.iter().collect::<Vec<_>>()[..] else {
        panic!("{:?}", recording.evidence().connections)
    };
    let Observation::Seen(closed) = connection.closed else {
        panic!("{connection:?}")
    };
    // Sooner than a timer of a tenth of a second would have seen it.
    assert!(
        closed.since(reset) < Span::from_millis(90),
        "{}",
        closed.since(reset)
    );
}

#[tokio::test]
async fn a_reset_behind_bytes_that_nobody_takes_ends_the_connection_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let session = start(listener.local_addr().unwrap(), &folder);
    let mut generator = TcpStream::connect(session.address()).await.unwrap();
    let (application, _) = listener.accept().await.unwrap();
    generator
        .write_all(b"POST /large HTTP/1.1\r\nhost: web\r\ncontent-length: 100000000\r\n\r\n")
        .await
        .unwrap();
    let block = vec![b'x'; 65_536];
    // Until every buffer on the way is full.
    while tokio::time::timeout(Duration::from_millis(200), generator.write_all(&block))
        .await
        .is_ok()
    {}
    socket2::SockRef::from(&generator)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    let reset = session.clock().now();
    drop(generator);
    sleep(Duration::from_millis(300)).await;
    drop(application);
    let recording = finish(session, &folder);
    let [connection] = &recording.evidence().connections.iter().collect::<Vec<_>>()[..] else {
        panic!("{:?}", recording.evidence().connections)
    };
    assert_eq!(connection.downstream_end.how, Ending::Reset, "{connection:?}");
    let noticed = connection.downstream_end.at.since(reset);
    assert!(noticed < Span::from_millis(90), "noticed after {noticed}");
}
