//! `--inject-id`: one line a request, right after its first line, and nothing else touched.

use super::conversation::{Conversation, GET, OK, complete, config};

#[test]
fn every_request_gets_its_own_identity() {
    let talk = Conversation::with(config(true))
        .up([GET, GET].concat())
        .down([OK, OK].concat());
    assert_eq!(
        String::from_utf8(talk.outgoing.clone()).unwrap(),
        "GET /products/17 HTTP/1.1\r\nX-Hopscope-Id: 7-0\r\nHost: shop\r\n\r\n\
         GET /products/17 HTTP/1.1\r\nX-Hopscope-Id: 7-1\r\nHost: shop\r\n\r\n"
    );
    assert_eq!(talk.deliveries(), [complete(200), complete(200)]);
    assert!(
        talk.exchanges
            .iter()
            .all(|exchange| exchange.bytes_up == GET.len() as u64)
    );
    assert!(
        talk.exchanges
            .iter()
            .all(|exchange| exchange.phases.request_sent.is_some())
    );
}

#[test]
fn the_place_is_the_same_however_the_request_is_split() {
    let requests = format!("\r\n{GET}POST /a HTTP/1.1\r\nContent-Length: 40\r\n\r\n{GET}{GET}");
    let whole = Conversation::with(config(true)).up(&requests).outgoing;
    for pieces in 1..requests.len() {
        let mut talk = Conversation::with(config(true));
        for piece in requests.as_bytes().chunks(pieces) {
            talk = talk.up(piece);
        }
        assert_eq!(
            String::from_utf8_lossy(&talk.outgoing),
            String::from_utf8_lossy(&whole),
            "{pieces}"
        );
    }
}

#[test]
fn what_is_not_http_gets_nothing_put_into_it() {
    for bytes in [
        "\x16\x03\x01",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "PING\r\nPING\r\n",
        "GET /\r\n\r\n",
    ] {
        assert_eq!(
            Conversation::with(config(true)).up(bytes).outgoing,
            bytes.as_bytes()
        );
    }
}
