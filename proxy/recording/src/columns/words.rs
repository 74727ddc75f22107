//! Enumerations of the tables that have few rows: kept as words.

use hopscope_attribution::evidence::node::KernelEnd;
use hopscope_attribution::evidence::tunnel::{PortOwner, TunnelLife, TunnelMeaning};
use hopscope_attribution::evidence::{PathKind, WhyUnseen};
use hopscope_attribution::hop::Hop;

use super::{Binder, Columns, Cursor, Malformed};

/// An enumeration that is kept as a word.
pub(in super::super) trait Word: Sized {
    /// The word, with what belongs to it after a colon.
    fn word(&self) -> String;

    /// What a word names.
    fn from_word(word: &str) -> Option<Self>;
}

/// Columns of what has a word.
macro_rules! columns_by_word {
    ($($type:ident),+) => {$(
        impl Columns for $type {
            const WIDTH: usize = 1;

            fn names(name: &str, names: &mut Vec<String>) {
                names.push(name.to_owned());
            }

            fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
                row.put(Word::word(self))
            }

            fn read(row: &mut Cursor<'_>) -> Result<Self, Malformed> {
                let word = row.text()?;
                <Self as Word>::from_word(word).ok_or_else(|| row.malformed("a word that this version knows"))
            }
        }
    )+};
}

columns_by_word!(Hop, KernelEnd, PathKind, PortOwner, TunnelLife, TunnelMeaning);

/// Enumerations without payload.
macro_rules! plain_words {
    ($type:ident { $($variant:ident = $word:literal,)+ }) => {
        impl Word for $type {
            fn word(&self) -> String {
                match self { $(Self::$variant => $word,)+ }.to_owned()
            }

            fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

plain_words!(WhyUnseen {
    NotWatched = "not-watched",
    NotSupported = "not-supported",
    NotPermitted = "not-permitted",
    OutsideTheWindow = "outside-the-window",
    EvidenceLost = "evidence-lost",
    NeverHappened = "never-happened",
    NoAnswer = "no-answer",
});

plain_words!(PathKind {
    Tunnel = "tunnel",
    Lb = "lb",
    Direct = "direct",
    Unstated = "unstated",
});

impl Word for Hop {
    fn word(&self) -> String {
        Self::word(*self).to_owned()
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::from_word(word)
    }
}

impl Word for TunnelMeaning {
    fn word(&self) -> String {
        Self::word(*self).to_owned()
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::from_word(word)
    }
}

impl Word for TunnelLife {
    fn word(&self) -> String {
        match self {
            Self::Started => "started".to_owned(),
            Self::Found => "found".to_owned(),
            Self::Ready => "ready".to_owned(),
            Self::Exited(None) => "exited".to_owned(),
            Self::Exited(Some(code)) => format!("exited:{code}"),
            Self::Replaced => "replaced".to_owned(),
            Self::LeftDown => "left-down".to_owned(),
            Self::Stopped => "stopped".to_owned(),
            Self::Drained => "drained".to_owned(),
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "started" => Self::Started,
            "found" => Self::Found,
            "ready" => Self::Ready,
            "exited" => Self::Exited(None),
            "replaced" => Self::Replaced,
            "left-down" => Self::LeftDown,
            "stopped" => Self::Stopped,
            "drained" => Self::Drained,
            exited => Self::Exited(Some(exited.strip_prefix("exited:")?.parse().ok()?)),
        })
    }
}

impl Word for PortOwner {
    fn word(&self) -> String {
        match self {
            Self::Forward => "forward".to_owned(),
            Self::Other(pid) => format!("other:{pid}"),
            Self::Stranger => "stranger".to_owned(),
            Self::Nobody => "nobody".to_owned(),
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "forward" => Self::Forward,
            "stranger" => Self::Stranger,
            "nobody" => Self::Nobody,
            other => Self::Other(other.strip_prefix("other:")?.parse().ok()?),
        })
    }
}

impl Word for KernelEnd {
    fn word(&self) -> String {
        match self {
            Self::ConnectRefused => "connect-refused",
            Self::ConnectTimedOut { retransmits } => return format!("connect-timed-out:{retransmits}"),
            Self::ConnectUnreachable => "connect-unreachable",
            Self::NoLocalPort => "no-local-port",
            Self::ResetSentUnread => "reset-sent-unread",
            Self::ResetSent => "reset-sent",
            Self::ResetReceived => "reset-received",
            Self::RetransmitTimeout => "retransmit-timeout",
            Self::AcceptQueueFull => "accept-queue-full",
            Self::ClosedFirst => "closed-first",
            Self::ClosedByPeer => "closed-by-peer",
        }
        .to_owned()
    }

    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "connect-refused" => Self::ConnectRefused,
            "connect-unreachable" => Self::ConnectUnreachable,
            "no-local-port" => Self::NoLocalPort,
            "reset-sent-unread" => Self::ResetSentUnread,
            "reset-sent" => Self::ResetSent,
            "reset-received" => Self::ResetReceived,
            "retransmit-timeout" => Self::RetransmitTimeout,
            "accept-queue-full" => Self::AcceptQueueFull,
            "closed-first" => Self::ClosedFirst,
            "closed-by-peer" => Self::ClosedByPeer,
            timed_out => Self::ConnectTimedOut {
                retransmits: timed_out.strip_prefix("connect-timed-out:")?.parse().ok()?,
            },
        })
    }
}
