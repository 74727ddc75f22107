//! A small HTTP/1.1 server for scrapers: bounded, read-only, over TLS and behind a token where that is wanted.
//!
//! What it answers is given to it as a function: the proxy's metrics and the node agent are both served by it.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::LocalSet;

mod access;

pub use access::{Access, AccessError, AccessFiles, token};

/// Connections that are served at a time; further ones wait in the accept queue. A scraper has one.
const CONNECTIONS: usize = 32;
/// A TLS handshake or a request's head that takes longer is nobody's scraper.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause after an accept that failed, so that a lack of descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What is answered without the token: a kubelet that asks whether we live and are ready has none.
const OPEN_TO_ALL: [&str; 2] = ["/healthz", "/readyz"];

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The path, such as `/metrics`.
    pub path: &'a str,
    /// What follows its question mark.
    pub query: Option<&'a str>,
}

/// What a question is answered with.
pub type Router = Arc<dyn Fn(Question<'_>) -> Answer + Send + Sync>;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Plain text.
    pub fn text(status: u16, body: &str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: body.as_bytes().to_vec(),
        }
    }

    /// Prometheus's text format, version 0.0.4.
    pub fn metrics(body: String) -> Self {
        Self {
            status: 200,
            content_type: prometheus::TEXT_FORMAT,
            body: body.into_bytes(),
        }
    }

    /// JSON Lines.
    pub fn json_lines(body: String) -> Self {
        Self {
            status: 200,
            content_type: "application/jsonl",
            body: body.into_bytes(),
        }
    }
}

/// A server on a thread of its own; dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Why the server could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve metrics on {address}: {reason}; give another address with --metrics")]
pub struct ServerError {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub reason: std::io::Error,
}

/// Listens on `address` and answers on a thread of its own.
///
/// # Errors
/// When the address cannot be had.
pub fn on_a_thread(address: SocketAddr, access: Access, router: Router) -> Result<Server, ServerError> {
    let failed = |reason| ServerError { address, reason };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("metrics".to_owned())
        .spawn(move || {
            LocalSet::new().block_on(&runtime, async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
                    return;
                };
                tokio::select! {
                    () = serve(listener, access, move |question| router(question)) => {}
                    // Told to stop, or the `Server` is gone.
                    _ = stopped => {}
                }
            });
        })
        .map_err(failed)?;
    Ok(Server {
        address: bound,
        stop: Some(stop),
        thread: Some(thread),
    })
}

impl Server {
    /// The address that it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server's thread has been printed and stops nothing else.
            drop(thread.join());
        }
    }
}

/// Answers until dropped. Must run within a `LocalSet`.
pub async fn serve(
    listener: tokio::net::TcpListener,
    access: Access,
    answer: impl Fn(Question<'_>) -> Answer + 'static,
) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    let desk = Rc::new(Desk { access, answer });
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let desk = Rc::clone(&desk);
                tokio::task::spawn_local(async move {
                    desk.receive(stream).await;
                    drop(seat);
                });
            }
            Err(error) => {
                // Out of descriptors: whoever waits is served when one is free again.
                tracing::warn!(%error, "a scraper's connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Who may ask, and what they are told.
struct Desk<F> {
    access: Access,
    answer: F,
}

impl<F: Fn(Question<'_>) -> Answer> Desk<F> {
    async fn receive(&self, stream: TcpStream) {
        match &self.access.tls {
            None => self.converse(stream).await,
            Some(acceptor) => match tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => self.converse(stream).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            },
        }
    }

    async fn converse(&self, stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
        let service = service_fn(|request: Request<Incoming>| {
            let response = self.respond(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a scraper's connection ended early");
        }
    }

    fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let refusal = Answer::text(405, "only GET and HEAD are answered here\n");
            return with(response(refusal), ALLOW, "GET, HEAD");
        }
        let question = Question {
            path: request.uri().path(),
            query: request.uri().query(),
        };
        if !OPEN_TO_ALL.contains(&question.path) && !self.access.permits(request.headers().get(AUTHORIZATION))
        {
            let refusal = Answer::text(401, "a bearer token is required\n");
            return with(response(refusal), WWW_AUTHENTICATE, "Bearer");
        }
        response((self.answer)(question))
    }
}

fn with(
    mut response: Response<Full<Bytes>>,
    name: hyper::header::HeaderName,
    value: &'static str,
) -> Response<Full<Bytes>> {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
    response
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    with(response, CONTENT_TYPE, answer.content_type)
}
