//! Worlds of which the truth is known, seen by an agent whose clock is off.

use hopscope_attribution::evidence::{Observation, Path, PathId};
use proptest::prelude::*;

use super::super::tests::{connection, socket};
use super::super::{Clock, join};
use super::*;
use crate::evidence::{Line, Seen, SocketSeen};

const BEGAN: u64 = 1_790_000_000_000_000;

/// What became of one connection of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    Refused,
    Reset,
    /// Broken in the tunnel: no socket at the application's end tells of it.
    Lost,
}

#[derive(Clone, Copy, Debug)]
struct Truth {
    opened: u64,
    life: u64,
    asked: u64,
    fate: Fate,
    /// How much later the application's end was dialled.
    lag: u64,
}

fn truth(id: u64, of: Truth) -> Connection {
    let mut made = connection(id, of.opened, of.opened + of.life);
    made.bytes_up = of.asked;
    made.bytes_down = if of.fate == Fate::Answered { 200 } else { 0 };
    made
}

/// The runtime's record of its dial, on the agent's clock.
fn dial(of: Truth, began: u64) -> Option<Line> {
    let opened = of.opened + of.lag;
    let (end, ended, acked) = match of.fate {
        Fate::Answered | Fate::Lost => return None,
        Fate::Refused => ("connect-refused", opened, 0),
        Fate::Reset => ("reset-received", opened.max(of.opened + of.life), of.asked),
    };
    let Seen::Socket(told) = socket(began + ended, "127.0.0.1:40000", "127.0.0.1:8080") else {
        return None;
    };
    let seen = SocketSeen {
        end: end.to_owned(),
        age_us: Some(ended - opened),
        bytes_acked: Some(acked),
        // Each dial in a namespace of its own: addresses must not matter.
        netns: u32::try_from(of.opened % 4_000_000_000).unwrap_or(0),
        ..*told
    };
    Some(Line {
        seq: 0,
        seen: Seen::Socket(Box::new(seen)),
    })
}

/// What each line is joined to: the story's end, and the connection.
fn joined(world: &[Truth], off: i64, error: u64) -> Vec<(String, u64)> {
    let connections = (0..).zip(world).map(|(id, of)| truth(id, *of)).collect();
    let lines: Vec<_> = world
        .iter()
        .filter_map(|of| dial(*of, BEGAN.saturating_add_signed(off)))
        .collect();
    let paths = [Path {
        name: "tunnel".to_owned(),
        kind: PathKind::Tunnel,
        target: String::new(),
    }];
    let recorded = Recorded {
        connections: &connections,
        paths: &paths,
    };
    let clock = Clock {
        began_unix_us: BEGAN,
        error: Span::from_micros(error),
    };
    let (evidence, by_ledger) = join(&lines, None, recorded, clock);
    let found: Vec<_> = evidence
        .sockets
        .iter()
        .zip(&lines)
        .filter_map(|(socket, line)| {
            let Seen::Socket(told) = &line.seen else {
                return None;
            };
            Some((told.end.clone(), socket.connection.seen()?.0))
        })
        .collect();
    assert_eq!(found.len(), by_ledger);
    found
}

fn story(fate: Fate) -> Option<&'static str> {
    match fate {
        Fate::Answered | Fate::Lost => None,
        Fate::Refused => Some("connect-refused"),
        Fate::Reset => Some("reset-received"),
    }
}

const ONE: Truth = Truth {
    opened: 5_000_000,
    life: 40_000,
    asked: 54,
    fate: Fate::Refused,
    lag: 3_000,
};

#[test]
fn one_refused_dial_belongs_to_the_one_connection_that_got_nothing() {
    let answered = Truth {
        fate: Fate::Answered,
        opened: ONE.opened + 1_000,
        ..ONE
    };
    assert_eq!(
        joined(&[answered, ONE], 0, 0),
        [("connect-refused".to_owned(), 1)]
    );
}

#[test]
fn as_many_dials_as_connections_that_tell_the_same_are_joined_in_order() {
    let world: Vec<_> = (0..20)
        .map(|n| Truth {
            opened: ONE.opened + n * 500,
            ..ONE
        })
        .collect();
    let found = joined(&world, -300_000, 400_000);
    assert_eq!(
        found.iter().map(|(_, id)| *id).collect::<Vec<_>>(),
        (0..20).collect::<Vec<_>>()
    );
}

#[test]
fn different_stories_that_could_be_swapped_are_left_alone() {
    let reset = Truth {
        fate: Fate::Reset,
        opened: ONE.opened + 100,
        ..ONE
    };
    assert_eq!(joined(&[ONE, reset], 0, 1_000), []);
    let far = Truth {
        opened: ONE.opened + 30_000_000,
        ..reset
    };
    assert_eq!(joined(&[ONE, far], 0, 1_000).len(), 2);
}

#[test]
fn a_connection_without_a_socket_among_those_with_one_leaves_all_alone() {
    let lost = Truth {
        fate: Fate::Lost,
        opened: ONE.opened + 100,
        ..ONE
    };
    assert_eq!(joined(&[ONE, lost], 0, 0), []);
}

