//! A forward that stands and does not serve: stream time-outs, head-of-line, black hole, stopped, out of descriptors.

mod said;

use said::{Said, refused_streams};

use super::Rule;
use super::client::due;
use super::forward_ended::clock;
use super::gauges::{State, Timelines};
use crate::case::{About, Case, Speaks};
use crate::catalogue::with_forwarder;
use crate::cause::Cause;
use crate::confidence::{GOOD, Ruling, STRONG};
use crate::evidence::{Connection, Cut, Moment, Observation, PathId, PathKind, Span, TunnelLine};
use crate::failure::{Failure, What};
use crate::figures::{count, counted, length, real};
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "forward-stalled",
    symptom: "connections of a forward hang, or are ended at once or 30.00 s after they were opened, without one byte of an answer",
    evidence: "the 30.00 s of client-go's stream creation, where the forwarder embeds it; its `Timeout occurred` lines; its sockets and process, sampled ten times a second",
    verdict: "tunnel, by what its sockets show: stopped, output-blocked, fd-limit, head-of-line with the reader that does not read, blackhole, hung with local connections that it neither reads nor ends, stream-refused, else timeout",
    proves: "the forwarder did not get as far as copying bytes, or did not move any while these waited",
    cannot_prove: "which machine behind the API server did not answer, when the forwarder's own sockets were healthy; anything about waits during which no sample was taken, or in more than a quarter of which hopscope's own host was late: the forwarder runs there too",
    apply,
};

/// kubectl waits this long for the acknowledgement of a stream (client-go, `createStreamResponseTimeout`).
const STREAM_TIMEOUT: Span = Span::from_micros(30_000_000);
/// It fires late, never early; hopscope's own connect comes a little before kubectl's accept.
const LATEST: Span = Span::from_micros(31_000_000);
/// A forwarder that is alive empties its local sockets sooner than this.
const HUNG_FOR: Span = Span::from_micros(1_500_000);
/// Shorter waits are not held against a forwarder: ten samples a second would be too few to say what it did.
const SHORTEST: Span = Span::from_micros(1_000_000);

fn apply(case: &mut Case<'_>) {
    for path in case.paths_of(PathKind::Tunnel) {
        let timelines = Timelines::of(case, path, &case.late.forward);
        let said = Said::of(lines_of(case, path));
        case.judge_where(
            RULE.name,
            // That bytes were lost in the tunnel says less than why it did not move them.
            |failure| failure.path == path && (failure.is_open() || failure.cause == Cause::TunnelTruncated),
            |case, failure| {
                let ruling = judge(case, failure, timelines.as_ref(), &said)?;
                let confidence = ruling.confidence.max(failure.confidence);
                Some(Ruling { confidence, ..ruling })
            },
        );
        refused_streams(case, path, &said);
        tell(case, path, timelines.as_ref(), &said);
    }
}

fn lines_of<'e>(case: &Case<'e>, path: PathId) -> &'e [TunnelLine] {
    match case.tunnel(path) {
        Observation::Seen(tunnel) => tunnel.lines.seen().map_or(&[], Vec::as_slice),
        Observation::Unseen(_) => &[],
    }
}

