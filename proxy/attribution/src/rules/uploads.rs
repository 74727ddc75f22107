//! Who held an upload up: a receive window that was full, or a `100 Continue` that never came.

use super::client::{taken_no_more, window_was_full};
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::evidence::{Cut, PathId, Span};
use crate::failure::{Failure, What};
use crate::figures::counted;
use crate::verdict::Finding;

/// What a request can be charged with that waited.
const CHARGES: [Cause; 3] = [Cause::BackendTimeout, Cause::ClientTimeout, Cause::Undetermined];

/// Requests of one path that were held up in one way, and how long the longest of them had waited.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    count: u64,
    longest: Span,
}

impl Held {
    fn add(&mut self, waited: Span) {
        self.count = self.count.saturating_add(1);
        self.longest = self.longest.max(waited);
    }
}

/// Says of each path how many of the uploads that were given up had been held up by the other side, and how.
pub(super) fn note(case: &mut Case<'_>, rule: &'static str) {
    for index in 0..case.evidence.paths.len() {
        let Ok(path) = u8::try_from(index).map(PathId) else {
            continue;
        };
        let (mut window, mut unacknowledged, mut continues) =
            (Held::default(), Held::default(), Held::default());
        let waiting = |failure: &&Failure| {
            failure.path == path
                && matches!(
                    failure.what,
                    What::Broken {
                        begun: false,
                        by: Cut::DownstreamFin | Cut::DownstreamReset | Cut::Stopped
                    }
                )
        };
        for failure in case.failures.iter().filter(waiting) {
            let (exchange, connection) = (case.exchange(failure), case.connection(failure));
            let waited = failure.age();
            let Some(exchange) = exchange.filter(|exchange| !exchange.request_complete) else {
                continue;
            };
            if taken_no_more(connection.as_ref(), waited) {
                let full = window_was_full(connection.as_ref(), waited);
                if full { &mut window } else { &mut unacknowledged }.add(waited);
            } else if exchange.waits_to_continue() {
                continues.add(waited);
            }
        }
        let told = [
            (
                window,
                "took no more of it: its receive window was full for most of the wait",
            ),
            (unacknowledged, "took no more of it for most of the wait"),
            (continues, "never sent the 100 Continue that it waited for"),
        ];
        for (held, words) in told {
            say(case, rule, path, held, words);
        }
    }
}

fn say(case: &mut Case<'_>, rule: &'static str, path: PathId, held: Held, words: &str) {
    if held.count == 0 {
        return;
    }
    let statement = format!(
        "{} had not been sent in full, because path {} {words}; the longest waited {}.",
        counted(held.count, "request", "requests"),
        case.path_name(path),
        held.longest
    );
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let count = held.count as f64;
    let finding = Finding {
        rule,
        statement,
        numbers: vec![("count", count), ("longest_seconds", held.longest.as_secs_f64())],
    };
    for cause in CHARGES {
        case.note(About::Cause(cause), Speaks::For, finding.clone());
    }
}
