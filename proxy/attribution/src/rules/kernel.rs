//! Who sent the RST, by the kernels that saw it, and where the bytes stopped.

use super::Rule;
use crate::case::Case;
use crate::cause::Cause;
use crate::confidence::{PROVEN, Ruling, STRONG};
use crate::court::{self, Witness};
use crate::evidence::node::{KernelEnd, KernelSocket};
use crate::evidence::{ConnectionId, Cut, Observation, PathKind};
use crate::failure::{Failure, What};
use crate::hop::Hop;

pub(super) const RULE: Rule = Rule {
    name: "kernel-witness",
    symptom: "an answer that did not come, or did not come whole",
    evidence: "the ends of sockets that other hosts' kernels recorded, joined to hopscope's connection; the bytes that passed each of them",
    verdict: "the hop whose kernel sent the reset, refused, closed first or overflowed; the hop between two sockets that do not agree on the bytes; a witness that contradicts: undetermined",
    proves: "which host ended the connection, and that what is said to be lost had arrived or had left",
    cannot_prove: "anything by the absence of an event, least of all while events were lost; why the owner of the socket did it",
    apply,
};

fn apply(case: &mut Case<'_>) {
    let Observation::Seen(node) = &case.evidence.node else {
        return;
    };
    let mut witnesses: Vec<(ConnectionId, &KernelSocket)> = node
        .sockets
        .iter()
        .filter_map(|socket| socket.connection.seen().map(|connection| (*connection, socket)))
        .collect();
    witnesses.sort_by_key(|(connection, _)| *connection);
    if witnesses.is_empty() {
        return;
    }
    let of = |failure: &Failure| -> &[(ConnectionId, &KernelSocket)] {
        let start = witnesses.partition_point(|(connection, _)| *connection < failure.id);
        let end = witnesses.partition_point(|(connection, _)| *connection <= failure.id);
        witnesses.get(start..end).unwrap_or(&[])
    };
    case.judge_where(
        RULE.name,
        |failure| {
            matches!(
                failure.what,
                What::Broken { .. }
                    | What::NotConnected(_)
                    | What::Abandoned { .. }
                    | What::Answered {
                        status: 502..=504,
                        ..
                    }
            ) && matches!(failure.cause.hop(), Hop::Unknown | Hop::Backend | Hop::Lb)
                && !failure.contradicted
        },
        |case, failure| {
            let ruling = judge(case, failure, of(failure))?;
            // Where events were lost, a witness may be weaker than what it speaks against: then they contradict.
            let weaker = ruling.confidence < failure.confidence && ruling.cause.hop() != failure.cause.hop();
            Some(if weaker && !ruling.contradicted {
                Ruling::contradiction()
            } else {
                ruling
            })
        },
    );
}

/// What the report charges where a kernel of the application's side says it, in this order: what is nearer to the
/// application began it.
const BY_THE_APPLICATION: [Cause; 3] = [
    Cause::BackendReset,
    Cause::BackendAcceptQueue,
    Cause::BackendRefused,
];

