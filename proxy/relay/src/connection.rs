//! One accepted connection from its first moment to its record.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use hopscope_attribution::evidence::{
    ConnectFailure, Connection, Cut, Ending, FourTuple, Moment, Observation, Opaque, PathId, Protocol, Side,
    SideEnd, Span, Upstream, WhyUnseen,
};
use tokio::net::TcpStream;
use tokio::time::timeout;

use self::log::{Log, WakeUp};
use super::arrival;
use super::flow::Flow;
use super::refusal::{self, OnRefusal};
use super::relay::Relay;
use super::stream::Socket;
use super::unread::{self, Notice};
use super::upstream::{Attempt, Attempted};
use super::waiting::Waiting;
use super::{socket, worker};

mod addresses;
mod log;
pub(super) mod proxied;
mod secured;

/// How long a refused connection waits for the request that it will not serve, so that the failure has a route.
const REQUEST_BEFORE_REFUSAL: Duration = Duration::from_millis(5);

/// An accepted connection. Its record is written when it is dropped, however that comes about.
#[derive(Debug)]
pub(super) struct Accepted {
    /// Until the upstream stands.
    waiting: Option<Box<Waiting>>,
    /// From then on.
    relay: Option<Relay>,
    over: bool,
    /// How the generator's side ended before its TLS handshake was complete.
    handshake_end: Option<SideEnd>,
    /// Whether it counts among its worker's connections with something under way.
    busy: bool,
    log: Log,
}

impl Accepted {
    /// Begins the record of a connection that was just accepted.
    pub(super) fn new(
        downstream: TcpStream,
        downstream_tuple: FourTuple,
        path: PathId,
        worker: &mut worker::Worker,
    ) -> Self {
        Self::of(Socket::new(downstream), downstream_tuple, path, worker)
    }

    /// The same, of a socket that is shared with whoever accepted it.
    fn of(
        downstream: Socket,
        downstream_tuple: FourTuple,
        path: PathId,
        worker: &mut worker::Worker,
    ) -> Self {
        let id = worker.next_id();
        worker.recorder.accepted(path);
        let log = Log {
            id,
            path,
            clock: worker.clock,
            opened: worker.clock.now(),
            downstream_tuple,
            upstream: Upstream::Abandoned { after: Span::ZERO },
            attempted: None,
            upstream_tuple: None,
            observer: worker.observer(id, path),
            unread: Notice::default(),
            host: worker.host_rewriter(path),
            added_up: None,
            downstream_finished: None,
            unconfirmed: Vec::new(),
        };
        // Until its first bytes have been looked for, it may have a request under way.
        worker.turned(true);
        Self {
            waiting: Some(Box::new(Waiting::new(downstream))),
            relay: None,
            over: false,
            handshake_end: None,
            busy: true,
            log,
        }
    }

    /// Ends it at once: hopscope has no descriptors for an upstream connection.
    pub(super) fn turn_away(mut self) {
        self.log.upstream = Upstream::Failed {
            after: Span::ZERO,
            failure: ConnectFailure::NoDescriptor,
        };
        if let Some(waiting) = &self.waiting {
            socket::reset_on_close(&waiting.downstream);
        }
        self.over = true;
    }

    /// Connects upstream and relays until both sides have ended.
    ///
    /// Not an `async fn`: that would keep its arguments twice, and this future is most of what an idle connection
    /// costs. For the same reason all that only connecting or refusing needs is boxed, and freed when it is done.
    pub(super) fn serve(
        mut self,
        attempt: Attempt,
        on_refusal: OnRefusal,
    ) -> impl Future<Output = ()> + use<> {
        let attempt = Box::new(attempt);
        async move {
            if Box::pin(self.connect(attempt)).await {
                poll_fn(|cx| self.poll_relay(cx)).await;
            } else {
                Box::pin(self.refuse(on_refusal)).await;
            }
        }
    }