#[test]
fn both_ends_of_a_connection_are_one_leg() {
    let dialled = dial(
        Truth {
            fate: Fate::Reset,
            ..ONE
        },
        BEGAN,
    );
    let Some(Line {
        seen: Seen::Socket(dialled),
        ..
    }) = dialled
    else {
        panic!("a reset is told")
    };
    let accepted = SocketSeen {
        local: dialled.remote,
        remote: dialled.local,
        owner: "backend".to_owned(),
        peer: "tunnel".to_owned(),
        end: "reset-sent".to_owned(),
        age_us: None,
        bytes_acked: Some(0),
        bytes_received: Some(54),
        ..(*dialled).clone()
    };
    let placed = |seen| Placed {
        seen,
        at: Moment(5_040_000),
        owner: super::super::hop(&seen.owner),
        peer: super::super::hop(&seen.peer),
    };
    let connections = vec![truth(9, ONE)].into();
    let paths = [Path {
        name: "tunnel".to_owned(),
        kind: PathKind::Tunnel,
        target: String::new(),
    }];
    let recorded = Recorded {
        connections: &connections,
        paths: &paths,
    };
    let sockets = [placed(&*dialled), placed(&accepted)];
    let found = pair(&sockets, &[false, false], recorded, Span::ZERO);
    assert_eq!(found, [(0, ConnectionId(9)), (1, ConnectionId(9))]);
    assert_eq!(
        pair(&sockets, &[true, true], recorded, Span::ZERO),
        [],
        "joined already"
    );
}

#[test]
fn behind_a_balancer_only_the_very_same_bytes_are_a_ledger() {
    let connections = vec![Connection {
        path: PathId(0),
        bytes_down: 70,
        ..truth(4, ONE)
    }]
    .into();
    let paths = [Path {
        name: "lb".to_owned(),
        kind: PathKind::Lb,
        target: String::new(),
    }];
    let recorded = Recorded {
        connections: &connections,
        paths: &paths,
    };
    let found = |received, acked| {
        let Seen::Socket(told) = socket(BEGAN, "10.0.0.9:8080", "10.0.0.8:40000") else {
            return Vec::new();
        };
        let seen = SocketSeen {
            bytes_received: Some(received),
            bytes_acked: Some(acked),
            ..*told
        };
        let placed = Placed {
            seen: &seen,
            at: Moment(5_040_000),
            owner: Some(Hop::Backend),
            peer: None,
        };
        pair(&[placed], &[false], recorded, Span::ZERO)
    };
    assert_eq!(found(54, 70), [(0, ConnectionId(4))]);
    assert_eq!(found(54, 69), []);
    assert_eq!(found(0, 0), []);
}

fn world() -> impl Strategy<Value = Vec<Truth>> {
    let fate = prop::sample::select(vec![
        Fate::Answered,
        Fate::Refused,
        Fate::Refused,
        Fate::Reset,
        Fate::Lost,
    ]);
    let one = (
        0_u64..20_000_000,
        1_000_u64..3_000_000,
        prop::sample::select(vec![54_u64, 54, 300]),
        fate,
        0..BEHIND.as_micros(),
    );
    let one = one.prop_map(|(opened, life, asked, fate, lag)| Truth {
        opened,
        life,
        asked,
        fate,
        lag,
    });
    prop::collection::vec(one, 0..30)
}

/// An error, and how far the clock is off within it.
fn clock() -> impl Strategy<Value = (u64, i64)> {
    (0_i64..2_000_000).prop_flat_map(|error| (Just(error.unsigned_abs()), -error..=error))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_clock_that_is_off_within_its_error_never_gives_a_connection_anothers_story(
        world in world(),
        (error, off) in clock(),
    ) {
        let mut seen = Vec::new();
        for (told, id) in joined(&world, off, error) {
            let of = world[usize::try_from(id).unwrap()];
            prop_assert_eq!(Some(told.as_str()), story(of.fate), "connection {}", id);
            prop_assert!(!seen.contains(&id), "two dials of connection {}", id);
            seen.push(id);
        }
    }

    #[test]
    fn what_stands_apart_is_joined_alike_however_the_clock_is_off(
        fates in prop::collection::vec((any::<bool>(), 0..BEHIND.as_micros()), 1..12),
        (error, off) in clock(),
    ) {
        let world: Vec<_> = (1..).zip(&fates).map(|(n, (refused, lag)): (u64, _)| Truth {
            // Further apart than anything can be taken for another's.
            opened: n * 20_000_000,
            fate: if *refused { Fate::Refused } else { Fate::Reset },
            lag: *lag,
            ..ONE
        }).collect();
        let right = joined(&world, 0, 0);
        prop_assert_eq!(right.len(), world.len());
        prop_assert_eq!(joined(&world, off, error), right);
    }
}

#[test]
fn an_unseen_end_of_a_connection_bounds_nothing() {
    let mut open = truth(1, ONE);
    open.closed = Observation::default();
    let leg = Leg {
        sockets: vec![0],
        story: Vec::new(),
        kind: Kinds::Tunnel,
        opened: None,
        ended: Moment(90_000_000),
        taken: 0,
        given: Some(0),
        ledger: (0, 0),
    };
    assert!(fits(&leg, &open, PathKind::Tunnel, Span::ZERO));
    assert!(!fits(&leg, &truth(1, ONE), PathKind::Tunnel, Span::ZERO));
}
