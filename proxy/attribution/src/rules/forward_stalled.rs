//! A forward that stands and does not serve: stream time-outs, head-of-line, black hole, stopped, out of descriptors.

use super::Rule;
use super::client::due;
use super::forward_ended::clock;
use super::gauges::{State, Timeline};
use super::lateness::Lateness;
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::confidence::{GOOD, Ruling, STRONG};
use crate::evidence::tunnel::TunnelMeaning;
use crate::evidence::{Connection, Cut, Moment, Observation, PathId, PathKind, Span, TunnelLine};
use crate::failure::{Failure, What};
use crate::figures::{count, counted, real};
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "forward-stalled",
    symptom: "connections of a forward hang, or are reset 30.00 s after they were opened, without one byte of an answer",
    evidence: "the 30.00 s of kubectl's stream creation; its `Timeout occurred` lines; its sockets and process, sampled ten times a second",
    verdict: "tunnel, by what its sockets show: stopped, fd-limit, head-of-line with the reader that does not read, blackhole, else timeout",
    proves: "kubectl did not get as far as copying bytes, or did not move any while these waited",
    cannot_prove: "which machine behind the API server did not answer, when kubectl's own sockets were healthy; anything about waits during which no sample was taken, or in which hopscope's own host was late: kubectl runs there too",
    apply,
};

/// kubectl waits this long for the acknowledgement of a stream (client-go, `createStreamResponseTimeout`).
const STREAM_TIMEOUT: Span = Span(30_000_000);
/// It fires late, never early; hopscope's own connect comes a little before kubectl's accept.
const LATEST: Span = Span(31_000_000);
/// Shorter waits are not held against a forwarder: ten samples a second would be too few to say what it did.
const SHORTEST: Span = Span(1_000_000);

fn apply(case: &mut Case<'_>) {
    let lateness = Lateness::of_forward(case);
    for path in case.paths_of(PathKind::Tunnel) {
        let timeline = Timeline::of(case, path);
        let lines = lines_of(case, path);
        let out_of_descriptors = lines
            .iter()
            .filter(|line| line.meaning == TunnelMeaning::NoDescriptor)
            .map(|line| line.at)
            .min();
        let timeouts: Vec<Moment> = lines
            .iter()
            .filter(|line| line.meaning == TunnelMeaning::StreamTimeout)
            .map(|line| line.at)
            .collect();
        case.judge_where(
            RULE.name,
            |failure| failure.path == path && failure.is_open(),
            |case, failure| {
                judge(
                    case,
                    failure,
                    timeline.as_ref(),
                    out_of_descriptors,
                    &timeouts,
                    &lateness,
                )
            },
        );
        // A connect that the forwarder's full queue did not take.
        tell(case, path, timeline.as_ref(), timeouts.len());
    }
}

fn lines_of<'e>(case: &Case<'e>, path: PathId) -> &'e [TunnelLine] {
    match case.tunnel(path) {
        Observation::Seen(tunnel) => tunnel.lines.seen().map_or(&[], Vec::as_slice),
        Observation::Unseen(_) => &[],
    }
}

fn judge(
    case: &Case<'_>,
    failure: &Failure,
    timeline: Option<&Timeline>,
    out_of_descriptors: Option<Moment>,
    timeouts: &[Moment],
    lateness: &Lateness,
) -> Option<Ruling> {
    let connection = case.connection(failure)?;
    let unanswered = connection.bytes_down == 0;
    let from = failure.began;
    let prevailing = || {
        let waited = failure.age() >= SHORTEST;
        waited
            .then(|| timeline.and_then(|timeline| timeline.prevailing(from, failure.at)))
            .flatten()
    };
    if unanswered && timed_out(connection, failure, timeouts) {
        let cause = prevailing().map_or(Cause::TunnelTimeout, cause_of);
        return Some(Ruling::charge(cause, STRONG));
    }
    let silent = failure.is_silence() && failure.age() >= due(case.usual(failure)).max(SHORTEST);
    let hung = silent || matches!(failure.what, What::Abandoned { .. });
    if !hung {
        return None;
    }
    if unanswered && out_of_descriptors.is_some_and(|at| connection.opened >= at) {
        return Some(Ruling::charge(Cause::TunnelFdLimit, STRONG));
    }
    let state = prevailing()?;
    // On a late host kubectl was late as well, and its queues say no more than that. A process that is stopped is.
    let doubtful = state != State::Stopped && lateness.touches(from, failure.at);
    (!doubtful).then(|| Ruling::charge(cause_of(state), confidence_of(state)))
}

/// 30.00 s after it was opened, without an answer, by RST; by FIN only when kubectl says `Timeout occurred` as well.
fn timed_out(connection: &Connection, failure: &Failure, timeouts: &[Moment]) -> bool {
    let age = failure.at.since(connection.opened);
    let on_time = age.0.saturating_add(50_000) >= STREAM_TIMEOUT.0 && age <= LATEST;
    let said = || {
        let start = timeouts.partition_point(|at| *at + Span(1_000_000) < failure.at);
        timeouts
            .get(start)
            .is_some_and(|at| *at <= failure.at + Span(1_000_000))
    };
    match failure.what {
        What::Broken {
            begun: false,
            by: Cut::UpstreamReset,
        } => on_time || said(),
        What::Broken {
            begun: false,
            by: Cut::UpstreamFin,
        } => on_time && said(),
        What::Broken { .. } | What::Answered { .. } | What::NotConnected(_) | What::Abandoned { .. } => false,
    }
}

