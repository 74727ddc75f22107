//! How many users there are, and when: ramps between levels, as k6's `stages`.

use std::time::Duration;

/// A ramp from the level before to `users`, over `length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// How long it takes.
    pub length: Duration,
    /// The number of users at its end.
    pub users: u32,
}

/// Ramps, one after the other; the first one starts from no user at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stages(Vec<Stage>);

impl Stages {
    /// Ramps in this order.
    pub const fn new(stages: Vec<Stage>) -> Self {
        Self(stages)
    }

    /// So many users all the time.
    pub fn constant(users: u32, length: Duration) -> Self {
        let at_once = Duration::ZERO;
        Self(vec![
            Stage {
                length: at_once,
                users,
            },
            Stage { length, users },
        ])
    }

    /// Up over a quarter of the time, on for a half, down over a quarter.
    pub fn up_hold_down(users: u32, length: Duration) -> Self {
        Self(vec![
            Stage {
                length: length / 4,
                users,
            },
            Stage {
                length: length / 2,
                users,
            },
            Stage {
                length: length / 4,
                users: 0,
            },
        ])
    }

    /// Time from the first stage's start to the last one's end.
    pub fn length(&self) -> Duration {
        self.0.iter().map(|stage| stage.length).sum()
    }

    /// The most users at any time.
    pub fn most(&self) -> u32 {
        self.0.iter().map(|stage| stage.users).max().unwrap_or(0)
    }

    /// Users at a time since the start.
    pub fn at(&self, time: Duration) -> u32 {
        let (mut level, mut began) = (0, Duration::ZERO);
        for stage in &self.0 {
            let end = began + stage.length;
            if time < end {
                let share = time.saturating_sub(began).as_secs_f64() / stage.length.as_secs_f64();
                let users = f64::from(level) + (f64::from(stage.users) - f64::from(level)) * share;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "between two u32 levels"
                )]
                return users.round() as u32;
            }
            (level, began) = (stage.users, end);
        }
        0
    }

    /// When user `number` (from 0) is next at work, at or after `time`; `None` when never again.
    pub fn next_turn(&self, number: u32, time: Duration) -> Option<Duration> {
        // Steps of 20 ms are finer than any think time, and a user asks once a pause.
        let step = Duration::from_millis(20);
        let end = self.length();
        let mut at = time;
        while at < end {
            if self.at(at) > number {
                return Some(at);
            }
            at += step;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_ramp_is_straight_and_over_after_its_last_stage() {
        let stages = Stages::up_hold_down(200, 40 * SECOND);
        assert_eq!(stages.at(Duration::ZERO), 0);
        assert_eq!(stages.at(5 * SECOND), 100);
        assert_eq!(stages.at(20 * SECOND), 200);
        assert_eq!(stages.at(35 * SECOND), 100);
        assert_eq!(stages.at(40 * SECOND), 0);
        assert_eq!(stages.length(), 40 * SECOND);
    }

    #[test]
    fn a_user_waits_for_its_turn_and_goes_home_after_it() {
        let stages = Stages::up_hold_down(10, 4 * SECOND);
        let turn = stages.next_turn(5, Duration::ZERO).unwrap();
        assert!(stages.at(turn) > 5, "{turn:?}");
        assert_eq!(stages.next_turn(9, Duration::from_millis(3_900)), None);
        assert_eq!(
            Stages::constant(3, SECOND).next_turn(2, Duration::ZERO),
            Some(Duration::ZERO)
        );
        assert_eq!(Stages::constant(3, SECOND).next_turn(3, Duration::ZERO), None);
    }
}
