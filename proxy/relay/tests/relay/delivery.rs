//! Was the answer delivered? What is on record when an end goes away around its answer.

use std::net::SocketAddr;
use std::time::Duration;

use hopscope_attribution::evidence::{Cut, Delivery};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::session::{finish, start};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
const REFUSAL: &[u8] =
    b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 5\r\nconnection: close\r\n\r\nlarge";

async fn read_head(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
    }
}

/// What is on record of the one exchange between a generator and an application.
async fn delivered<G, A>(
    generator: impl FnOnce(SocketAddr) -> G,
    application: impl FnOnce(TcpStream) -> A,
) -> Delivery
where
    G: Future<Output = ()>,
    A: Future<Output = ()>,
{
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let session = start(listener.local_addr().unwrap(), &folder);
    let serving = async {
        let (stream, _) = listener.accept().await.unwrap();
        application(stream).await;
    };
    tokio::join!(generator(session.address()), serving);
    let recording = finish(session, &folder);
    let [exchange] = &recording.evidence().exchanges.iter().collect::<Vec<_>>()[..] else {
        panic!("{:?}", recording.evidence().exchanges)
    };
    exchange.delivery
}

#[tokio::test]
async fn an_answer_sent_before_the_body_was_read_is_delivered_although_the_upload_is_reset() {
    // The write that fails and the answer that is still unread race each other: many times.
    for _ in 0..20 {
        let delivery = delivered(
            |address| async move {
                let stream = TcpStream::connect(address).await.unwrap();
                let (mut from, mut to) = stream.into_split();
                let upload = async {
                    to.write_all(b"POST /large HTTP/1.1\r\nhost: web\r\ncontent-length: 100000000\r\n\r\n")
                        .await
                        .unwrap();
                    let block = vec![b'x'; 65_536];
                    while to.write_all(&block).await.is_ok() {}
                };
                let answer = async {
                    let mut seen = Vec::new();
                    while let Ok(1..) = from.read_buf(&mut seen).await {}
                    assert_eq!(seen, REFUSAL);
                };
                tokio::join!(upload, answer);
            },
            |mut stream| async move {
                read_head(&mut stream).await;
                stream.write_all(REFUSAL).await.unwrap();
            },
        )
        .await;
        assert!(
            matches!(delivery, Delivery::Complete { status: 413, .. }),
            "{delivery:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_to_a_generator_that_had_given_up_is_not_delivered() {
    let (gone, gave_up) = tokio::sync::oneshot::channel();
    let delivery = delivered(
        |address| async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream
                .write_all(b"GET /slow HTTP/1.1\r\nhost: web\r\n\r\n")
                .await
                .unwrap();
            gave_up.await.unwrap();
        },
        |mut stream| async move {
            read_head(&mut stream).await;
            gone.send(()).unwrap();
            // The generator's FIN comes, and nobody could know yet whether it is a half-close.
            assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
            stream.write_all(ANSWER).await.unwrap();
        },
    )
    .await;
    let lost = Delivery::Truncated {
        status: 200,
        author: hopscope_attribution::evidence::Author::Unstated,
        cut: Cut::DownstreamFin,
    };
    assert_eq!(delivery, lost);
}

#[tokio::test]
async fn an_answer_to_a_half_closed_generator_is_delivered() {
    let delivery = delivered(
        |address| async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream
                .write_all(b"GET /slow HTTP/1.1\r\nhost: web\r\n\r\n")
                .await
                .unwrap();
            stream.shutdown().await.unwrap();
            let mut seen = Vec::new();
            stream.read_to_end(&mut seen).await.unwrap();
            assert_eq!(seen, ANSWER);
        },
        |mut stream| async move {
            read_head(&mut stream).await;
            assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
            tokio::time::sleep(Duration::from_millis(20)).await;
            stream.write_all(ANSWER).await.unwrap();
        },
    )
    .await;
    assert!(
        matches!(delivery, Delivery::Complete { status: 200, .. }),
        "{delivery:?}"
    );
}
