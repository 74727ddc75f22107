//! Two flows joined into one connection: FIN stays FIN, RST is handed on as RST, half-close is kept.
//!
//! The rules, in the order in which they are applied:
//! 1. A side's FIN closes only its own direction; the other goes on.
//! 2. A side that failed can be written to no more. What it had sent before is still handed over, then the other side
//!    is reset.
//! 3. The connection is over when both directions are.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hopscope_attribution::evidence::{Ending, Moment, Side, SideEnd, Span};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::arrival;
use super::flow::{Flow, Turn, Watch};
use super::socket;
use super::stream::UpstreamStream;

/// How often a side that cannot be read at the moment is asked whether it has been reset meanwhile. epoll reports a
/// reset on a socket with unread bytes only as more readiness, which nobody is waiting for.
const CHECK_EVERY: Duration = Duration::from_millis(100);
/// How often, and for how long, a reset waits for bytes before it that the other side has not acknowledged: the
/// reset would overtake them.
const SETTLE_EVERY: Duration = Duration::from_millis(1);
const SETTLE_LIMIT: Span = Span::from_secs(1);

/// One connection's two sockets and what flows between them.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) downstream: TcpStream,
    pub(super) upstream: UpstreamStream,
    pub(super) up: Flow,
    pub(super) down: Flow,
    downstream_end: Option<SideEnd>,
    upstream_end: Option<SideEnd>,
    alarm: Option<Pin<Box<Sleep>>>,
    settling_since: Option<Moment>,
}

impl Relay {
    /// Joins two connected sockets; `stamped` asks the kernel when bytes arrive, to learn what we add.
    pub(super) fn new(downstream: TcpStream, upstream: UpstreamStream, stamped: bool) -> Self {
        let mut relay = Self {
            downstream,
            upstream,
            up: Flow::new(Side::Downstream),
            down: Flow::new(Side::Upstream),
            downstream_end: None,
            upstream_end: None,
            alarm: None,
            settling_since: None,
        };
        let both = [&relay.downstream, relay.upstream.tcp()];
        if stamped
            && both
                .into_iter()
                .all(|socket| arrival::ask_for_stamps(socket).is_ok())
        {
            relay.up.stamp();
            relay.down.stamp();
        }
        relay
    }

