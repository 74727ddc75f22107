//! TLS towards others: whose certificates are believed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// A client that trusts the host's authorities, or only those in the file `authorities`, which `option` names, where
/// that is given.
///
/// # Errors
/// When nobody would be trusted.
pub fn client(authorities: Option<&Path>, option: &'static str) -> Result<ClientConfig, TrustError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(authorities, option)?)
        .with_no_client_auth())
}

fn roots(authorities: Option<&Path>, option: &'static str) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = authorities else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() {
            Err(TrustError::Nobody { option })
        } else {
            Ok(roots)
        };
    };
    let refused = |why: String| TrustError::File {
        path: path.to_owned(),
        why,
        option,
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
