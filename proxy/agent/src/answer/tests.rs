//! Asked, kept, read again, and placed in time.

use std::sync::LazyLock;

use hopscope_attribution::evidence::{Connections, Observation, PodEvidence, WhyUnseen};

use super::*;
use crate::evidence::tests::written;
use crate::evidence::{Journal, WindowSeen};

fn add(known: Observation<NodeEvidence>, more: NodeEvidence) -> Observation<NodeEvidence> {
    let mut told = told::Told::new(known, None);
    told.add(None, more);
    told.into_node()
}

static NOBODY: LazyLock<Connections> = LazyLock::new(Connections::default);

fn nothing() -> Recorded<'static> {
    Recorded {
        connections: &NOBODY,
        paths: &[],
    }
}
const BEGAN: u64 = 1_790_000_000_000_000;

fn window(from_unix_us: u64) -> Seen {
    Seen::Window(WindowSeen {
        from_unix_us,
        length_us: 5_000_000,
        hop: "backend".to_owned(),
        syn_retransmits: 1,
        accept_queue_overflows: 2,
        events_lost: 0,
    })
}

fn text(windows: &[u64], now: u64) -> String {
    let mut journal = Journal::default();
    for from in windows {
        journal.push(window(*from));
    }
    written(&journal, 0, now)
}

#[test]
fn an_agent_whose_clock_is_ahead_is_placed_by_the_question_and_the_round_trip() {
    // Asked at 100 s and answered at 100.2 s of the recording; the agent's clock is 7 s ahead.
    let ahead = 7_000_000;
    let text = text(&[BEGAN + 3_000_000 + ahead], BEGAN + 100_100_000 + ahead);
    let answer = Answer::asked(&text, BEGAN + 100_000_000, BEGAN + 100_200_000).unwrap();
    let (evidence, joined) = answer.join(nothing(), BEGAN);
    assert_eq!(evidence.windows[0].from, Moment(3_000_000));
    assert_eq!(joined.clock_error, Span::from_micros(100_000));
}

#[test]
fn what_was_kept_is_joined_as_it_was_the_first_time() {
    let first = Answer::asked(&text(&[BEGAN + 1], BEGAN + 9), BEGAN + 4, BEGAN + 12).unwrap();
    let second = Answer::asked(&text(&[BEGAN + 2], BEGAN + 7), BEGAN + 5, BEGAN + 6).unwrap();
    let file = first.save().unwrap() + &second.save().unwrap();
    assert_eq!(Answer::saved(&file).unwrap(), [first, second]);
}

#[test]
fn an_answer_that_somebody_else_kept_has_a_clock_that_nobody_measured() {
    let saved = Answer::saved(&text(&[BEGAN + 1], BEGAN + 9)).unwrap();
    assert_eq!(saved[0].join(nothing(), BEGAN).1.clock_error, UNMEASURED);
}

#[test]
fn a_file_that_is_no_evidence_is_refused() {
    assert!(Answer::saved("").is_err());
    assert!(Answer::saved("hello\n").is_err());
    let file = format!("hello\n{}", text(&[BEGAN], BEGAN));
    assert!(Answer::saved(&file).is_err());
}

#[test]
fn lines_forgotten_within_the_recording_are_counted_as_lost_and_those_before_it_are_not() {
    let lost = |oldest: u64| {
        let mut answer = Answer::saved(&text(&[oldest], BEGAN + 9)).unwrap().remove(0);
        answer.head.forgotten = 12;
        let (evidence, _) = answer.join(nothing(), BEGAN);
        evidence
            .windows
            .iter()
            .map(|window| window.events_lost)
            .sum::<u64>()
    };
    assert_eq!(lost(BEGAN + 4), 12);
    assert_eq!(lost(BEGAN - 4), 0);
}

#[test]
fn evidence_of_two_agents_is_added_up_with_the_worse_clock() {
    let one = |from: u64, error: u64| NodeEvidence {
        clock_error: Span::from_micros(error),
        ..Answer::saved(&text(&[from], BEGAN)).unwrap()[0]
            .join(nothing(), BEGAN)
            .0
    };
    let known = add(Observation::default(), one(BEGAN + 1, 5));
    let both = add(known, one(BEGAN + 2, 3));
    let both = both.seen().unwrap();
    assert_eq!((both.windows.len(), both.clock_error), (2, Span::from_micros(5)));
}

#[test]
fn what_one_agent_was_told_of_pods_stands_beside_anothers_silence() {
    let one = |pods| NodeEvidence {
        pods,
        ..NodeEvidence::default()
    };
    let told = || Observation::Seen(PodEvidence::default());
    let silent = || Observation::Unseen(WhyUnseen::NoAnswer);
    let unasked = || Observation::Unseen(WhyUnseen::NotWatched);
    for (known, more, both) in [
        (silent(), told(), told()),
        (told(), unasked(), told()),
        (unasked(), silent(), silent()),
        (silent(), unasked(), silent()),
    ] {
        let added = add(Observation::Seen(one(known)), one(more));
        assert_eq!(added.seen().unwrap().pods, both);
    }
}
