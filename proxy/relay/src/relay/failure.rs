//! A side's failure, awaited while nobody reads that side.
//!
//! epoll reports a reset on a socket with unread bytes, or behind a FIN that was read, only as more readiness, which
//! nobody waits for. It reports an error as well, and that can be awaited by itself.

use std::pin::Pin;
use std::task::{Context, Poll};

use hopscope_attribution::evidence::Side;

use crate::stream::Socket;

/// Waits for the failure of either side. Costs a pointer until the first time that it is needed.
#[derive(Debug, Default)]
pub(crate) struct Failures(Option<Box<[Failure; 2]>>);

#[derive(Default)]
enum Failure {
    /// Nobody has asked yet.
    #[default]
    Unwatched,
    Awaited(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// The event loop has told of it, which it does once.
    Told,
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unwatched => "Unwatched",
            Self::Awaited(_) => "Awaited",
            Self::Told => "Told",
        })
    }
}

impl Failures {
    /// Ready, once, when the socket of that side has failed. What it failed with is asked of the socket.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, side: Side, socket: &Socket) -> Poll<()> {
        let [downstream, upstream] = &mut **self.0.get_or_insert_default();
        let failure = match side {
            Side::Downstream => downstream,
            Side::Upstream => upstream,
        };
        if let Failure::Unwatched = failure {
            *failure = Failure::Awaited(Box::pin(socket.clone().failed()));
        }
        let Failure::Awaited(awaited) = failure else {
            return Poll::Pending;
        };
        let polled = awaited.as_mut().poll(cx);
        if polled.is_ready() {
            *failure = Failure::Told;
        }
        polled
    }
}
