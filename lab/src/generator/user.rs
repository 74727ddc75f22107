//! One virtual user: ask, wait for the answer, think, ask again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::seen::Seen;
use super::source::Claim;
use super::{Reuse, Shared};
use crate::draw::fold;
use crate::wire::Wire;

/// A user with its own choices and, when it keeps it, its own connection.
#[derive(Debug)]
pub(super) struct User {
    number: u32,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
    rng: fastrand::Rng,
    kept: Option<Open>,
    request: Vec<u8>,
}

/// An open connection. Fields drop in this order: the port is free for the next only when the socket is closed.
#[derive(Debug)]
struct Open {
    wire: Wire,
    _claim: Claim,
}

/// A request under way; counted as interrupted when its user is broken off.
struct UnderWay<'a> {
    shared: &'a Shared,
    ended: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.lock().interrupted += 1;
        }
    }
}

impl User {
    pub(super) fn new(number: u32, shared: Arc<Shared>, stopped: watch::Receiver<bool>) -> Self {
        Self {
            number,
            rng: fastrand::Rng::with_seed(fold(shared.load.seed, &format!("user {number}"))),
            shared,
            stopped,
            kept: None,
            request: Vec::new(),
        }
    }

    /// Asks while the stages want it.
    pub(super) async fn live(mut self) {
        let shared = Arc::clone(&self.shared);
        let load = &shared.load;
        while let Some(turn) = load.stages.next_turn(self.number, shared.started.elapsed()) {
            let wait = turn.saturating_sub(shared.started.elapsed());
            if !wait.is_zero() {
                // A user that is not wanted now keeps no connection.
                self.kept = None;
                if self.pause(wait).await {
                    return;
                }
            }
            let route = match &shared.deal {
                Some(deal) => deal.next(),
                None => load.mix.choose(&mut self.rng),
            };
            let Some(route) = route else {
                return;
            };
            let mut under_way = UnderWay {
                shared: &shared,
                ended: false,
            };
            let began = Instant::now();
            let seen = self.ask(route).await;
            under_way.ended = true;
            shared.lock().note(route, seen, began.elapsed());
            // Without a breath, a user whose every request fails at once would be a busy loop.
            let (least, most) = load.think;
            let think = least + most.saturating_sub(least).mul_f64(self.rng.f64());
            let breath = if seen.failed() {
                Duration::from_millis(1)
            } else {
                Duration::ZERO
            };
            if self.pause(think.max(breath)).await {
                return;
            }
        }
    }

    /// Waits; true when the run was stopped meanwhile.
    async fn pause(&mut self, length: Duration) -> bool {
        if *self.stopped.borrow() {
            return true;
        }
        if length.is_zero() {
            // Users that get their answers at once must let the others live.
            tokio::task::yield_now().await;
            return false;
        }
        tokio::time::timeout(length, self.stopped.wait_for(|stopped| *stopped))
            .await
            .is_ok()
    }

    async fn ask(&mut self, route: usize) -> Seen {
        let load = &self.shared.load;
        let abort = match load.aborts {
            Some((share, latency)) if self.rng.f64() < share => Some(latency.sample(&mut self.rng)),
            Some(_) | None => None,
        };
        let (patience, out_of_patience) = match abort {
            Some(after) if after < load.timeout => (after, Seen::Aborted),
            Some(_) | None => (load.timeout, Seen::TimedOut),
        };
        // Its connection, kept or new, ends with a request that did not end well.
        tokio::time::timeout(patience, self.exchange(route))
            .await
            .unwrap_or(out_of_patience)
    }

    async fn exchange(&mut self, route: usize) -> Seen {
        let shared = Arc::clone(&self.shared);
        let load = &shared.load;
        let host = load.address.to_string();
        load.mix
            .write(route, &host, load.reuse, &mut self.rng, &mut self.request);
        let mut open = match self.kept.take() {
            Some(open) => open,
            None => match shared.source.connect(load.address).await {
                Ok((stream, claim)) => Open {
                    wire: Wire::new(stream),
                    _claim: claim,
                },
                Err(why) => return Seen::NotConnected(why),
            },
        };
        let to_head = self.request.starts_with(b"HEAD ");
        let (seen, reusable) = converse(&mut open.wire, &self.request, to_head).await;
        if reusable && load.reuse == Reuse::KeepAlive {
            self.kept = Some(open);
        }
        seen
    }
}

/// One exchange on an open connection: what came of it, and whether the connection can carry another.
async fn converse(wire: &mut Wire, request: &[u8], to_head: bool) -> (Seen, bool) {
    let before = wire.received();
    let sent = wire.send(request).await;
    // Also after a failed send: an answer that came before the reset is still to be read.
    let head = match wire.response(to_head).await {
        Ok(head) => head,
        Err(broken) if wire.received() == before => {
            return (Seen::NoResponse(sent.err().unwrap_or(broken)), false);
        }
        Err(broken) => return (Seen::NoResponse(broken), false),
    };
    match wire.body(head.framing, None, 0).await {
        Ok(_) => (Seen::Status(head.status), head.keep_alive && sent.is_ok()),
        Err(broken) => (Seen::Truncated(head.status, broken), false),
    }
}
