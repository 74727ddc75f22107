//! As many connections between the balancer and its targets failed as it answered with 502, 503 and 504.
//!
//! A balancer that speaks HTTP opens connections of its own, which no address joins to hopscope's. Their number says it:
//! where each of its error answers has a failed connection to a target beside it, the targets failed them. Times decide
//! nothing here, and a balancer that refuses by a limit of its own has no such connections.

use super::Found;
use crate::case::Case;
use crate::cause::Cause;
use crate::confidence::GOOD;
use crate::evidence::node::{KernelEnd, KernelSocket};
use crate::evidence::{PathId, PathKind};
use crate::failure::{Failure, What};
use crate::figures::count;
use crate::hop::Hop;

/// Fewer answers than this may meet as many failed connections by accident.
const ENOUGH: usize = 3;

/// What closes the open answers of the only path through a load balancer.
pub(super) struct Counted {
    path: PathId,
    /// For 502 and 503, and for 504.
    at_once: Option<(Cause, usize, usize)>,
    late: Option<(Cause, usize, usize)>,
}

impl Counted {
    pub(super) fn of(case: &Case<'_>) -> Option<Self> {
        let node = case.evidence.node.seen()?;
        let paths = case.paths_of(PathKind::Lb);
        let [path] = paths.as_slice() else {
            return None;
        };
        let answers = |wanted: fn(u16) -> bool| {
            let open = case
                .failures
                .iter()
                .filter(|failure| failure.path == *path && failure.is_open());
            open.filter(|failure| status(failure).is_some_and(wanted)).count()
        };
        let sockets =
            |wanted: fn(&KernelSocket) -> bool| node.sockets.iter().filter(|socket| wanted(socket)).count();
        let by = |answers: usize, causes: &[(Cause, usize)]| {
            let (cause, most) = causes.iter().copied().max_by_key(|(_, sockets)| *sockets)?;
            let enough = answers >= ENOUGH && most.saturating_mul(10) >= answers.saturating_mul(9);
            enough.then_some((cause, most, answers))
        };
        Some(Self {
            path: *path,
            at_once: by(
                answers(|status| matches!(status, 502 | 503)),
                &[
                    (Cause::BackendRefused, sockets(refused)),
                    (
                        Cause::BackendReset,
                        sockets(reset)
                            .max(sockets(was_reset))
                            .max(sockets(closed_unanswered)),
                    ),
                    (Cause::BackendUnreachable, sockets(unreachable)),
                ],
            ),
            late: by(
                answers(|status| status == 504),
                &[
                    (Cause::BackendTimeout, sockets(silent)),
                    (Cause::BackendUnreachable, sockets(unreachable)),
                ],
            ),
        })
    }

    pub(super) fn judge(&self, failure: &Failure) -> Option<Found> {
        let (cause, sockets, answers) = match status(failure) {
            Some(502 | 503) if failure.path == self.path => self.at_once?,
            Some(504) if failure.path == self.path => self.late?,
            Some(_) | None => return None,
        };
        let did = if cause == Cause::BackendRefused {
            "were refused"
        } else if cause == Cause::BackendReset {
            "the target ended before it had answered"
        } else if cause == Cause::BackendTimeout {
            "ended without one byte of an answer to what had been asked"
        } else {
            "got no answer"
        };
        Some(Found {
            cause,
            confidence: GOOD,
            why: format!(
                "Kernels saw {} connections from the load balancer to its targets that {did}, beside {} answers of 502, 503 or 504.",
                count_of(sockets),
                count_of(answers)
            ),
        })
    }
}

fn count_of(number: usize) -> String {
    count(u64::try_from(number).unwrap_or(u64::MAX))
}

const fn status(failure: &Failure) -> Option<u16> {
    match failure.what {
        What::Answered { status, .. } => Some(status),
        What::Broken { .. } | What::NotConnected(_) | What::Abandoned { .. } | What::FrontTls(_) => None,
    }
}

fn from_balancer(socket: &KernelSocket) -> bool {
    socket.owner.seen() == Some(&Hop::Lb) && socket.peer.seen() == Some(&Hop::Backend)
}

fn refused(socket: &KernelSocket) -> bool {
    from_balancer(socket) && socket.end == KernelEnd::ConnectRefused
}

fn unreachable(socket: &KernelSocket) -> bool {
    let none = matches!(
        socket.end,
        KernelEnd::ConnectTimedOut { .. } | KernelEnd::ConnectUnreachable | KernelEnd::RetransmitTimeout
    );
    from_balancer(socket) && none
}

fn was_reset(socket: &KernelSocket) -> bool {
    from_balancer(socket) && socket.end == KernelEnd::ResetReceived
}

fn reset(socket: &KernelSocket) -> bool {
    let by_itself = matches!(socket.end, KernelEnd::ResetSent | KernelEnd::ResetSentUnread);
    by_itself && of_application(socket)
}

/// The application had been asked, had sent nothing, and closed first.
fn closed_unanswered(socket: &KernelSocket) -> bool {
    socket.end == KernelEnd::ClosedFirst && of_application(socket) && asked_and_silent(socket)
}

/// The application had been asked, had sent nothing, and the other side ended it.
fn silent(socket: &KernelSocket) -> bool {
    let ended = matches!(socket.end, KernelEnd::ClosedByPeer | KernelEnd::ResetReceived);
    ended && of_application(socket) && asked_and_silent(socket)
}

fn of_application(socket: &KernelSocket) -> bool {
    let for_the_balancer = matches!(socket.peer.seen(), Some(Hop::Lb) | None);
    socket.owner.seen() == Some(&Hop::Backend) && for_the_balancer
}

fn asked_and_silent(socket: &KernelSocket) -> bool {
    let bytes = socket.bytes.seen();
    bytes.is_some_and(|bytes| bytes.received > 0 && bytes.acknowledged == 0)
}
