//! WebSocket: the upgrade is an exchange for as long as its frames go on.

use hopscope_attribution::evidence::{Cut, Opaque, Protocol, Unread};

use super::conversation::{Conversation, complete, truncated};

const ASKED: &str = "GET /live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const GRANTED: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\n\r\n";
/// Text, masked with zeros.
const HELLO: &[u8] = b"\x81\x85\0\0\0\0hello";
const ANSWER: &[u8] = b"\x81\x05hello";
/// 1000 from either side.
const CLOSE_UP: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";
const CLOSE_DOWN: &[u8] = b"\x88\x02\x03\xe8";

fn opened() -> Conversation {
    Conversation::new().up(ASKED).down(GRANTED)
}

#[test]
fn whoever_closes_it_by_a_frame_ends_it_well() {
    for pieces in [1, 3, 100] {
        let mut talk = opened();
        for piece in [HELLO, CLOSE_UP].concat().chunks(pieces) {
            talk = talk.up(piece);
        }
        assert_eq!(talk.deliveries(), [complete(101)]);
        let talk = talk.down([ANSWER, CLOSE_DOWN].concat()).ended(Cut::UpstreamReset);
        assert_eq!(talk.deliveries(), [complete(101)]);
        assert_eq!(
            (talk.observer.protocol(), talk.observer.unread()),
            (Protocol::Http1, None)
        );
        assert_eq!(
            talk.exchanges[0].bytes_up,
            (ASKED.len() + HELLO.len() + CLOSE_UP.len()) as u64
        );
    }
    let by_path = opened()
        .down([ANSWER, CLOSE_DOWN].concat())
        .ended(Cut::UpstreamFin);
    assert_eq!(by_path.deliveries(), [complete(101)]);
}

#[test]
fn what_the_path_cuts_off_without_a_closing_frame_is_cut_off() {
    for cut in [Cut::UpstreamReset, Cut::UpstreamFin] {
        let talk = opened().up(HELLO).down(ANSWER).ended(cut);
        assert_eq!(talk.deliveries(), [truncated(101, cut)]);
        assert_eq!(talk.observer.unread(), None);
    }
}

#[test]
fn a_generator_may_leave_at_any_time() {
    for cut in [Cut::DownstreamFin, Cut::DownstreamReset, Cut::Stopped] {
        assert_eq!(opened().up(HELLO).ended(cut).deliveries(), [complete(101)]);
    }
}

#[test]
fn long_frames_and_pings_are_passed_over() {
    let long = [&b"\x82\x7e\x01\x00"[..], &[0x88; 256], b"\x89\0"].concat();
    let longer = [
        &b"\x82\xff\0\0\0\0\0\x01\0\0mask"[..],
        &vec![0x88; 65_536],
        CLOSE_UP,
    ]
    .concat();
    let talk = opened().down(long).up(longer).ended(Cut::UpstreamReset);
    assert_eq!(talk.deliveries(), [complete(101)]);
    assert_eq!(talk.observer.unread(), None);
}

#[test]
fn what_is_no_frame_is_not_read_from_there_on() {
    for garbage in [&b"\x83\x80"[..], b"\x81\x05", b"\x08\x80", b"\x88\xfe"] {
        let talk = opened()
            .up([HELLO, garbage, b"............"].concat())
            .down("more");
        assert_eq!(talk.deliveries(), [complete(101)], "{garbage:?}");
        assert_eq!(talk.observer.protocol(), Protocol::Opaque(Opaque::Upgraded));
        assert_eq!(
            talk.observer.unread(),
            Some(Unread {
                up: garbage.len() as u64 + 12,
                down: 4
            }),
            "{garbage:?}"
        );
    }
}