fn judge(case: &Case<'_>, failure: &Failure, timelines: Option<&Timelines>, said: &Said) -> Option<Ruling> {
    let connection = case.connection(failure)?;
    let timeline = timelines.and_then(|timelines| timelines.through(Some(&connection)));
    let unanswered = connection.bytes_down == 0;
    let from = failure.began;
    let prevailing = || {
        let waited = failure.age() >= SHORTEST;
        waited
            .then(|| timeline.and_then(|timeline| timeline.prevailing(from, failure.at)))
            .flatten()
    };
    if unanswered && case.laws(failure.path).client_go() && timed_out(&connection, failure, &said.timeouts) {
        // What a connection sent stays unread for as long as its stream is waited for.
        let state = prevailing().filter(|state| *state != State::Hung);
        let cause = state.map_or(Cause::TunnelTimeout, State::cause);
        return Some(Ruling::charge(cause, STRONG));
    }
    // Not held against what answers usually take: those that came through the same stall took as long.
    let silent = failure.is_silence() && failure.age() >= SHORTEST;
    let hung = silent || matches!(failure.what, What::Abandoned { .. });
    if !hung {
        return None;
    }
    if unanswered && said.out_of_descriptors(&connection) {
        return Some(Ruling::charge(Cause::TunnelFdLimit, STRONG));
    }
    // Its answer was not late yet when the far end fell silent, and the far end was asked for others as well.
    let fell_silent = || {
        let half = Span::from_micros(failure.age().as_micros() / 2);
        let due = from + due(case, failure).min(half);
        timeline
            .filter(|timeline| silent && timeline.fell_silent(due, failure.at))
            .map(|_| State::Blackhole)
    };
    let state = prevailing().or_else(fell_silent)?;
    // Who is none of client-go's reads nothing while it waits for its far end to connect: that may be the application.
    if state == State::Hung && !case.laws(failure.path).client_go() {
        return None;
    }
    // On a late host kubectl was late as well, and its queues say no more than that. A process that is stopped is.
    // A single look at local sockets that hold bytes may have come between two reads.
    if state == State::Hung && failure.age() < HUNG_FOR {
        return None;
    }
    let doubtful = state != State::Stopped && case.late.forward.counted(from, failure.at).is_none();
    (!doubtful).then(|| Ruling::charge(state.cause(), confidence_of(state)))
}

/// 30.00 s after it was opened, without an answer, by RST; by FIN only when kubectl says `Timeout occurred` as well.
fn timed_out(connection: &Connection, failure: &Failure, timeouts: &[Moment]) -> bool {
    let age = failure.at.since(connection.opened);
    let on_time = age.as_micros().saturating_add(50_000) >= STREAM_TIMEOUT.as_micros() && age <= LATEST;
    let said = || {
        let start = timeouts.partition_point(|at| *at + Span::from_micros(1_000_000) < failure.at);
        timeouts
            .get(start)
            .is_some_and(|at| *at <= failure.at + Span::from_micros(1_000_000))
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
        What::Broken { .. }
        | What::Answered { .. }
        | What::NotConnected(_)
        | What::Abandoned { .. }
        | What::FrontTls(_) => false,
    }
}

const fn confidence_of(state: State) -> f64 {
    match state {
        State::Stopped => STRONG + 0.05,
        State::OutputBlocked | State::NoDescriptor | State::HeadOfLine | State::Blackhole | State::Wedged => {
            STRONG
        }
        State::Starved | State::UploadStalled | State::Hung | State::Healthy | State::Doubtful => GOOD,
    }
}

/// What samples show of a state, with the forwarder's name.
const STATES: [(State, &str); 9] = [
    (State::Stopped, "{forwarder} was stopped"),
    (
        State::OutputBlocked,
        "{forwarder} waited for somebody to read its own output",
    ),
    (
        State::Starved,
        "{forwarder} left its listener's queue unserved and used no CPU",
    ),
    (
        State::NoDescriptor,
        "{forwarder} had no descriptor left and its listener's queue was not served",
    ),
    (
        State::HeadOfLine,
        "{forwarder} did not read the tunnel while a local reader did not read what it had written",
    ),
    (
        State::Wedged,
        "{forwarder} did not read the tunnel and no local reader explains it",
    ),
    (
        State::UploadStalled,
        "the far end of the tunnel offered no window: the pod's side did not read",
    ),
    (
        State::Blackhole,
        "what {forwarder} sent into the tunnel was not acknowledged, or it was and streams were left unanswered",
    ),
    (
        State::Hung,
        "{forwarder} ran and left unread what local connections had sent, among them such as the other side had closed",
    ),
];

