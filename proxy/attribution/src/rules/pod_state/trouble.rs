//! What a pod went through, and which failures agree with it in time.

use crate::evidence::{Cut, Moment, PodChange, PodTurn, Span};
use crate::failure::{Failure, What};

/// A pod's end reaches hopscope at once, or behind a drain of one second and whatever closes in turn.
const LATE: Span = Span::from_micros(2_000_000);
/// A runtime dates a container's end when it notices it, which is after its kernel has ended its connections.
const NOTICED: Span = Span::from_millis(1_000);
/// An event of a pod that perhaps had nothing to do with it is worth reading beside failures this soon after it.
const NEAR: Span = Span::from_micros(5_000_000);
/// A container that was started again serves after this time where nothing more is told of it.
const BRIEF: Span = Span::from_micros(10_000_000);
/// A request that waits for a pod is not looked for longer than this after the pod is back.
const WAITS: Span = Span::from_micros(60_000_000);

/// How grave it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A container or the whole pod ended, and its connections with it.
    Ended,
    /// It was not to be sent anything.
    NotReady,
    /// It was not well, or about to be stopped.
    Sign,
}

/// How far a failure is what such an event brings about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    /// A connection cut at the pod's end, or not taken while it was away.
    Exact,
    /// In the same time.
    Loose,
}

/// A turn for the worse.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble<'e> {
    pub(super) turn: &'e PodTurn,
    pub(super) kind: Kind,
    /// The earliest moment at which it can have happened.
    pub(super) from: Moment,
    /// The latest.
    begun: Moment,
    /// The latest moment at which it can have lasted.
    until: Moment,
}

/// Every turn for the worse, pod by pod in the order of time.
pub(super) fn all(turns: &[PodTurn]) -> Vec<Trouble<'_>> {
    let mut sorted: Vec<&PodTurn> = turns.iter().collect();
    sorted.sort_by(|a, b| (&a.pod, a.at, *a).cmp(&(&b.pod, b.at, *b)));
    sorted.dedup();
    let same_pod = |a: &&PodTurn, b: &&PodTurn| a.pod == b.pod;
    sorted.chunk_by(same_pod).flat_map(of_pod).collect()
}

fn of_pod<'e>(turns: &[&'e PodTurn]) -> Vec<Trouble<'e>> {
    let troubles = turns.iter().filter(|turn| !told_twice(turn, turns));
    troubles
        .filter_map(|turn| {
            let kind = match turn.change {
                PodChange::Restarted | PodChange::OomKilled | PodChange::Evicted | PodChange::Deleted => {
                    Kind::Ended
                }
                PodChange::NotReady => Kind::NotReady,
                PodChange::ProbeFailed | PodChange::BackOff | PodChange::Killing | PodChange::Pending => {
                    Kind::Sign
                }
                PodChange::Ready => return None,
            };
            let begun = turn.at + turn.error;
            Some(Trouble {
                turn,
                kind,
                from: Moment(turn.at.0.saturating_sub((turn.error + NOTICED).as_micros())),
                begun,
                until: until(turn, turns).max(begun),
            })
        })
        .collect()
}

/// A kill that its restart names as its reason.
fn told_twice(turn: &PodTurn, turns: &[&PodTurn]) -> bool {
    turn.change == PodChange::OomKilled
        && turns.iter().any(|other| {
            other.change == PodChange::Restarted
                && other.reason == turn.reason
                && other.container == turn.container
                && other.at.distance(turn.at) <= other.error + turn.error
        })
}

fn until(turn: &PodTurn, turns: &[&PodTurn]) -> Moment {
    let later = |change: PodChange| {
        let mut after = turns.iter().filter(|other| other.at >= turn.at);
        after.find(|other| other.change == change)
    };
    match turn.change {
        PodChange::Evicted | PodChange::Deleted => Moment(u64::MAX),
        PodChange::Restarted | PodChange::OomKilled | PodChange::NotReady => {
            match (later(PodChange::Ready), later(PodChange::NotReady)) {
                (Some(ready), _) => ready.at + ready.error,
                (None, Some(_)) => Moment(u64::MAX),
                (None, None) => turn.at + turn.error + BRIEF,
            }
        }
        PodChange::Ready
        | PodChange::ProbeFailed
        | PodChange::BackOff
        | PodChange::Killing
        | PodChange::Pending => turn.at + turn.error,
    }
}

impl Trouble<'_> {
    /// Failures that were over later than this are not looked at.
    pub(super) fn last_look(&self) -> Moment {
        self.until + WAITS
    }

    /// How far the failure is what this brings about; `None` for one of another time.
    pub(super) fn agrees(&self, failure: &Failure) -> Option<Agreement> {
        let (began, at) = (failure.began, failure.at);
        let at_its_begin = at >= self.from && at <= self.begun + LATE;
        let meanwhile = at >= self.from && began <= self.until.max(self.begun + LATE);
        let agreement = match (self.kind, failure.what) {
            (
                Kind::Ended,
                What::Broken {
                    by: Cut::UpstreamFin | Cut::UpstreamReset | Cut::UpstreamErrno(_),
                    ..
                },
            ) => at_its_begin.then_some(Agreement::Exact),
            (Kind::Ended | Kind::NotReady, What::NotConnected(_)) => meanwhile.then_some(Agreement::Exact),
            (Kind::Ended | Kind::NotReady, _) => meanwhile.then_some(Agreement::Loose),
            (Kind::Sign, _) => at_its_begin.then_some(Agreement::Loose),
        };
        agreement.filter(|_| began <= at)
    }

    /// Whether the failure came soon enough after it to be told beside it, whoever's pod it was.
    pub(super) fn near(&self, failure: &Failure) -> bool {
        failure.at >= self.from && failure.began <= self.begun + NEAR
    }
}
