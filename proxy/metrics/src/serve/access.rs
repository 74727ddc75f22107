//! Who may ask: a bearer token, and TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::header::HeaderValue;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Who may ask, and how.
#[derive(Clone, Default)]
pub struct Access {
    /// The bearer token that every question but `/healthz` and `/readyz` must carry.
    pub token: Option<String>,
    /// TLS, where it is asked for.
    pub tls: Option<TlsAcceptor>,
}

/// The files that say so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessFiles {
    /// Holds the token.
    pub token: Option<PathBuf>,
    /// Certificate chain and private key, PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The token's file.
    #[error("the token file {} cannot be read: {source}", path.display())]
    Token {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An empty token would let everybody in.
    #[error("the token file {} is empty: put the token in it", .0.display())]
    EmptyToken(PathBuf),
    /// A file that is not PEM, or cannot be read.
    #[error("{} cannot be used: {why}; give a PEM file", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The two do not fit.
    #[error("certificate and key do not fit: {0}")]
    Pair(#[from] rustls::Error),
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (token, tls) = (self.token.is_some(), self.tls.is_some());
        f.debug_struct("Access")
            .field("token", &token)
            .field("tls", &tls)
            .finish()
    }
}

impl AccessFiles {
    /// Reads them.
    ///
    /// # Errors
    /// When one is unusable, or certificate and key do not fit.
    pub fn read(&self) -> Result<Access, AccessError> {
        Ok(Access {
            token: self.token.as_deref().map(token).transpose()?,
            tls: match &self.tls {
                Some((chain, key)) => Some(acceptor(chain, key)?),
                None => None,
            },
        })
    }
}

/// Reads a token: the file's text, without the space around it.
///
/// # Errors
/// When it cannot be read, or is empty.
pub fn token(path: &Path) -> Result<String, AccessError> {
    let text = fs::read_to_string(path).map_err(|source| AccessError::Token {
        path: path.to_owned(),
        source,
    })?;
    match text.trim() {
        "" => Err(AccessError::EmptyToken(path.to_owned())),
        token => Ok(token.to_owned()),
    }
}

fn acceptor(chain: &Path, key: &Path) -> Result<TlsAcceptor, AccessError> {
    let unusable = |path: &Path, why: String| AccessError::Pem {
        path: path.to_owned(),
        why,
    };
    let read = |path: &Path| fs::read(path).map_err(|error| unusable(path, error.to_string()));
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(chain)?)
        .map(|one| one.map(CertificateDer::into_owned))
        .collect();
    let certificates = certificates.map_err(|error| unusable(chain, error.to_string()))?;
    let private =
        PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| unusable(key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, private)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl Access {
    /// Whether a question with this `Authorization` is answered. Compared in a time that does not tell how much of the
    /// token was right.
    pub(super) fn permits(&self, header: Option<&HeaderValue>) -> bool {
        let Some(token) = self.token.as_deref() else {
            return true;
        };
        let given = header
            .and_then(|header| header.as_bytes().strip_prefix(b"Bearer "))
            .unwrap_or_default();
        let token = token.as_bytes();
        let different = given
            .iter()
            .zip(token)
            .fold(0, |different, (one, other)| different | (one ^ other));
        given.len() == token.len() && different == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_permitted() {
        let secret = Access {
            token: Some("secret".to_owned()),
            tls: None,
        };
        let permits = |text| secret.permits(Some(&HeaderValue::from_static(text)));
        assert!(Access::default().permits(None));
        assert!(permits("Bearer secret"));
        assert!(!permits("Bearer secre"));
        assert!(!permits("Bearer secret2"));
        assert!(!permits("Basic secret"));
        assert!(!secret.permits(None));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let nowhere = PathBuf::from("/nowhere/cert.pem");
        let files = AccessFiles {
            token: None,
            tls: Some((nowhere, PathBuf::from("/nowhere/key.pem"))),
        };
        let told = files.read().unwrap_err().to_string();
        assert!(told.starts_with("/nowhere/cert.pem cannot be used"), "{told}");
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("token");
        std::fs::write(&empty, "\n").unwrap();
        assert!(token(&empty).unwrap_err().to_string().contains("is empty"));
        std::fs::write(&empty, " secret \n").unwrap();
        assert_eq!(token(&empty).unwrap(), "secret");
    }
}
