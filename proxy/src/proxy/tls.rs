//! TLS towards an `https://` upstream, and what its failures mean.

use std::io;
use std::path::Path;
use std::sync::Arc;

use hopscope_attribution::evidence::TlsFailure;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What is needed to speak TLS to upstreams. Cheap to clone.
#[derive(Clone)]
pub(super) struct UpstreamTls(Arc<ClientConfig>);

/// Why TLS towards upstreams cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// The file given with `--upstream-ca` cannot be used.
    #[error("cannot read certificates from {path}: {reason}; give a PEM file with at least one certificate")]
    Authorities {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The host has no trusted authorities, and none were given.
    #[error(
        "this host has no trusted certificate authorities; install ca-certificates or give --upstream-ca FILE"
    )]
    NoAuthorities,
    /// The cryptography refuses its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Provider(#[from] rustls::Error),
}

impl UpstreamTls {
    /// Trusts the host's authorities, or only those in `authorities` where that is given.
    pub(super) fn new(authorities: Option<&Path>) -> Result<Self, TlsSetupError> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = authorities {
            let refused = |reason: String| TlsSetupError::Authorities {
                path: path.display().to_string(),
                reason,
            };
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| refused(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| refused(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| refused(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(refused("it has no certificate in it".to_owned()));
            }
        } else {
            let native = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(native.certs);
            if roots.is_empty() {
                return Err(TlsSetupError::NoAuthorities);
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // The generator speaks HTTP/1 to us and its bytes are not rewritten, so nothing else may be agreed upon.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// Shakes hands on a connected socket.
    pub(super) async fn handshake(
        &self,
        host: &str,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, TlsFailure> {
        let name = ServerName::try_from(host.to_owned())
            .ok()
            .ok_or(TlsFailure::CertificateWrongName)?;
        TlsConnector::from(Arc::clone(&self.0))
            .connect(name, tcp)
            .await
            .map_err(|error| failure(&error))
    }
}

impl std::fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamTls").finish_non_exhaustive()
    }
}

/// What a failed handshake says.
fn failure(error: &io::Error) -> TlsFailure {
    let Some(tls) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    else {
        return TlsFailure::Ended;
    };
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "rustls::Error and CertificateError are non-exhaustive"
    )]
    match tls {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => TlsFailure::CertificateExpired,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsFailure::CertificateWrongName
            }
            CertificateError::UnknownIssuer => TlsFailure::CertificateUntrusted,
            _ => TlsFailure::CertificateInvalid,
        },
        rustls::Error::AlertReceived(alert) => TlsFailure::Alert(u8::from(*alert)),
        _ => TlsFailure::Protocol,
    }
}
