//! HTTP/2 by prior knowledge: one exchange a stream.

use hopscope_attribution::evidence::{
    Author, Cut, Delivery, EnvoyReply, Method, Opaque, Protocol, Span, Unread, grpc,
};

use super::conversation::{Conversation, complete, nothing, truncated};
use super::frames::{
    END_HEADERS, END_STREAM, PREFACE, SETTINGS, STREAM_RESET, block, call, called, frame, get, go_away,
    greeted, headers, ok, reset, status,
};

#[test]
fn streams_are_exchanges_in_the_order_in_which_they_end() {
    let talk = greeted()
        .up([get(1, "/products/17"), get(3, "/slow"), get(5, "/banners")].concat())
        .down(ok(5))
        .down([status(1, "503"), ok(3)].concat())
        .ended(Cut::UpstreamFin);
    assert_eq!(talk.deliveries(), [complete(200), complete(503), complete(200)]);
    let routes: Vec<&str> = talk
        .exchanges
        .iter()
        .map(|exchange| talk.route(exchange))
        .collect();
    assert_eq!(routes, ["/banners", "/products/:id", "/slow"]);
    let ordinals: Vec<u32> = talk.exchanges.iter().map(|exchange| exchange.ordinal).collect();
    assert_eq!(ordinals, [2, 0, 1]);
    let slow = &talk.exchanges[2];
    assert_eq!(slow.method, Method::Get);
    assert!(slow.request_complete && !slow.answered_early);
    assert_eq!(slow.phases.idle, Some(Span::ZERO));
    assert_eq!(slow.phases.total.as_micros(), 2_000);
    assert_eq!(slow.bytes_up, get(3, "/slow").len() as u64);
    assert_eq!(slow.bytes_down, ok(3).len() as u64);
    assert_eq!(talk.observer.protocol(), Protocol::Http2);
    assert_eq!((talk.observer.exchanges(), talk.observer.in_flight()), (3, 0));
    assert_eq!(talk.observer.unread(), None);
}

#[test]
fn a_grpc_call_is_named_by_its_method_and_comes_to_its_own_status() {
    let talk = greeted()
        .up([
            call(1, "/shop.v1.Products/GetV2"),
            call(3, "/shop.v1.Products/List"),
        ]
        .concat())
        .down([called(1, "0"), called(3, "14")].concat());
    assert_eq!(talk.deliveries(), [complete(200), complete(grpc::status(14))]);
    assert_eq!(talk.route(&talk.exchanges[0]), "/shop.v1.Products/GetV2");
    // Headers, and nothing else.
    let only = [
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-status", "12"),
    ];
    let talk = greeted()
        .up(call(1, "/a.B/C"))
        .down(headers(1, END_STREAM, &only));
    assert_eq!(talk.deliveries(), [complete(grpc::status(12))]);
    // Without a status, every client says UNKNOWN.
    let none = [
        headers(1, 0, &[(":status", "200"), ("content-type", "application/grpc")]),
        frame(0, END_STREAM, 1, b""),
    ];
    let talk = greeted().up(call(1, "/a.B/C")).down(none.concat());
    assert_eq!(talk.deliveries(), [complete(grpc::status(2))]);
    // What is no answer of gRPC's is one of HTTP's.
    let talk = greeted().up(call(1, "/a.B/C")).down(status(1, "502"));
    assert_eq!(talk.deliveries(), [complete(502)]);
}

#[test]
fn a_reset_of_one_stream_is_no_reset_of_the_others() {
    let begun = headers(3, 0, &[(":status", "200")]);
    let talk = greeted()
        .up([get(1, "/a"), get(3, "/b"), get(5, "/c"), get(7, "/d")].concat())
        .down([reset(1, 7), begun, reset(3, 2), ok(5)].concat())
        .up(reset(7, 8))
        .ended(Cut::UpstreamFin);
    assert_eq!(
        talk.deliveries(),
        [
            nothing(Cut::UpstreamStream(7)),
            truncated(200, STREAM_RESET),
            complete(200),
            nothing(Cut::DownstreamStream(8)),
        ]
    );
}

#[test]
fn a_reset_behind_a_whole_answer_cuts_nothing() {
    let upload = headers(1, 0, &[(":method", "POST"), (":path", "/upload")]);
    let talk = greeted()
        .up(upload)
        .down([status(1, "413"), reset(1, 0)].concat())
        .up(frame(0, END_STREAM, 1, b"too late"));
    assert_eq!(talk.deliveries(), [complete(413)]);
    assert!(talk.exchanges[0].answered_early && !talk.exchanges[0].request_complete);
}

