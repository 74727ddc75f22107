//! HTTP/2 as the `h2` crate speaks it: its frames and its header compression, read in passing.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a conversation that fails is a failed test"
)]

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use hopscope_attribution::evidence::{ConnectionId, Cut, Exchange, Moment, PathId, Protocol};
use hopscope_http::{Direction, Observer, ObserverConfig, RouteTable};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// What one stream carries.
#[derive(Clone, Debug)]
struct Plan {
    path: &'static str,
    route: &'static str,
    headers: Vec<(usize, usize)>,
    upload: usize,
    status: u16,
    download: usize,
    trailers: bool,
}

type Log = Arc<Mutex<Vec<(Direction, Vec<u8>)>>>;

/// One end of a connection; what it writes is noted.
struct Tap {
    stream: DuplexStream,
    direction: Direction,
    log: Log,
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(taken)) = &polled {
            let direction = self.direction;
            self.log
                .lock()
                .unwrap()
                .push((direction, bytes[..*taken].to_vec()));
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Headers that fill, and overflow, the table.
fn decorate(headers: &mut HeaderMap, plan: &Plan) {
    for (name, length) in &plan.headers {
        headers.insert(
            HeaderName::from_bytes(format!("x-header-{name}").as_bytes()).unwrap(),
            HeaderValue::from_str(&"v~\"{}".repeat(*length)).unwrap(),
        );
    }
}

async fn serve(tap: Tap, plans: Arc<Vec<Plan>>) {
    let mut server = h2::server::handshake(tap).await.expect("a server");
    while let Some(accepted) = server.accept().await {
        let Ok((request, mut respond)) = accepted else {
            return;
        };
        let plans = Arc::clone(&plans);
        tokio::spawn(async move {
            let number: usize = request.headers()["x-number"].to_str().unwrap().parse().unwrap();
            let plan = &plans[number];
            let mut body = request.into_body();
            while let Some(data) = body.data().await {
                let data = data.expect("the upload");
                body.flow_control()
                    .release_capacity(data.len())
                    .expect("capacity");
            }
            let mut response = Response::builder().status(plan.status).body(()).unwrap();
            decorate(response.headers_mut(), plan);
            let bare = plan.download == 0 && !plan.trailers;
            let mut sink = respond.send_response(response, bare).expect("an answer");
            if bare {
                return;
            }
            sink.send_data(Bytes::from(vec![b'd'; plan.download]), !plan.trailers)
                .expect("a body");
            if plan.trailers {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("5"));
                sink.send_trailers(trailers).expect("trailers");
            }
        });
    }
}

async fn take(answer: h2::client::ResponseFuture) {
    let mut body = answer.await.expect("an answer").into_body();
    while let Some(data) = body.data().await {
        let data = data.expect("a body");
        body.flow_control()
            .release_capacity(data.len())
            .expect("capacity");
    }
    body.trailers().await.expect("trailers, or none");
}

async fn ask(tap: Tap, plans: Arc<Vec<Plan>>) {
    let (client, connection) = h2::client::handshake(tap).await.expect("a client");
    let driver = tokio::spawn(connection);
    let mut client = client.ready().await.expect("ready");
    let mut answers = Vec::new();
    for (number, plan) in plans.iter().enumerate() {
        let mut request = Request::builder()
            .method("POST")
            .uri(format!("http://shop{}", plan.path))
            .header("x-number", number)
            .body(())
            .unwrap();
        decorate(request.headers_mut(), plan);
        let (answer, mut sink) = client.send_request(request, plan.upload == 0).expect("a request");
        if plan.upload > 0 {
            sink.send_data(Bytes::from(vec![b'u'; plan.upload]), true)
                .expect("a body");
        }
        // Each reads by itself: one window for all of them would fill with answers that nobody reads yet.
        answers.push(tokio::spawn(take(answer)));
        client = client.ready().await.expect("ready again");
    }
    for answer in answers {
        answer.await.expect("no panic");
    }
    drop(client);
    driver.await.expect("no panic").expect("a clean end");
}

