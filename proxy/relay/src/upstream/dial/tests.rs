//! Real sockets: who takes the connection, and what is told of those that did not.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use hopscope_attribution::evidence::ConnectFailure;
use socket2::{Domain, Socket, Type};
use tokio::time::Instant;

use super::{Dialled, all_failed, any};
use crate::clock::RunClock;

const LIMIT: Duration = Duration::from_secs(20);

fn dial(addresses: &[SocketAddr], limit: Duration) -> Dialled {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let candidates = addresses.iter().map(|address| (*address, None)).collect();
    runtime.block_on(async { any(candidates, Instant::now() + limit, RunClock::start()).await })
}

fn listener(on: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(on).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address that refuses: bound, so that nobody else gets it, and not listening.
fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into())
        .unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// An address that does not answer: its accept queue is full, so its kernel drops what comes (tcp(7)).
fn silent() -> (Vec<Socket>, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into())
        .unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap();
    let mut sockets = vec![socket];
    for _ in 0..4 {
        let waiting = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
        drop(waiting.connect(&address));
        sockets.push(waiting);
    }
    (sockets, address.as_socket().unwrap())
}

#[test]
fn an_address_that_refuses_does_not_fail_the_connection() {
    let (_bound, refuses) = refusing();
    let (_listener, listens) = listener("127.0.0.1:0");
    let dialled = dial(&[refuses, listens], LIMIT);
    assert_eq!(dialled.connected.unwrap().1, listens);
    let failed: Vec<_> = dialled
        .failed
        .iter()
        .map(|failed| (failed.address, failed.failure))
        .collect();
    assert_eq!(failed, [(refuses, ConnectFailure::Refused)]);
}

#[test]
fn the_other_family_is_tried_both_ways() {
    let (_v4, on_v4) = listener("127.0.0.1:0");
    let only_v4 = [SocketAddr::new("::1".parse().unwrap(), on_v4.port()), on_v4];
    assert_eq!(dial(&only_v4, LIMIT).connected.unwrap().1, on_v4);
    let (_v6, on_v6) = listener("[::1]:0");
    let only_v6 = [SocketAddr::new("127.0.0.1".parse().unwrap(), on_v6.port()), on_v6];
    assert_eq!(dial(&only_v6, LIMIT).connected.unwrap().1, on_v6);
}

#[test]
fn the_first_that_takes_the_connection_leaves_the_others_untried() {
    let (_listener, listens) = listener("127.0.0.1:0");
    let (_other, other) = listener("127.0.0.1:0");
    let dialled = dial(&[listens, other], LIMIT);
    assert_eq!(dialled.connected.unwrap().1, listens);
    assert_eq!(dialled.failed, []);
}

#[test]
fn an_address_that_does_not_answer_is_overtaken_and_told() {
    let (_full, silent) = silent();
    let (_listener, listens) = listener("127.0.0.1:0");
    let dialled = dial(&[silent, listens], LIMIT);
    assert_eq!(dialled.connected.unwrap().1, listens);
    let [overtaken] = dialled.failed[..] else {
        panic!("{:?}", dialled.failed)
    };
    assert_eq!(
        (overtaken.address, overtaken.failure),
        (silent, ConnectFailure::TimedOut)
    );
    assert!(overtaken.after.as_micros() >= 240_000, "{overtaken:?}");
}

#[test]
fn all_refuse_is_a_refusal_and_names_each() {
    let ((_a, first), (_b, second)) = (refusing(), refusing());
    let dialled = dial(&[first, second], LIMIT);
    assert_eq!(dialled.connected.unwrap_err(), ConnectFailure::Refused);
    assert_eq!(dialled.failed.len(), 2);
}

#[test]
fn a_refusal_beside_an_address_that_never_answered_is_no_refusal() {
    let ((_a, refuses), (_full, silent)) = (refusing(), silent());
    let dialled = dial(&[refuses, silent], Duration::from_millis(600));
    assert_eq!(dialled.connected.unwrap_err(), ConnectFailure::TimedOut);
    assert_eq!(dialled.failed.len(), 2);
}

#[test]
fn no_refusal_stands_while_an_address_is_untried() {
    let ((_a, first), (_b, second)) = (silent(), silent());
    let (_c, third) = refusing();
    let dialled = dial(&[first, second, third], Duration::from_millis(100));
    assert_eq!(dialled.connected.unwrap_err(), ConnectFailure::TimedOut);
    assert_eq!(dialled.failed.len(), 1, "the others were not tried in time");
    assert_eq!(all_failed(&[], true), ConnectFailure::TimedOut);
}
