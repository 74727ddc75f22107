//! What holds for every stream of bytes.

use hopscope_attribution::evidence::{Cut, Exchange, Protocol, Unread};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::conversation::{Conversation, HEAD_LIMIT, config};
use super::model::{Planned, exchange, nearly_http};
use crate::Direction;

#[derive(Clone, Debug)]
struct Event {
    direction: Direction,
    bytes: Vec<u8>,
}

/// Relays the events, each of them in as many reads as `cuts` says, all at the event's moment.
fn relay(events: &[Event], cuts: &[Index], inject_id: bool, end: Cut) -> Conversation {
    let mut talk = Conversation::with(config(inject_id));
    for event in events {
        let at = talk.tick();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(event.bytes.len() + 1)).collect();
        places.push(event.bytes.len());
        places.sort_unstable();
        let mut from = 0;
        for place in places {
            let piece = &event.bytes[from..place];
            from = place;
            match event.direction {
                Direction::Up => talk.up_at(piece, at),
                Direction::Down => talk.down_at(piece, at),
            }
            assert!(
                talk.observer.buffered() <= 2 * (HEAD_LIMIT + 1),
                "the observer buffers more than two heads"
            );
        }
    }
    talk.ended(end)
}

fn outcome(talk: &Conversation) -> (&[Exchange], Protocol, u32, &[u8], Option<Unread>) {
    (
        &talk.exchanges,
        talk.observer.protocol(),
        talk.observer.exchanges(),
        &talk.outgoing,
        talk.observer.unread(),
    )
}

fn events(exchanges: &[Planned]) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut answers = Vec::new();
    for planned in exchanges {
        let (request, response) = (planned.request().into_bytes(), planned.response().into_bytes());
        match events.last_mut() {
            Some(event) if planned.pipelined => {
                event.bytes.extend(request);
                answers.extend(response);
            }
            _ => {
                if !events.is_empty() {
                    events.push(Event {
                        direction: Direction::Down,
                        bytes: std::mem::take(&mut answers),
                    });
                }
                events.push(Event {
                    direction: Direction::Up,
                    bytes: request,
                });
                answers = response;
            }
        }
    }
    events.push(Event {
        direction: Direction::Down,
        bytes: answers,
    });
    events
}

fn cuts() -> impl Strategy<Value = Vec<Index>> {
    vec(any::<Index>(), 0..24)
}

fn end() -> impl Strategy<Value = Cut> {
    prop::sample::select(
        &[
            Cut::UpstreamFin,
            Cut::UpstreamReset,
            Cut::DownstreamReset,
            Cut::Stopped,
        ][..],
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn what_was_planned_is_what_is_read(planned in vec(exchange(), 1..12), cuts in cuts()) {
        let talk = relay(&events(&planned), &cuts, false, Cut::UpstreamFin);
        prop_assert_eq!(talk.exchanges.len(), planned.len());
        for (ordinal, (read, planned)) in talk.exchanges.iter().zip(&planned).enumerate() {
            prop_assert_eq!(read.ordinal as usize, ordinal);
            prop_assert_eq!((read.method, read.delivery.status()), (planned.method, Some(planned.status)));
            prop_assert_eq!(talk.route(read), planned.route);
            prop_assert_eq!(read.bytes_up, planned.request().len() as u64);
            prop_assert_eq!(read.bytes_down, planned.response().len() as u64);
            prop_assert!(read.request_complete && read.phases.request_sent.is_some());
        }
        prop_assert_eq!(talk.observer.protocol(), Protocol::Http1);
    }

    #[test]
    fn no_split_into_reads_changes_what_is_read(
        planned in vec(exchange(), 1..6),
        lost in any::<Index>(),
        cuts in cuts(),
        end in end(),
        inject in any::<bool>(),
    ) {
        let mut events = events(&planned);
        if let Some(last) = events.last_mut() {
            last.bytes.truncate(lost.index(last.bytes.len() + 1));
        }
        let whole = relay(&events, &[], inject, end);
        let split = relay(&events, &cuts, inject, end);
        prop_assert_eq!(outcome(&split), outcome(&whole));
    }

    #[test]
    fn no_bytes_make_it_fail_or_buffer_without_bound_or_depend_on_reads(
        bytes in vec((any::<bool>(), nearly_http()), 0..8),
        cuts in cuts(),
        end in end(),
        inject in any::<bool>(),
    ) {
        let events: Vec<Event> = bytes
            .into_iter()
            .map(|(up, bytes)| Event { direction: if up { Direction::Up } else { Direction::Down }, bytes })
            .collect();
        let whole = relay(&events, &[], inject, end);
        let split = relay(&events, &cuts, inject, end);
        prop_assert_eq!(outcome(&split), outcome(&whole));
        prop_assert_eq!(whole.observer.in_flight(), 0);
        prop_assert_eq!(split.observer.buffered(), 0);
    }

    #[test]
    fn skipping_an_unread_run_is_like_reading_it(
        bytes in vec((any::<bool>(), nearly_http()), 0..8),
        cuts in cuts(),
        end in end(),
    ) {
        let mut shown = Conversation::new();
        let mut skipped = Conversation::new();
        for (up, bytes) in bytes {
            let direction = if up { Direction::Up } else { Direction::Down };
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.push(bytes.len());
            places.sort_unstable();
            let mut from = 0;
            for place in places {
                let piece = &bytes[from..place];
                from = place;
                let length = piece.len() as u64;
                shown = if up { shown.up(piece) } else { shown.down(piece) };
                skipped = if length > 0 && skipped.observer.opaque_run(direction) >= length {
                    let at = skipped.tick();
                    let exchanges = &mut skipped.exchanges;
                    skipped.observer.skip(direction, length, at, &mut |exchange| exchanges.push(exchange));
                    if up {
                        skipped.outgoing.extend_from_slice(piece);
                        skipped.observer.request_forwarded(skipped.outgoing.len() as u64, at);
                    }
                    skipped
                } else if up { skipped.up(piece) } else { skipped.down(piece) };
            }
        }
        let (shown, skipped) = (shown.ended(end), skipped.ended(end));
        prop_assert_eq!(outcome(&skipped), outcome(&shown));
    }
}
