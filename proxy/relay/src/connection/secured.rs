//! A connection whose generator's TLS ends here: its ClientHello, the upstream, the rest of its handshake.
//!
//! The upstream is connected to in between: what the generator offers by ALPN is offered there, and what was chosen
//! there is what the generator is told. Where it cannot be connected to, the generator's handshake stays unfinished, as
//! it would without hopscope.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hopscope_attribution::evidence::{Ending, SideEnd, TlsFailure, Upstream};
use rustls::server::Acceptor;
use tokio::time::timeout;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::{Accepted, poll_fn, refusal, tuple};
use crate::front::authority::Subject;
use crate::front::terminator::{HTTP_1, Said, agreed};
use crate::refusal::OnRefusal;
use crate::relay::Relay;
use crate::stream::{Channel, Socket};
use crate::upstream::{Attempt, Attempted};
use crate::{socket, tls, worker};

impl Accepted {
    /// Ends the TLS of a generator that has connected to `to`, connects upstream and relays until both sides have ended.
    pub(crate) async fn serve_secured(mut self, to: Subject, on_refusal: OnRefusal, limit: Duration) {
        // Boxed: what a handshake needs is given back before the first request.
        if Box::pin(self.secure(to, on_refusal, limit)).await {
            poll_fn(|cx| self.poll_relay(cx)).await;
        }
    }

    /// True when bytes can be relayed.
    async fn secure(&mut self, to: Subject, on_refusal: OnRefusal, limit: Duration) -> bool {
        let Some(downstream) = self.waiting.as_ref().map(|waiting| waiting.downstream.clone()) else {
            return false;
        };
        // Nobody waits for a connection that was opened in advance.
        self.turn(false);
        let hello = hello(&downstream, limit).await;
        self.turn(true);
        let hello = match hello {
            Ok(hello) => hello,
            Err(how) => return self.ended_early(how),
        };
        let asked = protocols(&hello);
        let Some(attempt) = self.attempt(&asked) else {
            return self.ended_early(Ending::Reset);
        };
        let secured = attempt.is_secured();
        let attempted = match self.connect_unless_left(&downstream, attempt).await {
            Ok(attempted) => attempted,
            Err(how) => return self.ended_early(how),
        };
        let Some(upstream) = attempted.stream else {
            self.refuse_secured(hello, &asked, to, on_refusal, limit).await;
            return false;
        };
        self.log.upstream_tuple = attempted.remote.and_then(|remote| tuple(upstream.tcp(), remote));
        let said = if secured {
            Said::Chose(upstream.protocol())
        } else {
            Said::NotAsked
        };
        let protocol = agreed(&asked, said);
        match finish_handshake(hello, protocol, to, limit).await {
            Ok(secured) => {
                if let Some(waiting) = self.waiting.take() {
                    self.relay = Some(Relay::between(secured, *waiting, upstream, false));
                }
                self.relay.is_some()
            }
            Err(failure) => self.ended_early(Ending::Tls(failure)),
        }
    }

    /// An attempt that offers what the generator did. Where its `Host` is replaced HTTP/1 alone is offered, if the
    /// generator speaks it: HTTP/2 would carry hopscope's own name to the target.
    fn attempt(&self, asked: &[Vec<u8>]) -> Option<Attempt> {
        let attempt = worker::with(|worker| worker.attempt(self.log.path)).flatten()?;
        let mut offered = asked.to_vec();
        if self.log.host.is_some() && asked.iter().any(|protocol| protocol == HTTP_1) {
            offered.retain(|protocol| protocol == HTTP_1);
        }
        Some(attempt.offering(offered))
    }

    /// Connects upstream; stops when the generator leaves.
    async fn connect_unless_left(
        &mut self,
        downstream: &Socket,
        attempt: Attempt,
    ) -> Result<Attempted, Ending> {
        let (began, clock) = (attempt.began(), attempt.clock());
        self.log.attempted = Some(began);
        let attempted = tokio::select! {
            biased;
            attempted = attempt.run() => Ok(attempted),
            how = left(downstream) => Err(how),
        };
        self.log.attempted = None;
        match &attempted {
            Ok(attempted) => {
                self.log.upstream = attempted.outcome;
                self.log.learn_addresses(attempted);
            }
            Err(_) => {
                self.log.upstream = Upstream::Abandoned {
                    after: clock.now().since(began),
                };
            }
        }
        attempted
    }

