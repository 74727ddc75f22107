//! Where the time of an exchange goes.

use hopscope_attribution::evidence::{Moment, Span};

use super::conversation::{Conversation, GET, OK};
use crate::Observer;

const MS: Span = Span::from_micros(1_000);

#[test]
fn each_phase_is_measured_from_the_first_byte_of_the_request() {
    let talk = Conversation::new()
        .up("GET / HT")
        .up("TP/1.1\r\n\r\n")
        .down("HTTP/1.1 200")
        .down(" OK\r\nContent-Length: 2\r\n\r\n")
        .down("ok");
    let phases = talk.exchanges[0].phases;
    assert_eq!(talk.exchanges[0].began, Moment(1_001_000));
    assert_eq!(phases.idle, None, "the first of its connection");
    assert_eq!(phases.request_sent, Some(MS));
    assert_eq!(phases.first_byte, Some(MS + MS));
    assert_eq!(phases.total, Span::from_micros(4_000));
}

#[test]
fn idle_is_the_silence_since_the_exchange_before() {
    let mut talk = Conversation::new().up(GET).down(OK);
    for _ in 0..9 {
        talk.tick();
    }
    let talk = talk.up([GET, GET].concat()).down([OK, OK].concat());
    let idle: Vec<_> = talk
        .exchanges
        .iter()
        .map(|exchange| exchange.phases.idle)
        .collect();
    assert_eq!(idle, [None, Some(Span::from_micros(10_000)), Some(Span::ZERO)]);
}

#[test]
fn a_request_is_sent_when_its_last_byte_was_handed_on() {
    let mut talk = Conversation::new().blocked().up([GET, GET].concat());
    let length = GET.len() as u64;
    talk.observer.request_forwarded(length - 1, Moment(2_000_000));
    talk.observer.request_forwarded(length, Moment(3_000_000));
    talk.observer.request_forwarded(length + 5, Moment(4_000_000));
    talk.observer.request_forwarded(2 * length, Moment(5_000_000));
    talk.observer.request_forwarded(2 * length, Moment(6_000_000));
    let at = Moment(7_000_000);
    talk.down_at(OK.as_bytes(), at);
    talk.down_at(OK.as_bytes(), at);
    let sent: Vec<_> = talk
        .exchanges
        .iter()
        .map(|exchange| exchange.phases.request_sent)
        .collect();
    assert_eq!(
        sent,
        [
            Some(Span::from_micros(1_999_000)),
            Some(Span::from_micros(3_999_000))
        ]
    );
}

#[test]
fn an_idle_observer_is_small() {
    assert!(size_of::<Observer>() <= 250, "{} bytes", size_of::<Observer>());
}
