//! The generator's TLS handshake with hopscope, where hopscope ends its TLS.

use super::Rule;
use crate::case::Case;
use crate::cause::Cause;
use crate::confidence::{GOOD, PROVEN, Ruling, STRONG};
use crate::evidence::TlsFailure;
use crate::failure::What;

pub(super) const RULE: Rule = Rule {
    name: "front-tls",
    symptom: "the generator's TLS handshake with hopscope failed",
    evidence: "the alert that the generator sent, its end in the middle of the handshake, or first bytes that are no TLS",
    verdict: "client-tls; observer-tls where hopscope's TLS cannot answer the generator's",
    proves: "that no request left the generator on this connection, and whose word ended the handshake",
    cannot_prove: "whether the generator would have trusted the target's own certificate",
    apply,
};

fn apply(case: &mut Case<'_>) {
    case.judge_open(RULE.name, |_, failure| judge(failure.what));
}

pub(super) const fn judge(what: What) -> Option<Ruling> {
    let What::FrontTls(failure) = what else {
        return None;
    };
    Some(match failure {
        TlsFailure::Incompatible => Ruling::charge(Cause::ObserverTls, STRONG),
        TlsFailure::Alert(_) | TlsFailure::Protocol => Ruling::charge(Cause::ClientTls, PROVEN),
        // A generator that gives up says no word.
        TlsFailure::Ended
        | TlsFailure::TimedOut
        | TlsFailure::CertificateExpired
        | TlsFailure::CertificateWrongName
        | TlsFailure::CertificateUntrusted
        | TlsFailure::CertificateInvalid => Ruling::charge(Cause::ClientTls, GOOD),
    })
}
