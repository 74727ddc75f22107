//! Asked and never answered, although everything in between is known to have worked.

use super::Rule;
use super::carried::Carried;
use super::client::{due, held_up, taken_no_more, window_was_full};
use super::ended::{LONG, ended_together};
use super::gauges::Timelines;
use super::queue::Queue;
use super::uploads;
use crate::case::Case;
use crate::cause::Cause;
use crate::confidence::{GOOD, Ruling, STRONG};
use crate::evidence::tunnel::TunnelMeaning;
use crate::evidence::{Cut, Moment, Observation, PathId, PathKind, Span};
use crate::failure::{Failure, What, stood};
use crate::lateness::Lateness;

pub(super) const RULE: Rule = Rule {
    name: "silence",
    symptom: "a request is sent in full, nothing comes, or nothing more, until the generator leaves or the run ends, and it waited longer than an answer takes",
    evidence: "acknowledgement of the request by the other kernel; on a tunnel path, healthy samples of the forwarder throughout, bytes from the tunnel's far end after the answer was due, kubectl's words read and free of stream errors, and no bulk transfer to queue behind unless others were answered meanwhile",
    verdict: "backend-timeout on a direct path whose other kernel acknowledged the request, and on a tunnel path whose forwarder was healthy all the while; else undetermined",
    proves: "the request had left, and what stood between was moving bytes while this one waited",
    cannot_prove: "that the application and not its host was late; on a path through a load balancer, which of the two was silent; anything about waits in more than a quarter of which hopscope's own host was late",
    apply,
};

/// Nobody is late who was given less than this, whatever the others needed.
const SHORTEST: Span = Span::from_micros(750_000);

fn apply(case: &mut Case<'_>) {
    for index in 0..case.evidence.paths.len() {
        let Ok(path) = u8::try_from(index).map(PathId) else {
            continue;
        };
        match case.kind(path) {
            PathKind::Direct => direct(case, path),
            PathKind::Tunnel => tunnel(case, path),
            PathKind::Lb | PathKind::Unstated => {}
        }
    }
    uploads::note(case, RULE.name);
}

/// Whether it waited for longer than an answer takes, the time not counted in which the host was late.
fn late(case: &Case<'_>, failure: &Failure, lateness: &Lateness) -> bool {
    let connection = case.connection(failure);
    let stopped = matches!(failure.what, What::Broken { by: Cut::Stopped, .. });
    let connection = connection.as_ref();
    let untaken = case
        .exchange(failure)
        .is_some_and(|exchange| !exchange.request_complete)
        && taken_no_more(connection, failure.age());
    let limit = if stopped && !untaken {
        LONG
    } else {
        due(case, failure)
    };
    let sent = case
        .exchange(failure)
        .is_none_or(|exchange| exchange.request_complete || held_up(&exchange, connection, failure.age()));
    let together = connection.is_some_and(ended_together);
    let waiting = matches!(
        failure.what,
        What::Broken {
            by: Cut::DownstreamFin | Cut::DownstreamReset | Cut::Stopped,
            ..
        }
    );
    // An answer that had begun is late from its last byte on, unless it was the generator that took no more.
    let begun = matches!(failure.what, What::Broken { begun: true, .. });
    let since = connection
        .and_then(|connection| connection.last_byte)
        .filter(|_| begun);
    // Nobody behind a connection that did not stand yet was silent.
    let connected = connection.map_or(Moment(0), stood);
    let held_back = begun && connection.is_some_and(|connection| connection.blocked_down >= SHORTEST);
    let waited = lateness
        .counted(
            since.unwrap_or(failure.began).max(failure.began).max(connected),
            failure.at,
        )
        .filter(|_| !held_back);
    waiting && sent && !together && waited.is_some_and(|waited| waited > limit.max(SHORTEST))
}

fn direct(case: &mut Case<'_>, path: PathId) {
    case.judge_where(
        RULE.name,
        |failure| failure.path == path && failure.is_open(),
        |case, failure| {
            if !late(case, failure, &case.late.host) {
                return None;
            }
            let tcp = case.connection(failure).map(|connection| connection.upstream_tcp);
            match tcp {
                // Sent again and again and never acknowledged: it did not arrive, and where it was lost is not seen.
                Some(Observation::Seen(tcp))
                    if tcp.unacked_bytes > 0
                        && tcp.retransmits > 0
                        && !window_was_full(case.connection(failure).as_ref(), failure.age()) =>
                {
                    None
                }
                Some(Observation::Seen(_)) => Some(Ruling::charge(Cause::BackendTimeout, STRONG)),
                // Whether it arrived is not known.
                Some(Observation::Unseen(_)) | None => None,
            }
        },
    );
}

fn tunnel(case: &mut Case<'_>, path: PathId) {
    let Observation::Seen(seen) = case.tunnel(path) else {
        return;
    };
    let Observation::Seen(lines) = &seen.lines else {
        return;
    };
    // A stream that timed out may have poisoned a worker for good: from then on silence may be the tunnel's.
    let damaged = lines
        .iter()
        .filter(|line| {
            matches!(
                line.meaning,
                TunnelMeaning::StreamTimeout
                    | TunnelMeaning::StreamReset
                    | TunnelMeaning::StreamLost
                    | TunnelMeaning::Lost
                    | TunnelMeaning::NoDescriptor
            )
        })
        .map(|line| line.at)
        .min()
        .unwrap_or(Moment(u64::MAX));
    let Some(timelines) = Timelines::of(case, path, &case.late.forward) else {
        return;
    };
    let queue = Queue::of(case, path);
    let carried = Carried::of(case, path);
    case.judge_where(
        RULE.name,
        |failure| failure.path == path && failure.is_open(),
        |case, failure| {
            let healthy = failure.age() >= Span::from_micros(600_000)
                && failure.at < damaged
                && timelines
                    .through(case.connection(failure).as_ref())
                    .is_some_and(|timeline| {
                        timeline.healthy(failure.began, failure.at) && carried.during(case, failure, timeline)
                    })
                && !queue.may_explain(failure);
            (healthy && late(case, failure, &case.late.forward))
                .then_some(Ruling::charge(Cause::BackendTimeout, GOOD + 0.05))
        },
    );
}
