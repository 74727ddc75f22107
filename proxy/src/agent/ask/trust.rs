//! TLS towards an agent: whose certificates are believed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Why there is nobody whose signature counts.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file of authorities.
    #[error("cannot read certificates from {}: {why}; give --agent-ca a PEM file with at least one", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The host trusts nobody.
    #[error(
        "this host has no trusted certificate authorities; install ca-certificates or give --agent-ca FILE"
    )]
    Nobody,
    /// The cryptography refuses its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Provider(#[from] rustls::Error),
}

/// Shakes hands with the agent of that name; the inner error is the handshake's.
pub(super) async fn handshake(
    authorities: Option<&Path>,
    host: &str,
    stream: TcpStream,
) -> Result<io::Result<TlsStream<TcpStream>>, TrustError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(authorities)?)
        .with_no_client_auth();
    Ok(match ServerName::try_from(host.to_owned()) {
        Ok(name) => TlsConnector::from(Arc::new(config)).connect(name, stream).await,
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
    })
}

fn roots(authorities: Option<&Path>) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = authorities else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() {
            Err(TrustError::Nobody)
        } else {
            Ok(roots)
        };
    };
    let refused = |why: String| TrustError::File {
        path: path.to_owned(),
        why,
    };
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| refused(error.to_string()))? {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| refused(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refused("it has no certificate in it".to_owned()));
    }
    Ok(roots)
}
