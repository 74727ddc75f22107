//! A forward that had stopped to carry before it ended: what waited then was failed by the stall, not by the end.

use super::End;
use crate::case::Case;
use crate::cause::Cause;
use crate::evidence::tunnel::TunnelMeaning;
use crate::evidence::{Moment, Observation};
use crate::failure::{Failure, What};
use crate::lateness::Lateness;
use crate::rules::client::due;
use crate::rules::forward::Forward;
use crate::rules::gauges::{State, Timelines};

/// What was known of a forward before one of its ends.
pub(super) struct Stall {
    /// When kubectl had said that a stream was not acknowledged, before the end.
    timeouts: Vec<Moment>,
    /// The last answer that came out of the forward before its end.
    delivered: Moment,
    end: Moment,
    timelines: Option<Timelines>,
}

impl Stall {
    pub(super) fn before(case: &Case<'_>, end: &End, forwards: &[Forward<'_>]) -> Self {
        let lines = case
            .tunnel(end.path)
            .seen()
            .and_then(|tunnel| match &tunnel.lines {
                Observation::Seen(lines) => Some(lines.as_slice()),
                Observation::Unseen(_) => None,
            })
            .unwrap_or(&[]);
        let said = |meaning| meaning == TunnelMeaning::StreamTimeout;
        let of_end = |forward: &&Forward<'_>| {
            forward.path == end.path
                && (end.port.is_none() || forward.remote.map(|remote| remote.port()) == end.port)
        };
        Self {
            timeouts: lines
                .iter()
                .filter(|line| said(line.meaning) && line.at <= end.from)
                .map(|line| line.at)
                .collect(),
            delivered: forwards
                .iter()
                .filter(of_end)
                .filter_map(|forward| forward.delivered_before(end.from))
                .max()
                .unwrap_or(Moment(0)),
            end: end.from,
            // kubectl itself said that it was the tunnel: the samples only tell in which way, late or not.
            timelines: Timelines::of(case, end.path, &Lateness::default()),
        }
    }

    /// The stall that failed this one, if it was one: nothing had come out of the forward since before the request
    /// began, an answer was overdue, and meanwhile kubectl had given up on other streams.
    pub(super) fn of(&self, case: &Case<'_>, failure: &Failure) -> Option<Cause> {
        let waiting = matches!(failure.what, What::Broken { begun: false, .. })
            && failure.began < self.end
            && self.end.since(failure.began) >= due(case, failure)
            && self.delivered < failure.began;
        let given_up = self.timeouts.iter().any(|at| *at >= failure.began);
        if !(waiting && given_up) {
            return None;
        }
        let state = self
            .timelines
            .as_ref()
            .and_then(|timelines| timelines.through(case.connection(failure).as_ref()))
            .and_then(|timeline| timeline.prevailing(failure.began, self.end));
        Some(state.map_or(Cause::TunnelTimeout, State::cause))
    }
}
