//! The run's own clock: the one place where the proxy reads time.

use std::time::{Duration, Instant, SystemTime};

use hopscope_attribution::evidence::Moment;

/// Monotonic time since the recording began. Copies tell the same time.
#[derive(Clone, Copy, Debug)]
pub struct RunClock {
    zero: Instant,
    started: SystemTime,
}

impl RunClock {
    /// A run that begins now.
    pub fn start() -> Self {
        Self {
            zero: Instant::now(),
            started: SystemTime::now(),
        }
    }

    /// The present moment of the run.
    pub fn now(&self) -> Moment {
        Moment(u64::try_from(self.zero.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The wall-clock time at which the run began, microseconds since 1970.
    pub fn started_unix_micros(&self) -> u64 {
        let since_epoch = self
            .started
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
    }
}