fn judge(case: &Case<'_>, failure: &Failure, sockets: &[(ConnectionId, &KernelSocket)]) -> Option<Ruling> {
    let owned = |hop: Hop, ends: &[KernelEnd]| {
        sockets
            .iter()
            .any(|(_, socket)| socket.owner.seen() == Some(&hop) && ends.contains(&socket.end))
    };
    if sockets.is_empty() {
        return None;
    }
    // A complete answer is its author's, but for one that an open charge takes for a messenger's.
    let answered = matches!(failure.what, What::Answered { .. });
    if answered && !failure.is_open() {
        return None;
    }
    // A cause of the same hop that was found already is not made less sure by a witness for it.
    let charge =
        |cause: Cause, sure: f64| Ruling::charge(cause, (sure * case.kernel_trust()).max(failure.confidence));
    let said = said(sockets);
    for cause in BY_THE_APPLICATION {
        if said.contains(&cause) {
            // Nothing stands behind the application: what its own kernel sent first, it began.
            let unread = cause == Cause::BackendReset && owned(Hop::Backend, &[KernelEnd::ResetSentUnread]);
            let cause = if unread {
                court::reset_by_the_application(case.exchange(failure).as_ref())
            } else {
                cause
            };
            return Some(charge(cause, PROVEN));
        }
    }
    if answered {
        return None;
    }
    let by_the_client = said.iter().filter(|cause| cause.hop() == Hop::Client).min();
    if let Some(cause) = by_the_client.filter(|_| !failure.cut_by_upstream()) {
        return Some(charge(*cause, PROVEN));
    }
    if let Some(ruling) = ledger(case, failure, sockets) {
        return Some(ruling);
    }
    let backend_was_ended = owned(
        Hop::Backend,
        &[
            KernelEnd::ResetReceived,
            KernelEnd::ClosedByPeer,
            KernelEnd::RetransmitTimeout,
        ],
    );
    if backend_was_ended && failure.cut_by_upstream() {
        // The application's own kernel says that somebody else ended it.
        return match case.kind(failure.path) {
            PathKind::Lb if owned(Hop::Lb, &[KernelEnd::ResetSent, KernelEnd::ResetSentUnread]) => {
                Some(Ruling::charge(Cause::LbReset, STRONG * case.kernel_trust()))
            }
            PathKind::Lb | PathKind::Tunnel | PathKind::Direct | PathKind::Unstated => {
                Some(Ruling::contradiction())
            }
        };
    }
    if owned(Hop::Backend, &[KernelEnd::ClosedFirst]) && failure.cut_by_upstream() {
        let begun = matches!(failure.what, What::Broken { begun: true, .. });
        return Some(Ruling::charge(
            if begun {
                Cause::BackendTruncated
            } else {
                Cause::BackendReset
            },
            STRONG * case.kernel_trust(),
        ));
    }
    // Whatever order the agents told it in.
    let other = said
        .into_iter()
        .filter(|cause| on_path(cause.hop(), case.kind(failure.path)));
    other.min().map(|cause| charge(cause, STRONG))
}

/// Whether a hop stands between hopscope and the end of a path of this kind.
const fn on_path(hop: Hop, kind: PathKind) -> bool {
    match (hop, kind) {
        (Hop::Backend, _) | (Hop::Lb, PathKind::Lb) | (Hop::Tunnel, PathKind::Tunnel) => true,
        (Hop::Client | Hop::Observer | Hop::Unknown, _)
        | (Hop::Lb, PathKind::Tunnel | PathKind::Direct | PathKind::Unstated)
        | (Hop::Tunnel, PathKind::Lb | PathKind::Direct | PathKind::Unstated) => false,
    }
}

/// What the court says of each socket. hopscope's own are not asked: it has seen them itself, and knows more of them.
fn said(sockets: &[(ConnectionId, &KernelSocket)]) -> Vec<Cause> {
    let others = sockets
        .iter()
        .filter(|(_, socket)| socket.owner.seen() != Some(&Hop::Observer));
    others
        .filter_map(|(_, socket)| court::charge(&Witness::from(*socket)))
        .collect()
}

/// The tunnel neither adds nor removes bytes: what the application's kernel had acknowledged by the node and hopscope
/// did not get was lost between the two.
fn ledger(case: &Case<'_>, failure: &Failure, sockets: &[(ConnectionId, &KernelSocket)]) -> Option<Ruling> {
    let connection = case.connection(failure)?;
    // The least that any of the application's sockets is known to have got through.
    let acknowledged = sockets
        .iter()
        .filter(|(_, socket)| socket.owner.seen() == Some(&Hop::Backend))
        .filter_map(|(_, socket)| socket.bytes.seen())
        .map(|bytes| bytes.acknowledged)
        .min()?;
    let between = match case.kind(failure.path) {
        PathKind::Tunnel => Cause::TunnelTruncated,
        PathKind::Lb => Cause::LbReset,
        PathKind::Direct | PathKind::Unstated => return None,
    };
    let upstream_cut = matches!(
        failure.what,
        What::Broken {
            by: Cut::UpstreamFin | Cut::UpstreamReset,
            ..
        }
    );
    // An L7 load balancer rewrites heads, so only a loss that no rewriting explains counts there.
    let slack = if between == Cause::LbReset { 16_384 } else { 0 };
    let lost_down = acknowledged > connection.bytes_down.saturating_add(slack);
    (upstream_cut && lost_down).then_some(Ruling::charge(between, (STRONG + 0.05) * case.kernel_trust()))
}