#[test]
fn go_away_leaves_the_newest_streams_unprocessed_and_the_others_go_on() {
    let talk = greeted()
        .up([get(1, "/a"), get(3, "/b"), get(5, "/c")].concat())
        .down(go_away(0x7fff_ffff, 0))
        .down(go_away(3, 0))
        .up(get(7, "/late"))
        .down([ok(1), ok(3)].concat())
        .ended(Cut::UpstreamFin);
    assert_eq!(
        talk.deliveries(),
        [
            nothing(Cut::GoAway(0)),
            complete(200),
            complete(200),
            nothing(Cut::GoAway(0)),
        ]
    );
}

#[test]
fn the_end_of_the_connection_ends_what_is_under_way() {
    let talk = greeted()
        .up([get(1, "/a"), get(3, "/b")].concat())
        .down(headers(1, 0, &[(":status", "200")]))
        .ended(Cut::UpstreamReset);
    assert_eq!(
        talk.deliveries(),
        [truncated(200, Cut::UpstreamReset), nothing(Cut::UpstreamReset)]
    );
}

#[test]
fn interim_answers_trailers_padding_priority_and_continuations_are_followed() {
    let fields = block(&[(":method", "GET"), (":path", "/padded"), ("cookie", "crumbs")]);
    let mut payload = vec![3, 0, 0, 0, 0, 16];
    payload.extend_from_slice(&fields[..10]);
    payload.extend_from_slice(&[0; 3]);
    let request = [
        frame(1, END_STREAM | 0x8 | 0x20, 1, &payload),
        frame(9, 0, 1, &fields[10..15]),
        frame(9, END_HEADERS, 1, &fields[15..]),
    ];
    let answer = [
        headers(1, 0, &[(":status", "103")]),
        frame(
            5,
            END_HEADERS,
            1,
            &[&[0, 0, 0, 2][..], &block(&[(":path", "/pushed")])].concat(),
        ),
        headers(2, END_STREAM, &[(":status", "200")]),
        frame(0xfa, 0xff, 1, b"an extension"),
        headers(1, 0, &[(":status", "200")]),
        frame(0, 0x8, 1, b"\x02hello\0\0"),
        headers(1, END_STREAM, &[("grpc-status", "13"), ("x-sum", "1")]),
    ];
    let talk = greeted().up(request.concat()).down(answer.concat());
    assert_eq!(
        talk.deliveries(),
        [complete(200)],
        "only a call has a call's status"
    );
    assert_eq!(talk.route(&talk.exchanges[0]), "/padded");
    assert_eq!(talk.exchanges[0].bytes_up, request.concat().len() as u64);
    assert_eq!(talk.observer.protocol(), Protocol::Http2);
}

#[test]
fn a_failure_names_its_author() {
    let fields = [
        (":status", "503"),
        ("server", "envoy"),
        ("content-type", "text/plain"),
    ];
    let answer = [
        headers(1, 0, &fields),
        frame(0, END_STREAM, 1, b"no healthy upstream"),
    ];
    let talk = greeted().up(get(1, "/a")).down(answer.concat());
    assert_eq!(
        talk.deliveries(),
        [Delivery::Complete {
            status: 503,
            author: Author::Envoy(EnvoyReply::NoHealthyUpstream)
        }]
    );
}

#[test]
fn what_the_upstream_has_not_taken_is_answered_early() {
    let talk = greeted().blocked().up(get(1, "/a")).down(ok(1)).unblocked();
    assert!(talk.exchanges[0].answered_early);
    assert_eq!(talk.exchanges[0].phases.request_sent, None);
}

