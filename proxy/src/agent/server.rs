//! `/metrics`, `/healthz`, `/readyz` and `/v1/evidence?since=`.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::observe::{Observer, unix_us};

/// Questions that are answered at a time; a scraper asks one.
const AT_A_TIME: usize = 32;
/// A TLS handshake or a request's head that takes longer is nobody's scraper.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who may ask, and how.
#[derive(Clone, Default)]
pub struct Access {
    /// The bearer token that every question but `/healthz` and `/readyz` must carry.
    pub token: Option<String>,
    /// TLS, where it is asked for.
    pub tls: Option<TlsAcceptor>,
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

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsUnusable {
    /// A file that is not PEM, or cannot be read.
    #[error("{} cannot be used: {why}; give a PEM file", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The two do not fit.
    #[error("certificate and key do not fit: {0}")]
    Pair(#[from] rustls::Error),
}

/// Reads a certificate chain and its key.
///
/// # Errors
/// When a file is unusable, or the two do not fit.
pub fn tls(chain: &Path, key: &Path) -> Result<TlsAcceptor, TlsUnusable> {
    let unusable = |path: &Path, why: String| TlsUnusable::File {
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

/// Answers until dropped. Must run within a `LocalSet`.
pub async fn serve(listener: TcpListener, access: Access, observer: Rc<RefCell<Observer>>) {
    let seats = Arc::new(Semaphore::new(AT_A_TIME));
    let access = Rc::new(access);
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (access, observer) = (Rc::clone(&access), Rc::clone(&observer));
                tokio::task::spawn_local(async move {
                    answer(stream, &access, &observer).await;
                    drop(seat);
                });
            }
            Err(error) => {
                // Out of descriptors: whoever waits is served when one is free again.
                tracing::warn!(%error, "the agent's listener could not accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, access: &Rc<Access>, observer: &Rc<RefCell<Observer>>) {
    match &access.tls {
        None => converse(stream, access, observer).await,
        Some(acceptor) => match tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => converse(stream, access, observer).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        },
    }
}

async fn converse<S>(stream: S, access: &Rc<Access>, observer: &Rc<RefCell<Observer>>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
{
    let service = service_fn(|request: Request<Incoming>| {
        let answered = respond(&request, access, &observer.borrow());
        async move { Ok::<_, Infallible>(answered) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a scraper's connection broke");
    }
}

fn respond(request: &Request<Incoming>, access: &Access, observer: &Observer) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return told(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n");
    }
    let path = request.uri().path();
    match path {
        "/healthz" => return told(StatusCode::OK, "ok\n"),
        "/readyz" => return ready(observer),
        _ => {}
    }
    if !permitted(request.headers().get(AUTHORIZATION), access.token.as_deref()) {
        let mut refused = told(StatusCode::UNAUTHORIZED, "a bearer token is required\n");
        refused
            .headers_mut()
            .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return refused;
    }
    match path {
        "/metrics" => {
            let probes: Vec<_> = observer
                .status
                .iter()
                .map(|probe| (probe.probe, probe.refused.is_none()))
                .collect();
            match observer.metrics.text(&probes) {
                Ok(text) => typed(text, "text/plain; version=0.0.4; charset=utf-8"),
                Err(error) => told(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
            }
        }
        "/v1/evidence" => evidence(request.uri().query(), observer),
        _ => told(
            StatusCode::NOT_FOUND,
            "try /metrics, /healthz, /readyz or /v1/evidence?since=0\n",
        ),
    }
}

fn ready(observer: &Observer) -> Response<Full<Bytes>> {
    // Ready on any rung: it does what can be done here, and says what cannot.
    told(StatusCode::OK, &(observer.told().join("\n") + "\n"))
}

fn evidence(query: Option<&str>, observer: &Observer) -> Response<Full<Bytes>> {
    let since = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find_map(|pair| pair.strip_prefix("since="));
    let Ok(since) = since.unwrap_or("0").parse() else {
        return told(
            StatusCode::BAD_REQUEST,
            "since is a number: the 'next' of the answer before\n",
        );
    };
    match observer
        .journal
        .write(since, unix_us(), observer.level(), observer.lost())
    {
        Ok(text) => typed(text, "application/jsonl"),
        Err(error) => told(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

/// Compared in a time that does not tell how much of it was right.
fn permitted(header: Option<&HeaderValue>, token: Option<&str>) -> bool {
    let Some(token) = token else { return true };
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

fn told(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = typed(text.to_owned(), "text/plain; charset=utf-8");
    *response.status_mut() = status;
    response
}

fn typed(text: String, content: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_permitted() {
        let header = |text| Some(HeaderValue::from_static(text));
        assert!(permitted(None, None));
        assert!(permitted(header("Bearer secret").as_ref(), Some("secret")));
        assert!(!permitted(header("Bearer secre").as_ref(), Some("secret")));
        assert!(!permitted(header("Bearer secret2").as_ref(), Some("secret")));
        assert!(!permitted(header("Basic secret").as_ref(), Some("secret")));
        assert!(!permitted(None, Some("secret")));
    }

    #[test]
    fn a_file_that_is_no_certificate_is_named() {
        let error = tls(Path::new("/nowhere/cert.pem"), Path::new("/nowhere/key.pem"))
            .err()
            .unwrap();
        assert!(
            error.to_string().starts_with("/nowhere/cert.pem cannot be used"),
            "{error}"
        );
    }
}
