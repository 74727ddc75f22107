//! What hopscope is meant to reach, and whether it does.

use super::data::Figures;
use super::figures::Metric;
use super::target::Target;
use super::workload::Workload;

/// One goal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    /// What it says, as a line of the table.
    pub(super) text: &'static str,
    measure: Measure,
    limit: Limit,
}

#[derive(Clone, Copy, Debug)]
enum Measure {
    /// hopscope's figure over another's.
    Ratio(Workload, Metric, Target),
    /// hopscope's CPU with its recording's thread over that without.
    Recording(Workload),
    /// Bytes a connection at rest.
    IdleBytes,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Limit {
    fn holds(self, measured: f64) -> bool {
        match self {
            Self::AtMost(limit) => measured <= limit,
            Self::AtLeast(limit) => measured >= limit,
        }
    }
}

const fn ratio(
    text: &'static str,
    workload: Workload,
    metric: Metric,
    against: Target,
    limit: Limit,
) -> Goal {
    Goal {
        text,
        measure: Measure::Ratio(workload, metric, against),
        limit,
    }
}

const fn recording(text: &'static str, workload: Workload) -> Goal {
    Goal {
        text,
        measure: Measure::Recording(workload),
        limit: Limit::AtMost(1.05),
    }
}

/// All, in the order of the table.
pub(super) const GOALS: [Goal; 33] = {
    use Limit::{AtLeast, AtMost};
    use Metric::{AddedP50, Cpu, P99, Rate};
    use Target::{Direct, Envoy, Haproxy, HaproxyLog, HaproxySplice, HaproxyTcp, HopscopeUnread, Nginx};
    use Workload::{ConnectionPerRequest, Down, FixedRate, FixedRateUnpinned, KeepAlive64, KeepAlive200, Up};
    [
        ratio(
            "64 connections: CPU a request / HAProxy with its log",
            KeepAlive64,
            Cpu,
            HaproxyLog,
            AtMost(0.75),
        ),
        ratio(
            "64 connections: CPU a request / HAProxy without",
            KeepAlive64,
            Cpu,
            Haproxy,
            AtMost(0.80),
        ),
        ratio(
            "64 connections: CPU a request / nginx",
            KeepAlive64,
            Cpu,
            Nginx,
            AtMost(0.72),
        ),
        ratio(
            "64 connections: CPU a request / Envoy",
            KeepAlive64,
            Cpu,
            Envoy,
            AtMost(0.30),
        ),
        ratio(
            "64 connections: CPU a request / HAProxy in TCP mode",
            KeepAlive64,
            Cpu,
            HaproxyTcp,
            AtMost(1.0),
        ),
        ratio(
            "64 connections: p99 / HAProxy",
            KeepAlive64,
            P99,
            Haproxy,
            AtMost(1.0),
        ),
        ratio(
            "64 connections: p99 / nginx",
            KeepAlive64,
            P99,
            Nginx,
            AtMost(1.0),
        ),
        ratio(
            "64 connections: CPU read / not read",
            KeepAlive64,
            Cpu,
            HopscopeUnread,
            AtMost(1.05),
        ),
        ratio(
            "200 connections: CPU a request / HAProxy with its log",
            KeepAlive200,
            Cpu,
            HaproxyLog,
            AtMost(0.75),
        ),
        ratio(
            "200 connections: CPU a request / HAProxy without",
            KeepAlive200,
            Cpu,
            Haproxy,
            AtMost(0.80),
        ),
        ratio(
            "200 connections: CPU a request / nginx",
            KeepAlive200,
            Cpu,
            Nginx,
            AtMost(0.72),
        ),
        ratio(
            "200 connections: CPU a request / Envoy",
            KeepAlive200,
            Cpu,
            Envoy,
            AtMost(0.30),
        ),
        ratio(
            "200 connections: CPU a request / HAProxy in TCP mode",
            KeepAlive200,
            Cpu,
            HaproxyTcp,
            AtMost(1.0),
        ),
        ratio(
            "200 connections: p99 / HAProxy",
            KeepAlive200,
            P99,
            Haproxy,
            AtMost(1.0),
        ),
        ratio(
            "200 connections: p99 / nginx",
            KeepAlive200,
            P99,
            Nginx,
            AtMost(1.0),
        ),
        ratio(
            "200 connections: CPU read / not read",
            KeepAlive200,
            Cpu,
            HopscopeUnread,
            AtMost(1.05),
        ),
        ratio(
            "4,000 requests/s: CPU a request / HAProxy",
            FixedRate,
            Cpu,
            Haproxy,
            AtMost(0.67),
        ),
        ratio(
            "4,000 requests/s: added median latency / HAProxy's",
            FixedRate,
            AddedP50,
            Haproxy,
            AtMost(0.65),
        ),
        ratio(
            "4,000 requests/s, nobody pinned: CPU a request / HAProxy",
            FixedRateUnpinned,
            Cpu,
            Haproxy,
            AtMost(0.67),
        ),
        ratio(
            "4,000 requests/s, nobody pinned: added median latency / HAProxy's",
            FixedRateUnpinned,
            AddedP50,
            Haproxy,
            AtMost(0.65),
        ),
        ratio(
            "a connection a request: CPU / HAProxy",
            ConnectionPerRequest,
            Cpu,
            Haproxy,
            AtMost(1.0),
        ),
        ratio(
            "a connection a request: rate / no proxy",
            ConnectionPerRequest,
            Rate,
            Direct,
            AtLeast(0.85),
        ),
        ratio(
            "64 MiB down: CPU a GB / HAProxy",
            Down,
            Cpu,
            Haproxy,
            AtMost(0.40),
        ),
        ratio(
            "64 MiB down: CPU a GB / HAProxy, splice forced",
            Down,
            Cpu,
            HaproxySplice,
            AtMost(0.90),
        ),
        ratio("64 MiB down: rate / no proxy", Down, Rate, Direct, AtLeast(0.70)),
        ratio("64 MiB up: CPU a GB / HAProxy", Up, Cpu, Haproxy, AtMost(0.40)),
        ratio(
            "64 MiB up: CPU a GB / HAProxy, splice forced",
            Up,
            Cpu,
            HaproxySplice,
            AtMost(0.90),
        ),
        ratio("64 MiB up: CPU a GB / nginx", Up, Cpu, Nginx, AtMost(0.72)),
        recording(
            "64 connections: CPU with / without the recording's thread",
            KeepAlive64,
        ),
        recording(
            "200 connections: CPU with / without the recording's thread",
            KeepAlive200,
        ),
        recording(
            "4,000 requests/s: CPU with / without the recording's thread",
            FixedRate,
        ),
        recording(
            "a connection a request: CPU with / without the recording's thread",
            ConnectionPerRequest,
        ),
        Goal {
            text: "5,000 idle connections: bytes of memory each",
            measure: Measure::IdleBytes,
            limit: AtMost(2560.0),
        },
    ]
};

/// What came of a goal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Judged {
    pub(super) measured: f64,
    pub(super) holds: bool,
    /// The figure of the relay that does nothing else, where it took part.
    pub(super) bare: Option<Bare>,
}

