//! What is known of a connection beside its bytes, and what is seen of it in one wake-up.

use std::io;

use hopscope_attribution::evidence::{
    ConnectionId, Cut, Delivery, Ending, Exchange, FourTuple, Moment, PathId, Protocol, Side, SideEnd, Span,
    Upstream,
};
use tokio::net::TcpStream;

use crate::arrival::Arrival;
use crate::clock::RunClock;
use crate::flow::Watch;
use crate::unread::Notice;
use crate::worker;

/// Who half-closes does so together with the request's last byte.
const TOGETHER: Span = Span::from_micros(5_000);

/// What is known of the connection beside its bytes.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) id: ConnectionId,
    pub(super) path: PathId,
    pub(super) clock: RunClock,
    pub(super) opened: Moment,
    pub(super) downstream_tuple: FourTuple,
    pub(super) upstream: Upstream,
    /// When the attempt to connect began that is under way.
    pub(super) attempted: Option<Moment>,
    pub(super) upstream_tuple: Option<FourTuple>,
    /// `None` on a `tcp://` path.
    pub(super) observer: Option<hopscope_http::Observer>,
    /// Whether it has been told that it is not read any more.
    pub(super) unread: Notice,
    /// What replaces the `Host` of requests, where that is wanted.
    pub(super) host: Option<Box<hopscope_http::HostRewriter>>,
    /// What hopscope added on the way up to the exchange under way, on a stamped connection.
    pub(super) added_up: Option<Span>,
    /// When the generator said FIN, if it did.
    pub(super) downstream_finished: Option<Moment>,
    /// Exchanges that were completed after that. Whether the generator had half-closed and took them, or had given up,
    /// shows only by what its socket does with them.
    pub(super) unconfirmed: Vec<Exchange>,
}

impl Log {
    /// Whether the generator has asked for anything.
    pub(super) fn asked(&self) -> bool {
        self.observer
            .as_ref()
            .is_some_and(|observer| observer.exchanges() > 0)
    }

    pub(super) fn see_what_was_asked(&mut self, downstream: &TcpStream) {
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
    pub(super) fn busy(&self) -> bool {
        self.observer
            .as_ref()
            .is_none_or(|observer| match observer.protocol() {
                Protocol::Silent | Protocol::Http1 | Protocol::Http2 => {
                    observer.in_flight() > 0 || !self.unconfirmed.is_empty()
                }
                Protocol::Opaque(_) => true,
            })
    }

    pub(super) fn cut(&mut self, cut: Cut, at: Moment) {
        self.read(|observer, mut out| observer.ended(cut, at, &mut out));
    }

    /// Lets the observer read, and records what it finishes, or keeps it back where it must be confirmed first.
    pub(super) fn read(&mut self, read: impl FnOnce(&mut hopscope_http::Observer, &mut dyn FnMut(Exchange))) {
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

    /// Records what had to be confirmed first. Who left did not wait any longer, however long the upstream took to end.
    pub(super) fn record_unconfirmed(&mut self) {
        let left = self.downstream_finished;
        for mut exchange in self.unconfirmed.drain(..) {
            let answered = matches!(exchange.delivery, Delivery::Complete { .. });
            if let Some(left) = left.filter(|left| !answered && *left >= exchange.began) {
                let waited = left.since(exchange.began);
                // A FIN that comes with the request is a half-close: its sender waits on.
                let half_closed = waited <= exchange.phases.request_sent.unwrap_or_default() + TOGETHER;
                if !half_closed {
                    exchange.phases.total = exchange.phases.total.min(waited);
                }
            }
            worker::record_exchange(exchange);
        }
    }

    /// The generator was gone before the answers came that are not confirmed.
    pub(super) fn nobody_got(&mut self) {
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

/// One wake-up of a connection: everything seen in it shares one moment.
pub(super) struct WakeUp<'a> {
    pub(super) log: &'a mut Log,
    pub(super) now: Option<Moment>,
    /// When the last byte came from upstream.
    pub(super) down_last_byte: Option<Moment>,
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
            | (_, Ending::Tls(_) | Ending::EndedByRelay | Ending::StillOpen | Ending::NeverStood) => return,
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
