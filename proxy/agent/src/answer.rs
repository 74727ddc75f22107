//! Answers of agents, as the report takes them: fresh from the wire or from a file, placed in the recording's time.

use hopscope_attribution::evidence::node::KernelWindow;
use hopscope_attribution::evidence::{Moment, NodeEvidence, Span};
use hopscope_attribution::hop::Hop;

use super::evidence::{Head, Line, Seen, Unreadable, read};
use super::join::arrivals::Said;
use super::join::{Clock, Recorded, join};

pub mod told;

/// By how much two hosts' clocks may differ where nobody measured it: a second, which NTP keeps with ease.
const UNMEASURED: Span = Span::from_micros(1_000_000);

/// What one agent said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    head: Head,
    lines: Vec<Line>,
}

/// What came of joining an answer to a recording, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Ends of sockets within the time of the recording.
    pub sockets: usize,
    /// Those of them that belong to a recorded connection.
    pub on_record: usize,
    /// Those of these that were told by the bytes that passed, their order and their time, and not by addresses.
    pub by_ledger: usize,
    /// By how much the agent's clock may be misjudged.
    pub clock_error: Span,
}

impl Answer {
    /// Reads an answer that was asked for and came at these times of our own clock, microseconds since 1970.
    ///
    /// # Errors
    /// When it is no evidence, or of another version.
    pub fn asked(text: &str, asked_unix_us: u64, answered_unix_us: u64) -> Result<Self, Unreadable> {
        let (mut head, lines) = read(text)?;
        head.asked_unix_us = Some(asked_unix_us);
        head.answered_unix_us = Some(answered_unix_us);
        Ok(Self { head, lines })
    }

    /// Reads a file of answers: what [`Self::save`] wrote, or what an agent answered to somebody else. Several may
    /// follow one another.
    ///
    /// # Errors
    /// When one of them is no evidence, or of another version.
    pub fn saved(text: &str) -> Result<Vec<Self>, Unreadable> {
        let mut starts: Vec<usize> = text
            .match_indices("{\"schema\":")
            .map(|(at, _)| at)
            .filter(|at| *at == 0 || text.as_bytes().get(at - 1) == Some(&b'\n'))
            .collect();
        if starts.first() != Some(&0) {
            // Whatever it is, the reader says what is wrong with it.
            starts.insert(0, 0);
        }
        let ends = starts.iter().skip(1).copied().chain([text.len()]);
        starts
            .iter()
            .zip(ends)
            .map(|(from, to)| {
                let (head, lines) = read(text.get(*from..to).unwrap_or_default())?;
                Ok(Self { head, lines })
            })
            .collect()
    }

    /// As JSON Lines that [`Self::saved`] reads with the same outcome.
    ///
    /// # Errors
    /// None that these types can give; serde's all the same.
    pub fn save(&self) -> Result<String, serde_json::Error> {
        let mut text = serde_json::to_string(&self.head)? + "\n";
        for line in &self.lines {
            text.push_str(&serde_json::to_string(line)?);
            text.push('\n');
        }
        Ok(text)
    }

    /// The kernel that it tells of, where it says which.
    pub fn kernel(&self) -> Option<&str> {
        self.head.kernel.as_deref()
    }

    /// Whether the agent had its probes; without, it has counts alone.
    pub fn had_probes(&self) -> bool {
        self.head.level != "procfs"
    }

    /// Joins it to the connections of a recording that began at `began_unix_us` of our own clock.
    pub fn join(&self, recorded: Recorded<'_>, began_unix_us: u64) -> (NodeEvidence, Joined) {
        let clock = self.clock(began_unix_us);
        let (mut evidence, by_ledger) = join(&self.lines, Some(&self.head), recorded, clock);
        if self.head.forgotten_of.is_empty()
            && let Some(length) = self.forgotten(clock)
        {
            evidence.windows.push(KernelWindow {
                from: Moment::default(),
                length,
                hop: Hop::Unknown,
                syn_retransmits: 0,
                accept_queue_overflows: 0,
                events_lost: self.head.forgotten,
            });
        }
        let on_record = evidence
            .sockets
            .iter()
            .filter(|socket| socket.connection.seen().is_some());
        let joined = Joined {
            sockets: evidence.sockets.len(),
            on_record: on_record.count(),
            by_ledger,
            clock_error: evidence.clock_error,
        };
        (evidence, joined)
    }

    /// What it says of refusals in pods, for [`arrivals`](super::join::arrivals::arrivals), which needs all agents' at once.
    pub fn said(&self, began_unix_us: u64) -> Said<'_> {
        Said {
            lines: &self.lines,
            node: self.head.node.as_deref(),
            kernel: self.kernel(),
            sees_refusals_since: self.head.began_unix_us.filter(|_| self.head.sees_refusals),
            clock: self.clock(began_unix_us),
        }
    }

    fn clock(&self, began_unix_us: u64) -> Clock {
        let since = |unix_us: u64| Moment(unix_us.saturating_sub(began_unix_us));
        match (self.head.asked_unix_us, self.head.answered_unix_us) {
            (Some(asked), Some(answered)) => {
                Clock::estimate(since(asked), since(answered), self.head.now_unix_us)
            }
            (None | Some(_), None) | (None, Some(_)) => Clock {
                began_unix_us,
                error: UNMEASURED,
            },
        }
    }

    /// How far into the recording the agent has forgotten lines. None of them, when what it still knows begins before.
    fn forgotten(&self, clock: Clock) -> Option<Span> {
        if self.head.forgotten == 0 {
            return None;
        }
        let oldest = self.lines.iter().find(|line| line.seen != Seen::Newer);
        let oldest = oldest.map(|line| line.seen.unix_us());
        let until = oldest.unwrap_or(self.head.now_unix_us);
        until
            .checked_sub(clock.began_unix_us)
            .filter(|length| *length > 0)
            .map(Span::from_micros)
    }
}

#[cfg(test)]
mod tests;
