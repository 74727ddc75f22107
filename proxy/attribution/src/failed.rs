//! How many failed, and what: a failed request and a failed connection are two things, and every sentence says which.

use crate::failure::{Failure, NONE};
use crate::figures::{count, counted, percent};

/// Failures by what failed. Each failure is exactly one of the three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// Requests that reached hopscope.
    pub requests: u64,
    /// Connections that failed by themselves: no failed request counts them.
    pub connections: u64,
    /// Requests that only the generator counted: they never reached hopscope.
    pub never_came: u64,
}

impl Failed {
    /// All of them: what `failures` means wherever it is written.
    pub const fn all(self) -> u64 {
        self.requests
            .saturating_add(self.connections)
            .saturating_add(self.never_came)
    }

    pub(crate) fn of<'f>(failures: impl Iterator<Item = &'f Failure>) -> Self {
        let mut failed = Self::default();
        failures.for_each(|failure| failed.add(failure));
        failed
    }

    pub(crate) const fn add(&mut self, failure: &Failure) {
        if failure.exchange == NONE {
            self.connections = self.connections.saturating_add(1);
        } else {
            self.requests = self.requests.saturating_add(1);
        }
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            connections: self.connections.saturating_add(other.connections),
            never_came: self.never_came.saturating_add(other.never_came),
        }
    }

    /// `25,163 failed requests`, `80 failed connections`, or `180 failures`, which [`Self::kinds`] parts.
    pub fn counted(self) -> String {
        let (one, many) = self.noun();
        counted(self.all(), one, many)
    }

    /// Where several kinds are among them, how many of each: `100 requests, 80 connections`.
    pub fn kinds(self) -> Option<String> {
        let several = [self.requests, self.connections, self.never_came]
            .into_iter()
            .filter(|kind| *kind > 0)
            .count()
            > 1;
        several.then(|| {
            let kinds = [
                (self.requests, "request", "requests"),
                (self.connections, "connection", "connections"),
                (
                    self.never_came,
                    "request that never reached hopscope",
                    "requests that never reached hopscope",
                ),
            ];
            let kinds: Vec<String> = kinds
                .into_iter()
                .filter(|(number, ..)| *number > 0)
                .map(|(number, one, many)| counted(number, one, many))
                .collect();
            kinds.join(", ")
        })
    }

    /// `25,163 failed requests`, `180 failures (100 requests, 80 connections)`.
    pub fn described(self) -> String {
        match self.kinds() {
            None => self.counted(),
            Some(kinds) => format!("{} ({kinds})", self.counted()),
        }
    }

    /// `all 30 failed requests`, `12 of 30 failed requests (40 %)`,
    /// `120 of 180 failures (66.7 %; 100 requests, 20 connections)`.
    pub(crate) fn part_of(self, total: Self) -> String {
        if self == total && total.all() == 1 {
            return format!("the only {}", total.noun().0);
        }
        if self == total {
            return format!("all {}", total.described());
        }
        let share = percent(self.all(), total.all());
        // Of a mixed whole, a part of one kind says which.
        let kinds = match (total.kinds(), self.kinds()) {
            (None, _) => String::new(),
            (Some(_), Some(kinds)) => format!("; {kinds}"),
            (Some(_), None) if self.connections > 0 => "; connections".to_owned(),
            (Some(_), None) => "; requests".to_owned(),
        };
        format!("{} of {} ({share}{kinds})", count(self.all()), total.counted())
    }

    const fn noun(self) -> (&'static str, &'static str) {
        match (self.requests.saturating_add(self.never_came), self.connections) {
            (_, 0) => ("failed request", "failed requests"),
            (0, _) => ("failed connection", "failed connections"),
            _ => ("failure", "failures"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Failed;

    const fn failed(requests: u64, connections: u64, never_came: u64) -> Failed {
        Failed {
            requests,
            connections,
            never_came,
        }
    }

    #[test]
    fn requests_and_connections_are_told_apart() {
        assert_eq!(failed(25_163, 0, 0).described(), "25,163 failed requests");
        assert_eq!(failed(0, 1, 0).described(), "1 failed connection");
        assert_eq!(
            failed(250, 110, 0).described(),
            "360 failures (250 requests, 110 connections)"
        );
        assert_eq!(
            failed(2, 0, 5).described(),
            "7 failed requests (2 requests, 5 requests that never reached hopscope)"
        );
    }

    #[test]
    fn a_part_says_what_it_is_a_part_of() {
        let whole = failed(100, 80, 0);
        assert_eq!(
            whole.part_of(whole),
            "all 180 failures (100 requests, 80 connections)"
        );
        assert_eq!(
            failed(100, 20, 0).part_of(whole),
            "120 of 180 failures (66.7 %; 100 requests, 20 connections)"
        );
        assert_eq!(
            failed(0, 80, 0).part_of(whole),
            "80 of 180 failures (44.4 %; connections)"
        );
        assert_eq!(
            failed(1, 0, 0).part_of(failed(1, 0, 0)),
            "the only failed request"
        );
        assert_eq!(
            failed(12, 0, 0).part_of(failed(30, 0, 0)),
            "12 of 30 failed requests (40.0 %)"
        );
    }
}
