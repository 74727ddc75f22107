//! Faults with a start, an end, a share and a seed; and the ground truth of what they hit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hopscope_attribution::cause::Cause;

use crate::draw::Draws;

/// When, measured from the lab's clock zero, something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From here on.
    pub from: Duration,
    /// Up to, and not including, here; `None` is for ever.
    pub until: Option<Duration>,
}

impl Window {
    /// The whole run.
    pub const ALWAYS: Self = Self {
        from: Duration::ZERO,
        until: None,
    };

    /// From `from` to `until`, in milliseconds of the lab's clock.
    pub const fn millis(from: u64, until: u64) -> Self {
        Self {
            from: Duration::from_millis(from),
            until: Some(Duration::from_millis(until)),
        }
    }

    /// From `from` milliseconds to the end of the run.
    pub const fn after_millis(from: u64) -> Self {
        Self {
            from: Duration::from_millis(from),
            until: None,
        }
    }

    /// Whether it is open at that time.
    pub fn holds(&self, at: Duration) -> bool {
        at >= self.from && self.until.is_none_or(|until| at < until)
    }

    /// When, after `at`, it next opens or closes.
    pub fn next_turn(&self, at: Duration) -> Option<Duration> {
        if at < self.from {
            Some(self.from)
        } else {
            self.until.filter(|until| at < *until)
        }
    }
}

/// A misbehaviour `K` of one part of the path: whom it hits, when, and what it counts as.
#[derive(Clone, Debug)]
pub struct Fault<K> {
    /// What is done to those that it hits.
    pub kind: K,
    /// The share of eligible requests or connections that it hits.
    pub share: f64,
    /// When it is on.
    pub window: Window,
    /// Only requests whose path starts with this; empty is every request.
    pub prefix: String,
    /// The true cause of what it does to a request.
    pub cause: Cause,
}

impl<K> Fault<K> {
    /// A fault that hits everything, always.
    pub const fn new(kind: K, cause: Cause) -> Self {
        Self {
            kind,
            share: 1.0,
            window: Window::ALWAYS,
            prefix: String::new(),
            cause,
        }
    }

    /// Hits only this share.
    #[must_use]
    pub const fn share(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// Is on only then.
    #[must_use]
    pub const fn during(mut self, window: Window) -> Self {
        self.window = window;
        self
    }

    /// Hits only requests under this path.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// Whether a request for `path` that arrives at `at` is hit; takes one draw of chance if it could be.
    pub fn strikes(&self, at: Duration, path: &str, draws: &Draws) -> bool {
        self.window.holds(at) && path.starts_with(&self.prefix) && draws.strikes(self.share)
    }
}

/// One request or connection that a fault hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// When, since the lab's clock zero.
    pub at: Duration,
    /// What was done to it, in the diagnosis's own words.
    pub cause: Cause,
    /// The part that did it, such as `service catalog`.
    pub place: Arc<str>,
}

/// Who was hit, when, by what: written by the parts that inject faults, and by nobody else.
///
/// Cheap to clone; all clones write to the same log, and share one clock.
#[derive(Clone, Debug)]
pub struct GroundTruth {
    zero: Instant,
    log: Arc<Mutex<Log>>,
}

#[derive(Debug, Default)]
struct Log {
    counts: BTreeMap<Cause, u64>,
    hits: Vec<Hit>,
}

impl GroundTruth {
    /// Single hits that are kept; past that, only the counts grow.
    pub const HITS_KEPT: usize = 100_000;

    /// An empty log whose clock starts now.
    #[expect(
        clippy::new_without_default,
        reason = "it starts a clock, which no default should"
    )]
    pub fn new() -> Self {
        Self {
            zero: Instant::now(),
            log: Arc::default(),
        }
    }

    /// Time since the lab's clock zero.
    pub fn now(&self) -> Duration {
        self.zero.elapsed()
    }

    /// Notes one hit, now.
    pub fn hit(&self, cause: Cause, place: &Arc<str>) {
        let at = self.now();
        let mut log = self.lock();
        *log.counts.entry(cause).or_default() += 1;
        if log.hits.len() < Self::HITS_KEPT {
            log.hits.push(Hit {
                at,
                cause,
                place: Arc::clone(place),
            });
        }
    }

    /// How many were hit so far, by cause.
    pub fn counts(&self) -> BTreeMap<Cause, u64> {
        self.lock().counts.clone()
    }

    /// The single hits, in the order in which they were noted.
    pub fn hits(&self) -> Vec<Hit> {
        self.lock().hits.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        // A panic elsewhere cannot leave counts and hits in a state worse than one hit short.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_window_holds_from_its_start_until_just_before_its_end() {
        let window = Window::millis(1_000, 2_000);
        assert!(!window.holds(Duration::ZERO));
        assert!(window.holds(SECOND));
        assert!(!window.holds(2 * SECOND));
        assert_eq!(window.next_turn(Duration::ZERO), Some(SECOND));
        assert_eq!(window.next_turn(SECOND), Some(2 * SECOND));
        assert_eq!(window.next_turn(2 * SECOND), None);
        assert_eq!(Window::ALWAYS.next_turn(SECOND), None);
    }

    #[test]
    fn a_fault_strikes_only_its_routes_and_its_time() {
        let draws = Draws::new(1, "fault");
        let fault = Fault::new((), Cause::BackendError)
            .under("/products")
            .during(Window::after_millis(1_000));
        assert!(fault.strikes(SECOND, "/products/7", &draws));
        assert!(!fault.strikes(SECOND, "/search", &draws));
        assert!(!fault.strikes(Duration::ZERO, "/products/7", &draws));
    }

    #[test]
    fn the_log_counts_what_it_does_not_keep() {
        let truth = GroundTruth::new();
        let place: Arc<str> = "service catalog".into();
        for _ in 0..GroundTruth::HITS_KEPT + 5 {
            truth.hit(Cause::BackendError, &place);
        }
        assert_eq!(truth.hits().len(), GroundTruth::HITS_KEPT);
        assert_eq!(truth.counts()[&Cause::BackendError], 100_005);
    }
}
