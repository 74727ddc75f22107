//! The kinds of load.

use super::target::Target;

/// One kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Workload {
    /// 1 KiB responses over 64 connections that are kept, as fast as it goes.
    #[value(name = "keep-alive-64")]
    KeepAlive64,
    /// The same over 200 connections.
    #[value(name = "keep-alive-200")]
    KeepAlive200,
    /// About 4,000 such requests a second over 64 connections.
    FixedRate,
    /// The same, with as many threads as a program takes by itself, and nobody pinned to a core.
    FixedRateUnpinned,
    /// A connection for each request.
    ConnectionPerRequest,
    /// Bodies of 64 MiB from the upstream.
    Down,
    /// Bodies of 64 MiB to the upstream.
    Up,
    /// 5,000 connections that have served a request and wait for the next.
    Idle,
}

impl Workload {
    /// All, in the order of the tables.
    pub(super) const ALL: [Self; 8] = [
        Self::KeepAlive64,
        Self::KeepAlive200,
        Self::FixedRate,
        Self::FixedRateUnpinned,
        Self::ConnectionPerRequest,
        Self::Down,
        Self::Up,
        Self::Idle,
    ];

    /// Its name in the figures.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::KeepAlive64 => "keep-alive-64",
            Self::KeepAlive200 => "keep-alive-200",
            Self::FixedRate => "fixed-rate",
            Self::FixedRateUnpinned => "fixed-rate-unpinned",
            Self::ConnectionPerRequest => "connection-per-request",
            Self::Down => "down",
            Self::Up => "up",
            Self::Idle => "idle",
        }
    }

    /// The workload of that name.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|workload| workload.word() == word)
    }

    /// Whether it moves long bodies.
    pub(super) const fn is_bulk(self) -> bool {
        matches!(self, Self::Down | Self::Up)
    }

    /// Whether the proxy has one worker on one core, and generator and upstream have the other core.
    pub(super) const fn is_pinned(self) -> bool {
        !matches!(self, Self::FixedRateUnpinned)
    }

    /// Who takes part.
    pub(super) fn targets(self) -> impl Iterator<Item = Target> {
        Target::ALL.into_iter().filter(move |target| match self {
            Self::KeepAlive64 | Self::KeepAlive200 | Self::FixedRate | Self::ConnectionPerRequest => {
                *target != Target::HaproxySplice
            }
            Self::FixedRateUnpinned => !matches!(
                target,
                Target::HopscopeUnread | Target::HaproxyLog | Target::HaproxySplice
            ),
            Self::Down | Self::Up => {
                !matches!(target, Target::Bare | Target::HaproxyLog | Target::HaproxyTcp)
            }
            Self::Idle => matches!(
                target,
                Target::Hopscope | Target::Haproxy | Target::HaproxyTcp | Target::Nginx | Target::Envoy
            ),
        })
    }
}
