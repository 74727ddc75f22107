//! Delivered or not: a complete answer of any status clears every hop before its author.

use super::Rule;
use crate::case::{About, Case, Speaks};
use crate::cause::Cause;
use crate::confidence::{FAIR, GOOD, PROVEN, Ruling, STRONG};
use crate::evidence::{Author, EnvoyReply, PathId, PathKind, grpc};
use crate::failed::Failed;
use crate::failure::What;
use crate::figures::{count, real};
use crate::hop::Hop;
use crate::verdict::Finding;

pub(super) const RULE: Rule = Rule {
    name: "delivered-error",
    symptom: "a complete answer of status 400 or above",
    evidence: "the answer itself, its status, and the mark of its author where one was left",
    verdict: "5xx and 429: the author's hop (backend, or lb by a mark of the balancer's for a limit or an error of its own); other 4xx: request-rejected; 502, 503 and 504 through a load balancer, whoever wrote them: open between lb and backend",
    proves: "every hop between hopscope and the author delivered request and answer: no tunnel, no network and no load balancer in front of the author failed",
    cannot_prove: "who wrote an answer that carries no mark, when something on the path could have written it; why the author answered so: a balancer that writes 502, 503 or 504 mostly reports what happened behind it",
    apply,
};

fn apply(case: &mut Case<'_>) {
    case.judge_open(RULE.name, |case, failure| {
        judge(failure.what, case.kind(failure.path))
    });
    for (kind, carrier) in [(PathKind::Tunnel, Hop::Tunnel), (PathKind::Lb, Hop::Lb)] {
        for path in case.paths_of(kind) {
            clear(case, path, carrier);
        }
    }
}

/// The plain fact that clears what stands before the author: an answer that arrived was carried.
fn clear(case: &mut Case<'_>, path: PathId, carrier: Hop) {
    let (mut failed, mut delivered) = (Failed::default(), 0_u64);
    for failure in case.failures.iter().filter(|failure| failure.path == path) {
        failed.add(failure);
        delivered += u64::from(failure.rule == RULE.name && failure.cause.hop() == Hop::Backend);
    }
    if delivered == 0 {
        return;
    }
    let statement = format!(
        "{} of {} on path {} were complete HTTP answers of the backend's: the {} carried {} to the last byte.",
        count(delivered),
        failed.described(),
        case.path_name(path),
        if carrier == Hop::Tunnel {
            "tunnel"
        } else {
            "load balancer"
        },
        if delivered == 1 { "it" } else { "each of them" }
    );
    let finding = Finding {
        rule: RULE.name,
        statement,
        numbers: vec![("delivered", real(delivered)), ("failures", real(failed.all()))],
    };
    case.note(About::Hop(Hop::Backend), Speaks::For, finding.clone());
    case.note(About::Hop(carrier), Speaks::Against, finding);
}

pub(super) fn judge(what: What, kind: PathKind) -> Option<Ruling> {
    let What::Answered { status, author } = what else {
        return None;
    };
    if let Some(code) = grpc::code(status) {
        return call(code, author, kind);
    }
    match status {
        429 => rate_limited(author, kind),
        500.. => server_error(status, author, kind),
        _ => Some(Ruling::charge(Cause::RequestRejected, STRONG)),
    }
}

/// What the status of a gRPC call means, by what HTTP would have said instead.
fn call(code: u8, author: Author, kind: PathKind) -> Option<Ruling> {
    match code {
        // UNKNOWN, UNIMPLEMENTED, INTERNAL, DATA_LOSS: the application's own.
        2 | 12 | 13 | 15 => server_error(500, author, kind),
        // UNAVAILABLE: what stands for others maps its own failures to it.
        14 => server_error(503, author, kind),
        // RESOURCE_EXHAUSTED.
        8 => rate_limited(author, kind),
        // CANCELLED, DEADLINE_EXCEEDED: the generator's own deadline, or one behind the application.
        1 | 4 => Some(Ruling::charge(Cause::Undetermined, 0.0)),
        _ => Some(Ruling::charge(Cause::RequestRejected, STRONG)),
    }
}