    /// No upstream stands. With `--on-refusal 502` the generator is told in HTTP/1, where it speaks that.
    async fn refuse_secured(
        &mut self,
        hello: StartHandshake<Socket>,
        asked: &[Vec<u8>],
        to: Subject,
        on_refusal: OnRefusal,
        limit: Duration,
    ) {
        self.over = true;
        let speaks = asked.is_empty() || asked.iter().any(|protocol| protocol == HTTP_1);
        let failure = match self.log.upstream {
            Upstream::Failed { failure, .. } if on_refusal == OnRefusal::BadGateway && speaks => failure,
            Upstream::Failed { .. } | Upstream::Connected { .. } | Upstream::Abandoned { .. } => {
                socket::reset_on_close(&hello.io);
                return;
            }
        };
        let protocol = (!asked.is_empty()).then_some(HTTP_1);
        match finish_handshake(hello, protocol, to, limit).await {
            Ok(mut secured) => {
                let clock = self.log.clock;
                if let Some(observer) = &mut self.log.observer {
                    refusal::answer(&mut secured, observer, self.log.path, failure, clock).await;
                }
            }
            Err(failed) => {
                self.ended_early(Ending::Tls(failed));
            }
        }
    }

    /// The generator's side ended before its handshake was complete. False: nothing can be relayed.
    fn ended_early(&mut self, how: Ending) -> bool {
        let at = self.log.clock.now();
        self.handshake_end = Some(SideEnd { at, how });
        self.over = true;
        false
    }

    /// Counts it among those with something under way, or no more.
    fn turn(&mut self, busy: bool) {
        if self.busy != busy {
            self.busy = busy;
            worker::with(|worker| worker.turned(busy));
        }
    }
}

/// Answers the ClientHello, and agrees on this application protocol.
async fn finish_handshake(
    hello: StartHandshake<Socket>,
    protocol: Option<&[u8]>,
    to: Subject,
    limit: Duration,
) -> Result<Channel, TlsFailure> {
    let subject = subject(&hello, to);
    let server = worker::with(|worker| worker.server(subject, protocol)).flatten();
    let server = server.ok_or(TlsFailure::Incompatible)?;
    match timeout(limit, hello.into_stream(Arc::clone(&server))).await {
        Ok(Ok(stream)) => Ok(Channel::tls(stream)),
        Ok(Err(error)) => Err(tls::failure(&error)),
        Err(_) => Err(TlsFailure::TimedOut),
    }
}

/// Reads the ClientHello. An end before its first byte is an end of an unused connection.
async fn hello(downstream: &Socket, limit: Duration) -> Result<StartHandshake<Socket>, Ending> {
    loop {
        if downstream.readable().await.is_err() {
            return Err(Ending::Reset);
        }
        match socket::at_end(downstream) {
            Ok(false) => break,
            Ok(true) => return Err(Ending::Fin),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket::drained(downstream),
            Err(error) => return Err(socket::ending(&error)),
        }
    }
    let acceptor = LazyConfigAcceptor::new(Acceptor::default(), downstream.clone());
    match timeout(limit, acceptor).await {
        Ok(Ok(hello)) => Ok(hello),
        Ok(Err(error)) => Err(Ending::Tls(tls::failure(&error))),
        Err(_) => Err(Ending::Tls(TlsFailure::TimedOut)),
    }
}

/// The application protocols that a generator offers, in its order.
fn protocols(hello: &StartHandshake<Socket>) -> Vec<Vec<u8>> {
    let hello = hello.client_hello();
    hello
        .alpn()
        .map(|offered| offered.map(<[u8]>::to_vec).collect())
        .unwrap_or_default()
}

/// Whom the generator wants to talk to: the name that it says, or else whom it has connected to.
fn subject(hello: &StartHandshake<Socket>, to: Subject) -> Subject {
    let hello = hello.client_hello();
    hello
        .server_name()
        .map_or(to, |name| Subject::Name(name.to_owned()))
}

/// Waits until the generator ends its side. It has said its ClientHello and waits for the answer: a FIN is no
/// half-close.
async fn left(downstream: &Socket) -> Ending {
    loop {
        if downstream.readable().await.is_err() {
            return Ending::Reset;
        }
        match socket::at_end(downstream) {
            Ok(true) => return Ending::Fin,
            // It goes on talking. Only a failure is told beside unread bytes.
            Ok(false) => {
                downstream.clone().failed().await;
                return socket::pending_failure(downstream).unwrap_or(Ending::Reset);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket::drained(downstream),
            Err(error) => return socket::ending(&error),
        }
    }
}
