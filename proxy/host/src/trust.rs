//! TLS towards others: whose certificates are believed.

mod given;
mod unchecked;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::given::Given;
use self::unchecked::Unchecked;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Why there is nobody whose signature counts.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file of authorities cannot be used.
    #[error(
        "cannot read certificates from {}: {why}; give {option} a PEM file with at least one certificate",
        path.display()
    )]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// The option that names it.
        option: &'static str,
    },
    /// The host trusts nobody, and no file was given.
    #[error(
        "this host has no trusted certificate authorities; install ca-certificates or give {option} FILE"
    )]
    Nobody {
        /// The option that would name a file.
        option: &'static str,
    },
    /// The cryptography refuses its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Provider(#[from] rustls::Error),
}

/// Whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those of the host's own authorities.
    #[default]
    Host,
    /// Those of the authorities in this PEM file, and the certificates in it themselves.
    Only(PathBuf),
    /// Any: the other side may be anybody.
    Anybody,
}

/// A client that believes certificates as `trust` says; `option` names the option that gives a file.
///
/// # Errors
/// When nobody would be trusted.
pub fn client(trust: &Trust, option: &'static str) -> Result<ClientConfig, TrustError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    Ok(match trust {
        Trust::Host => builder
            .with_root_certificates(host(option)?)
            .with_no_client_auth(),
        Trust::Only(path) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Given::new(read(path, option)?, &provider)?))
            .with_no_client_auth(),
        Trust::Anybody => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unchecked::new(&provider)))
            .with_no_client_auth(),
    })
}

/// The certificates of the host's own authorities, or of those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
pub fn authorities() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

/// The host's own authorities.
fn host(option: &'static str) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities());
    if roots.is_empty() {
        return Err(TrustError::Nobody { option });
    }
    Ok(roots)
}

/// The certificates in a PEM file, at least one, each of which can be used.
fn read(path: &Path, option: &'static str) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let refused = |why: String| TrustError::File {
        path: path.to_owned(),
        why,
        option,
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refused(error.to_string()))?;
    if certificates.is_empty() {
        return Err(refused("it has no certificate in it".to_owned()));
    }
    for certificate in &certificates {
        RootCertStore::empty()
            .add(certificate.clone())
            .map_err(|error| refused(error.to_string()))?;
    }
    Ok(certificates)
}
