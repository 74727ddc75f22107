//! What became of pods, placed in the recording's time, and the pods that connections ended in.

use hopscope_attribution::evidence::node::KernelSocket;
use hopscope_attribution::evidence::{ConnectionId, Moment, PodChange, PodId, PodTurn, Span};
use hopscope_attribution::hop::Hop;

use super::{Clock, Placed};
use crate::evidence::PodSeen;

/// The API states whole seconds (`metav1.Time`): what it says happened within the second after.
const WHOLE_SECOND: u64 = 1_000_000;

/// A kubelet that is not told of a change looks for it every 10 s (`syncPeriod` in pkg/kubelet/status).
const TOLD_LATE: u64 = 10_000_000;

/// A pod's change in the recording's time; `None` for what was before it for certain, and for what a newer agent says.
pub(super) fn turn(seen: &PodSeen, clock: Clock) -> Option<PodTurn> {
    // A moment that lies after it was heard of is of another clock than the agent's.
    let stated = seen.happened_unix_us.filter(|happened| *happened <= seen.unix_us);
    let (earliest, latest) = match stated {
        Some(happened) => (happened, happened.saturating_add(WHOLE_SECOND).min(seen.unix_us)),
        None if seen.missed => (clock.began_unix_us.min(seen.unix_us), seen.unix_us),
        None => (seen.unix_us.saturating_sub(TOLD_LATE), seen.unix_us),
    };
    let half = (latest - earliest) / 2;
    Some(PodTurn {
        at: placed(earliest + half, half, clock)?,
        error: Span::from_micros(half) + clock.error,
        change: PodChange::from_word(&seen.event)?,
        pod: PodId {
            namespace: seen.namespace.clone(),
            name: seen.pod.clone(),
        },
        workload: seen.workload.clone(),
        addresses: seen.addresses.clone(),
        container: Some(seen.container.clone()).filter(|container| !container.is_empty()),
        reason: seen.reason.clone(),
        exit_code: seen.exit_code,
    })
}

/// The pods that stood in their state when the agent answered, and of which no turn into it is told: it was so from the
/// beginning on, or from the moment that the API names.
pub(super) fn standing(seen: &[PodSeen], turns: &[PodTurn], clock: Clock) -> Vec<PodTurn> {
    let without_turn = seen.iter().filter(|one| {
        let same = |turn: &PodTurn| {
            turn.change.word() == one.event
                && turn.pod.namespace == one.namespace
                && turn.pod.name == one.pod
                && turn.reason == one.reason
        };
        !turns.iter().any(same)
    });
    let placed = without_turn.filter_map(|one| {
        // Since before the recording: told as of its beginning.
        let began = one.happened_unix_us.unwrap_or(clock.began_unix_us);
        let happened = began.max(clock.began_unix_us);
        turn(
            &PodSeen {
                happened_unix_us: Some(happened),
                unix_us: one.unix_us.max(happened),
                ..one.clone()
            },
            clock,
        )
    });
    placed.collect()
}

fn placed(unix_us: u64, half: u64, clock: Clock) -> Option<Moment> {
    let error = Span::from_micros(clock.error.as_micros().saturating_add(half));
    Clock { error, ..clock }.moment(unix_us)
}

/// The pods in which kernels saw the application's end of a connection.
pub(super) fn homes(placed: &[Placed<'_>], sockets: &[KernelSocket]) -> Vec<(ConnectionId, PodId)> {
    let applications = placed
        .iter()
        .zip(sockets)
        .filter(|(placed, _)| placed.owner == Some(Hop::Backend) && !placed.seen.pod.is_empty());
    applications
        .filter_map(|(placed, socket)| {
            let pod = PodId {
                namespace: placed.seen.namespace.clone(),
                name: placed.seen.pod.clone(),
            };
            Some((*socket.connection.seen()?, pod))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: u64 = 1_790_000_000_000_000;

    fn clock(error: u64) -> Clock {
        Clock {
            began_unix_us: BEGAN,
            error: Span::from_micros(error),
        }
    }

    fn seen(heard: u64, happened: Option<u64>) -> PodSeen {
        PodSeen {
            unix_us: BEGAN + heard,
            missed: false,
            happened_unix_us: happened.map(|happened| BEGAN + happened),
            event: "oom-killed".to_owned(),
            namespace: "shop".to_owned(),
            pod: "web-0".to_owned(),
            workload: "web".to_owned(),
            addresses: Vec::new(),
            container: "app".to_owned(),
            reason: "OOMKilled".to_owned(),
            exit_code: Some(137),
        }
    }

    #[test]
    fn what_the_api_dates_happened_within_its_second_and_the_clocks_error() {
        let turn = turn(&seen(8_000_000, Some(5_000_000)), clock(70_000)).unwrap();
        assert_eq!(
            (turn.at, turn.error),
            (Moment(5_500_000), Span::from_micros(570_000))
        );
        assert_eq!(turn.change, PodChange::OomKilled);
        assert_eq!(turn.pod.name, "web-0");
    }

    #[test]
    fn what_it_does_not_date_or_dates_by_another_clock_happened_some_time_before_it_was_heard_of() {
        for happened in [None, Some(9_000_000)] {
            let turn = turn(&seen(8_000_000, happened), clock(70_000)).unwrap();
            assert_eq!(
                (turn.at, turn.error),
                (Moment(3_000_000), Span::from_micros(5_070_000))
            );
        }
    }

    #[test]
    fn what_was_missed_and_bears_no_date_happened_at_any_time_of_the_recording() {
        let missed = PodSeen {
            missed: true,
            ..seen(8_000_000, None)
        };
        let turn = turn(&missed, clock(0)).unwrap();
        assert_eq!(
            (turn.at, turn.error),
            (Moment(4_000_000), Span::from_micros(4_000_000))
        );
    }

    #[test]
    fn what_was_over_before_the_recording_began_is_left_out() {
        let long_before = PodSeen {
            unix_us: BEGAN - 1,
            ..seen(0, None)
        };
        assert!(
            turn(&long_before, clock(70_000)).is_some(),
            "perhaps just before: heard of at the very moment"
        );
        let dated = PodSeen {
            happened_unix_us: Some(BEGAN - 9_000_000),
            ..long_before
        };
        assert!(turn(&dated, clock(70_000)).is_none());
    }

    #[test]
    fn a_newer_agents_word_is_passed_over() {
        let newer = PodSeen {
            event: "resized".to_owned(),
            ..seen(8_000_000, None)
        };
        assert!(turn(&newer, clock(0)).is_none());
    }
}
