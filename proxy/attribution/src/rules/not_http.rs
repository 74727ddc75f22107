//! Answers that are no HTTP, and answers that nobody asked for.

use super::Rule;
use crate::case::Case;
use crate::cause::Cause;
use crate::confidence::{FAIR, GOOD, Ruling};
use crate::evidence::{Author, Connection, Cut, Exchange, PathKind, Span};
use crate::failure::What;

pub(super) const NOT_HTTP: Rule = Rule {
    name: "answer-not-http",
    symptom: "what came as the answer is not HTTP, or breaks its rules",
    evidence: "the bytes themselves, and the kind of the path",
    verdict: "direct path: backend-not-http; tunnel, where not even a status line came: backend-not-http; other paths, and a tunnel in mid-answer: left to other rules",
    proves: "that the address answered, and that its answer cannot be read as HTTP/1",
    cannot_prove: "that the application was meant: a wrong port answers the same way; who garbled it, where several hops pass bytes on",
    apply: not_http,
};

pub(super) const UNASKED: Rule = Rule {
    name: "answer-unasked",
    symptom: "a complete 408 to a complete request on an idle connection, sent before the request came or as it came",
    evidence: "the order of the answer's first byte and the request's, the connection's silence before it, and the author's mark",
    verdict: "direct path and tunnel: backend-keep-alive-race; a load balancer's own page: lb-idle-timeout; other answers on such paths: undetermined",
    proves: "that the answer was a farewell to an idle connection, and that the request was not what it answers",
    cannot_prove: "whose timer it was on a path with a load balancer, where the answer has no author's mark",
    apply: unasked,
};

/// A request and a farewell that cross each other on the way are this close.
const CROSSING: Span = Span::from_micros(50_000);

fn not_http(case: &mut Case<'_>) {
    case.judge_open(NOT_HTTP.name, |case, failure| {
        judge_not_http(failure.what, case.kind(failure.path))
    });
}

pub(super) const fn judge_not_http(what: What, kind: PathKind) -> Option<Ruling> {
    let What::Broken {
        begun,
        by: Cut::Unreadable,
    } = what
    else {
        return None;
    };
    match (kind, begun) {
        (PathKind::Direct, _) => Some(Ruling::charge(Cause::BackendNotHttp, GOOD)),
        // A forward writes no bytes of its own. In mid-answer it may have lost some.
        (PathKind::Tunnel, false) => Some(Ruling::charge(Cause::BackendNotHttp, FAIR)),
        (PathKind::Tunnel | PathKind::Lb | PathKind::Unstated, _) => None,
    }
}

fn unasked(case: &mut Case<'_>) {
    case.judge_open(UNASKED.name, |case, failure| {
        judge_unasked(
            failure.what,
            case.exchange(failure).as_ref(),
            case.connection(failure).as_ref(),
            case.kind(failure.path),
        )
    });
}

pub(super) fn judge_unasked(
    what: What,
    exchange: Option<&Exchange>,
    connection: Option<&Connection>,
    kind: PathKind,
) -> Option<Ruling> {
    // RFC 9110, section 15.5.9: what a server may send before it closes a connection that it tired of.
    let What::Answered { status: 408, author } = what else {
        return None;
    };
    let exchange = exchange.filter(|exchange| exchange.request_complete)?;
    let before = exchange.answered_early && exchange.phases.first_byte == Some(Span::ZERO);
    if !before && !crossed(exchange, connection) {
        return None;
    }
    Some(match (kind, author) {
        (PathKind::Direct | PathKind::Tunnel, _) | (_, Author::Application) => {
            Ruling::charge(Cause::BackendKeepAliveRace, GOOD)
        }
        (PathKind::Lb, Author::AwsAlb | Author::HaProxy | Author::Envoy(_) | Author::Nginx)
        | (PathKind::Unstated, Author::AwsAlb) => Ruling::charge(Cause::LbIdleTimeout, GOOD),
        (PathKind::Lb | PathKind::Unstated, _) => Ruling::charge(Cause::Undetermined, 0.0),
    })
}

/// The connection had been silent, and the answer came at once: it cannot have waited for the request.
fn crossed(exchange: &Exchange, connection: Option<&Connection>) -> bool {
    let silent = exchange
        .phases
        .idle
        .or_else(|| connection.map(|connection| exchange.began.since(connection.opened)));
    silent.is_some_and(|silent| silent >= CROSSING) && exchange.phases.total <= CROSSING
}