#[test]
fn what_breaks_the_rules_ends_the_reading_there() {
    let good = [get(1, "/a"), get(3, "/b")].concat();
    for broken in [
        frame(1, END_HEADERS, 5, &[0xbe]),
        frame(9, END_HEADERS, 5, b""),
        [frame(1, 0, 5, b""), SETTINGS.to_vec()].concat(),
        frame(1, END_HEADERS, 6, &block(&[(":path", "/")])),
        frame(3, 0, 3, b"abc"),
        frame(1, END_HEADERS, 5, &vec![0; 70_000]),
    ] {
        for pieces in [1, 5, 1_000_000] {
            let mut talk = greeted().up(&good).down(ok(1));
            for piece in broken.chunks(pieces) {
                talk = talk.up(piece);
            }
            let talk = talk.up(get(7, "/c")).down(ok(3)).ended(Cut::UpstreamReset);
            assert_eq!(talk.deliveries(), [complete(200)], "{:?}", &broken[..9]);
            assert_eq!(talk.observer.protocol(), Protocol::Opaque(Opaque::Http2));
            let read = if broken.len() > 9 && broken[9..].ends_with(&SETTINGS) {
                9
            } else {
                0
            };
            assert_eq!(
                talk.observer.unread(),
                Some(Unread {
                    up: (broken.len() - read + get(7, "/c").len()) as u64,
                    down: ok(3).len() as u64,
                }),
                "{:?}",
                &broken[..9]
            );
        }
    }
}

#[test]
fn a_preface_that_goes_on_as_something_else_is_not_read() {
    let talk = Conversation::new()
        .up("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
        .down("what?");
    assert_eq!(talk.observer.protocol(), Protocol::Opaque(Opaque::Http2));
    assert_eq!(talk.observer.unread(), Some(Unread { up: 24, down: 5 }));
    let later = Conversation::new().up(super::conversation::GET).up(PREFACE);
    assert_eq!(later.observer.protocol(), Protocol::Opaque(Opaque::Http2));
}

#[test]
fn a_server_may_say_its_settings_before_the_client_has_said_anything() {
    let ended = [1, 3, 1_000_000].map(|pieces| {
        let mut talk = Conversation::new();
        for piece in SETTINGS.chunks(pieces) {
            talk = talk.down(piece);
        }
        assert_eq!(talk.observer.unread(), None);
        talk.up([PREFACE, &SETTINGS, &get(1, "/a")].concat())
            .down(ok(1))
            .ended(Cut::UpstreamFin)
    });
    for talk in ended {
        assert_eq!(talk.deliveries(), [complete(200)]);
        assert_eq!(talk.observer.protocol(), Protocol::Http2);
        assert_eq!(talk.observer.unread(), None);
    }
}

#[test]
fn a_server_that_begins_with_a_zero_and_is_not_answered_in_http_2_is_not_read() {
    let talk = Conversation::new().down([0, 0, 0, 4, 0, 0, 0, 0, 0]).up("hello");
    assert_eq!(talk.observer.protocol(), Protocol::Opaque(Opaque::NotHttp));
    assert_eq!(talk.observer.unread(), Some(Unread { up: 5, down: 0 }));
    let talk = Conversation::new().down([0, 1, b'x', b'y', b'z']).up("hello");
    assert_eq!(talk.observer.protocol(), Protocol::Opaque(Opaque::NotHttp));
    assert_eq!(talk.observer.unread(), Some(Unread { up: 5, down: 5 }));
}

#[test]
fn a_server_that_answers_http_2_with_something_else_has_not_answered_in_http() {
    let talk = Conversation::new()
        .up([PREFACE, &SETTINGS, &get(1, "/a")].concat())
        .down("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        .ended(Cut::UpstreamFin);
    assert_eq!(talk.deliveries(), [nothing(Cut::Unreadable)]);
    assert_eq!(talk.observer.protocol(), Protocol::Opaque(Opaque::Http2));
}

#[test]
fn a_request_that_is_granted_http_2_is_answered_as_its_first_stream() {
    let ask = "GET /products/17 HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade, HTTP2-Settings\r\n\
               Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    let grant = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    for pieces in [1, 7, 1_000_000] {
        let mut talk = Conversation::new().up(ask);
        for piece in [grant.as_bytes(), &SETTINGS, &ok(1)].concat().chunks(pieces) {
            talk = talk.down(piece);
        }
        assert_eq!(talk.deliveries(), [complete(200)]);
        let talk = talk
            .up([PREFACE, &SETTINGS, &get(3, "/b")].concat())
            .down(ok(3))
            .ended(Cut::UpstreamFin);
        assert_eq!(talk.deliveries(), [complete(200), complete(200)]);
        assert_eq!(talk.route(&talk.exchanges[0]), "/products/:id");
        assert_eq!(talk.exchanges[0].bytes_up, ask.len() as u64);
        assert_eq!(talk.exchanges[1].ordinal, 1);
        assert_eq!(talk.observer.protocol(), Protocol::Http2);
        assert_eq!(talk.observer.unread(), None);
    }
}
