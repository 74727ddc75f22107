//! What the core concludes: every failure charged, with the evidence for and against.

use crate::between::Between;
use crate::cause::Cause;
use crate::evidence::{ConnectionId, Moment, Opaque, PathId};
use crate::failed::Failed;
use crate::hop::Hop;

/// The whole conclusion of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    /// The one sentence.
    pub verdict: Verdict,
    /// Every hop that is charged with a failure, most failures first.
    pub hops: Vec<HopCharge>,
    /// Where the load travelled over several paths: how their failure rates and their latencies differ, whoever is charged.
    pub contrasts: Vec<Finding>,
    /// What the evidence does not decide, and the one experiment that would.
    pub unknowns: Vec<Unknown>,
    /// What to do next, most useful first.
    pub advice: Vec<Advice>,
    /// Whether hopscope itself stood in the way.
    pub observer: ObserverStatement,
    /// Attempts among the failures that the generator probably sent again by itself; they leave no count of failures.
    pub repeated: u64,
    /// Failures by path, hop and cause: what the totals and the metrics are made of.
    pub charges: Vec<Charge>,
    /// What passed and was not read, by path and reason.
    pub not_read: Vec<NotRead>,
}

/// The hop charged with most failures, and how sure that is.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// `None` when something was sent, all of it was read, and nothing failed.
    pub charged: Option<(Hop, Cause)>,
    /// Where the hop is `unknown`: between which hops its main cause stays open.
    pub between: Between,
    /// Failures charged to that hop, as a share of all failures; 0 when nothing failed.
    pub share: f64,
    /// How sure.
    pub confidence: Confidence,
    /// One sentence for a person.
    pub headline: String,
}

/// A share of one, never above what the evidence carries.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Confidence(f64);

impl Confidence {
    /// No confidence at all.
    pub const NONE: Self = Self(0.0);

    /// A confidence, brought into 0..=1; what is not a number is none.
    pub fn new(share: f64) -> Self {
        if share.is_nan() {
            Self::NONE
        } else {
            Self(share.clamp(0.0, 1.0))
        }
    }

    /// The share of one.
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// All that one hop is charged with.
#[derive(Clone, Debug, PartialEq)]
pub struct HopCharge {
    /// The hop.
    pub hop: Hop,
    /// Failures charged to it, triggers and victims together.
    pub failures: u64,
    /// What these failures are.
    pub failed: Failed,
    /// That, as a share of all failures.
    pub share: f64,
    /// By cause, most failures first.
    pub causes: Vec<CauseCharge>,
}

/// What one cause is charged with, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct CauseCharge {
    /// The cause.
    pub cause: Cause,
    /// Where the cause is `undetermined`: between which hops it stays open.
    pub between: Between,
    /// Failures charged to it, triggers and victims together.
    pub failures: u64,
    /// What these failures are.
    pub failed: Failed,
    /// Those of them that were victims of another failure, the trigger.
    pub victims: u64,
    /// How sure.
    pub confidence: Confidence,
    /// What speaks for it. Never empty.
    pub evidence_for: Vec<Finding>,
    /// What speaks against it, or what was missing.
    pub evidence_against: Vec<Finding>,
}

/// One fact that speaks for or against a charge.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The rule that found it, a kebab-case word documented in docs/attribution.md.
    pub rule: &'static str,
    /// What was found, as a sentence with its figures.
    pub statement: String,
    /// The figures by themselves.
    pub numbers: Vec<(&'static str, f64)>,
}

/// Failures of one path that share hop and cause, and the hops between which they stay open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The path; `None` for what never reached hopscope, and so was dealt to none.
    pub path: Option<PathId>,
    /// The cause, which says the hop.
    pub cause: Cause,
    /// Where the cause is `undetermined`: between which hops it stays open.
    pub between: Between,
    /// How many failures, victims included.
    pub failures: u64,
    /// What these failures are.
    pub failed: Failed,
    /// How many of them were victims.
    pub victims: u64,
    /// A few of the connections, the earliest first, for a person to look up.
    pub examples: Vec<ConnectionId>,
}

/// Connections of one path that were not read to their end, for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotRead {
    /// The path.
    pub path: PathId,
    /// Why they were not read.
    pub reason: Opaque,
    /// How many connections.
    pub connections: u64,
    /// Those of them that were read up to some byte: requests before it are counted as ever.
    pub read_at_first: u64,
    /// Those of them that failed as connections, or whose unread bytes failed a request: they are charged for it.
    pub failed: u64,
    /// Payload bytes of theirs, in both directions, that were not read.
    pub bytes: u64,
    /// A few of the connections, the earliest first, for a person to look up.
    pub examples: Vec<ConnectionId>,
}

/// What one failure is charged with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// When it was over for the generator.
    pub at: Moment,
    /// The connection that it happened on.
    pub connection: ConnectionId,
    /// Index into the evidence's exchanges; `None` for a connection that failed without one.
    pub exchange: Option<u32>,
    /// The path.
    pub path: PathId,
    /// The status of the answer, where a complete one came.
    pub status: Option<u16>,
    /// The cause, which says the hop.
    pub cause: Cause,
    /// Where the cause is `undetermined`: between which hops it stays open.
    pub between: Between,
}

/// A question that the evidence leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// What is not known.
    pub question: String,
    /// The cheapest experiment that would decide it; a command line where there is one.
    pub experiment: String,
}

/// Something to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What to do.
    pub action: String,
    /// Why.
    pub why: String,
}

/// Whether hopscope itself stood in the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObserverStatement {
    /// It was the bottleneck for a part of the run: nobody is convicted for that part.
    pub saturated: bool,
    /// Why that is said, or what lowered the confidence.
    pub reasons: Vec<String>,
}
