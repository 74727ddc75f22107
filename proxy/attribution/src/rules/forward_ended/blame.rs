//! Why a forward ended: what kubectl said in that moment, and what the node's kernel saw.

use super::{AFTER, BEFORE, End, back};
use crate::case::Case;
use crate::cause::Cause;
use crate::confidence::{GOOD, STRONG};
use crate::evidence::node::{KernelEnd, KernelSocket};
use crate::evidence::tunnel::{TunnelLife, TunnelMeaning};
use crate::evidence::{ConnectionId, Moment, Observation, Span, TunnelEvidence, TunnelLine};
use crate::hop::Hop;
use crate::rules::forward::{failures_between, lines_between};

/// What a line of the node's says of the pod; `None` for a line that is no trigger.
pub(in crate::rules) const fn trigger(meaning: TunnelMeaning) -> Option<Cause> {
    match meaning {
        TunnelMeaning::PodRefused => Some(Cause::BackendRefused),
        TunnelMeaning::PodConnectTimeout => Some(Cause::BackendAcceptQueue),
        TunnelMeaning::PodReset | TunnelMeaning::PodBrokenPipe => Some(Cause::BackendReset),
        TunnelMeaning::PodGone => Some(Cause::BackendNotReady),
        TunnelMeaning::NodePairTimeout => Some(Cause::TunnelTimeout),
        TunnelMeaning::NoPodPort => Some(Cause::TunnelPortsExhausted),
        TunnelMeaning::Listening
        | TunnelMeaning::Handling
        | TunnelMeaning::StreamTimeout
        | TunnelMeaning::StreamReset
        | TunnelMeaning::StreamLost
        | TunnelMeaning::ClientGone
        | TunnelMeaning::ClientReset
        | TunnelMeaning::Lost
        | TunnelMeaning::NoDescriptor
        | TunnelMeaning::CannotListen
        | TunnelMeaning::Forbidden
        | TunnelMeaning::NotFound
        | TunnelMeaning::PodNotRunning
        | TunnelMeaning::NodeUnreachable
        | TunnelMeaning::RuntimeRefused
        | TunnelMeaning::UpgradeFailed
        | TunnelMeaning::ApiUnreachable
        | TunnelMeaning::NotLoggedIn
        | TunnelMeaning::BadConfiguration
        | TunnelMeaning::Fallback
        | TunnelMeaning::NodeError
        | TunnelMeaning::Unrecognised => None,
    }
}

/// Lines that mean that a stream of the tunnel was not had: nothing that a pod can do.
const fn refused_a_stream(meaning: TunnelMeaning) -> bool {
    matches!(
        meaning,
        TunnelMeaning::StreamTimeout | TunnelMeaning::StreamReset | TunnelMeaning::StreamLost
    )
}

pub(super) fn blame(case: &Case<'_>, end: &mut End) {
    let laws = case.laws(end.path);
    // That one error of the pod's ends everything is client-go's law.
    if laws.client_go() {
        by_kernel(case, end);
    }
    if end.blame.is_some() {
        return;
    }
    let tunnel = case.tunnel(end.path);
    let tunnel = tunnel.seen().copied();
    match tunnel.map(|tunnel| &tunnel.lines) {
        Some(Observation::Seen(lines)) => by_lines(end, lines, tunnel),
        Some(Observation::Unseen(_)) | None => {}
    }
    let known = case.forwarder(end.path).seen().is_some();
    if end.blame.is_none() && known && !laws.client_go() && end.stated {
        let words = format!(
            "{} no longer listened, and nothing that a pod does ends it",
            case.forwarder_name(end.path)
        );
        end.blame(Cause::TunnelLost, GOOD, words);
    }
}

