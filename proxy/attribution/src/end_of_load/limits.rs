//! How long something may be under way before its age alone makes it a failure.

use crate::evidence::{Evidence, Moment, PathId, Span, Upstream};

/// Twice as long as the longest that came: who waits at the end of a load is more often than not one of the slowest.
const MULTIPLE: u64 = 2;

/// Answers that it takes to believe that none is usually longer.
const KNOWN: u64 = 20;

/// Where so many are known, nothing is too old before this: a host that is busy with a generator's end is as late.
const LEAST: Span = Span::from_micros(250_000);

/// How late hopscope may learn of anything, at most: what its event loop says of itself is believed up to here.
const LATENESS: Span = Span::from_micros(250_000);

/// Its samples are a second apart: those around the end of the run.
const SAMPLES: Span = Span::from_micros(3_000_000);

/// The limits of each path.
#[derive(Debug)]
pub(super) struct Limits {
    answers: Vec<Longest>,
    connects: Vec<Longest>,
    lateness: Span,
}

/// The longest of a kind, and how many there were.
#[derive(Clone, Copy, Debug, Default)]
struct Longest {
    seen: u64,
    longest: Span,
}

impl Longest {
    fn add(&mut self, times: u64, span: Span) {
        self.seen = self.seen.saturating_add(times);
        self.longest = self.longest.max(span);
    }

    fn limit(self, known: u64, lateness: Span) -> Span {
        if self.seen == 0 {
            return Span::ZERO;
        }
        let least = if self.seen >= known { LEAST } else { Span::ZERO };
        Span::from_micros(self.longest.as_micros().saturating_mul(MULTIPLE)).max(least) + lateness
    }
}

impl Limits {
    pub(super) fn of(evidence: &Evidence) -> Self {
        let paths = evidence.paths.len();
        let (mut answers, mut connects) = (vec![Longest::default(); paths], vec![Longest::default(); paths]);
        let add = |to: &mut Vec<Longest>, path: PathId, times, span| {
            if let Some(of_path) = to.get_mut(usize::from(path.0)) {
                of_path.add(times, span);
            }
        };
        for exchange in &evidence.exchanges {
            if matches!(exchange.delivery, crate::evidence::Delivery::Complete { .. }) {
                add(&mut answers, exchange.path, 1, exchange.phases.total);
            }
        }
        // Rows of what was answered well are a sample; the counts know the longest of all.
        for cell in &evidence.traffic {
            if cell.undelivered == 0 && cell.requests > 0 {
                add(&mut answers, cell.path, 0, Span::from_micros(cell.latency_max_us));
            }
        }
        for connection in &evidence.connections {
            if let Upstream::Connected { tcp, tls } = connection.upstream {
                add(&mut connects, connection.path, 1, tcp + tls.unwrap_or_default());
            }
            // Of bytes that are not read, the first that come back are an answer.
            if connection.exchanges == 0
                && let (Some(asked), Some(answered)) = (connection.first_byte_up, connection.first_byte_down)
            {
                add(&mut answers, connection.path, 1, answered - asked);
            }
        }
        Self {
            answers,
            connects,
            lateness: lateness(evidence),
        }
    }

    /// For requests.
    pub(super) fn of_answers(&self, path: PathId) -> Span {
        self.limit(&self.answers, KNOWN, path)
    }

    /// For connects.
    pub(super) fn of_connects(&self, path: PathId) -> Span {
        // What stands between us and an address is much the same for each connect.
        self.limit(&self.connects, 1, path)
    }

    fn limit(&self, of: &[Longest], known: u64, path: PathId) -> Span {
        of.get(usize::from(path.0))
            .copied()
            .unwrap_or_default()
            .limit(known, self.lateness)
    }
}

/// How late hopscope's event loop was at the end, by its own measure.
fn lateness(evidence: &Evidence) -> Span {
    let samples = &evidence.observer.samples;
    let last = samples.iter().map(|sample| sample.at).max().unwrap_or(Moment(0));
    let worst = samples
        .iter()
        .filter(|sample| sample.at.distance(last) <= SAMPLES)
        .map(|sample| sample.loop_lag)
        .max();
    worst.unwrap_or_default().min(LATENESS)
}
