//! Several exchanges on one connection: what ends one of them, and what ends them all.

use std::collections::BTreeSet;

use super::Rule;
use crate::case::Case;
use crate::cause::Cause;
use crate::confidence::{GOOD, Ruling, STRONG};
use crate::evidence::exchange::stream_error::{ENHANCE_YOUR_CALM, REFUSED_STREAM};
use crate::evidence::{Author, ConnectionId, Cut, Moment, PathId, PathKind};
use crate::failure::What;

pub(super) const ENDED: Rule = Rule {
    name: "stream-ended",
    symptom: "an HTTP/2 stream was reset by the path's side, or left unprocessed by its GOAWAY, while its connection stood",
    evidence: "the frame, its error code, and the kind of the path",
    verdict: "direct path and tunnel: backend (goaway, refused-stream, rate-limited, reset, truncated); a path on which a load balancer has left its mark: lb-goaway for GOAWAY; else undetermined",
    proves: "that whoever speaks HTTP/2 at the other end ended this stream, which no tunnel can; with GOAWAY and REFUSED_STREAM, that the request was not processed",
    cannot_prove: "which of several HTTP/2 speakers it was, where a load balancer may be one; why",
    apply: ended,
};

pub(super) const VICTIMS: Rule = Rule {
    name: "stream-victims",
    symptom: "several exchanges of one connection ended in the same moment, with the connection",
    evidence: "the connection and the moment that they share",
    verdict: "none of its own: the first is the trigger, the others are its victims, and all keep their charge",
    proves: "that one end of one connection took them all along",
    cannot_prove: "which of them, if any, provoked it",
    apply: victims,
};

fn ended(case: &mut Case<'_>) {
    let marked: BTreeSet<PathId> = case
        .failures
        .iter()
        .filter(|failure| match failure.what {
            What::Answered { author, .. } => matches!(
                author,
                Author::AwsAlb | Author::HaProxy | Author::Nginx | Author::Envoy(_)
            ),
            What::Broken { .. } | What::NotConnected(_) | What::Abandoned { .. } | What::FrontTls(_) => false,
        })
        .map(|failure| failure.path)
        .collect();
    case.judge_open(ENDED.name, |case, failure| {
        let kind = case.kind(failure.path);
        judge(failure.what, kind).or_else(|| {
            let gone = matches!(
                failure.what,
                What::Broken {
                    by: Cut::GoAway(_),
                    ..
                }
            );
            (gone && kind == PathKind::Lb && marked.contains(&failure.path))
                .then_some(Ruling::charge(Cause::LbGoaway, GOOD))
        })
    });
}

/// What one failure alone shows.
pub(super) const fn judge(what: What, kind: PathKind) -> Option<Ruling> {
    let What::Broken { begun, by } = what else {
        return None;
    };
    let cause = match (by, begun) {
        (Cut::GoAway(_), _) => Cause::BackendGoaway,
        (Cut::UpstreamStream(REFUSED_STREAM), false) => Cause::BackendRefusedStream,
        (Cut::UpstreamStream(ENHANCE_YOUR_CALM), _) => Cause::BackendRateLimited,
        (Cut::UpstreamStream(_), true) => Cause::BackendTruncated,
        (Cut::UpstreamStream(_), false) => Cause::BackendReset,
        _ => return None,
    };
    match kind {
        // A tunnel carries bytes and writes no frames.
        PathKind::Direct | PathKind::Tunnel => Some(Ruling::charge(cause, STRONG)),
        PathKind::Lb | PathKind::Unstated => None,
    }
}

fn victims(case: &mut Case<'_>) {
    let mut seen: BTreeSet<(ConnectionId, Moment, Cause)> = BTreeSet::new();
    for failure in &mut case.failures {
        let with_its_connection = matches!(
            failure.what,
            What::Broken {
                by: Cut::UpstreamFin | Cut::UpstreamReset | Cut::UpstreamErrno(_),
                ..
            }
        );
        if with_its_connection
            && !failure.is_open()
            && !failure.victim
            && !seen.insert((failure.id, failure.at, failure.cause))
        {
            failure.victim = true;
        }
    }
}