/// What passed on the connection, in the order in which it was written.
fn conversation(plans: &[Plan]) -> Vec<(Direction, Vec<u8>)> {
    let log = Log::default();
    let plans = Arc::new(plans.to_vec());
    let (near, far) = tokio::io::duplex(16 * 1_024);
    let tap = |stream, direction| Tap {
        stream,
        direction,
        log: Arc::clone(&log),
    };
    let (near, far) = (tap(near, Direction::Up), tap(far, Direction::Down));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let server = tokio::spawn(serve(far, Arc::clone(&plans)));
        ask(near, plans).await;
        server.abort();
    });
    drop(runtime);
    std::mem::take(&mut log.lock().unwrap())
}

/// Everything that is read of it.
#[derive(Debug, PartialEq)]
struct Read {
    exchanges: Vec<Exchange>,
    protocol: Protocol,
    unread: bool,
    routes: Vec<String>,
}

fn read(events: &[(Direction, Vec<u8>)], cuts: &[Index]) -> Read {
    let config = Arc::new(ObserverConfig {
        routes: RouteTable::new(Vec::new(), false),
        head_limit: 65_536,
        inject_id: false,
    });
    let mut observer = Observer::new(&config, ConnectionId(1), PathId(0));
    let mut exchanges = Vec::new();
    let mut forwarded = 0;
    for (at, (direction, bytes)) in (1..).zip(events) {
        let at = Moment(at * 1_000);
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.push(bytes.len());
        places.sort_unstable();
        let mut from = 0;
        for place in places {
            let piece = &bytes[from..place];
            from = place;
            match direction {
                Direction::Up => {
                    observer.request_bytes(piece, at, &mut |exchange| exchanges.push(exchange), &mut |_| {
                        panic!("nothing is inserted into HTTP/2")
                    });
                    forwarded += piece.len() as u64;
                    observer.request_forwarded(forwarded, at);
                }
                Direction::Down => {
                    observer.response_bytes(piece, at, &mut |exchange| exchanges.push(exchange));
                }
            }
            assert!(observer.buffered() <= 4 * 64 * 1_024, "what is kept is bounded");
        }
    }
    observer.ended(Cut::UpstreamFin, Moment(u64::MAX), &mut |exchange| {
        exchanges.push(exchange);
    });
    let name = |exchange: &Exchange| config.routes.name(exchange.route).unwrap().to_owned();
    Read {
        routes: exchanges.iter().map(name).collect(),
        exchanges,
        protocol: observer.protocol(),
        unread: observer.unread().is_some(),
    }
}

fn plan() -> impl Strategy<Value = Plan> {
    let paths = [
        ("/", "/"),
        ("/products/17?sort=price", "/products/:id"),
        ("/users/6f1ed002-ab95-4df4-9f3e-0123456789ab", "/users/:uuid"),
        ("/categories", "/categories"),
    ];
    (
        prop::sample::select(paths.to_vec()),
        vec((0..40_usize, 0..60_usize), 0..12),
        prop_oneof![Just(0), 1..200_usize, 10_000..60_000_usize],
        prop::sample::select(vec![200_u16, 204, 404, 429, 500, 503]),
        prop_oneof![Just(0), 1..300_usize, 10_000..60_000_usize],
        any::<bool>(),
    )
        .prop_map(
            |((path, route), headers, upload, status, download, trailers)| Plan {
                path,
                route,
                headers,
                upload,
                status,
                download,
                trailers,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn what_the_h2_crate_says_is_what_is_read_however_it_is_cut(
        plans in vec(plan(), 1..40),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let events = conversation(&plans);
        let whole = read(&events, &[]);
        prop_assert_eq!(whole.protocol, Protocol::Http2);
        prop_assert!(!whole.unread);
        prop_assert_eq!(whole.exchanges.len(), plans.len());
        for (exchange, route) in whole.exchanges.iter().zip(&whole.routes) {
            let plan = &plans[exchange.ordinal as usize];
            prop_assert_eq!((exchange.delivery.status(), route.as_str()), (Some(plan.status), plan.route));
            prop_assert!(exchange.request_complete && exchange.phases.request_sent.is_some());
            prop_assert!(exchange.bytes_up >= plan.upload as u64 && exchange.bytes_down >= plan.download as u64);
        }
        prop_assert_eq!(read(&events, &cuts), whole);
    }
}
