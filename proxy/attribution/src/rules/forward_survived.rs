//! A forward that went on: what ended single connections of it was behind it.

use super::Rule;
use super::ended::{Races, ended_together, raced};
use super::forward::{Forward, lines_between};
use super::forward_ended::trigger;
use super::standing::Standing;
use crate::case::Case;
use crate::cause::Cause;
use crate::confidence::{GOOD, Ruling, STRONG};
use crate::court::left_its_body;
use crate::evidence::tunnel::TunnelMeaning;
use crate::evidence::{Cut, Moment, Observation, PathKind, Span};
use crate::failure::{Failure, NONE, What};

pub(super) const RULE: Rule = Rule {
    name: "forward-survived",
    symptom: "single connections of a forward are ended before their answer was complete, others go on",
    evidence: "connections of the same forward that stood before and delivered after, or the tunnel's own socket of the same process afterwards; kubectl's lines at that moment; FIN or RST; what had been delivered on it",
    verdict: "backend: the cause kubectl names, else truncated or reset",
    proves: "the tunnel's own connection survived, so it cannot have ended these; the end came through the tunnel from the node's side",
    cannot_prove: "anything where each connection has one of its own to the far end, or where the forwarder is not known; whether the pod said FIN or RST: through a forward both arrive as FIN, 1.0 s late; an end before any answer by RST, which kubectl also sends when it could not create a stream",
    apply,
};

/// How far a line and the end that it tells of may lie apart.
const NEAR: Span = Span::from_micros(1_300_000);

fn apply(case: &mut Case<'_>) {
    let forwards = Forward::all(case, PathKind::Tunnel);
    let mut home = vec![NONE; case.evidence.connections.len()];
    for (number, forward) in (0..NONE).zip(&forwards) {
        for index in &forward.connections {
            if let Some(home) = home.get_mut(*index as usize) {
                *home = number;
            }
        }
    }
    let races = Races::of(case);
    let standing = Standing::of(case);
    case.judge_open(RULE.name, |case, failure| {
        if case.kind(failure.path) != PathKind::Tunnel || !case.laws(failure.path).shared() {
            return None;
        }
        let forward = forwards.get(*home.get(failure.connection as usize)? as usize)?;
        judge(case, failure, forward, &races, &standing)
    });
}

fn judge(
    case: &Case<'_>,
    failure: &Failure,
    forward: &Forward<'_>,
    races: &Races,
    standing: &Standing,
) -> Option<Ruling> {
    let What::Broken { begun, by } = failure.what else {
        return None;
    };
    let connection = case.connection(failure)?;
    if ended_together(&connection) {
        return None;
    }
    let reset = match by {
        Cut::UpstreamFin => false,
        Cut::UpstreamReset => true,
        Cut::DownstreamFin
        | Cut::DownstreamReset
        | Cut::UpstreamErrno(_)
        | Cut::NotConnected
        | Cut::Unreadable
        | Cut::Stopped
        | Cut::UpstreamStream(_)
        | Cut::DownstreamStream(_)
        | Cut::GoAway(_) => return None,
    };
    if !forward.survived(failure.at) && !standing.on(failure) {
        return None;
    }
    let lines = case
        .tunnel(failure.path)
        .seen()
        .and_then(|tunnel| match &tunnel.lines {
            Observation::Seen(lines) => Some(lines.as_slice()),
            Observation::Unseen(_) => None,
        });
    if let Some(lines) = lines {
        let from = Moment(failure.at.0.saturating_sub(NEAR.as_micros()));
        let near = lines_between(lines, from, failure.at + NEAR);
        if let Some(cause) = near.iter().filter_map(|line| trigger(line.meaning)).min() {
            return Some(Ruling::charge(cause, STRONG));
        }
        if near.iter().any(|line| refused_a_stream(line.meaning)) {
            return Some(Ruling::contradiction());
        }
    }
    let used = begun || failure.ordinal > 0 || connection.bytes_down > 0;
    // RST before any answer is what kubectl sends when it could not create a stream.
    if reset && !used {
        return None;
    }
    let exchange = case.exchange(failure);
    let drains = case.laws(failure.path).drains();
    let confidence = if lines.is_some() { STRONG } else { GOOD + 0.05 };
    let cause = match exchange {
        Some(exchange) if left_its_body(&exchange) => Cause::BackendUnreadBody,
        Some(exchange)
            if !begun && races.possible(failure.path) && raced(&exchange, Some(&connection), drains) =>
        {
            Cause::BackendKeepAliveRace
        }
        _ if begun => Cause::BackendTruncated,
        _ => Cause::BackendReset,
    };
    Some(Ruling::charge(cause, confidence))
}

/// Lines that mean the tunnel itself refused or lost a stream.
const fn refused_a_stream(meaning: TunnelMeaning) -> bool {
    matches!(
        meaning,
        TunnelMeaning::StreamTimeout
            | TunnelMeaning::StreamReset
            | TunnelMeaning::StreamLost
            | TunnelMeaning::NodeError
    )
}
