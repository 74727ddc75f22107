//! What is not, or not any more, HTTP/1.

use hopscope_attribution::evidence::{Cut, Opaque, Protocol, Unread};

use super::conversation::{Conversation, GET, HEAD_LIMIT, OK, complete, nothing};
use crate::Direction;
use crate::observer::in_flight::LIMIT;

fn opaque_after(bytes: impl AsRef<[u8]>) -> Protocol {
    let talk = Conversation::new().up(bytes).ended(Cut::DownstreamFin);
    assert_eq!(talk.deliveries(), []);
    talk.observer.protocol()
}

#[test]
fn other_protocols_are_told_apart() {
    assert_eq!(
        opaque_after(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"),
        Protocol::Opaque(Opaque::Tls)
    );
    assert_eq!(opaque_after(b"\x16"), Protocol::Opaque(Opaque::Tls));
    assert_eq!(opaque_after("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Protocol::Http2);
    for garbage in [
        "\0\0\0\x0b",
        "*1\r\n$4\r\nPING\r\n",
        "GET /\r\n\r\n",
        "EHLO mail\r\n\r\n",
        "{\"a\": 1}",
    ] {
        assert_eq!(
            opaque_after(garbage),
            Protocol::Opaque(Opaque::NotHttp),
            "{garbage:?}"
        );
    }
    assert_eq!(opaque_after("A".repeat(40)), Protocol::Opaque(Opaque::NotHttp));
    assert_eq!(opaque_after(""), Protocol::Silent);
    assert_eq!(opaque_after("half a wo"), Protocol::Opaque(Opaque::NotHttp));
    let server_first = Conversation::new()
        .down("220 mail ESMTP\r\n")
        .up("EHLO me\r\n")
        .ended(Cut::UpstreamFin);
    assert_eq!(
        server_first.observer.protocol(),
        Protocol::Opaque(Opaque::NotHttp)
    );
    assert_eq!(server_first.observer.opaque_run(Direction::Up), u64::MAX);
}

#[test]
fn an_upgrade_ends_the_reading_and_not_the_record_of_it() {
    let upgrade = "GET /live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n";
    let talk = Conversation::new()
        .up(GET)
        .down(OK)
        .up(upgrade)
        .down("HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n\r\n\x01\x05hello")
        .up("\x01binary")
        .ended(Cut::UpstreamReset);
    assert_eq!(talk.deliveries(), [complete(200), complete(101)]);
    assert_eq!(talk.observer.protocol(), Protocol::Opaque(Opaque::Upgraded));
    assert_eq!(talk.observer.opaque_run(Direction::Down), u64::MAX);
    assert_eq!(talk.observer.unread(), Some(Unread { up: 7, down: 7 }));
}

#[test]
fn bytes_sent_before_an_upgrade_is_granted_spoil_nothing() {
    let talk = Conversation::new()
        .up("GET /live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n\x01\x02\x03")
        .down("HTTP/1.1 101 Switching Protocols\r\n\r\n");
    assert_eq!(talk.deliveries(), [complete(101)]);
    assert_eq!(talk.observer.exchanges(), 1);
}

#[test]
fn connect_is_a_tunnel_only_when_it_is_granted() {
    let connect = "CONNECT shop:443 HTTP/1.1\r\nHost: shop:443\r\n\r\n";
    let granted = Conversation::new()
        .up(connect)
        .down("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\x16\x03");
    assert_eq!(granted.deliveries(), [complete(200)]);
    assert_eq!(granted.observer.protocol(), Protocol::Opaque(Opaque::Upgraded));
    let refused = Conversation::new()
        .up(connect)
        .down("HTTP/1.1 405 No\r\nContent-Length: 2\r\n\r\nno")
        .up(GET)
        .down(OK);
    assert_eq!(refused.deliveries(), [complete(405), complete(200)]);
    assert_eq!(refused.route(&refused.exchanges[0]), ":authority");
}

#[test]
fn a_request_head_above_the_limit_is_still_answered() {
    let long = format!(
        "GET /basket HTTP/1.1\r\nCookie: {}\r\n\r\n",
        "c".repeat(HEAD_LIMIT)
    );
    for pieces in [1, 7, HEAD_LIMIT, long.len()] {
        let mut talk = Conversation::new();
        for piece in long.as_bytes().chunks(pieces) {
            talk = talk.up(piece);
        }
        let talk = talk.down("HTTP/1.1 431 Too Large\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(talk.deliveries(), [complete(431)]);
        assert_eq!(talk.route(&talk.exchanges[0]), "/basket");
        assert_eq!(talk.exchanges[0].bytes_up, long.len() as u64);
        assert_eq!(talk.observer.protocol(), Protocol::Opaque(Opaque::HeadTooLong));
    }
    let line = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(HEAD_LIMIT));
    assert_eq!(opaque_after(line), Protocol::Opaque(Opaque::HeadTooLong));
}

#[test]
fn a_response_head_above_the_limit_claims_nothing() {
    let long = format!(
        "HTTP/1.1 200 OK\r\nSet-Cookie: {}\r\n\r\n",
        "c".repeat(HEAD_LIMIT)
    );
    let talk = Conversation::new().up(GET).down(long).ended(Cut::UpstreamReset);
    assert_eq!(talk.deliveries(), []);
    assert_eq!(talk.observer.protocol(), Protocol::Opaque(Opaque::HeadTooLong));
    assert_eq!(
        talk.observer.unread(),
        Some(Unread {
            up: 0,
            down: 33 + HEAD_LIMIT as u64
        })
    );
}

#[test]
fn garbage_after_requests_leaves_their_answers_readable() {
    let talk = Conversation::new()
        .up(format!("{GET}\0\0garbage"))
        .down(OK)
        .down("more")
        .ended(Cut::UpstreamFin);
    assert_eq!(talk.deliveries(), [complete(200)]);
    assert_eq!(talk.observer.protocol(), Protocol::Opaque(Opaque::NotHttp));
    assert_eq!(talk.observer.exchanges(), 1);
}

#[test]
fn a_request_whose_length_nobody_can_know_is_answered_and_is_the_last() {
    for fields in [
        "Content-Length: 1\r\nContent-Length: 2",
        "Transfer-Encoding: gzip",
        "Content-Length: x",
    ] {
        let talk = Conversation::new()
            .up(format!("POST /a HTTP/1.1\r\n{fields}\r\n\r\nbody"))
            .down("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(talk.deliveries(), [complete(400)], "{fields}");
        assert!(!talk.exchanges[0].request_complete);
        assert_eq!(talk.observer.protocol(), Protocol::Opaque(Opaque::NotHttp));
    }
}

#[test]
fn a_thousand_pipelined_requests_are_read() {
    let busy = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
    let talk = Conversation::new()
        .up(GET.repeat(1_000))
        .down(OK.repeat(256))
        .down(busy.repeat(744));
    let failed = talk.deliveries().iter().filter(|of| of.failed()).count();
    assert_eq!((talk.exchanges.len(), failed), (1_000, 744));
    assert_eq!(talk.observer.protocol(), Protocol::Http1);
}

#[test]
fn more_requests_than_are_kept_end_the_reading_and_say_so() {
    let talk = Conversation::new()
        .up(GET.repeat(LIMIT + 44))
        .down(OK.repeat(LIMIT))
        .down(OK);
    assert_eq!(talk.exchanges.len(), LIMIT);
    assert_eq!(talk.observer.protocol(), Protocol::Opaque(Opaque::Pipelined));
    assert_eq!(
        talk.observer.unread(),
        Some(Unread {
            up: 44 * GET.len() as u64,
            down: OK.len() as u64
        })
    );
    let cut = Conversation::new()
        .up(GET.repeat(LIMIT + 44))
        .ended(Cut::UpstreamFin);
    assert_eq!(cut.deliveries(), vec![nothing(Cut::UpstreamFin); LIMIT]);
}

#[test]
fn what_is_not_read_is_counted_from_its_first_byte() {
    let hello = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03";
    let tls = Conversation::new().up(hello).down([0x16; 90]).up([0x17; 30]);
    assert_eq!(tls.observer.unread(), Some(Unread { up: 41, down: 90 }));
    let ssh = Conversation::new()
        .down("SSH-2.0-x\r\n")
        .up("SSH-2.0-y\r\n")
        .skip(Direction::Down, 70);
    assert_eq!(ssh.observer.unread(), Some(Unread { up: 11, down: 81 }));
    let garbage = Conversation::new()
        .up(format!("{GET}\0\0garbage"))
        .down(OK)
        .down("more")
        .up("s");
    assert_eq!(garbage.observer.unread(), Some(Unread { up: 10, down: 4 }));
    let chunks = Conversation::new()
        .up(GET)
        .down("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense")
        .up(GET)
        .down("more");
    assert_eq!(
        chunks.observer.unread(),
        Some(Unread {
            up: GET.len() as u64,
            down: 8 + 4
        })
    );
    let answer = Conversation::new().up(GET).down(OK).up(GET).down("SSH-2.0-x");
    assert_eq!(answer.observer.unread(), Some(Unread { up: 0, down: 9 }));
    let whole = Conversation::new().up(GET).down(OK).ended(Cut::UpstreamFin);
    assert_eq!(whole.observer.unread(), None);
}

#[test]
fn long_bodies_may_go_past_unseen() {
    let put = "PUT /big HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n";
    let talk = Conversation::new()
        .up(put)
        .up("12345")
        .skip(Direction::Up, 999_995)
        .down(answer)
        .skip(Direction::Down, 1_500_000)
        .skip(Direction::Down, 500_000)
        .up(GET)
        .down("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n")
        .skip(Direction::Down, 0xffff)
        .down("\r\n0\r\n\r\n")
        .up(GET)
        .down("HTTP/1.1 200 OK\r\n\r\n")
        .skip(Direction::Down, 77)
        .ended(Cut::UpstreamFin);
    assert_eq!(talk.deliveries(), [complete(200), complete(200), complete(200)]);
    assert_eq!(talk.exchanges[0].bytes_up, 1_000_000 + put.len() as u64);
    assert_eq!(talk.exchanges[0].bytes_down, 2_000_000 + answer.len() as u64);
    assert_eq!(talk.exchanges[2].bytes_down, 77 + 19);
}