/// Whether the goal is within reach of a relay at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bare {
    pub(super) measured: f64,
    pub(super) holds: bool,
}

impl Judged {
    /// Whether it is missed by a relay that does nothing else as well.
    pub(super) const fn is_out_of_reach(&self) -> bool {
        matches!(
            self,
            Self {
                holds: false,
                bare: Some(Bare { holds: false, .. }),
                ..
            }
        )
    }
}

impl Goal {
    /// `None` where it was not measured.
    pub(super) fn judge(&self, figures: &Figures) -> Option<Judged> {
        let measured = match self.measure {
            Measure::Ratio(workload, metric, against) => {
                figures.ratio(workload, metric, Target::Hopscope, against)?
            }
            Measure::Recording(workload) => figures.recorded(workload)?,
            Measure::IdleBytes => figures.idle_bytes(Target::Hopscope)?,
        };
        let bare = match self.measure {
            Measure::Ratio(workload, metric, against) => {
                figures.ratio(workload, metric, Target::Bare, against)
            }
            Measure::Recording(_) | Measure::IdleBytes => None,
        };
        Some(Judged {
            measured,
            holds: self.limit.holds(measured),
            bare: bare.map(|measured| Bare {
                measured,
                holds: self.limit.holds(measured),
            }),
        })
    }

    /// The limit, as the table has it.
    pub(super) fn limit(&self) -> String {
        match self.limit {
            Limit::AtMost(limit) => format!("≤ {}", self.number(limit)),
            Limit::AtLeast(limit) => format!("≥ {}", self.number(limit)),
        }
    }

    /// A figure with the digits that this goal is told in.
    pub(super) fn number(&self, value: f64) -> String {
        match self.measure {
            Measure::Ratio(..) | Measure::Recording(_) => format!("{value:.2}"),
            Measure::IdleBytes => format!("{value:.0}"),
        }
    }
}
