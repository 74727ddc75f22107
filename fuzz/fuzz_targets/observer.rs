//! The HTTP observer, fed by a script: whatever passes in whatever order, it neither fails nor buffers without bound,
//! and how the bytes are split into reads changes nothing.
//!
//! The input's first byte is the settings, then each event is a byte that says what happens, a byte that says to how
//! many bytes, and those bytes.
#![no_main]

use std::sync::Arc;

use hopscope_http::{Direction, Insertion, Observer, ObserverConfig, RouteTable};
use hopscope_attribution::evidence::{ConnectionId, Cut, Exchange, Moment, Opaque, PathId, Protocol};
use libfuzzer_sys::fuzz_target;

const HEAD_LIMIT: usize = 512;

enum Event<'a> {
    Bytes(Direction, &'a [u8]),
    Skip(Direction, u64),
    Ended(Cut),
}

fn script(mut input: &[u8]) -> Vec<Event<'_>> {
    let mut events = Vec::new();
    while let [what, count, rest @ ..] = input {
        let direction = if what & 1 == 0 {
            Direction::Up
        } else {
            Direction::Down
        };
        match what >> 1 & 7 {
            0 => {
                events.push(Event::Skip(direction, u64::from(*count)));
                input = rest;
            }
            1 if *count == 0 => {
                let cut = if what & 1 == 0 {
                    Cut::DownstreamReset
                } else {
                    Cut::UpstreamFin
                };
                events.push(Event::Ended(cut));
                input = rest;
            }
            _ => {
                let (bytes, after) = rest.split_at(usize::from(*count).min(rest.len()));
                events.push(Event::Bytes(direction, bytes));
                input = after;
            }
        }
    }
    events
}

/// Everything that can be seen of one run.
#[derive(Debug, PartialEq)]
struct Outcome {
    exchanges: Vec<Exchange>,
    outgoing: Vec<u8>,
    protocol: Protocol,
}

fn run(events: &[Event<'_>], inject_id: bool, piece: usize) -> Outcome {
    let routes = RouteTable::new(Vec::new(), true);
    let config = Arc::new(ObserverConfig {
        routes,
        head_limit: HEAD_LIMIT,
        inject_id,
    });
    let mut observer = Observer::new(&config, ConnectionId(1), PathId(0));
    let mut exchanges = Vec::new();
    let mut outgoing = Vec::new();
    let mut passed = [0_u64; 2];
    for (at, event) in (1..).zip(events) {
        let at = Moment(at * 1_000);
        match event {
            Event::Bytes(Direction::Up, bytes) => {
                passed[0] += bytes.len() as u64;
                for bytes in bytes.chunks(piece) {
                    let mut from = 0;
                    let mut insert = |insertion: Insertion| {
                        outgoing.extend_from_slice(&bytes[from..insertion.at]);
                        insertion.write_to(&mut outgoing);
                        from = insertion.at;
                    };
                    observer.request_bytes(bytes, at, &mut |exchange| exchanges.push(exchange), &mut insert);
                    outgoing.extend_from_slice(&bytes[from..]);
                    observer.request_forwarded(outgoing.len() as u64, at);
                }
            }
            Event::Bytes(Direction::Down, bytes) => {
                passed[1] += bytes.len() as u64;
                for bytes in bytes.chunks(piece) {
                    observer.response_bytes(bytes, at, &mut |exchange| exchanges.push(exchange));
                }
            }
            Event::Skip(direction, count) => {
                let count = observer.opaque_run(*direction).min(*count);
                passed[usize::from(*direction == Direction::Down)] += count;
                observer.skip(*direction, count, at, &mut |exchange| exchanges.push(exchange));
            }
            Event::Ended(cut) => observer.ended(*cut, at, &mut |exchange| exchanges.push(exchange)),
        }
        // HTTP/2 keeps frames and field blocks, not heads; it has a target of its own.
        assert!(observer.protocol() == Protocol::Http2 || observer.buffered() <= 2 * (HEAD_LIMIT + 1));
    }
    observer.ended(Cut::Stopped, Moment(1_000_000_000), &mut |exchange| {
        exchanges.push(exchange)
    });
    assert_eq!(observer.in_flight(), 0);
    assert!(exchanges.len() <= observer.exchanges() as usize);
    let streams = matches!(observer.protocol(), Protocol::Http2 | Protocol::Opaque(Opaque::Http2));
    assert!(streams || exchanges.is_sorted_by(|one, next| one.ordinal < next.ordinal));
    // No byte belongs to two exchanges.
    assert!(exchanges.iter().map(|exchange| exchange.bytes_up).sum::<u64>() <= passed[0]);
    assert!(exchanges.iter().map(|exchange| exchange.bytes_down).sum::<u64>() <= passed[1]);
    if !inject_id {
        let shown: usize = events
            .iter()
            .map(|event| match event {
                Event::Bytes(Direction::Up, bytes) => bytes.len(),
                Event::Bytes(Direction::Down, _) | Event::Skip(..) | Event::Ended(_) => 0,
            })
            .sum();
        assert_eq!(outgoing.len(), shown, "bytes pass unchanged");
    }
    Outcome {
        exchanges,
        outgoing,
        protocol: observer.protocol(),
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((settings, rest)) = input.split_first() else {
        return;
    };
    let events = script(rest);
    let inject_id = settings & 1 == 1;
    let whole = run(&events, inject_id, usize::MAX);
    let split = run(&events, inject_id, usize::from(settings >> 1 & 31) + 1);
    assert_eq!(split, whole);
});