/// Who limits: the author of a 429.
fn rate_limited(author: Author, kind: PathKind) -> Option<Ruling> {
    let backend = Cause::BackendRateLimited;
    match (kind, author) {
        (_, Author::Application) => Some(Ruling::charge(backend, PROVEN)),
        (PathKind::Tunnel | PathKind::Direct, _) => Some(Ruling::charge(backend, STRONG)),
        (PathKind::Lb | PathKind::Unstated, Author::AwsAlb) => {
            Some(Ruling::charge(Cause::LbRateLimited, STRONG))
        }
        (PathKind::Lb, Author::Nginx | Author::HaProxy | Author::Envoy(_)) => {
            Some(Ruling::charge(Cause::LbRateLimited, FAIR))
        }
        (PathKind::Lb | PathKind::Unstated, _) => None,
    }
}

fn server_error(status: u16, author: Author, kind: PathKind) -> Option<Ruling> {
    let gateway_status = matches!(status, 502..=504);
    match (kind, author) {
        (_, Author::Hopscope) => None,
        (_, Author::Application) => Some(Ruling::charge(own_words(status), PROVEN)),
        // A tunnel carries bytes and writes none; on a direct path nothing stands before the application.
        (PathKind::Tunnel | PathKind::Direct, Author::Unstated) => {
            Some(Ruling::charge(own_words(status), PROVEN))
        }
        // nginx answers 503 where a limit was reached (`limit_req`, `limit_conn`) or its configuration says so: its own
        // page of that status blames no service behind it. 502 and 504 do.
        (PathKind::Tunnel | PathKind::Direct, Author::Nginx) if status == 503 => {
            Some(Ruling::charge(Cause::BackendError, PROVEN))
        }
        (PathKind::Tunnel | PathKind::Direct, Author::Envoy(EnvoyReply::Overflow)) => {
            Some(Ruling::charge(Cause::BackendOverloaded, PROVEN))
        }
        (PathKind::Tunnel | PathKind::Direct, _) => {
            let cause = if gateway_status {
                Cause::BackendDependency
            } else {
                Cause::BackendError
            };
            Some(Ruling::charge(cause, PROVEN))
        }
        // A limit of Envoy's own; a gateway inside the pod could leave the same mark.
        (PathKind::Lb, Author::Envoy(EnvoyReply::Overflow)) => {
            Some(Ruling::charge(Cause::LbOverloaded, GOOD))
        }
        // The messenger: it says that its target refused, ended the connection, was too slow or was not there.
        (
            PathKind::Lb | PathKind::Unstated,
            Author::AwsAlb | Author::Nginx | Author::HaProxy | Author::Envoy(_),
        ) if gateway_status => None,
        (PathKind::Lb, Author::AwsAlb) => Some(Ruling::charge(Cause::LbError, PROVEN)),
        (PathKind::Unstated, Author::AwsAlb) => Some(Ruling::charge(Cause::LbError, STRONG)),
        (PathKind::Lb, Author::HaProxy) => Some(Ruling::charge(Cause::LbError, GOOD)),
        // An nginx inside the pod leaves the same mark.
        (PathKind::Lb, Author::Nginx) => Some(Ruling::charge(Cause::LbError, FAIR)),
        // What balances load answers 502, 503 and 504, and leaves a mark when it is one of those that are known.
        (PathKind::Lb, Author::Unstated) if !gateway_status => {
            Some(Ruling::charge(Cause::BackendError, GOOD))
        }
        (PathKind::Unstated, Author::Unstated) if !gateway_status => {
            Some(Ruling::charge(Cause::BackendError, FAIR))
        }
        (PathKind::Lb | PathKind::Unstated, Author::Unstated | Author::Envoy(_))
        | (PathKind::Unstated, Author::Nginx | Author::HaProxy) => None,
    }
}

/// What a 5xx means when the application itself sends it: 502 and 504 are said by what "was acting as a gateway"
/// (RFC 9110, sections 15.6.3 and 15.6.5).
pub(super) const fn own_words(status: u16) -> Cause {
    match status {
        502 | 504 => Cause::BackendDependency,
        _ => Cause::BackendError,
    }
}
