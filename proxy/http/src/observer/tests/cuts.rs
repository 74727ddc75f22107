//! How exchanges end when their connection does.

use hopscope_attribution::evidence::{Author, Cut, Delivery, Method, Opaque, Protocol, Span, Unread};

use super::conversation::{Conversation, GET, OK, complete, nothing, truncated};

#[test]
fn without_a_byte_of_response_there_is_nothing() {
    let talk = Conversation::new().up(GET).ended(Cut::UpstreamReset);
    assert_eq!(talk.deliveries(), [nothing(Cut::UpstreamReset)]);
    assert_eq!(talk.exchanges[0].phases.first_byte, None);
    assert!(talk.exchanges[0].phases.request_sent.is_some());
}

#[test]
fn a_status_line_is_enough_to_call_a_response_truncated() {
    for (head, delivery) in [
        ("HTTP/1.1 503", truncated(503, Cut::UpstreamFin)),
        ("HTTP/1.1 200 OK\r\nContent-Le", truncated(200, Cut::UpstreamFin)),
        ("HTTP/1.1 50", nothing(Cut::UpstreamFin)),
        ("HTTP/1.1 100 Continue\r\n\r\n", nothing(Cut::UpstreamFin)),
        ("HTTP/1.1 102 Processing\r\n", nothing(Cut::UpstreamFin)),
    ] {
        let talk = Conversation::new().up(GET).down(head).ended(Cut::UpstreamFin);
        assert_eq!(talk.deliveries(), [delivery], "{head:?}");
        assert_eq!(talk.exchanges[0].bytes_down, head.len() as u64);
    }
}

#[test]
fn a_stream_of_events_that_its_reader_ends_is_whole() {
    let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
                  Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n";
    for cut in [Cut::DownstreamFin, Cut::DownstreamReset, Cut::Stopped] {
        let talk = Conversation::new().up(GET).down(events).ended(cut);
        assert_eq!(talk.deliveries(), [complete(200)], "{cut:?}");
    }
    // The server's own end in the middle of it is another matter.
    let talk = Conversation::new().up(GET).down(events).ended(Cut::UpstreamReset);
    assert_eq!(talk.deliveries(), [truncated(200, Cut::UpstreamReset)]);
    let failed = events.replace("200 OK", "500 No");
    let talk = Conversation::new().up(GET).down(failed).ended(Cut::DownstreamFin);
    assert_eq!(talk.deliveries(), [truncated(500, Cut::DownstreamFin)]);
}

#[test]
fn an_idle_connection_ends_without_a_record() {
    let talk = Conversation::new().up(GET).down(OK).ended(Cut::UpstreamFin);
    assert_eq!(talk.deliveries(), [complete(200)]);
}

#[test]
fn a_request_sent_into_an_ended_connection_is_still_recorded() {
    let talk = Conversation::new()
        .up(GET)
        .down(OK)
        .ended(Cut::UpstreamFin)
        .up(GET)
        .ended(Cut::UpstreamReset);
    assert_eq!(talk.deliveries(), [complete(200), nothing(Cut::UpstreamReset)]);
    let race = &talk.exchanges[1];
    assert_eq!(race.ordinal, 1);
    assert_eq!(
        race.phases.total.as_micros(),
        1_000,
        "a reset within a round trip of reuse can be told"
    );
}

#[test]
fn a_request_cut_in_its_body_is_incomplete() {
    let talk = Conversation::new()
        .up("POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\nhal")
        .ended(Cut::DownstreamReset);
    assert_eq!(talk.deliveries(), [nothing(Cut::DownstreamReset)]);
    assert!(!talk.exchanges[0].request_complete);
    assert_eq!(talk.exchanges[0].phases.request_sent, None);
}

