//! What kubectl says of streams and descriptors, and whom that concerns.

use super::RULE;
use crate::case::Case;
use crate::cause::Cause;
use crate::confidence::{Ruling, STRONG};
use crate::evidence::tunnel::TunnelMeaning;
use crate::evidence::{Connection, Moment, PathId, Span, TunnelLine};
use crate::failure::Failure;

/// What kubectl said of streams and descriptors.
pub(super) struct Said {
    pub(super) timeouts: Vec<Moment>,
    /// `Stream reset` in answer to a new stream.
    pub(super) refusals: Vec<Moment>,
    /// When the accept loop of a forward ended, and its local port where the line states it.
    no_descriptor: Vec<(Option<u16>, Moment)>,
}

impl Said {
    pub(super) fn of(lines: &[TunnelLine]) -> Self {
        let when = |meaning| {
            lines
                .iter()
                .filter(move |line| line.meaning == meaning)
                .map(|line| line.at)
        };
        Self {
            timeouts: when(TunnelMeaning::StreamTimeout).collect(),
            refusals: when(TunnelMeaning::StreamReset).collect(),
            no_descriptor: lines
                .iter()
                .filter(|line| line.meaning == TunnelMeaning::NoDescriptor)
                .map(|line| (line.local_port, line.at))
                .collect(),
        }
    }

    /// Whether the connection was opened on a forward that had stopped to accept for want of descriptors.
    pub(super) fn out_of_descriptors(&self, connection: &Connection) -> bool {
        let port = connection.upstream_tuple.map(|tuple| tuple.remote.port());
        self.no_descriptor
            .iter()
            .any(|(of, at)| connection.opened >= *at && (of.is_none() || port.is_none() || *of == port))
    }
}

/// How far kubectl's line and the end of the connection that it tells of may lie apart.
const AT_ONCE: Span = Span::from_micros(300_000);

/// Streams that the far end refused at once: kubectl says one line for each, and ends the connection right away. Where
/// more connections ended than lines came, which of them were refused is not known.
pub(super) fn refused_streams(case: &mut Case<'_>, path: PathId, said: &Said) {
    if said.refusals.is_empty() {
        return;
    }
    let unanswered = |case: &Case<'_>, failure: &Failure| {
        failure.path == path
            && failure.is_open()
            && failure.cut_by_upstream()
            && case
                .connection(failure)
                .is_some_and(|connection| connection.bytes_down == 0)
    };
    let ended: Vec<Moment> = case
        .failures
        .iter()
        .filter(|failure| unanswered(case, failure))
        .map(|failure| failure.at)
        .collect();
    let near = |moments: &[Moment], at: Moment| {
        let start = moments.partition_point(|moment| *moment + AT_ONCE < at);
        moments.partition_point(|moment| *moment <= at + AT_ONCE) - start
    };
    case.judge_where(
        RULE.name,
        |failure| failure.path == path && failure.is_open(),
        |case, failure| {
            let lines = near(&said.refusals, failure.at);
            let told = lines > 0 && lines >= near(&ended, failure.at);
            (told && unanswered(case, failure)).then_some(Ruling::charge(Cause::TunnelStreamRefused, STRONG))
        },
    );
}
