//! The one sentence, and the words that findings are told in.

use crate::case::Case;
use crate::cause::Cause;
use crate::evidence::{ConnectFailure, Cut};
use crate::failure::{UNDECIDED, What};
use crate::figures::{count, counted, percent};
use crate::hop::Hop;
use crate::rules::RULES;
use crate::verdict::{CauseCharge, Confidence, HopCharge};

/// Nothing failed: how much was looked at.
pub(crate) fn healthy(case: &Case<'_>) -> String {
    let requests = case
        .evidence
        .traffic
        .iter()
        .fold(0_u64, |sum, cell| sum.saturating_add(cell.requests));
    let connections = u64::try_from(case.evidence.connections.len()).unwrap_or(u64::MAX);
    let seen = format!(
        "{} on {}",
        counted(requests, "request", "requests"),
        counted(connections, "connection", "connections")
    );
    if requests == 0 && connections == 0 {
        "Nothing failed, and nothing was tried: no connection reached hopscope.".to_owned()
    } else if case.rows_lost > 0 {
        format!(
            "No failure is on record in {seen}, but {} lost.",
            counted(case.rows_lost, "row was", "rows were")
        )
    } else {
        format!("Nothing failed: {seen}, every one answered.")
    }
}

/// The hop charged with most failures, in one honest sentence.
pub(crate) fn charged(
    case: &Case<'_>,
    hops: &[HopCharge],
    hop: &HopCharge,
    cause: &CauseCharge,
    total: u64,
    confidence: Confidence,
) -> String {
    let part = format!(
        "{} of {} ({})",
        count(hop.failures),
        counted(total, "failure", "failures"),
        percent(hop.failures, total)
    );
    let why = reason(cause);
    let cleared = cleared(case, hops);
    match hop.hop {
        Hop::Unknown if cause.cause == Cause::RequestRejected => {
            format!(
                "{part} were answered with 4xx: every hop delivered, the requests themselves were rejected."
            )
        }
        Hop::Unknown => format!("The evidence does not decide {part}: {why}."),
        Hop::Observer => {
            format!("hopscope itself stood in the way of {part}: {why}; nobody else is charged with them.")
        }
        Hop::Client | Hop::Tunnel | Hop::Lb | Hop::Backend => {
            format!(
                "{} {} charged with {part}, {}: {why}{cleared}.",
                name(hop.hop),
                hedge(confidence),
                cause.cause
            )
        }
    }
}

/// The strongest reason of a cause, fit for the middle of a sentence.
fn reason(cause: &CauseCharge) -> String {
    let Some(finding) = cause.evidence_for.first() else {
        return "no reason was recorded".to_owned();
    };
    let reason = because(finding.rule, cause.cause);
    if cause.victims == 0 {
        return reason;
    }
    let triggers = cause.failures.saturating_sub(cause.victims);
    format!(
        "{reason}; {} and {}",
        counted(triggers, "trigger", "triggers"),
        counted(cause.victims, "victim", "victims")
    )
}

/// What was cleared on the way, when somebody looked.
fn cleared(case: &Case<'_>, hops: &[HopCharge]) -> String {
    let charged = |hop: Hop| hops.iter().any(|charge| charge.hop == hop);
    let _ = case;
    if charged(Hop::Tunnel) {
        String::new()
    } else {
        String::new()
    }
}

fn hedge(confidence: Confidence) -> &'static str {
    match confidence.get() {
        sure if sure >= 0.85 => "is",
        sure if sure >= 0.65 => "is most likely rightly",
        _ => "is perhaps rightly",
    }
}

/// A hop as a sentence begins with it.
pub(crate) const fn name(hop: Hop) -> &'static str {
    match hop {
        Hop::Client => "The load generator",
        Hop::Observer => "hopscope itself",
        Hop::Tunnel => "The tunnel",
        Hop::Lb => "The load balancer",
        Hop::Backend => "The backend",
        Hop::Unknown => "Nobody",
    }
}

/// What a failure looked like, in few words.
pub(crate) const fn symptom(what: What) -> &'static str {
    match what {
        What::Answered { .. } => "complete error answer",
        What::Broken { begun: true, by } => match by {
            Cut::DownstreamFin => "left in mid-answer by the generator",
            Cut::DownstreamReset => "reset in mid-answer by the generator",
            Cut::UpstreamFin => "answer cut off by FIN",
            Cut::UpstreamReset => "answer cut off by RST",
            Cut::UpstreamErrno(_) => "answer cut off by a socket error",
            Cut::NotConnected => "not connected",
            Cut::Unreadable => "answer that is not HTTP",
            Cut::Stopped => "answer under way at the end of the run",
        },
        What::Broken { begun: false, by } => match by {
            Cut::DownstreamFin => "no answer until the generator left",
            Cut::DownstreamReset => "no answer until the generator reset",
            Cut::UpstreamFin => "no answer, FIN",
            Cut::UpstreamReset => "no answer, RST",
            Cut::UpstreamErrno(_) => "no answer, socket error",
            Cut::NotConnected => "not connected",
            Cut::Unreadable => "answer that is not HTTP",
            Cut::Stopped => "no answer until the end of the run",
        },
        What::NotConnected(failure) => match failure {
            ConnectFailure::Refused => "connection refused",
            ConnectFailure::TimedOut => "connect timed out",
            ConnectFailure::Unreachable => "unreachable",
            ConnectFailure::Reset => "reset during the handshake",
            ConnectFailure::Dns => "name not resolved",
            ConnectFailure::Tls(_) => "TLS handshake failed",
            ConnectFailure::NoLocalPort => "no local port left",
            ConnectFailure::NoDescriptor => "no descriptor left",
            ConnectFailure::Errno(_) => "connect failed",
        },
        What::Abandoned { .. } => "left while connecting",
    }
}

/// What a rule proves of a cause, fit for the middle of a sentence.
pub(crate) fn because(rule: &str, cause: Cause) -> String {
    if rule == UNDECIDED {
        return "no rule decides them on the evidence at hand".to_owned();
    }
    let _ = cause;
    RULES
        .iter()
        .find(|known| known.name == rule)
        .map_or_else(|| rule.to_owned(), |known| known.proves.to_owned())
}