    /// Connects upstream; true when bytes can be relayed.
    async fn connect(&mut self, attempt: Box<Attempt>) -> bool {
        let (began, clock) = (attempt.began(), attempt.clock());
        self.log.attempted = Some(began);
        let attempted = tokio::select! {
            biased;
            attempted = attempt.run() => attempted,
            () = poll_fn(|cx| self.poll_waiting(cx)) => {
                Attempted::nothing(Upstream::Abandoned { after: clock.now().since(began) })
            }
        };
        self.log.attempted = None;
        self.log.upstream = attempted.outcome;
        self.log.learn_addresses(&attempted);
        let Some(upstream) = attempted.stream else {
            return false;
        };
        let Some(waiting) = self.waiting.take() else {
            return false;
        };
        self.log.upstream_tuple = attempted.remote.and_then(|remote| tuple(upstream.tcp(), remote));
        self.relay = Some(Relay::new(*waiting, upstream, arrival::sampled(self.log.id)));
        true
    }

    /// Ready when nobody waits for the upstream any more.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(waiting) = &mut self.waiting else {
            return Poll::Ready(());
        };
        let mut wake_up = WakeUp {
            log: &mut self.log,
            now: None,
            down_last_byte: None,
        };
        worker::with_scratch(|scratch| waiting.poll(cx, &mut wake_up, scratch))
    }

    fn poll_relay(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(relay) = &mut self.relay else {
            return Poll::Ready(());
        };
        let mut wake_up = WakeUp {
            log: &mut self.log,
            now: None,
            down_last_byte: relay.down.last_byte(),
        };
        let polled = worker::with_scratch(|scratch| relay.poll(cx, &mut wake_up, scratch));
        let busy = polled.is_pending() && self.log.busy();
        if busy != self.busy {
            self.busy = busy;
            worker::with(|worker| worker.turned(busy));
        }
        self.over = polled.is_ready();
        polled
    }

    /// No upstream stands: the downstream side is told, as it would have been by the failure itself.
    async fn refuse(&mut self, on_refusal: OnRefusal) {
        let Some(waiting) = &mut self.waiting else {
            return;
        };
        let downstream = &mut waiting.downstream;
        if let (Upstream::Failed { failure, .. }, OnRefusal::BadGateway, Some(observer)) =
            (self.log.upstream, on_refusal, &mut self.log.observer)
        {
            let clock = self.log.clock;
            refusal::answer(downstream, observer, self.log.path, failure, clock).await;
        } else {
            if matches!(self.log.upstream, Upstream::Failed { .. }) && !self.log.asked() {
                let readable = timeout(REQUEST_BEFORE_REFUSAL, downstream.readable()).await;
                if matches!(readable, Ok(Ok(()))) {
                    self.log.see_what_was_asked(downstream);
                }
            }
            socket::reset_on_close(downstream);
        }
        self.over = true;
    }
}

/// Both ends of a socket that was connected to `remote`.
fn tuple(stream: &TcpStream, remote: SocketAddr) -> Option<FourTuple> {
    let local = stream.local_addr().ok()?;
    Some(FourTuple { local, remote })
}

impl Drop for Accepted {
    fn drop(&mut self) {
        let now = self.log.clock.now();
        if let Some(began) = self.log.attempted {
            self.log.upstream = Upstream::Abandoned {
                after: now.since(began),
            };
        }
        let last_cut = match (self.over, self.log.upstream) {
            (false, _) => Cut::Stopped,
            (true, Upstream::Connected { .. }) => Cut::UpstreamFin,
            (true, Upstream::Abandoned { .. }) => Cut::DownstreamReset,
            (true, Upstream::Failed { .. }) => Cut::NotConnected,
        };
        if !self.over
            && let Some(relay) = &self.relay
        {
            // An exchange that is cut off must not look complete to anybody.
            if self
                .log
                .observer
                .as_ref()
                .is_some_and(|observer| observer.in_flight() > 0)
            {
                socket::reset_on_close(relay.downstream.tcp());
            }
        }
        self.log.cut(last_cut, now);
        if !self.log.unconfirmed.is_empty()
            && let Some(relay) = &self.relay
            && socket::pending_failure(relay.downstream.tcp()).is_some()
        {
            self.log.nobody_got();
        }
        self.log.record_unconfirmed();
        let connection = self.record(now);
        self.log.unread.ended(&connection);
        worker::with(|worker| {
            worker.recorder.connection(connection);
            worker.left();
            if self.busy {
                worker.turned(false);
            }
        });
    }
}

