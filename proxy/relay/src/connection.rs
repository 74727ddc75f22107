//! One accepted connection from its first moment to its record.

mod addresses;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use hopscope_attribution::evidence::{
    ConnectFailure, Connection, ConnectionId, Cut, Delivery, Ending, Exchange, FourTuple, Moment,
    Observation, Opaque, PackedTuple, PathId, Protocol, Side, SideEnd, Span, Upstream, WhyUnseen,
};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::arrival::{self, Arrival};
use super::clock::RunClock;
use super::flow::Watch;
use super::refusal::{self, OnRefusal};
use super::relay::Relay;
use super::unread::{self, Notice};
use super::upstream::{Attempt, Attempted};
use super::{socket, worker};

/// How long a refused connection waits for the request that it will not serve, so that the failure has a route.
const REQUEST_BEFORE_REFUSAL: Duration = Duration::from_millis(5);

/// An accepted connection. Its record is written when it is dropped, however that comes about.
#[derive(Debug)]
pub(super) struct Accepted {
    downstream: Option<TcpStream>,
    relay: Option<Relay>,
    over: bool,
    /// Whether it counts among its worker's connections with something under way.
    busy: bool,
    log: Log,
}

/// What is known of the connection beside its bytes.
#[derive(Debug)]
struct Log {
    id: ConnectionId,
    path: PathId,
    clock: RunClock,
    opened: Moment,
    downstream_tuple: FourTuple,
    upstream: Upstream,
    upstream_tuple: Option<FourTuple>,
    /// `None` on a `tcp://` path.
    observer: Option<hopscope_http::Observer>,
    /// Whether it has been told that it is not read any more.
    unread: Notice,
    /// What replaces the `Host` of requests, where that is wanted.
    host: Option<Box<hopscope_http::HostRewriter>>,
    /// What hopscope added on the way up to the exchange under way, on a stamped connection.
    added_up: Option<Span>,
    /// When the generator said FIN, if it did.
    downstream_finished: Option<Moment>,
    /// Exchanges that were completed after that. Whether the generator had half-closed and took them, or had given up,
    /// shows only by what its socket does with them.
    unconfirmed: Vec<Exchange>,
}

