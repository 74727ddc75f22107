//! Askers that want too much, and what those who want little get meanwhile.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::Bytes;

use super::*;

/// What `/v1/evidence` is made of here: far more than buffers of sockets hold.
const PIECES: usize = 4_096;
const PIECE: usize = 16 * 1024;

/// A server that answers `/healthz` shortly and all else at length, and how many pieces it has made.
fn server(open: Open) -> (Server, Arc<AtomicUsize>) {
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let router: Router = Arc::new(move |question| {
        if question.path == "/healthz" {
            return Answer::text(200, "ok\n");
        }
        let counted = Arc::clone(&counted);
        let mut left = PIECES;
        Answer::json_lines(Box::new(move || {
            left = left.checked_sub(1)?;
            counted.fetch_add(1, Ordering::Relaxed);
            Some(Bytes::from(vec![b'x'; PIECE]))
        }))
    });
    let access = Access {
        open,
        ..Access::default()
    };
    let server = on_a_thread(SocketAddr::from(([127, 0, 0, 1], 0)), access, router).unwrap();
    (server, made)
}

fn connect(server: &Server, question: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(question.as_bytes()).unwrap();
    stream
}

fn ask(server: &Server, path: &str) -> String {
    let mut text = String::new();
    let question = format!("GET {path} HTTP/1.0\r\n\r\n");
    connect(server, &question).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn answers_that_nobody_takes_are_not_made_and_health_is_answered_beside_them() {
    let (server, made) = server(Open::Everything);
    let greedy: Vec<_> = (0..32)
        .map(|_| connect(&server, "GET /v1/evidence HTTP/1.1\r\nHost: a\r\n\r\n"))
        .collect();
    for _ in 0..20 {
        assert!(ask(&server, "/healthz").starts_with("HTTP/1.0 200"));
    }
    let bytes = made.load(Ordering::Relaxed) * PIECE;
    // Two of one source at a time, as much as their sockets and buffers hold.
    assert!(bytes < 32 << 20, "{bytes} bytes were made for nobody");
    drop(greedy);
    let mut whole = Vec::new();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while whole.len() < PIECES * PIECE {
        assert!(
            std::time::Instant::now() < deadline,
            "a place is free again when its asker is gone"
        );
        whole.clear();
        connect(&server, "GET /v1/evidence HTTP/1.0\r\n\r\n")
            .read_to_end(&mut whole)
            .unwrap();
    }
}

#[test]
fn connections_that_ask_nothing_keep_nobody_out() {
    let (server, _) = server(Open::Everything);
    let idle: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(server.address()).unwrap())
        .collect();
    let kept: Vec<_> = (0..33)
        .map(|_| connect(&server, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"))
        .collect();
    assert!(ask(&server, "/healthz").starts_with("HTTP/1.0 200"));
    drop((idle, kept));
}

#[test]
fn what_is_not_open_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "open sesame").unwrap();
    let files = AccessFiles {
        token: Some(path),
        open: Open::Only {
            metrics: true,
            evidence: false,
        },
        tls: None,
    };
    let router: Router = Arc::new(|_| Answer::text(200, "told\n"));
    let server = on_a_thread(
        SocketAddr::from(([127, 0, 0, 1], 0)),
        files.read().unwrap(),
        router,
    )
    .unwrap();
    assert!(ask(&server, "/metrics").starts_with("HTTP/1.0 200"));
    assert!(ask(&server, "/v1/evidence").starts_with("HTTP/1.0 401"));
    let mut shown = String::new();
    connect(
        &server,
        "GET /v1/evidence HTTP/1.0\r\nAuthorization: Bearer open sesame\r\n\r\n",
    )
    .read_to_string(&mut shown)
    .unwrap();
    assert!(shown.ends_with("told\n"), "{shown}");
}
