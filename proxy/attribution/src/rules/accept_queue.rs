//! A full accept queue: connects that take a second more, or three, or seven, and listeners that overflow.

use super::Rule;
use super::client::due;
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::confidence::{PROVEN, Ruling, STRONG};
use crate::evidence::{ConnectFailure, PathId, PathKind, Span, Upstream};
use crate::failure::{Failure, What};
use crate::figures::{count, counted, real};
use crate::hop::Hop;
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "accept-queue",
    symptom: "connects that time out or are given up, or silence right after connecting, while others connect 1, 3 or 7 s late",
    evidence: "connect times on the steps of the SYN back-off; accept-queue overflows that the listener's kernel counted",
    verdict: "backend-accept-queue, by overflows that the listener's kernel counted; steps alone leave it open between the network and the queue",
    proves: "with overflows: that the application's listener dropped connections; with steps: that SYN segments were dropped while connections that stood lost nothing",
    cannot_prove: "without the listener's kernel, whether its queue or a firewall dropped the SYN; anything by the absence of overflows when the kernel's events were lost",
    apply,
};

/// When a SYN is sent again: 1, 3, 7, 15 s with exponential back-off from the start, and 1, 2, 3, 4, 5, 7, 11, 19 s with
/// Linux 6.5's four linear time-outs (`tcp_syn_linear_timeouts`). What connects, connects just after one of these.
pub(super) const SYN_STEPS: [Span; 10] = [
    Span::from_micros(1_000_000),
    Span::from_micros(2_000_000),
    Span::from_micros(3_000_000),
    Span::from_micros(4_000_000),
    Span::from_micros(5_000_000),
    Span::from_micros(7_000_000),
    Span::from_micros(11_000_000),
    Span::from_micros(15_000_000),
    Span::from_micros(19_000_000),
    Span::from_micros(31_000_000),
];

fn on_step(connect: Span) -> bool {
    SYN_STEPS
        .iter()
        .any(|step| connect >= *step && connect.as_micros() <= step.as_micros() + 120_000)
}

struct Connects {
    late: u64,
    stepped: u64,
    retransmitting: u64,
    connected: u64,
}

fn apply(case: &mut Case<'_>) {
    let overflows = overflows(case);
    for index in 0..case.evidence.paths.len() {
        let Ok(path) = u8::try_from(index).map(PathId) else {
            continue;
        };
        let kind = case.kind(path);
        if matches!(kind, PathKind::Lb | PathKind::Unstated) {
            continue;
        }
        let steps = steps(case, path);
        let in_steps = kind == PathKind::Direct
            && steps.stepped >= 3
            && steps.stepped.saturating_mul(10) >= steps.late.saturating_mul(8)
            && steps.retransmitting.saturating_mul(20) <= steps.connected;
        // Each connection that was dropped overflowed the queue at least once: fewer overflows do not explain them. A
        // failure whose row is lost may have been one as well.
        let lost = &case.evidence.observer.accounting;
        let unknown = lost.exchanges_lost.saturating_add(lost.connections_lost);
        let enough = overflows > 0 && overflows >= candidates(case, path, kind).saturating_add(unknown);
        let confidence = match (enough, in_steps) {
            (true, true) => PROVEN,
            (true, false) => STRONG,
            // A firewall, a translation or a lossy network drops SYNs on the same steps.
            (false, true) => {
                tell(case, path, &steps, in_steps, overflows);
                continue;
            }
            (false, false) => continue,
        };
        judge(case, path, kind, confidence);
        tell(case, path, &steps, in_steps, overflows);
    }
}

/// A failure that a full accept queue could have made.
fn dropped(case: &Case<'_>, kind: PathKind, failure: &Failure) -> bool {
    let late = due(case, failure).max(Span::from_micros(1_000_000));
    let undecided = failure.is_open();
    undecided
        && match failure.what {
            What::NotConnected(ConnectFailure::TimedOut) | What::Abandoned { .. } => kind == PathKind::Direct,
            // Standing on our side, and still not accepted on the other.
            What::Broken { begun: false, .. } => {
                failure.is_silence() && failure.ordinal == 0 && failure.age() >= late
            }
            What::Broken { .. } | What::NotConnected(_) | What::Answered { .. } | What::FrontTls(_) => false,
        }
}

fn candidates(case: &Case<'_>, path: PathId, kind: PathKind) -> u64 {
    let here = case.failures.iter().filter(|failure| failure.path == path);
    u64::try_from(here.filter(|failure| dropped(case, kind, failure)).count()).unwrap_or(u64::MAX)
}

fn judge(case: &mut Case<'_>, path: PathId, kind: PathKind, confidence: f64) {
    case.judge_where(
        RULE.name,
        |failure| failure.path == path,
        |case, failure| {
            dropped(case, kind, failure).then_some(Ruling::charge(Cause::BackendAcceptQueue, confidence))
        },
    );
}

/// Overflows at the application's listeners over the whole run; when exactly is left to the kernel's own clock.
fn overflows(case: &Case<'_>) -> u64 {
    case.evidence.node.seen().map_or(0, |node| {
        let windows = node.windows.iter().filter(|window| window.hop == Hop::Backend);
        windows.fold(0_u64, |sum, window| {
            sum.saturating_add(window.accept_queue_overflows)
        })
    })
}

fn steps(case: &Case<'_>, path: PathId) -> Connects {
    let mut steps = Connects {
        late: 0,
        stepped: 0,
        retransmitting: 0,
        connected: 0,
    };
    for connection in case
        .evidence
        .connections
        .iter()
        .filter(|connection| connection.path == path)
    {
        let Upstream::Connected { tcp, .. } = connection.upstream else {
            continue;
        };
        steps.connected += 1;
        steps.late += u64::from(tcp >= Span::from_micros(900_000));
        steps.stepped += u64::from(on_step(tcp));
        // Segments lost on connections that stand would mean a lossy network, which loses SYNs as well.
        let prompt = tcp < Span::from_micros(900_000);
        let lossy = connection
            .upstream_tcp
            .seen()
            .is_some_and(|tcp| tcp.retransmits > 0);
        steps.retransmitting += u64::from(prompt && lossy);
    }
    steps
}

fn tell(case: &mut Case<'_>, path: PathId, steps: &Connects, in_steps: bool, overflows: u64) {
    let name = case.path_name(path);
    if in_steps {
        let statement = format!(
            "{} of {} connects on path {name} took 1, 3 or 7 s and a little more, as when a SYN is dropped and sent again; of those that connected at once, {} had to send anything again.",
            count(steps.stepped),
            counted(steps.connected, "connect", "connects"),
            count(steps.retransmitting)
        );
        let numbers = vec![
            ("on_steps", real(steps.stepped)),
            ("connected", real(steps.connected)),
        ];
        for cause in [Cause::BackendAcceptQueue, Cause::Undetermined] {
            let finding = Finding {
                rule: RULE.name,
                statement: statement.clone(),
                numbers: numbers.clone(),
            };
            case.note(About::Cause(cause), Speaks::For, finding);
        }
    }
    if overflows > 0 {
        let statement = format!(
            "The kernel counted {} of the application's accept queue.",
            counted(overflows, "overflow", "overflows")
        );
        let numbers = vec![("overflows", real(overflows))];
        case.note(
            About::Cause(Cause::BackendAcceptQueue),
            Speaks::For,
            Finding {
                rule: RULE.name,
                statement,
                numbers,
            },
        );
    }
}