impl Accepted {
    /// Begins the record of a connection that was just accepted.
    pub(super) fn new(
        downstream: TcpStream,
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
            downstream: Some(downstream),
            relay: None,
            over: false,
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
        if let Some(downstream) = &self.downstream {
            socket::reset_on_close(downstream);
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
        let Some(downstream) = self.downstream.take() else {
            return false;
        };
        let attempted = attempt_unless_gone(&downstream, *attempt).await;
        self.log.upstream = attempted.outcome;
        self.log.learn_addresses(&attempted);
        let Some(upstream) = attempted.stream else {
            self.downstream = Some(downstream);
            return false;
        };
        self.log.upstream_tuple = attempted.remote.and_then(|remote| tuple(upstream.tcp(), remote));
        self.relay = Some(Relay::new(downstream, upstream, arrival::sampled(self.log.id)));
        true
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
        let Some(mut downstream) = self.downstream.take() else {
            return;
        };
        if let (Upstream::Failed { failure, .. }, OnRefusal::BadGateway, Some(observer)) =
            (self.log.upstream, on_refusal, &mut self.log.observer)
        {
            let clock = self.log.clock;
            refusal::answer(&mut downstream, observer, self.log.path, failure, clock).await;
        } else if let Upstream::Failed { .. } = self.log.upstream {
            let readable = timeout(REQUEST_BEFORE_REFUSAL, downstream.readable()).await;
            if matches!(readable, Ok(Ok(()))) {
                self.log.see_what_was_asked(&downstream);
            }
            socket::reset_on_close(&downstream);
        } else {
            socket::reset_on_close(&downstream);
        }
        self.over = true;
        self.downstream = Some(downstream);
    }
}

/// Both ends of a socket that was connected to `remote`.
fn tuple(stream: &TcpStream, remote: SocketAddr) -> Option<FourTuple> {
    let local = stream.local_addr().ok()?;
    Some(FourTuple { local, remote })
}

/// Makes the attempt, unless the downstream side resets first.
async fn attempt_unless_gone(downstream: &TcpStream, attempt: Attempt) -> Attempted {
    let (began, clock) = (attempt.began(), attempt.clock());
    tokio::select! {
        biased;
        attempted = attempt.run() => attempted,
        // Only EPOLLERR is waited for: unread bytes and a half-close are no reason to give up.
        _ready = downstream.ready(Interest::ERROR) => {
            Attempted::nothing(Upstream::Abandoned { after: clock.now().since(began) })
        }
    }
}

impl Log {
    fn see_what_was_asked(&mut self, downstream: &TcpStream) {
        let now = self.clock.now();
        worker::with_scratch(|scratch| match downstream.try_read(scratch) {
            Ok(read) => {
                let bytes = &scratch[..read];
                if let Some(observer) = &mut self.observer {
                    observer.request_bytes(bytes, now, &mut worker::record_exchange, &mut |_nowhere| {});
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => tracing::trace!(%error, "nothing could be read before a refusal"),
        });
    }

    /// Whether something is under way: an exchange, or bytes that cannot be read as exchanges.
    fn busy(&self) -> bool {
        self.observer
            .as_ref()
            .is_none_or(|observer| match observer.protocol() {
                Protocol::Silent | Protocol::Http1 | Protocol::Http2 => {
                    observer.in_flight() > 0 || !self.unconfirmed.is_empty()
                }
                Protocol::Opaque(_) => true,
            })
    }

    fn cut(&mut self, cut: Cut, at: Moment) {
        self.read(|observer, mut out| observer.ended(cut, at, &mut out));
    }

    /// Lets the observer read, and records what it finishes, or keeps it back where it must be confirmed first.
    fn read(&mut self, read: impl FnOnce(&mut hopscope_http::Observer, &mut dyn FnMut(Exchange))) {
        let Some(observer) = &mut self.observer else {
            return;
        };
        if self.downstream_finished.is_none() {
            read(observer, &mut worker::record_exchange);
        } else {
            let unconfirmed = &mut self.unconfirmed;
            read(observer, &mut |exchange| unconfirmed.push(exchange));
        }
    }

    /// The generator was gone before the answers came that are not confirmed.
    fn nobody_got(&mut self) {
        for exchange in &mut self.unconfirmed {
            if let Delivery::Complete { status, author } = exchange.delivery {
                exchange.delivery = Delivery::Truncated {
                    status,
                    author,
                    cut: Cut::DownstreamFin,
                };
            }
        }
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        let now = self.log.clock.now();
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
                socket::reset_on_close(&relay.downstream);
            }
        }
        self.log.cut(last_cut, now);
        if !self.log.unconfirmed.is_empty()
            && let Some(relay) = &self.relay
            && socket::pending_failure(&relay.downstream).is_some()
        {
            self.log.nobody_got();
        }
        self.log.unconfirmed.drain(..).for_each(worker::record_exchange);
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
        let relay = self.relay.as_ref();
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
            downstream_tuple: log.downstream_tuple.into(),
            upstream_tuple: log.upstream_tuple.map(PackedTuple::from),
            downstream_end: relay
                .and_then(Relay::downstream_end)
                .or(abandoned)
                .unwrap_or_else(|| unended(Side::Downstream)),
            upstream_end: relay
                .and_then(Relay::upstream_end)
                .unwrap_or_else(|| unended(Side::Upstream)),
            bytes_up: relay.map_or(0, |relay| relay.up.passed()),
            bytes_down: relay.map_or(0, |relay| relay.down.passed()),
            first_byte_up: relay.and_then(|relay| relay.up.first_byte()).map(since_opened),
            first_byte_down: relay.and_then(|relay| relay.down.first_byte()).map(since_opened),
            last_byte: relay.and_then(|relay| relay.up.last_byte().max(relay.down.last_byte())),
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
            downstream_tcp: match (relay, &self.downstream) {
                (Some(relay), _) => socket::tcp_facts(&relay.downstream),
                (None, Some(downstream)) => socket::tcp_facts(downstream),
                (None, None) => never,
            },
            upstream_tcp: relay.map_or(never, |relay| socket::tcp_facts(relay.upstream.tcp())),
        }
    }
}

/// One wake-up of a connection: everything seen in it shares one moment.
struct WakeUp<'a> {
    log: &'a mut Log,
    now: Option<Moment>,
    /// When the last byte came from upstream.
    down_last_byte: Option<Moment>,
}

