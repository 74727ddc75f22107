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
use tokio::time::Sleep;

use self::failure::Failures;
use super::arrival;
use super::flow::{Flow, Turn, Watch};
use super::socket;
use super::stream::{Channel, Socket};
use super::waiting::Waiting;

pub(super) mod failure;

/// For how long a reset waits for bytes before it that the other side has not acknowledged: the reset would overtake
/// them.
const SETTLE_LIMIT: Span = Span::from_secs(1);
/// How often the kernel is asked about them; no event tells of an acknowledgement. The pauses grow with the time that
/// was waited, from the shortest to the longest of these.
const SETTLE_EVERY: (Span, Span) = (Span::from_micros(1_000), Span::from_micros(50_000));

/// One connection's two sockets and what flows between them.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) downstream: Channel,
    pub(super) upstream: Channel,
    pub(super) up: Flow,
    pub(super) down: Flow,
    downstream_end: Option<SideEnd>,
    upstream_end: Option<SideEnd>,
    /// The upstream failed, and what it had sent before is still being read: nobody has been told yet.
    untold: Option<SideEnd>,
    failures: Failures,
    alarm: Option<Pin<Box<Sleep>>>,
    settling_since: Option<Moment>,
}

impl Relay {
    /// Joins what waited to the upstream that stands now; `stamped` asks the kernel when bytes arrive, to learn what we
    /// add.
    pub(super) fn new(waiting: Waiting, upstream: Channel, stamped: bool) -> Self {
        let downstream = Channel::Plain(waiting.downstream.clone());
        Self::between(downstream, waiting, upstream, stamped)
    }

    /// The same, where the downstream's bytes travel in a channel that was made while it waited.
    pub(super) fn between(downstream: Channel, waiting: Waiting, upstream: Channel, stamped: bool) -> Self {
        let downstream_end = waiting.downstream_end();
        let mut relay = Self {
            downstream,
            upstream,
            up: waiting.up,
            down: Flow::new(Side::Upstream),
            downstream_end,
            upstream_end: None,
            untold: None,
            failures: waiting.failures,
            alarm: None,
            settling_since: None,
        };
        let both = [relay.downstream.tcp(), relay.upstream.tcp()];
        if stamped
            && both
                .into_iter()
                .all(|socket| arrival::ask_for_stamps(&**socket).is_ok())
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
            let up = self.up.poll(
                cx,
                &mut self.downstream,
                &mut self.upstream,
                scratch,
                watch,
                self.down.finished(),
            );
            let noticed_up = self.notice(up, Side::Downstream, Side::Upstream, watch);
            let down = self.down.poll(
                cx,
                &mut self.upstream,
                &mut self.downstream,
                scratch,
                watch,
                self.up.finished(),
            );
            let noticed_down = self.notice(down, Side::Upstream, Side::Downstream, watch);
            self.tell(watch);
            if noticed_up || noticed_down {
                continue;
            }
            if self.up.over() && self.down.over() {
                return self.poll_last_act(cx, watch);
            }
            if !may_be_reset_unseen(up, down) || !self.look_for_failures(cx, watch) {
                return Poll::Pending;
            }
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
        let slot = match side {
            Side::Downstream => &mut self.downstream_end,
            Side::Upstream => &mut self.upstream_end,
        };
        let first_seen = match slot {
            None => at,
            // The same failure seen once by a write and once by a read.
            Some(known) if known.how != Ending::Fin => return,
            // An end of stream that only follows from the failure seen before.
            Some(_) if how == Ending::Fin => return,
            // A reset after a FIN: the side's last word is the reset, but its first was the FIN, and that time stays.
            Some(known) => known.at,
        };
        *slot = Some(SideEnd { at: first_seen, how });
        let end = SideEnd { at, how };
        if how == Ending::Fin {
            watch.ended(side, end);
            return;
        }
        self.after_failure(side, at);
        if side == Side::Upstream && !self.down.over() {
            self.untold = Some(end);
        } else {
            watch.ended(side, end);
        }
    }

