//! Questions to the running kernel about sockets of our own.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};

use super::message::{Family, States, TcpState};
use super::*;

fn of_port(port: u16, states: States) -> Vec<SocketEntry> {
    let mut found = Vec::new();
    let query = Query {
        family: Family::V4,
        states,
        local_port: Some(port),
        tcp_info: false,
    };
    let mut diag = SockDiag::open().expect("no privilege is needed");
    diag.dump(query, |entry| found.push(entry))
        .expect("the kernel lists its sockets");
    found
}

#[test]
fn a_listener_shows_how_many_wait_to_be_accepted() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let _first = TcpStream::connect(address).expect("connects");
    let _second = TcpStream::connect(address).expect("connects");
    let found = of_port(address.port(), States::listening());
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].state, found[0].local, found[0].recv_queue),
        (TcpState::Listen, address, 2)
    );
}

#[test]
fn an_unread_connection_shows_its_queues_at_both_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let mut writer = TcpStream::connect(address).expect("connects");
    let (reader, peer) = listener.accept().expect("accepts");
    writer.write_all(&[1; 1000]).expect("fits");
    let mut diag = SockDiag::open().expect("no privilege is needed");
    let entry = diag
        .find(address, peer)
        .expect("the kernel answers")
        .expect("it stands");
    assert_eq!((entry.recv_queue, entry.state), (1000, TcpState::Established));
    assert_eq!(entry.tcp_info.and_then(|info| info.bytes_received), Some(1000));
    assert_eq!(of_port(address.port(), States::connected()).len(), 1);
    drop(reader);
}

#[test]
fn a_connection_that_does_not_stand_is_not_found() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let mut diag = SockDiag::open().expect("no privilege is needed");
    let nobody = "127.0.0.1:1".parse().expect("an address");
    assert_eq!(diag.find(address, nobody).expect("the kernel answers"), None);
    // The line is still usable after a refusal.
    assert_eq!(of_port(address.port(), States::listening()).len(), 1);
}