impl WakeUp<'_> {
    /// Shows the observer what was read; gives what is to be written in its place.
    fn show(&mut self, from: Side, bytes: &[u8]) -> Option<Vec<u8>> {
        let at = self.now();
        match from {
            Side::Upstream => {
                self.down_last_byte = Some(at);
                self.log
                    .read(|observer, mut out| observer.response_bytes(bytes, at, &mut out));
                None
            }
            Side::Downstream => {
                let renamed = self.log.host.as_mut().and_then(|host| host.bytes(bytes));
                let bytes = renamed.as_deref().unwrap_or(bytes);
                let mut rewritten: Option<(Vec<u8>, usize)> = None;
                self.log.read(|observer, mut out| {
                    observer.request_bytes(bytes, at, &mut out, &mut |insertion| {
                        let (line, copied) =
                            rewritten.get_or_insert_with(|| (Vec::with_capacity(bytes.len() + 64), 0));
                        line.extend_from_slice(&bytes[*copied..insertion.at]);
                        *copied = insertion.at;
                        insertion.write_to(line);
                    });
                });
                let rewritten = rewritten.map(|(mut line, copied)| {
                    line.extend_from_slice(&bytes[copied..]);
                    line
                });
                rewritten.or(renamed)
            }
        }
    }
}

impl Watch for WakeUp<'_> {
    fn now(&mut self) -> Moment {
        *self.now.get_or_insert_with(|| self.log.clock.now())
    }

    fn see(&mut self, from: Side, bytes: &[u8]) -> Option<Vec<u8>> {
        let rewritten = self.show(from, bytes);
        self.log
            .unread
            .passed(from, self.log.observer.as_ref(), self.log.path);
        rewritten
    }

    fn taken(&mut self, from: Side, total: u64) {
        if from == Side::Downstream {
            let at = self.now();
            if let Some(observer) = &mut self.log.observer {
                observer.request_forwarded(total, at);
            }
        }
    }

    fn unread_run(&self, from: Side) -> u64 {
        let unread = self
            .log
            .observer
            .as_ref()
            .map_or(u64::MAX, |observer| observer.opaque_run(direction(from)));
        match (from, &self.log.host) {
            (Side::Downstream, Some(host)) => unread.min(host.unchanged_run()),
            (Side::Downstream | Side::Upstream, _) => unread,
        }
    }

    fn skip(&mut self, from: Side, count: u64) {
        let at = self.now();
        match (from, &mut self.log.host) {
            (Side::Upstream, _) => self.down_last_byte = Some(at),
            (Side::Downstream, Some(host)) => host.skip(count),
            (Side::Downstream, None) => {}
        }
        self.log
            .read(|observer, mut out| observer.skip(direction(from), count, at, &mut out));
    }

    fn relayed(&mut self, from: Side, arrival: Arrival) {
        match from {
            Side::Downstream => self.log.added_up = Some(arrival.age()),
            // One exchange, or what looks like one: some bytes up, some bytes down.
            Side::Upstream => {
                if let Some(up) = self.log.added_up.take() {
                    let added = up + arrival.age();
                    worker::with(|worker| worker.recorder.added(added));
                }
            }
        }
    }

    fn ended(&mut self, side: Side, end: SideEnd) {
        let finished = self.log.downstream_finished;
        match (side, end.how) {
            (Side::Downstream, Ending::Fin) => self.log.downstream_finished = Some(end.at),
            // It had not half-closed: it was gone, and did not get what came since.
            (Side::Downstream, _) => self.log.nobody_got(),
            (Side::Upstream, _) => {}
        }
        let cut = match (side, end.how) {
            (Side::Downstream, Ending::Reset | Ending::TimedOut | Ending::Errno(_)) => Cut::DownstreamReset,
            (Side::Upstream, Ending::Fin) => match finished {
                // The generator had closed its side, and the upstream sent nothing more after that: it gave way.
                Some(closed) if self.down_last_byte.is_none_or(|last| last < closed) => Cut::DownstreamFin,
                Some(_) | None => Cut::UpstreamFin,
            },
            (Side::Upstream, Ending::Reset) => Cut::UpstreamReset,
            (Side::Upstream, Ending::TimedOut) => Cut::UpstreamErrno(libc::ETIMEDOUT),
            (Side::Upstream, Ending::Errno(errno)) => Cut::UpstreamErrno(errno),
            // A half-close of the generator's: the answer may still come.
            (Side::Downstream, Ending::Fin)
            | (_, Ending::EndedByRelay | Ending::StillOpen | Ending::NeverStood) => return,
        };
        self.log.cut(cut, end.at);
    }
}

fn direction(from: Side) -> hopscope_http::Direction {
    match from {
        Side::Downstream => hopscope_http::Direction::Up,
        Side::Upstream => hopscope_http::Direction::Down,
    }
}
