//! No upstream connection stood: what the attempt met.

use super::Rule;
use crate::case::Case;
use crate::cause::Cause;
use crate::confidence::{FAIR, GOOD, PROVEN, Ruling, STRONG};
use crate::evidence::{ConnectFailure, PathKind, TlsFailure};
use crate::failure::What;

pub(super) const RULE: Rule = Rule {
    name: "not-connected",
    symptom: "hopscope could not connect to the path's target",
    evidence: "the errno of the attempt, or the TLS failure, and the kind of the path",
    verdict: "name or certificate: the hop that owns the target's address; refused, unreachable, reset: backend on a direct path, tunnel-down where the forward should listen, and open between lb and backend on a path through a load balancer; its own address, no local port, no descriptor, no TLS version or cipher in common: observer",
    proves: "the first hop behind hopscope did not take the connection; on a tunnel path, that nothing listened where the forward should",
    cannot_prove: "why nothing listened: a forward that was ended by its pod refuses just as one that was never started; who refused where the address stands for others, such as a Service's address, a node port or a balancer's; on a path of unstated kind, whose address it is",
    apply,
};

fn apply(case: &mut Case<'_>) {
    case.judge_open(RULE.name, |case, failure| {
        judge(failure.what, case.kind(failure.path))
    });
}

pub(super) fn judge(what: What, kind: PathKind) -> Option<Ruling> {
    let What::NotConnected(failure) = what else {
        return None;
    };
    let (cause, confidence) = match (failure, kind) {
        (ConnectFailure::OwnAddress, _) => (Cause::ObserverOwnAddress, PROVEN),
        (ConnectFailure::NoLocalPort, _) => (Cause::ObserverPortsExhausted, PROVEN),
        // The generator by itself may have got on with this server.
        (ConnectFailure::Tls(TlsFailure::Incompatible), _) => (Cause::ObserverTls, STRONG),
        (ConnectFailure::NoDescriptor, _) => (Cause::ObserverFdLimit, PROVEN),
        (ConnectFailure::Refused, PathKind::Direct) => (Cause::BackendRefused, STRONG),
        (ConnectFailure::Refused, PathKind::Tunnel) => (Cause::TunnelDown, GOOD),
        // The answer may have come from our own routing table.
        (ConnectFailure::Unreachable, PathKind::Direct) => (Cause::BackendUnreachable, FAIR),
        (ConnectFailure::Reset, PathKind::Direct) => (Cause::BackendRefused, FAIR),
        (ConnectFailure::Dns, PathKind::Lb) => (Cause::LbDns, STRONG),
        // Whoever hangs up without a word in the handshake may be the application behind a balancer that passes TLS on.
        (ConnectFailure::Tls(TlsFailure::Ended | TlsFailure::TimedOut), PathKind::Lb) => return None,
        (ConnectFailure::Tls(_), PathKind::Lb) => (Cause::LbTls, STRONG),
        (ConnectFailure::Tls(_), PathKind::Direct) => (Cause::BackendTls, STRONG),
        _ => return None,
    };
    Some(Ruling::charge(cause, confidence))
}
