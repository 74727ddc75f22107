//! What is measured: the way without a proxy, hopscope, and its peers.

mod configuration;

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::workload::Workload;

/// One way from the generator to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Target {
    /// No proxy.
    Direct,
    /// A relay that moves bytes and does nothing else: what no relay of this make can cost less than.
    Bare,
    /// hopscope as it is used: every exchange observed and recorded.
    Hopscope,
    /// hopscope on a `tcp://` path: relayed and recorded, not read.
    HopscopeUnread,
    /// HAProxy in HTTP mode with a line of log for every request, to a ring in its memory.
    HaproxyLog,
    /// HAProxy in HTTP mode.
    Haproxy,
    /// HAProxy in HTTP mode that is told to splice both ways.
    HaproxySplice,
    /// HAProxy in TCP mode.
    HaproxyTcp,
    /// nginx.
    Nginx,
    /// Envoy, with an upstream connection for each downstream connection.
    Envoy,
}

/// Where a target listens, and what for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting<'a> {
    pub(super) workload: Workload,
    pub(super) listen: u16,
    pub(super) upstream: u16,
    /// A folder for its files.
    pub(super) folder: &'a Path,
}

impl Target {
    /// All, in the order of the tables.
    pub(super) const ALL: [Self; 10] = [
        Self::Direct,
        Self::Bare,
        Self::Hopscope,
        Self::HopscopeUnread,
        Self::HaproxyLog,
        Self::Haproxy,
        Self::HaproxySplice,
        Self::HaproxyTcp,
        Self::Nginx,
        Self::Envoy,
    ];

    /// Its name in the figures.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Bare => "bare",
            Self::Hopscope => "hopscope",
            Self::HopscopeUnread => "hopscope-unread",
            Self::HaproxyLog => "haproxy-log",
            Self::Haproxy => "haproxy",
            Self::HaproxySplice => "haproxy-splice",
            Self::HaproxyTcp => "haproxy-tcp",
            Self::Nginx => "nginx",
            Self::Envoy => "envoy",
        }
    }

    /// Its name in the tables.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Direct => "no proxy",
            Self::Bare => "a relay and nothing else",
            Self::Hopscope => "**hopscope**",
            Self::HopscopeUnread => "hopscope, `tcp://` (not read)",
            Self::HaproxyLog => "HAProxy, HTTP, log on",
            Self::Haproxy => "HAProxy, HTTP",
            Self::HaproxySplice => "HAProxy, HTTP, splice forced",
            Self::HaproxyTcp => "HAProxy, TCP",
            Self::Nginx => "nginx, HTTP",
            Self::Envoy => "Envoy, HTTP",
        }
    }

    /// The target of that name.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.word() == word)
    }

    /// The program that it is; none for the way without a proxy.
    pub(super) fn program(self) -> Option<PathBuf> {
        let named = |variable: &str, word: &str| {
            std::env::var_os(variable).map_or_else(|| PathBuf::from(word), PathBuf::from)
        };
        match self {
            Self::Direct => None,
            Self::Bare => std::env::current_exe().ok(),
            Self::Hopscope | Self::HopscopeUnread => Some(named("HOPSCOPE_BIN", "hopscope")),
            Self::HaproxyLog | Self::Haproxy | Self::HaproxySplice | Self::HaproxyTcp => {
                Some("haproxy".into())
            }
            Self::Nginx => Some("nginx".into()),
            Self::Envoy => Some(named("HOPSCOPE_ENVOY", "envoy")),
        }
    }

    /// Writes its configuration, and gives the words to start it with, after the program.
    pub(super) fn words(self, setting: &Setting<'_>) -> Result<Vec<String>> {
        configuration::prepare(self, setting)
    }
}