pub(super) const fn cause_of(state: State) -> Cause {
    match state {
        State::Stopped | State::Starved => Cause::TunnelStopped,
        State::OutputBlocked => Cause::TunnelOutputBlocked,
        State::NoDescriptor => Cause::TunnelFdLimit,
        State::HeadOfLine | State::Wedged | State::UploadStalled => Cause::TunnelHeadOfLine,
        State::Blackhole => Cause::TunnelBlackhole,
        State::Healthy => Cause::TunnelTimeout,
    }
}

const fn confidence_of(state: State) -> f64 {
    match state {
        State::Stopped => STRONG + 0.05,
        State::OutputBlocked | State::NoDescriptor | State::HeadOfLine | State::Blackhole | State::Wedged => {
            STRONG
        }
        State::Starved | State::UploadStalled | State::Healthy => GOOD,
    }
}

fn tell(case: &mut Case<'_>, path: PathId, timeline: Option<&Timeline>, timeouts: usize) {
    let charged = |cause: Cause| {
        case.failures
            .iter()
            .any(|failure| failure.path == path && failure.cause == cause && failure.rule == RULE.name)
    };
    let mut notes: Vec<(Cause, Finding)> = Vec::new();
    let finding = |statement: String, numbers: Vec<(&'static str, f64)>| Finding {
        rule: RULE.name,
        statement,
        numbers,
    };
    if let Some(timeline) = timeline {
        let states = [
            (State::Stopped, "kubectl was stopped"),
            (
                State::OutputBlocked,
                "kubectl waited for somebody to read its own output",
            ),
            (
                State::Starved,
                "kubectl left its listener's queue unserved and used no CPU",
            ),
            (
                State::NoDescriptor,
                "kubectl had no descriptor left and its listener's queue was not served",
            ),
            (
                State::HeadOfLine,
                "kubectl did not read the tunnel while a local reader did not read what it had written",
            ),
            (
                State::Wedged,
                "kubectl did not read the tunnel and no local reader explains it",
            ),
            (
                State::UploadStalled,
                "the far end of the tunnel offered no window: the pod's side did not read",
            ),
            (
                State::Blackhole,
                "what kubectl sent into the tunnel was not acknowledged",
            ),
        ];
        for (state, words) in states {
            let (samples, of) = timeline.count(state, Moment(0), Moment(u64::MAX));
            if of > 0 && charged(cause_of(state)) {
                let statement = format!(
                    "In {} of {} samples {words}.",
                    count(u64::from(of)),
                    count(u64::from(samples))
                );
                let numbers = vec![("samples", f64::from(samples)), ("in_state", f64::from(of))];
                notes.push((cause_of(state), finding(statement, numbers)));
            }
        }
        if charged(Cause::TunnelHeadOfLine)
            && let Some(port) = timeline.culprit()
        {
            notes.push((Cause::TunnelHeadOfLine, culprit(case, path, port)));
        }
    }
    if timeouts > 0 {
        for cause in [
            Cause::TunnelTimeout,
            Cause::TunnelHeadOfLine,
            Cause::TunnelBlackhole,
        ] {
            if charged(cause) {
                let timeouts = u64::try_from(timeouts).unwrap_or(0);
                let statement = format!(
                    "kubectl said `Timeout occurred` {}.",
                    counted(timeouts, "time", "times")
                );
                notes.push((cause, finding(statement, vec![("lines", real(timeouts))])));
            }
        }
    }
    for (cause, finding) in notes {
        case.note(About::Cause(cause), Speaks::For, finding);
    }
}

/// Names the connection whose reader stalled the tunnel: hopscope's own port towards kubectl tells which it was.
fn culprit(case: &Case<'_>, path: PathId, port: u16) -> Finding {
    let blocked = case
        .evidence
        .connections
        .iter()
        .filter(|connection| connection.path == path)
        .filter(|connection| {
            connection
                .upstream_tuple
                .is_some_and(|tuple| tuple.local.port() == port)
        })
        .max_by_key(|connection| (connection.blocked_down, connection.bytes_down, connection.id));
    let statement = blocked.map_or_else(
        || format!("The reader that stalled the tunnel had local port {port}; it is not a connection of hopscope's on record."),
        |connection| {
            format!(
                "Connection {} (opened at {}) stalled the tunnel: its generator left an answer unread for {} after {} bytes.",
                connection.id.0,
                clock(connection.opened),
                connection.blocked_down,
                count(connection.bytes_down)
            )
        },
    );
    let mut numbers = vec![("port", f64::from(port))];
    numbers.extend(blocked.map(|connection| ("connection", real(connection.id.0))));
    Finding {
        rule: RULE.name,
        statement,
        numbers,
    }
}