    /// Tells of the upstream's failure once everything that it had sent before has been seen.
    fn tell(&mut self, watch: &mut impl Watch) {
        if self.down.over()
            && let Some(end) = self.untold.take()
        {
            watch.ended(Side::Upstream, end);
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

    /// Whether a side has failed that is not read at the moment. Wakes the connection when one does.
    fn look_for_failures(&mut self, cx: &mut Context<'_>, watch: &mut impl Watch) -> bool {
        let mut any = false;
        if self.poll_failure(cx, Side::Downstream).is_ready()
            && let Some(how) = socket::pending_failure(self.downstream.tcp())
        {
            self.end(Side::Downstream, how, watch);
            // Whoever sent what is held is gone, and who should take it does not: the reset comes first.
            self.up.break_off(watch.now());
            any = true;
        }
        if self.poll_failure(cx, Side::Upstream).is_ready()
            && let Some(how) = socket::pending_failure(self.upstream.tcp())
        {
            // What it sent before is still unread: the flow goes on to its end.
            self.end(Side::Upstream, how, watch);
            any = true;
        }
        any
    }

    fn poll_failure(&mut self, cx: &mut Context<'_>, side: Side) -> Poll<()> {
        let socket = match side {
            Side::Downstream => self.downstream.tcp(),
            Side::Upstream => self.upstream.tcp(),
        };
        self.failures.poll(cx, side, socket)
    }

    /// Both directions are over. If one side failed, the other is reset, once it has what came before.
    fn poll_last_act(&mut self, cx: &mut Context<'_>, watch: &mut impl Watch) -> Poll<()> {
        let now = watch.now();
        let since = *self.settling_since.get_or_insert(now);
        if let Some(survivor) = self.unsettled()
            && now.since(since) < SETTLE_LIMIT
        {
            self.up.finish_now(self.upstream.tcp());
            self.down.finish_now(self.downstream.tcp());
            if self
                .poll_settled(cx, survivor, now.since(since), watch)
                .is_pending()
            {
                return Poll::Pending;
            }
        }
        if !self.failed(Side::Downstream)
            && self.answered_after_fin()
            && let Some(how) = socket::pending_failure(self.downstream.tcp())
        {
            self.end(Side::Downstream, how, watch);
        }
        match (self.failed(Side::Downstream), self.failed(Side::Upstream)) {
            (true, false) => socket::reset_on_close(self.upstream.tcp()),
            (false, true) => socket::reset_on_close(self.downstream.tcp()),
            (true, true) | (false, false) => {}
        }
        Poll::Ready(())
    }

    /// Waits until the survivor has acknowledged all that it was sent, or has failed: a reset socket acknowledges
    /// nothing any more, and the kernel goes on counting its bytes.
    fn poll_settled(
        &mut self,
        cx: &mut Context<'_>,
        survivor: Side,
        waited: Span,
        watch: &mut impl Watch,
    ) -> Poll<()> {
        let (shortest, longest) = SETTLE_EVERY;
        let pause = Duration::from_micros(waited.clamp(shortest, longest).as_micros());
        while socket::unacknowledged(self.tcp(survivor)) > 0 {
            let told = self.poll_failure(cx, survivor).is_ready();
            let failure = socket::pending_failure(self.tcp(survivor));
            if let Some(how) = failure
                && survivor == Side::Downstream
                && self.answered_after_fin()
            {
                self.end(survivor, how, watch);
            }
            if told || failure.is_some() {
                break;
            }
            if self.poll_alarm(cx, pause).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// The side whose acknowledgement is worth waiting for: one that is to be reset, or one that had said FIN before
    /// it was answered. That may have been a half-close, or the end of a generator that gave up; only what it does
    /// with the answer tells.
    fn unsettled(&self) -> Option<Side> {
        match (self.failed(Side::Downstream), self.failed(Side::Upstream)) {
            (true, false) => Some(Side::Upstream),
            (false, true) => Some(Side::Downstream),
            (false, false) if self.answered_after_fin() => Some(Side::Downstream),
            (true, true) | (false, false) => None,
        }
    }

    fn answered_after_fin(&self) -> bool {
        match (self.downstream_end, self.down.last_byte()) {
            (Some(end), Some(last)) => end.how == Ending::Fin && last >= end.at,
            (Some(_) | None, _) => false,
        }
    }

    fn tcp(&self, side: Side) -> &Socket {
        match side {
            Side::Downstream => self.downstream.tcp(),
            Side::Upstream => self.upstream.tcp(),
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