fn by_lines(end: &mut End, lines: &[TunnelLine], tunnel: Option<&TunnelEvidence>) {
    let same_forward = |line: &&TunnelLine| match (line.local_port, end.port) {
        (Some(line), Some(end)) => line == end,
        _ => true,
    };
    let since = back(end.from, BEFORE).max(end.since);
    let around = lines_between(lines, since, end.to + AFTER);
    let near: Vec<&TunnelLine> = around.iter().filter(same_forward).collect();
    let first = near
        .iter()
        .filter_map(|line| trigger(line.meaning).map(|cause| (line.at, cause, &line.text)))
        .min();
    if let Some((_, cause, text)) = first {
        return end.blame(cause, STRONG + 0.05, format!("kubectl had just said: {text}"));
    }
    let unclear = |line: &&TunnelLine| {
        matches!(
            line.meaning,
            TunnelMeaning::NodeError | TunnelMeaning::Unrecognised | TunnelMeaning::PodNotRunning
        )
    };
    if near.iter().any(unclear) {
        return end.doubt("kubectl said something that is not understood just then");
    }
    let omitted = tunnel
        .and_then(|tunnel| tunnel.gauges.seen())
        .and_then(|gauges| gauges.last());
    if omitted.is_some_and(|gauge| gauge.lines_omitted > 0) {
        end.contradicted = true;
        return end.doubt("kubectl said more than was recorded, so that no trigger was seen proves nothing");
    }
    if end.stated {
        let words = "kubectl's words were read in full and name no error of the pod's: no trigger was seen";
        return end.blame(Cause::TunnelLost, GOOD + 0.05, words.to_owned());
    }
    // The forward did not end, although all its connections did: then it was the pod that ended them.
    let restarted = tunnel.is_some_and(|tunnel| {
        // That it had been started some time before ended nothing.
        let began = |kind| matches!(kind, TunnelLife::Started | TunnelLife::Found | TunnelLife::Ready);
        tunnel.life.iter().any(|event| {
            event.at + BEFORE >= end.from
                && event.at <= end.until + AFTER
                && (event.at >= end.from || !began(event.kind))
        })
    });
    // kubectl gave up on single streams: the forward stands and does not serve, which is another rule's to judge.
    end.stands = !restarted && near.iter().any(|line| refused_a_stream(line.meaning));
    if end.until < Moment(u64::MAX) && !restarted && !end.stands {
        end.each = true;
        let words = "the forward itself went on: kubectl neither ended nor complained, so the pod ended them";
        end.blame(Cause::BackendReset, GOOD, words.to_owned());
    }
}

/// A node's kernel saw the pod refuse or reset a connection that ended in the collapse.
fn by_kernel(case: &Case<'_>, end: &mut End) {
    let Observation::Seen(node) = &case.evidence.node else {
        return;
    };
    let around = failures_between(&case.failures, back(end.from, AFTER), end.to + AFTER);
    let around = case.failures.get(around).unwrap_or(&[]);
    let mut ended: Vec<ConnectionId> = around
        .iter()
        .filter(|failure| failure.path == end.path && during(end, failure.at))
        .map(|failure| failure.id)
        .collect();
    ended.sort_unstable();
    let causes = node.sockets.iter().filter(|socket| {
        socket
            .connection
            .seen()
            .is_some_and(|id| ended.binary_search(id).is_ok())
    });
    if let Some(cause) = causes.filter_map(pod_trigger).min() {
        let words = "the node's kernel saw the pod do it to one of these connections";
        end.blame(cause, STRONG + 0.05, words.to_owned());
    }
}

fn pod_trigger(socket: &KernelSocket) -> Option<Cause> {
    let pod_is_peer = socket.peer.seen() == Some(&Hop::Backend);
    let pod_owns = socket.owner.seen() == Some(&Hop::Backend);
    match socket.end {
        KernelEnd::ConnectRefused if pod_is_peer => Some(Cause::BackendRefused),
        KernelEnd::ResetReceived if pod_is_peer => Some(Cause::BackendReset),
        KernelEnd::ResetSentUnread if pod_owns => Some(Cause::BackendUnreadBody),
        KernelEnd::ResetSent if pod_owns => Some(Cause::BackendReset),
        KernelEnd::ConnectRefused
        | KernelEnd::ConnectTimedOut { .. }
        | KernelEnd::ConnectUnreachable
        | KernelEnd::NoLocalPort
        | KernelEnd::ResetSentUnread
        | KernelEnd::ResetSent
        | KernelEnd::ResetReceived
        | KernelEnd::RetransmitTimeout
        | KernelEnd::AcceptQueueFull
        | KernelEnd::ClosedFirst
        | KernelEnd::ClosedByPeer => None,
    }
}

/// Within the collapse, give or take what hopscope needs to see it; around a stated end that caught few connections,
/// give or take the node's drain.
pub(super) fn during(end: &End, at: Moment) -> bool {
    let slack = if end.collapse.is_some() {
        Span::from_micros(50_000)
    } else {
        AFTER
    };
    at + slack >= end.from && at <= end.to + slack
}
