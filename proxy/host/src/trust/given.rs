//! Certificates that a person gives as a file, believed as curl believes those of `--cacert`.
//!
//! Beside chains that end at one of them, a server's own certificate is believed when the file has exactly that one:
//! self-signed, or signed by somebody unknown (OpenSSL, `X509_V_FLAG_PARTIAL_CHAIN`). A certificate that names no host
//! in the extension meant for it is read by its common name, as most that are made by hand need it. The time and the
//! name are checked in any case.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::TrustError;

/// Verifies against the certificates of a file.
#[derive(Debug)]
pub(super) struct Given {
    chains: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Given {
    /// Believes these certificates. Each of them can be an authority.
    pub(super) fn new(
        certificates: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        Ok(Self { chains, certificates })
    }
}

impl ServerCertVerifier for Given {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self
            .chains
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .map(drop);
        let in_the_file = self.certificates.iter().any(|given| given == end_entity);
        let verified =
            match verified {
                // The time has been checked by then (rustls-webpki, `check_issuer_independent_properties`): what is left is
                // that nobody signed it, or that an authority's certificate is used as a server's.
                Err(Error::InvalidCertificate(
                    CertificateError::UnknownIssuer | CertificateError::Other(_),
                )) if in_the_file => ParsedCertificate::try_from(end_entity)
                    .and_then(|certificate| verify_server_name(&certificate, server_name)),
                verified => verified,
            };
        match verified {
            Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext {
                presented, ..
            })) if presented.is_empty() && common_name_fits(end_entity, server_name) => {}
            verified => verified?,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// Whether the certificate's common name is the server's.
fn common_name_fits(certificate: &CertificateDer<'_>, server_name: &ServerName<'_>) -> bool {
    let mut roots = RootCertStore::empty();
    if roots.add(certificate.clone().into_owned()).is_err() {
        return false;
    }
    let wanted = server_name.to_str();
    roots
        .roots
        .first()
        .and_then(|root| common_name(root.subject.as_ref()))
        .is_some_and(|name| fits(name, &wanted))
}

/// Whether a name, whose first label may be `*`, is a host's (RFC 6125, section 6.4).
fn fits(name: &str, host: &str) -> bool {
    name.eq_ignore_ascii_case(host)
        || name.strip_prefix("*.").is_some_and(|domain| {
            let rest = host.split_once('.').filter(|(label, _)| !label.is_empty());
            domain.contains('.') && rest.is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(domain))
        })
}

/// The last common name in a subject: DER, a sequence of sets of pairs of a type and a text (RFC 5280, section 4.1.2.4).
fn common_name(subject: &[u8]) -> Option<&str> {
    /// `id-at-commonName`, 2.5.4.3.
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    const SET: u8 = 0x31;
    const SEQUENCE: u8 = 0x30;
    const OBJECT_IDENTIFIER: u8 = 0x06;
    let (mut sets, mut found) = (subject, None);
    while let Some((SET, mut pairs, rest)) = element(sets) {
        sets = rest;
        while let Some((SEQUENCE, pair, rest)) = element(pairs) {
            pairs = rest;
            if let Some((OBJECT_IDENTIFIER, COMMON_NAME, value)) = element(pair)
                && let Some((_, text, _)) = element(value)
            {
                found = std::str::from_utf8(text).ok();
            }
        }
    }
    found
}

/// The first element of DER: its tag, its contents, and what is behind it. Names are short: lengths above 65,535 are
/// not read.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 => rest.split_first().map(|(low, rest)| (usize::from(*low), rest))?,
        0x82 => rest
            .split_first_chunk::<2>()
            .map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
        // Longer, or of a length that DER does not have.
        _ => return None,
    };
    let (contents, behind) = rest.split_at_checked(length)?;
    Some((*tag, contents, behind))
}

#[cfg(test)]
mod tests;
