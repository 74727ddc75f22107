//! A half-close that a forward cannot pass on.

use super::Rule;
use crate::case::Case;
use crate::cause::Cause;
use crate::confidence::{GOOD, Ruling};
use crate::evidence::{Connection, Ending, Exchange, PathKind, Span};
use crate::failure::{What, stood};

pub(super) const RULE: Rule = Rule {
    name: "half-close",
    symptom: "the generator ends its direction right after its request, and a forward ends everything 1.00 s later without an answer",
    evidence: "the moments of the request, of the generator's FIN and of the forward's",
    verdict: "tunnel-half-close",
    proves: "the container runtime's drain of 1.00 s ended it: it waits that long for the other direction, whatever is still to come",
    cannot_prove: "that the generator wanted to go on reading: a full close right after a request looks the same; anything about a forwarder without a container runtime behind it",
    apply,
};

/// Who half-closes does so together with the request's last byte.
const TOGETHER: Span = Span::from_micros(5_000);

fn apply(case: &mut Case<'_>) {
    case.judge_open(RULE.name, |case, failure| {
        let (exchange, connection) = (case.exchange(failure)?, case.connection(failure)?);
        let unanswered = matches!(failure.what, What::Broken { begun: false, .. });
        let after = connection.upstream_end.at.since(connection.downstream_end.at);
        let drained = connection.upstream_end.how == Ending::Fin
            && after >= Span::from_micros(950_000)
            && after <= Span::from_micros(1_300_000);
        (case.kind(failure.path) == PathKind::Tunnel
            && case.laws(failure.path).drains()
            && unanswered
            && drained
            && half_closed(&exchange, &connection))
        .then_some(Ruling::charge(Cause::TunnelHalfClose, GOOD))
    });
}

/// The generator said FIN together with its request: it may read on, or it may have left at once.
pub(crate) fn half_closed(exchange: &Exchange, connection: &Connection) -> bool {
    let end = connection.downstream_end;
    // A request that waits for its upstream is sent when that stands, and had come long before.
    let came = if end.at < stood(connection) {
        Span::ZERO
    } else {
        exchange.phases.request_sent.unwrap_or_default()
    };
    let sent = exchange.began + came;
    end.how == Ending::Fin
        && exchange.request_complete
        && end.at >= exchange.began
        && end.at.since(sent) <= TOGETHER
}
