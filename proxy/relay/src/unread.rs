//! That a connection is not read any more: told while it lasts, and counted when it is over.

use hopscope_attribution::evidence::{Connection, PathId, Side, Unread};

use super::relay::Relay;
use super::worker;
use hopscope_http::Observer;

/// Whether it has been told that a connection is not read.
#[derive(Debug, Default)]
pub(super) struct Notice {
    /// Whether the generator has sent anything: before that, the connection is unused, whatever the other side says.
    used: bool,
    told: bool,
}

impl Notice {
    /// Bytes of this side have passed, and the observer has seen them; it is `None` on a `tcp://` path.
    pub(super) fn passed(&mut self, from: Side, observer: Option<&Observer>, path: PathId) {
        if self.told {
            return;
        }
        self.used |= from == Side::Downstream;
        if self.used && observer.is_none_or(Observer::stopped) {
            self.tell(path);
        }
    }

    /// The connection is over: what showed only at its end is told now.
    pub(super) fn ended(&mut self, connection: &Connection) {
        if !self.told && connection.not_read().is_some() {
            self.tell(connection.path);
        }
    }

    fn tell(&mut self, path: PathId) {
        self.told = true;
        worker::with(|worker| worker.recorder.not_read(path));
    }
}

/// How many bytes of a connection were not read; `None` when all were.
pub(super) fn bytes(observer: Option<&Observer>, relay: Option<&Relay>) -> Option<Unread> {
    match (observer, relay) {
        (Some(observer), _) => observer.unread(),
        (None, Some(relay)) => Some(Unread {
            up: relay.up.passed(),
            down: relay.down.passed(),
        }),
        (None, None) => None,
    }
}
