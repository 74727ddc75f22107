//! HTTP/2 behind its preface, fed by a script: whatever passes in whatever order, the observer neither fails nor
//! buffers without bound, and how the bytes are split into reads changes nothing.
//!
//! The input's first byte says how they are split; then each event is a byte with its direction, a byte that says to
//! how many bytes, and those bytes. 0 bytes end the connection.
#![no_main]

use std::sync::Arc;

use hopscope_attribution::evidence::{ConnectionId, Cut, Exchange, Moment, PathId, Protocol, Unread};
use hopscope_http::{Observer, ObserverConfig, RouteTable};
use libfuzzer_sys::fuzz_target;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A frame and a field block that are kept, in each direction.
const MOST: usize = 4 * 64 * 1_024;

type Outcome = (Vec<Exchange>, Protocol, Option<Unread>);

fn run(mut script: &[u8], piece: usize) -> Outcome {
    let config = Arc::new(ObserverConfig {
        routes: RouteTable::new(Vec::new(), true),
        head_limit: 512,
        inject_id: false,
    });
    let mut observer = Observer::new(&config, ConnectionId(1), PathId(0));
    let mut exchanges = Vec::new();
    let mut forwarded = 0;
    let mut at = Moment(1_000);
    observer.request_bytes(PREFACE, at, &mut |_| {}, &mut |_| {});
    while let [what, count, rest @ ..] = script {
        at = Moment(at.0 + 1_000);
        let (bytes, after) = rest.split_at(usize::from(*count).min(rest.len()));
        script = after;
        let mut out = |exchange| exchanges.push(exchange);
        for bytes in bytes.chunks(piece) {
            if what & 1 == 0 {
                observer.request_bytes(bytes, at, &mut out, &mut |_| {});
                forwarded += bytes.len() as u64;
                observer.request_forwarded(PREFACE.len() as u64 + forwarded, at);
            } else {
                observer.response_bytes(bytes, at, &mut out);
            }
            assert!(observer.buffered() <= MOST);
        }
        if *count == 0 {
            observer.ended(Cut::UpstreamFin, at, &mut out);
        }
    }
    observer.ended(Cut::Stopped, Moment(u64::MAX), &mut |exchange| exchanges.push(exchange));
    assert_eq!((observer.in_flight(), observer.buffered()), (0, 0));
    assert!(exchanges.len() <= observer.exchanges() as usize);
    (exchanges, observer.protocol(), observer.unread())
}

fuzz_target!(|input: &[u8]| {
    let Some((settings, script)) = input.split_first() else {
        return;
    };
    let whole = run(script, usize::MAX);
    assert_eq!(run(script, usize::from(settings & 31) + 1), whole);
});
