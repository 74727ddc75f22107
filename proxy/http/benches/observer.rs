//! What the observer costs: nanoseconds an exchange, all of it on one thread.
//!
//! `cargo bench -p hopscope --bench observer`. The figure of each line is the fastest of its rounds: whatever else the
//! machine does can only add to it. `httparse` alone, on the same two heads, stands beside it for comparison.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for the terminal"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use hopscope_attribution::evidence::{ConnectionId, Moment, PathId};
use hopscope_http::{Observer, ObserverConfig, RouteTable};

const ROUNDS: u32 = 7;
const EXCHANGES: u32 = 200_000;

const GET: &[u8] =
    b"GET /products/17 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: k6/1.1.0 (https://k6.io/)\r\n\
    Accept-Encoding: gzip\r\n\r\n";

fn response(head: &str, body: usize) -> Vec<u8> {
    let mut response = format!(
        "HTTP/1.1 {head}\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 22:10:57 GMT\r\n\
         Content-Type: text/html\r\nContent-Length: {body}\r\nConnection: keep-alive\r\n\r\n"
    )
    .into_bytes();
    response.resize(response.len() + body, b'x');
    response
}

/// The fastest round's nanoseconds for one call of `exchange`.
fn measure(name: &str, mut exchange: impl FnMut(u32)) {
    let fastest = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            (0..EXCHANGES).for_each(&mut exchange);
            started.elapsed()
        })
        .min()
        .unwrap();
    println!(
        "{name:<44} {:>6.0} ns",
        fastest.as_secs_f64() * 1e9 / f64::from(EXCHANGES)
    );
}

/// Exchanges on one kept-alive connection, each request and each response in as many reads as given.
fn keep_alive(name: &str, inject_id: bool, requests: &[&[u8]], responses: &[&[u8]]) {
    let routes = RouteTable::new(vec!["/users/:name/cart".parse().unwrap()], false);
    let config = Arc::new(ObserverConfig {
        routes,
        head_limit: 65_536,
        inject_id,
    });
    let mut observer = Observer::new(&config, ConnectionId(1), PathId(0));
    let mut sent = 0;
    let mut finished = 0_u64;
    let mut inserted = 0;
    measure(name, |n| {
        let at = Moment(u64::from(n) * 10);
        let mut out = |exchange| {
            black_box(exchange);
            finished += 1;
        };
        for request in requests {
            observer.request_bytes(black_box(request), at, &mut out, &mut |insertion| {
                black_box(insertion);
                inserted += 1;
            });
            // More than the observer can have counted, so that inserted lines need no keeping here.
            sent += request.len() as u64 + 64;
            observer.request_forwarded(sent, at);
        }
        for response in responses {
            observer.response_bytes(black_box(response), at, &mut out);
        }
    });
    assert_eq!(
        finished,
        u64::from(ROUNDS * EXCHANGES),
        "every exchange is finished"
    );
}

fn main() {
    println!("observer: {} bytes while idle", size_of::<Observer>());
    let ok = response("200 OK", 1_024);
    let failed = response("502 Bad Gateway", 157);
    let split = GET.split_at(40);
    let body = ok.split_at(ok.len() - 600);
    keep_alive("keep-alive GET, 1 KiB", false, &[GET], &[&ok]);
    keep_alive("  with --inject-id", true, &[GET], &[&ok]);
    keep_alive("  head and body in two reads", false, &[GET], &[body.0, body.1]);
    keep_alive(
        "  request head split over two reads",
        false,
        &[split.0, split.1],
        &[&ok],
    );
    keep_alive("  502 whose author is looked for", false, &[GET], &[&failed]);
    measure("httparse alone on the same two heads", |_| {
        let mut fields = [const { std::mem::MaybeUninit::uninit() }; 64];
        let mut request = httparse::Request::new(&mut []);
        black_box(
            request
                .parse_with_uninit_headers(black_box(GET), &mut fields)
                .unwrap(),
        );
        let mut fields = [const { std::mem::MaybeUninit::uninit() }; 64];
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        black_box(
            config
                .parse_response_with_uninit_headers(&mut response, black_box(&ok), &mut fields)
                .unwrap(),
        );
    });
}