impl Accepted {
    fn record(&self, now: Moment) -> Connection {
        let log = &self.log;
        let unended = |side: Side| {
            let how = match (self.over, side, log.upstream) {
                (_, Side::Upstream, Upstream::Failed { .. } | Upstream::Abandoned { .. }) => {
                    Ending::NeverStood
                }
                (true, ..) => Ending::EndedByRelay,
                (false, ..) => Ending::StillOpen,
            };
            SideEnd { at: now, how }
        };
        let abandoned = self.over && matches!(log.upstream, Upstream::Abandoned { .. });
        let abandoned = abandoned.then_some(SideEnd {
            at: now,
            how: Ending::Reset,
        });
        let (relay, waiting) = (self.relay.as_ref(), self.waiting.as_deref());
        let up = relay
            .map(|relay| &relay.up)
            .or(waiting.map(|waiting| &waiting.up));
        let since_opened = |at: Moment| at.since(log.opened);
        let never = Observation::Unseen(WhyUnseen::NeverHappened);
        Connection {
            id: log.id,
            path: log.path,
            opened: log.opened,
            closed: if self.over {
                Observation::Seen(now)
            } else {
                Observation::Unseen(WhyUnseen::OutsideTheWindow)
            },
            upstream: log.upstream,
            downstream_tuple: log.downstream_tuple,
            upstream_tuple: log.upstream_tuple,
            downstream_end: self
                .handshake_end
                .or_else(|| relay.and_then(Relay::downstream_end))
                .or_else(|| waiting.and_then(Waiting::downstream_end))
                .or(abandoned)
                .unwrap_or_else(|| unended(Side::Downstream)),
            upstream_end: relay
                .and_then(Relay::upstream_end)
                .unwrap_or_else(|| unended(Side::Upstream)),
            bytes_up: relay.map_or(0, |relay| relay.up.passed()),
            bytes_down: relay.map_or(0, |relay| relay.down.passed()),
            first_byte_up: up.and_then(Flow::first_byte).map(since_opened),
            first_byte_down: relay.and_then(|relay| relay.down.first_byte()).map(since_opened),
            last_byte: up
                .and_then(Flow::last_byte)
                .max(relay.and_then(|relay| relay.down.last_byte())),
            blocked_up: relay.map_or(Span::ZERO, |relay| relay.up.blocked(now)),
            blocked_down: relay.map_or(Span::ZERO, |relay| relay.down.blocked(now)),
            protocol: log.observer.as_ref().map_or_else(
                || match relay {
                    Some(relay) if relay.up.passed() + relay.down.passed() > 0 => {
                        Protocol::Opaque(Opaque::ByConfiguration)
                    }
                    Some(_) | None => Protocol::Silent,
                },
                hopscope_http::Observer::protocol,
            ),
            unread: unread::bytes(log.observer.as_ref(), relay),
            exchanges: log
                .observer
                .as_ref()
                .map_or(0, hopscope_http::Observer::exchanges),
            downstream_tcp: match (relay, waiting) {
                (Some(relay), _) => socket::tcp_facts(relay.downstream.tcp()),
                (None, Some(waiting)) => socket::tcp_facts(&waiting.downstream),
                (None, None) => never,
            },
            upstream_tcp: relay.map_or(never, |relay| socket::tcp_facts(relay.upstream.tcp())),
        }
    }
}
