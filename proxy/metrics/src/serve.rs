//! A small HTTP/1.1 server for scrapers: bounded, read-only, over TLS and behind a token where that is wanted.
//!
//! What it answers is given to it as a function: the proxy's metrics and the node agent are both served by it.
//! Its bounds: [`seats`] shares connections fairly among sources, [`patient`] gives up askers that do not take their
//! answer, and long answers are made piece by piece while they are taken ([`answer`]).

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

mod access;
mod answer;
mod patient;
mod seats;

pub use access::{Access, AccessError, AccessFiles, Open, token};
pub use answer::{Answer, Content, Pieces};

use access::Permission;
use answer::Outgoing;
use patient::Patient;
use seats::{Place, Places, Seats, Taken};

/// What is buffered of a question, and of an answer that is not taken yet.
const BUFFER: usize = 64 * 1024;
/// A TLS handshake, a request's head, the next question or the taking of an answer may keep us waiting for so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause after an accept that failed, so that a lack of descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
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
    let seats = Rc::new(RefCell::new(Seats::default()));
    let desk = Rc::new(Desk {
        access,
        answer,
        places: Places::default(),
    });
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let Some(seat) = Seats::take(&seats, from.ip()) else {
                    continue;
                };
                let (number, desk) = (seat.number(), Rc::clone(&desk));
                let connection = tokio::task::spawn_local(async move {
                    desk.receive(stream, from.ip(), &seat).await;
                });
                Taken::is_of(&seats, number, connection.abort_handle());
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
    /// Answers in pieces that are on their way.
    places: Places,
}

/// A body on its way out, and its place among those that are made in pieces.
type Body = Outgoing<Place>;

impl<F: Fn(Question<'_>) -> Answer> Desk<F> {
    async fn receive(&self, stream: TcpStream, from: IpAddr, seat: &Taken) {
        let stream = Patient::new(stream, PATIENCE);
        match &self.access.tls {
            None => self.converse(stream, from, seat).await,
            Some(acceptor) => match tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => self.converse(stream, from, seat).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            },
        }
    }

    async fn converse(
        &self,
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
        from: IpAddr,
        seat: &Taken,
    ) {
        let service = service_fn(|request: Request<Incoming>| {
            let response = self.respond(&request, from, seat);
            async move { Ok::<_, Infallible>(response) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            // Also the longest pause between two questions.
            .header_read_timeout(PATIENCE)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a scraper's connection ended early");
        }
    }

    fn respond(&self, request: &Request<Incoming>, from: IpAddr, seat: &Taken) -> Response<Body> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let refusal = Answer::text(405, "only GET and HEAD are answered here\n");
            return with(response(refusal, None), ALLOW, "GET, HEAD");
        }
        let question = Question {
            path: request.uri().path(),
            query: request.uri().query(),
        };
        let header = request.headers().get(AUTHORIZATION);
        match self.access.permits(question.path, from, header) {
            Permission::Open => {}
            Permission::Shown => seat.trust(),
            Permission::TokenRequired => {
                let refusal = Answer::text(401, "a bearer token is required\n");
                return with(response(refusal, None), WWW_AUTHENTICATE, "Bearer");
            }
            Permission::Closed => {
                let refusal = Answer::text(
                    403,
                    "this host alone is answered: start it with --token-file, or open it with --open\n",
                );
                return response(refusal, None);
            }
        }
        let answer = (self.answer)(question);
        match answer.content {
            Content::Whole(_) => response(answer, None),
            Content::Pieces(_) => {
                if let Some(place) = self.places.take(from) {
                    return response(answer, Some(place));
                }
                let refusal = Answer::text(503, "others are being answered: ask again in a moment\n");
                with(response(refusal, None), RETRY_AFTER, "1")
            }
        }
    }
}

fn with(
    mut response: Response<Body>,
    name: hyper::header::HeaderName,
    value: &'static str,
) -> Response<Body> {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
    response
}

fn response(answer: Answer, place: Option<Place>) -> Response<Body> {
    let mut response = Response::new(Outgoing::new(answer.content, place));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    with(response, CONTENT_TYPE, answer.content_type)
}

#[cfg(test)]
mod tests;
