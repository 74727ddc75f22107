//! Who may ask: a bearer token, TLS, and what is answered without a token.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// What is answered to everybody: a kubelet that asks whether we live and are ready has no token.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];
/// The token's file is read again after this time, so that a token can be changed or be given later.
const REREAD: Duration = Duration::from_secs(5);

/// Who may ask, and how.
#[derive(Clone, Default)]
pub struct Access {
    /// The bearer token that every question but `/healthz` and `/readyz` must carry.
    pub token: Option<Token>,
    /// What is answered without it.
    pub open: Open,
    /// TLS, where it is asked for.
    pub tls: Option<TlsAcceptor>,
}

/// What is answered to those who show no token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Open {
    /// Everything, where there is no token: who chose the address decided who can reach it.
    #[default]
    Everything,
    /// To this host's own addresses everything, where there is no token; to others these.
    Only {
        /// `/metrics`: counts, with the names of workloads.
        metrics: bool,
        /// All else: each connection that failed, with its addresses.
        evidence: bool,
    },
}

/// A token in a file, read again when the file may have changed.
#[derive(Clone, Debug)]
pub struct Token {
    path: PathBuf,
    read: Arc<Mutex<Reading>>,
}

#[derive(Debug)]
struct Reading {
    at: Instant,
    token: Option<String>,
}

/// Whether a question is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    /// Everybody may ask this.
    Open,
    /// The asker showed that he may.
    Shown,
    /// The token is missing or wrong.
    TokenRequired,
    /// There is no token, and the asker is of another host.
    Closed,
}

/// The files that say so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessFiles {
    /// Holds the token.
    pub token: Option<PathBuf>,
    /// What is answered without it. Where that is not everything, the token's file may be missing for now.
    pub open: Open,
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
            .field("open", &self.open)
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
            token: self
                .token
                .as_deref()
                .map(|path| self.token_of(path))
                .transpose()?,
            open: self.open,
            tls: match &self.tls {
                Some((chain, key)) => Some(acceptor(chain, key)?),
                None => None,
            },
        })
    }

    fn token_of(&self, path: &Path) -> Result<Token, AccessError> {
        let token = match token(path) {
            Ok(token) => Some(token),
            // Nothing is open without it: it may come later, as an optional Secret does.
            Err(AccessError::Token { source, .. })
                if self.open != Open::Everything && source.kind() == std::io::ErrorKind::NotFound =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Token {
            path: path.to_owned(),
            read: Arc::new(Mutex::new(Reading {
                at: Instant::now(),
                token,
            })),
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

impl Token {
    /// The token as its file has it now; `None` while there is none.
    fn now(&self) -> Option<String> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.at.elapsed() >= REREAD {
            read.at = Instant::now();
            // Unreadable is the same as absent: nobody is let in by it.
            read.token = token(&self.path).ok();
        }
        read.token.clone()
    }
}

impl Access {
    /// Whether a question for `path` from this address with this `Authorization` is answered.
    pub(super) fn permits(&self, path: &str, from: IpAddr, header: Option<&HeaderValue>) -> Permission {
        if HEALTH.contains(&path) {
            return Permission::Open;
        }
        let token = self.token.as_ref().and_then(Token::now);
        if token.as_deref().is_some_and(|token| is_shown(token, header)) {
            return Permission::Shown;
        }
        match self.open {
            Open::Only { metrics, evidence } => {
                let open = if path == "/metrics" { metrics } else { evidence };
                match token {
                    _ if open => Permission::Open,
                    Some(_) => Permission::TokenRequired,
                    None if from.to_canonical().is_loopback() => Permission::Shown,
                    None => Permission::Closed,
                }
            }
            Open::Everything if self.token.is_none() => Permission::Open,
            Open::Everything => Permission::TokenRequired,
        }
    }

    /// What is wrong with it for now, for people.
    pub fn missing(&self) -> Option<String> {
        let named = self.token.as_ref()?;
        named.now().is_none().then(|| {
            format!(
                "the token file {} is not there: until it is, this host alone is answered",
                named.path.display()
            )
        })
    }
}

/// Whether the header carries the token. Compared in a time that does not tell how much of it was right.
fn is_shown(token: &str, header: Option<&HeaderValue>) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));
    const CLOSED: Open = Open::Only {
        metrics: false,
        evidence: false,
    };

    fn with_token(open: Open) -> (tempfile::TempDir, Access) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "secret\n").unwrap();
        let files = AccessFiles {
            token: Some(path),
            open,
            tls: None,
        };
        (folder, files.read().unwrap())
    }

    #[test]
    fn only_the_whole_token_is_permitted() {
        let (_folder, secret) = with_token(Open::Everything);
        let permits = |text| {
            secret.permits("/metrics", HERE, Some(&HeaderValue::from_static(text))) == Permission::Shown
        };
        assert_eq!(
            Access::default().permits("/metrics", THERE, None),
            Permission::Open
        );
        assert!(permits("Bearer secret"));
        assert!(!permits("Bearer secre"));
        assert!(!permits("Bearer secret2"));
        assert!(!permits("Basic secret"));
        assert_eq!(secret.permits("/metrics", HERE, None), Permission::TokenRequired);
        assert_eq!(secret.permits("/healthz", THERE, None), Permission::Open);
    }

    #[test]
    fn without_a_token_other_hosts_get_what_was_opened_and_this_one_gets_all() {
        let access = |metrics, evidence| Access {
            open: Open::Only { metrics, evidence },
            ..Access::default()
        };
        let closed = access(false, false);
        for path in ["/metrics", "/v1/evidence", "/else"] {
            assert_eq!(closed.permits(path, THERE, None), Permission::Closed, "{path}");
            assert_eq!(closed.permits(path, HERE, None), Permission::Shown, "{path}");
        }
        let counts = access(true, false);
        assert_eq!(counts.permits("/metrics", THERE, None), Permission::Open);
        assert_eq!(counts.permits("/v1/evidence", THERE, None), Permission::Closed);
        let mapped = "::ffff:127.0.0.1".parse().unwrap();
        assert_eq!(closed.permits("/metrics", mapped, None), Permission::Shown);
    }

    #[test]
    fn a_token_that_is_not_there_yet_opens_nothing_and_counts_once_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let files = AccessFiles {
            token: Some(path.clone()),
            open: CLOSED,
            tls: None,
        };
        let access = files.read().unwrap();
        let header = HeaderValue::from_static("Bearer late");
        let asked = || access.permits("/metrics", THERE, Some(&header));
        assert_eq!(asked(), Permission::Closed);
        assert!(access.missing().is_some());
        fs::write(&path, "late").unwrap();
        let named = access.token.as_ref().unwrap();
        named.read.lock().unwrap().at = Instant::now().checked_sub(REREAD).unwrap();
        assert_eq!(asked(), Permission::Shown);
        assert_eq!(access.permits("/metrics", HERE, None), Permission::TokenRequired);
        assert_eq!(access.missing(), None);
        let strict = AccessFiles {
            open: Open::Everything,
            token: Some(folder.path().join("nowhere")),
            tls: None,
        };
        assert!(strict.read().unwrap_err().to_string().contains("cannot be read"));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let nowhere = PathBuf::from("/nowhere/cert.pem");
        let files = AccessFiles {
            token: None,
            open: Open::Everything,
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