    /// Moves bytes both ways until the connection is over. Ready once both sides have been told everything.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        watch: &mut impl Watch,
        scratch: &mut [u8],
    ) -> Poll<()> {
        loop {
            let up = self
                .up
                .poll(cx, &mut self.downstream, &mut self.upstream, scratch, watch);
            let noticed_up = self.notice(up, Side::Downstream, Side::Upstream, watch);
            let down = self
                .down
                .poll(cx, &mut self.upstream, &mut self.downstream, scratch, watch);
            let noticed_down = self.notice(down, Side::Upstream, Side::Downstream, watch);
            if noticed_up || noticed_down {
                continue;
            }
            if self.up.over() && self.down.over() {
                return self.poll_last_act(cx, watch);
            }
            if !may_be_reset_unseen(up, down) {
                self.alarm = None;
                return Poll::Pending;
            }
            if self.poll_alarm(cx, CHECK_EVERY).is_pending() {
                return Poll::Pending;
            }
            self.look_for_unread_resets(watch);
        }
    }

    /// Takes note of what ended. True when there was something, so that the other direction is looked at again.
    fn notice(&mut self, turn: Turn, source: Side, sink: Side, watch: &mut impl Watch) -> bool {
        match turn {
            Turn::Idle | Turn::Blocked | Turn::Over => false,
            Turn::SourceFinished if self.failed(source) => {
                // The end of stream behind a reset is no FIN, and must not be handed on as one.
                self.flow_from(source).break_off(watch.now());
                true
            }
            Turn::SourceFinished => {
                self.end(source, Ending::Fin, watch);
                true
            }
            Turn::SourceFailed(how) => {
                self.end(source, how, watch);
                true
            }
            Turn::SinkFailed(how) => {
                self.end(sink, how, watch);
                true
            }
        }
    }

    fn end(&mut self, side: Side, how: Ending, watch: &mut impl Watch) {
        let at = watch.now();
        let finished = self
            .downstream_end
            .filter(|end| end.how == Ending::Fin)
            .map(|end| end.at);
        let slot = match side {
            Side::Downstream => &mut self.downstream_end,
            Side::Upstream => &mut self.upstream_end,
        };
        match slot {
            None => {}
            // The same failure seen once by a write and once by a read.
            Some(known) if known.how != Ending::Fin => return,
            // An end of stream that only follows from the failure seen before.
            Some(_) if how == Ending::Fin => return,
            // A reset after a FIN: the side's last word is the reset, but its first was the FIN, and that time stays.
            Some(known) => {
                *known = SideEnd { at: known.at, how };
                watch.ended(side, SideEnd { at, how }, finished);
                self.after_failure(side, at);
                return;
            }
        }
        *slot = Some(SideEnd { at, how });
        watch.ended(side, SideEnd { at, how }, finished);
        if how != Ending::Fin {
            self.after_failure(side, at);
        }
    }

    /// A failed side takes no more bytes.
    fn after_failure(&mut self, side: Side, at: Moment) {
        match side {
            Side::Downstream => self.down.break_off(at),
            Side::Upstream => self.up.break_off(at),
        }
    }

    fn flow_from(&mut self, side: Side) -> &mut Flow {
        match side {
            Side::Downstream => &mut self.up,
            Side::Upstream => &mut self.down,
        }
    }

    fn failed(&self, side: Side) -> bool {
        let end = match side {
            Side::Downstream => self.downstream_end,
            Side::Upstream => self.upstream_end,
        };
        end.is_some_and(|end| end.how != Ending::Fin)
    }

    fn look_for_unread_resets(&mut self, watch: &mut impl Watch) {
        if let Some(how) = socket::pending_failure(&self.downstream) {
            self.end(Side::Downstream, how, watch);
            // Whoever sent what is held is gone, and who should take it does not: the reset comes first.
            self.up.break_off(watch.now());
        }
        if let Some(how) = socket::pending_failure(self.upstream.tcp()) {
            // What it sent before is still unread: the flow goes on to its end.
            self.end(Side::Upstream, how, watch);
        }
    }

    /// Both directions are over. If one side failed, the other is reset, once it has what came before.
    fn poll_last_act(&mut self, cx: &mut Context<'_>, watch: &mut impl Watch) -> Poll<()> {
        let (down_failed, up_failed) = (self.failed(Side::Downstream), self.failed(Side::Upstream));
        if down_failed == up_failed {
            return Poll::Ready(());
        }
        let now = watch.now();
        if self.settling_since.is_none() {
            self.alarm = None;
        }
        let since = *self.settling_since.get_or_insert(now);
        while socket::unacknowledged(self.survivor(up_failed)) > 0 && now.since(since) < SETTLE_LIMIT {
            if self.poll_alarm(cx, SETTLE_EVERY).is_pending() {
                return Poll::Pending;
            }
        }
        socket::reset_on_close(self.survivor(up_failed));
        Poll::Ready(())
    }

    fn survivor(&self, upstream_failed: bool) -> &TcpStream {
        if upstream_failed {
            &self.downstream
        } else {
            self.upstream.tcp()
        }
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>, after: Duration) -> Poll<()> {
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
        match alarm.as_mut().poll(cx) {
            Poll::Ready(()) => {
                self.alarm = None;
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// How the generator's side ended, if it did.
    pub(super) fn downstream_end(&self) -> Option<SideEnd> {
        self.downstream_end
    }

    /// How the path's side ended, if it did.
    pub(super) fn upstream_end(&self) -> Option<SideEnd> {
        self.upstream_end
    }
}

/// Whether a side might be reset without anything waking us: it has ended or is not being read.
fn may_be_reset_unseen(up: Turn, down: Turn) -> bool {
    let unread = |turn| matches!(turn, Turn::Blocked | Turn::Over);
    unread(up) || unread(down)
}
