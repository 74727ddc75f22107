//! A small HTTP server for `/metrics` and its like: one thread, bounded, read-only.
//!
//! What it answers is given to it as a function, so the proxy and the node agent both use it.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, oneshot};

/// Connections that are served at once; further ones wait in the accept queue.
const CONNECTIONS: usize = 32;
/// How long a client may take for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after an accept that failed, so that a lack of descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a path is answered with.
pub type Router = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

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

/// A running server; dropping it stops it.
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

    /// JSON.
    pub fn json(body: Vec<u8>) -> Self {
        Self {
            status: 200,
            content_type: "application/json",
            body,
        }
    }
}

/// Listens on `address` and answers `GET` and `HEAD` by `router`, on a thread of its own.
///
/// # Errors
/// When the address cannot be had.
pub fn serve(address: SocketAddr, router: Router) -> Result<Server, ServerError> {
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
        .spawn(move || runtime.block_on(listen(listener, router, stopped)))
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

async fn listen(listener: TcpListener, router: Router, stopped: oneshot::Receiver<()>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::select! {
        () = accept(&listener, &router, &room) => {}
        // Told to stop, or the `Server` is gone.
        _ = stopped => {}
    }
}

async fn accept(listener: &tokio::net::TcpListener, router: &Router, room: &Arc<Semaphore>) {
    loop {
        let Ok(place) = Arc::clone(room).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let router = Arc::clone(router);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = respond(&request, &router);
                async move { Ok::<_, Infallible>(answer) }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "a metrics connection ended early");
            }
            drop(place);
        });
    }
}

fn respond(request: &Request<Incoming>, router: &Router) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refusal = response(Answer::text(405, "only GET and HEAD are answered here\n"));
        refusal
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    response(router(request.uri().path()))
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    response
}
