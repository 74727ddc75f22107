//! Where messages end.

use hopscope_attribution::evidence::{Cut, Method, Protocol};

use super::conversation::{Conversation, GET, OK, complete, nothing, truncated};

#[test]
fn a_keep_alive_connection_gives_one_record_a_request() {
    let talk = Conversation::new()
        .up(GET)
        .down(OK)
        .up("POST /cart HTTP/1.1\r\nContent-Length: 3\r\n\r\na=1")
        .down(OK);
    assert_eq!(talk.deliveries(), [complete(200), complete(200)]);
    let [first, second] = &talk.exchanges[..] else {
        panic!("{:?}", talk.exchanges)
    };
    assert_eq!(
        (first.ordinal, first.method, talk.route(first)),
        (0, Method::Get, "/products/:id")
    );
    assert_eq!(
        (second.ordinal, second.method, talk.route(second)),
        (1, Method::Post, "/cart")
    );
    assert_eq!(
        (first.bytes_up, first.bytes_down),
        (GET.len() as u64, OK.len() as u64)
    );
    assert_eq!(second.bytes_up, 45);
    assert!(first.request_complete && second.request_complete);
    assert_eq!((talk.observer.exchanges(), talk.observer.in_flight()), (2, 0));
    assert_eq!(talk.observer.protocol(), Protocol::Http1);
}

#[test]
fn responses_without_a_body_end_with_their_head() {
    for (request, response) in [
        (
            "HEAD / HTTP/1.1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        ),
        ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "GET / HTTP/1.1\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "HEAD / HTTP/1.1\r\n\r\n",
            "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
    ] {
        let talk = Conversation::new().up(request).down(response).up(GET).down(OK);
        assert_eq!(talk.exchanges.len(), 2, "{response}");
        assert_eq!(talk.deliveries()[1], complete(200), "{response}");
    }
}

#[test]
fn chunked_bodies_end_with_their_trailers_in_both_directions() {
    let chunked = "4;x=y\r\nwiki\r\n0\r\nChecksum: 1\r\n\r\n";
    let talk = Conversation::new()
        .up(format!(
            "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}{GET}"
        ))
        .down(format!(
            "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}{OK}"
        ));
    assert_eq!(talk.deliveries(), [complete(201), complete(200)]);
    assert_eq!(talk.exchanges[0].bytes_up, (47 + chunked.len()) as u64);
}

#[test]
fn a_chunked_body_that_breaks_is_counted_up_to_there_however_it_is_read() {
    let sound = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let whole = Conversation::new().up(GET).down(format!("{sound}!broken"));
    let split = Conversation::new()
        .up(GET)
        .down(format!("{sound}!"))
        .down("broken");
    assert_eq!(whole.exchanges[0].bytes_down, sound.len() as u64);
    assert_eq!(split.exchanges[0].bytes_down, sound.len() as u64);
}

#[test]
fn interim_responses_are_part_of_the_exchange_they_precede() {
    let head = "POST /upload HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    let rest = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let talk = Conversation::new()
        .up(head)
        .down("HTTP/1.1 100 Continue\r\n\r\n")
        .up("data")
        .down(rest);
    assert_eq!(talk.deliveries(), [complete(200)]);
    assert!(!talk.exchanges[0].answered_early, "a 100 is no answer");
    assert_eq!(talk.exchanges[0].bytes_down, 25 + rest.len() as u64);
}

#[test]
fn a_response_of_unstated_length_ends_with_a_fin_and_is_cut_by_a_reset() {
    let head = "HTTP/1.0 200 OK\r\n\r\nsome of it";
    assert_eq!(
        Conversation::new()
            .up(GET)
            .down(head)
            .ended(Cut::UpstreamFin)
            .deliveries(),
        [complete(200)]
    );
    for cut in [
        Cut::UpstreamReset,
        Cut::UpstreamErrno(110),
        Cut::DownstreamReset,
        Cut::DownstreamFin,
        Cut::Stopped,
    ] {
        assert_eq!(
            Conversation::new().up(GET).down(head).ended(cut).deliveries(),
            [truncated(200, cut)]
        );
    }
    let gzip = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxxxx";
    assert_eq!(
        Conversation::new()
            .up(GET)
            .down(gzip)
            .ended(Cut::UpstreamFin)
            .deliveries(),
        [complete(200)]
    );
}

#[test]
fn a_transfer_coding_overrides_a_content_length() {
    let body = "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let talk = Conversation::new()
        .up(format!("POST / HTTP/1.1\r\n{body}{GET}"))
        .down(format!("HTTP/1.1 200 OK\r\n{body}{OK}"));
    assert_eq!(talk.deliveries(), [complete(200), complete(200)]);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let talk = Conversation::new()
        .up(format!("{GET}HEAD /x HTTP/1.1\r\n\r\n\r\n\r\n{GET}"))
        .down(format!("{OK}HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nHTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n"))
        .ended(Cut::UpstreamReset);
    assert_eq!(
        talk.deliveries(),
        [complete(200), complete(404), truncated(500, Cut::UpstreamReset)]
    );
}

#[test]
fn a_request_in_flight_when_another_is_cut_gets_its_own_record() {
    let talk = Conversation::new()
        .up([GET, GET, GET].concat())
        .down("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        .ended(Cut::UpstreamFin);
    assert_eq!(
        talk.deliveries(),
        [
            truncated(200, Cut::UpstreamFin),
            nothing(Cut::UpstreamFin),
            nothing(Cut::UpstreamFin)
        ]
    );
    assert_eq!(
        talk.exchanges
            .iter()
            .map(|exchange| exchange.ordinal)
            .collect::<Vec<_>>(),
        [0, 1, 2]
    );
}

#[test]
fn a_malformed_target_that_a_server_answers_is_an_exchange() {
    let talk = Conversation::new()
        .up("GET /search?q=red shoes HTTP/1.1\r\nHost: shop\r\n\r\n")
        .down("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(talk.deliveries(), [complete(400)]);
    assert_eq!(talk.route(&talk.exchanges[0]), "/search");
}

#[test]
fn line_ends_may_be_bare_line_feeds() {
    let talk = Conversation::new()
        .up("POST /a HTTP/1.1\nContent-Length: 2\n\nhi")
        .down("HTTP/1.1 200 OK\nContent-Length: 2\n\nok");
    assert_eq!(talk.deliveries(), [complete(200)]);
}

#[test]
fn empty_lines_between_messages_belong_to_none() {
    let talk = Conversation::new()
        .up(format!("\r\n{GET}"))
        .down(OK)
        .up("\r\n\r\n")
        .down("\r\n")
        .up(GET)
        .down(OK);
    assert_eq!(talk.deliveries(), [complete(200), complete(200)]);
    assert_eq!(talk.exchanges[1].bytes_up, GET.len() as u64);
}