fn tell(case: &mut Case<'_>, path: PathId, timelines: Option<&Timelines>, said: &Said) {
    let charged = |cause: Cause| {
        case.failures
            .iter()
            .any(|failure| failure.path == path && failure.cause == cause && failure.rule == RULE.name)
    };
    let forwarder = case.forwarder_name(path);
    let mut notes: Vec<(Cause, Finding)> = Vec::new();
    let finding = |statement: String, numbers: Vec<(&'static str, f64)>| Finding {
        rule: RULE.name,
        statement,
        numbers,
    };
    if let Some(timelines) = timelines {
        for (state, words) in STATES {
            let (samples, of) = timelines.count(state);
            if of > 0 && charged(state.cause()) {
                let words = with_forwarder(words, forwarder);
                let statement = format!(
                    "In {} of {} samples {words}.",
                    count(u64::from(of)),
                    count(u64::from(samples))
                );
                let numbers = vec![("samples", f64::from(samples)), ("in_state", f64::from(of))];
                notes.push((state.cause(), finding(statement, numbers)));
            }
        }
        if let Some(finding) = starved(case, path, timelines) {
            notes.push((Cause::TunnelStopped, finding));
        }
        if charged(Cause::TunnelHeadOfLine)
            && let Some(port) = timelines.culprit()
        {
            notes.push((Cause::TunnelHeadOfLine, culprit(case, path, port)));
        }
        if charged(Cause::TunnelHeadOfLine)
            && timelines.count(State::UploadStalled).1 > 0
            && let Some(finding) = stalled_upload(case, path)
        {
            notes.push((Cause::TunnelHeadOfLine, finding));
        }
    }
    let timeouts = said.timeouts.len();
    if charged(Cause::TunnelStreamRefused) {
        let statement = format!(
            "kubectl said `Stream reset` {} while it opened streams, and the forward stood.",
            counted(u64::try_from(said.refusals.len()).unwrap_or(0), "time", "times")
        );
        let numbers = vec![("lines", length(said.refusals.len()))];
        notes.push((Cause::TunnelStreamRefused, finding(statement, numbers)));
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

/// How much CPU time kubectl wanted and got while the one that waited longest for want of it waited.
fn starved(case: &Case<'_>, path: PathId, timelines: &Timelines) -> Option<Finding> {
    let charged = case.failures.iter().filter(|failure| {
        failure.path == path && failure.cause == Cause::TunnelStopped && failure.rule == RULE.name
    });
    let cpu = charged
        .filter_map(|failure| {
            let timeline = timelines.through(case.connection(failure).as_ref())?;
            timeline.cpu(failure.began, failure.at)
        })
        .max_by_key(|cpu| (cpu.waited, cpu.span))
        .filter(|cpu| cpu.waited > 0)?;
    let statement = format!(
        "Within {} {}'s threads waited for CPU time for {} and got {} of it.",
        Span::from_millis(cpu.span),
        case.forwarder_name(path),
        Span::from_millis(cpu.waited),
        Span::from_millis(cpu.used)
    );
    Some(Finding {
        rule: RULE.name,
        statement,
        numbers: vec![("waited_ms", real(cpu.waited)), ("used_ms", real(cpu.used))],
    })
}

/// Names the connection whose bytes nobody took at the pod's side: the one on which hopscope itself had to wait longest.
fn stalled_upload(case: &Case<'_>, path: PathId) -> Option<Finding> {
    let stalled = case
        .evidence
        .connections
        .iter()
        .filter(|connection| connection.path == path && connection.blocked_up >= SHORTEST)
        .max_by_key(|connection| (connection.blocked_up, connection.bytes_up, connection.id))?;
    let statement = format!(
        "Connection {} (opened at {}) filled the tunnel: after {} bytes its application took no more, and it waited for {}.",
        stalled.id.0,
        clock(stalled.opened),
        count(stalled.bytes_up),
        stalled.blocked_up
    );
    Some(Finding {
        rule: RULE.name,
        statement,
        numbers: vec![
            ("connection", real(stalled.id.0)),
            ("bytes_up", real(stalled.bytes_up)),
        ],
    })
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
