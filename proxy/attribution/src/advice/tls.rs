//! What to do about a TLS handshake that failed: it depends on the part that did.

use std::collections::BTreeSet;

use crate::case::Case;
use crate::evidence::{ConnectFailure, PathId, TlsFailure};
use crate::failure::What;
use crate::verdict::Advice;

/// One advice for each part of the handshake that failed, on each path.
pub(super) fn of(case: &Case<'_>) -> Vec<Advice> {
    let mut told: BTreeSet<(PathId, &'static str)> = BTreeSet::new();
    let mut advice = Vec::new();
    for failure in &case.failures {
        let What::NotConnected(ConnectFailure::Tls(part)) = failure.what else {
            continue;
        };
        let (action, why) = remedy(part);
        if told.insert((failure.path, action)) {
            let (name, target) = (case.path_name(failure.path), case.path_target(failure.path));
            let plain = target.strip_prefix("https://").unwrap_or(target);
            advice.push(Advice {
                action: action.replace("{path}", name).replace("{plain}", plain),
                why: why.to_owned(),
            });
        }
    }
    advice
}

/// What to do, with `{path}` and `{plain}` for the path's name and its target without the scheme, and why.
const fn remedy(part: TlsFailure) -> (&'static str, &'static str) {
    match part {
        TlsFailure::Protocol => (
            "Write --via {path}=http://{plain}, or give the port that speaks TLS.",
            "What answers there does not speak TLS: its first bytes were no TLS record.",
        ),
        TlsFailure::Incompatible => (
            "Let the server speak TLS 1.2 or 1.3 with a cipher that is not broken, or write --via {path}=tcp://{plain}, which leaves TLS to the generator.",
            "hopscope speaks TLS 1.2 and 1.3 with authenticated ciphers, and the server has none of that.",
        ),
        TlsFailure::CertificateUntrusted => (
            "Give the certificate, or its authority's, with --upstream-ca FILE (curl's --cacert), or leave it unchecked with --insecure.",
            "No authority that hopscope trusts signed it.",
        ),
        TlsFailure::CertificateWrongName => (
            "Give --via {path} the name that the certificate is for, or leave it unchecked with --insecure.",
            "The certificate is for another name than the target's.",
        ),
        TlsFailure::CertificateExpired => (
            "Renew the certificate, or check the clock of hopscope's host.",
            "Its time is over, or has not come.",
        ),
        TlsFailure::CertificateInvalid => (
            "If the certificate is self-signed, give it with --upstream-ca FILE (curl's --cacert), or leave it unchecked with --insecure.",
            "It is not valid for a server: an authority's own, as `openssl req -x509` makes it, or broken.",
        ),
        TlsFailure::Alert(_) => (
            "Look at the server's log for the handshake, and at the protocol versions, names (SNI) and client certificates that it wants.",
            "It refused the handshake with an alert.",
        ),
        TlsFailure::Ended | TlsFailure::TimedOut => (
            "Try `curl -v https://{plain}/`: if that fails as well, the port may not speak TLS, and http:// is right.",
            "The other side took the connection and did not complete the handshake.",
        ),
    }
}