#[test]
fn a_request_that_waits_for_a_100_has_sent_all_that_it_may() {
    let head = "POST /a HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 9\r\n\r\n";
    let waiting = |talk: Conversation| {
        let talk = talk.ended(Cut::DownstreamFin);
        assert!(!talk.exchanges[0].request_complete);
        talk.exchanges[0].waits_to_continue()
    };
    let talk = || Conversation::new().up(GET).down(OK).up(head);
    let second = |talk: Conversation| {
        let talk = talk.ended(Cut::DownstreamFin);
        talk.exchanges[1].waits_to_continue()
    };
    assert!(waiting(Conversation::new().up(head)));
    assert!(second(talk()));
    assert!(!second(talk().up("bo")), "it did not wait any longer");
    assert!(
        !second(talk().down("HTTP/1.1 100 Continue\r\n\r\n")),
        "it was asked for"
    );
    assert!(second(talk().down("HTTP/1.1 102 Processing\r\n\r\n")));
    assert!(!second(talk().blocked().up("bo")));
    assert!(!waiting(
        Conversation::new().up("POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
    ));
}

#[test]
fn a_request_cut_in_its_head_is_one_if_its_first_line_came() {
    let talk = Conversation::new()
        .up("DELETE /users/9 HTTP/1.1\r\nHost: sh")
        .ended(Cut::DownstreamFin);
    assert_eq!(talk.deliveries(), [nothing(Cut::DownstreamFin)]);
    assert_eq!(
        (talk.exchanges[0].method, talk.route(&talk.exchanges[0])),
        (Method::Delete, "/users/:id")
    );

    let talk = Conversation::new().up("DELETE /use").ended(Cut::DownstreamFin);
    assert_eq!(talk.deliveries(), []);
    assert_eq!(talk.observer.exchanges(), 0);
}

#[test]
fn an_answer_before_the_body_was_read_is_early() {
    let head = "POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\n";
    let refusal = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
    let cut = Conversation::new()
        .up(head)
        .down(refusal)
        .up("half")
        .ended(Cut::UpstreamReset);
    assert_eq!(cut.deliveries(), [complete(413)]);
    let exchange = &cut.exchanges[0];
    assert!(exchange.answered_early && !exchange.request_complete);
    assert_eq!(exchange.bytes_up, head.len() as u64 + 4);
    assert_eq!(
        exchange.phases.total.as_micros(),
        1_000,
        "the exchange lasts until its answer is there"
    );

    let read = Conversation::new()
        .up(head)
        .down(refusal)
        .up("all of it")
        .up(GET)
        .down(OK);
    assert_eq!(read.deliveries(), [complete(413), complete(200)]);
    assert!(read.exchanges[0].answered_early && read.exchanges[0].request_complete);
}

#[test]
fn a_body_that_waits_for_the_upstream_makes_its_answer_early() {
    let post = "POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody";
    let talk = Conversation::new().blocked().up(post).down(OK).unblocked();
    assert!(talk.exchanges[0].answered_early && talk.exchanges[0].request_complete);
    assert_eq!(talk.exchanges[0].phases.request_sent, None);
}

#[test]
fn more_than_the_answer_to_an_unfinished_request_ends_it() {
    let talk = Conversation::new()
        .up("POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf")
        .down("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 408 Too slow\r\n\r\n")
        .ended(Cut::UpstreamFin);
    assert_eq!(talk.deliveries(), [complete(200)]);
}

#[test]
fn more_than_the_answer_to_an_unfinished_head_ends_it_by_its_first_line() {
    let talk = Conversation::new()
        .up("GET /a HTTP/1.1\r\n")
        .down(OK)
        .down("HTTP/1.1 408 Too slow\r\n\r\n");
    assert_eq!(talk.deliveries(), [complete(200)]);
    assert_eq!(talk.route(&talk.exchanges[0]), "/a");
    assert_eq!(talk.observer.buffered(), 0, "nothing will follow that head");
}

#[test]
fn a_server_that_tires_of_a_slow_head_has_answered_it_however_little_had_come() {
    let tired = "HTTP/1.0 408 Request Time-out\r\nConnection: close\r\n\r\n<html>Too slow</html>";
    for pieces in [6, 14, 20, 30] {
        let talk = Conversation::new()
            .up(&GET[..pieces.min(GET.len() - 4)])
            .down(tired)
            .ended(Cut::UpstreamFin)
            .up(&GET[pieces.min(GET.len() - 4)..])
            .ended(Cut::UpstreamFin);
        assert_eq!(talk.deliveries(), [complete(408)], "{pieces}");
        assert!(!talk.exchanges[0].request_complete && talk.exchanges[0].answered_early);
        assert_eq!(talk.observer.protocol(), Protocol::Http1);
        assert_eq!(talk.observer.unread(), None, "{pieces}");
    }
}

#[test]
fn a_part_of_a_first_line_that_nobody_answered_is_no_request() {
    let talk = Conversation::new().up("GET /pro").ended(Cut::UpstreamFin);
    assert_eq!(talk.deliveries(), []);
    assert_eq!(talk.observer.unread().map(|unread| unread.up), Some(8));
}

#[test]
fn a_farewell_to_an_idle_connection_is_nobodys_answer() {
    let talk = Conversation::new()
        .up(GET)
        .down(OK)
        .down("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .up(GET)
        .ended(Cut::UpstreamReset);
    assert_eq!(talk.deliveries(), [complete(200), complete(408)]);
    assert_eq!(talk.observer.protocol(), Protocol::Http1);
    let farewell = &talk.exchanges[1];
    assert!(farewell.answered_early, "it was there before the request");
    assert_eq!(farewell.phases.first_byte, Some(Span::ZERO));
    assert_eq!(
        farewell.phases.idle.map(Span::as_micros),
        Some(2_000),
        "the farewell is no use"
    );
}

#[test]
fn a_farewell_to_a_connection_that_was_never_used_is_the_first_requests_answer() {
    let farewell = "HTTP/1.0 408 Request Time-out\r\nConnection: close\r\n\r\n<html>Too slow</html>";
    for pieces in [1, 20, farewell.len()] {
        let mut talk = Conversation::new();
        for piece in farewell.as_bytes().chunks(pieces) {
            talk = talk.down(piece);
        }
        let talk = talk.ended(Cut::UpstreamFin).up(GET).ended(Cut::UpstreamReset);
        assert_eq!(talk.deliveries(), [complete(408)]);
        assert_eq!(talk.observer.protocol(), Protocol::Http1);
        assert_eq!(talk.observer.unread(), None);
        assert!(talk.exchanges[0].phases.idle.is_none());
    }
    let unused = Conversation::new().down(farewell).ended(Cut::UpstreamFin);
    assert_eq!(unused.deliveries(), [], "nobody asked, and nobody read it");
    let cut = Conversation::new()
        .down(&farewell[..30])
        .ended(Cut::UpstreamReset)
        .up(GET);
    assert_eq!(
        cut.ended(Cut::UpstreamReset).deliveries(),
        [nothing(Cut::UpstreamReset)]
    );
}

#[test]
fn a_second_answer_that_nobody_asked_for_ends_the_reading() {
    let talk = Conversation::new()
        .up(GET)
        .down(OK)
        .down(OK)
        .down(OK)
        .up(GET)
        .down(OK);
    assert_eq!(talk.deliveries(), [complete(200)]);
    assert_eq!(talk.observer.protocol(), Protocol::Opaque(Opaque::NotHttp));
    assert_eq!(
        talk.observer.unread(),
        Some(Unread {
            up: GET.len() as u64,
            down: 2 * OK.len() as u64
        })
    );
}

#[test]
fn hopscopes_own_answer_says_so() {
    let mut talk = Conversation::new().up(GET);
    let at = talk.tick();
    let exchanges = &mut talk.exchanges;
    talk.observer
        .answered_by_hopscope(502, 120, at, &mut |exchange| exchanges.push(exchange));
    assert_eq!(
        talk.deliveries(),
        [Delivery::Complete {
            status: 502,
            author: Author::Hopscope
        }]
    );
    assert_eq!(talk.exchanges[0].bytes_down, 120);
}

#[test]
fn what_breaks_the_rules_in_a_response_makes_it_unreadable() {
    let broken = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense";
    let talk = Conversation::new().up([GET, GET].concat()).down(broken);
    assert_eq!(
        talk.deliveries(),
        [truncated(200, Cut::Unreadable), nothing(Cut::Unreadable)]
    );
    for garbage in ["SSH-2.0-OpenSSH\r\n", "HTTP/2 200\r\n\r\n", "\0\0\0"] {
        let talk = Conversation::new().up(GET).down(garbage);
        assert_eq!(talk.deliveries(), [nothing(Cut::Unreadable)], "{garbage:?}");
    }
    let lengths = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(
        Conversation::new().up(GET).down(lengths).deliveries(),
        [truncated(200, Cut::Unreadable)]
    );
}
