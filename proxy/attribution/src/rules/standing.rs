//! The tunnel's own connection, seen to stand after an end: then it did not end, and cannot have ended anything.
//!
//! kubectl dials its tunnel once and ends with it (client-go, `portforward.go`: `lost connection to pod`), so a socket that
//! the same process still has later was there all the time.

use crate::case::Case;
use crate::evidence::tunnel::{TunnelLife, TunnelMeaning};
use crate::evidence::{Moment, Observation, PathId, PathKind, Span, TunnelEvidence};
use crate::failure::Failure;

/// A tunnel whose end is under way may still be seen for a moment: it is looked for later than that.
const LATER: Span = Span::from_micros(300_000);
/// And not much later, so that it says something of this end.
const SOON: Span = Span::from_micros(3_000_000);
/// What ended a tunnel may have been said, or shown, this long before.
const BEFORE: Span = Span::from_micros(1_300_000);

/// What is known of each path's tunnel, where all of it was watched and there is one forwarder only.
pub(super) struct Standing(Vec<(PathId, Watch)>);

struct Watch {
    /// When its own connection was seen to stand, in order.
    stood: Vec<Moment>,
    /// When the process began, ended or said that its tunnel was lost, in order.
    turns: Vec<Moment>,
}

impl Standing {
    pub(super) fn of(case: &Case<'_>) -> Self {
        let paths = case.paths_of(PathKind::Tunnel).into_iter();
        let watched = paths.filter_map(|path| Some((path, watch(case.tunnel(path).seen()?)?)));
        Self(watched.collect())
    }

    /// Whether the tunnel that carried this failure stood on.
    pub(super) fn on(&self, failure: &Failure) -> bool {
        let Some((_, watch)) = self.0.iter().find(|(path, _)| *path == failure.path) else {
            return false;
        };
        let next = watch.stood.partition_point(|at| *at < failure.at + LATER);
        let Some(seen) = watch.stood.get(next).filter(|at| **at <= failure.at + SOON) else {
            return false;
        };
        let from = Moment(failure.at.0.saturating_sub(BEFORE.as_micros())).min(failure.began);
        let first = watch.turns.partition_point(|at| *at < from);
        // It was there before, and nothing turned until it was seen again.
        first > 0 && watch.turns.get(first).is_none_or(|turn| turn > seen)
    }
}

fn watch(tunnel: &TunnelEvidence) -> Option<Watch> {
    let (Observation::Seen(lines), Observation::Seen(gauges)) = (&tunnel.lines, &tunnel.gauges) else {
        return None;
    };
    let member = gauges.first()?.member;
    let complete = gauges
        .iter()
        .all(|gauge| gauge.member == member && gauge.lines_omitted == 0);
    if !complete {
        return None;
    }
    let stood = gauges
        .iter()
        .filter(|gauge| gauge.tunnel_recv_queue.seen().is_some());
    let mut stood: Vec<Moment> = stood.map(|gauge| gauge.at).collect();
    stood.sort_unstable();
    let life = tunnel.life.iter().filter(|event| event.kind != TunnelLife::Ready);
    let lost = lines.iter().filter(|line| line.meaning == TunnelMeaning::Lost);
    let mut turns: Vec<Moment> = life
        .map(|event| event.at)
        .chain(lost.map(|line| line.at))
        .collect();
    turns.sort_unstable();
    Some(Watch { stood, turns })
}
