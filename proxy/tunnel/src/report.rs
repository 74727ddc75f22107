//! What a tunnel tells the recording, and the clock that it stamps it with.

use std::fmt;
use std::sync::Arc;

use hopscope_attribution::evidence::tunnel::{
    TunnelGauge, TunnelLife, TunnelLifeEvent, TunnelLine, TunnelMeaning, TunnelProcess,
};
use hopscope_attribution::evidence::{Moment, Observation};

/// The recording's clock.
pub type Clock = Arc<dyn Fn() -> Moment + Send + Sync>;

/// Where reports go. It is called on the tunnel's own thread and must not block.
pub type Sink = Arc<dyn Fn(TunnelReport) + Send + Sync>;

/// One thing seen of a tunnel.
#[derive(Clone, Debug, PartialEq)]
pub enum TunnelReport {
    /// How far the tunnel can be watched at all. The first report, and again once kubectl's version is known.
    Watched {
        /// kubectl's version as it states it.
        kubectl_version: Observation<String>,
        /// Whether its words are read.
        lines: Observation<()>,
        /// Whether its sockets and process are sampled.
        gauges: Observation<()>,
    },
    /// A line that kubectl wrote.
    Line(TunnelLine),
    /// A sample of its sockets and process.
    Gauge(TunnelGauge),
    /// A turn in its life.
    Life(TunnelLifeEvent),
    /// A process that took the forward over.
    Process(TunnelProcess),
}

/// Stamps what one member of a pool has to say, and hands it on.
#[derive(Clone)]
pub(super) struct Reporter {
    clock: Clock,
    sink: Sink,
    member: u16,
}

impl Reporter {
    pub(super) fn new(clock: Clock, sink: Sink, member: u16) -> Self {
        Self { clock, sink, member }
    }

    pub(super) fn member(&self) -> u16 {
        self.member
    }

    pub(super) fn now(&self) -> Moment {
        (self.clock)()
    }

    pub(super) fn tell(&self, report: TunnelReport) {
        (self.sink)(report);
    }

    pub(super) fn life(&self, kind: TunnelLife) {
        self.life_because(kind, None);
    }

    /// A turn, and what kubectl said that explains it.
    pub(super) fn life_because(&self, kind: TunnelLife, reason: Option<TunnelMeaning>) {
        tracing::info!(member = self.member, turn = ?kind, reason = reason.map(TunnelMeaning::word), "tunnel");
        self.tell(TunnelReport::Life(TunnelLifeEvent {
            at: self.now(),
            kind,
            member: self.member,
            reason,
        }));
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter")
            .field("member", &self.member)
            .finish_non_exhaustive()
    }
}
