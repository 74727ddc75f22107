//! What every form of a report lays out: sections of lines, sums, tables and lists, derived once.
//!
//! A writer knows how a block looks and nothing of what it says. So a section that is added here is in every form, and
//! no measure has two names: a column is called what its [`Measure`] is called.

use hopscope_attribution::cause::Cause;
use hopscope_attribution::hop::Hop;
use hopscope_text::figures::{grouped, percent, time};
use hopscope_text::paint::harmless;

/// Words for a reader. Nothing in them is a command for a terminal, wherever they came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words(String);

impl<T: AsRef<str>> From<T> for Words {
    fn from(text: T) -> Self {
        Self(harmless(text.as_ref()).into_owned())
    }
}

impl Words {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A part of the report under a title of its own.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) title: Words,
    pub(crate) blocks: Vec<Block>,
}

/// A part of a section.
#[derive(Clone, Debug)]
pub(crate) enum Block {
    /// A line of facts, or a sentence.
    Line(Words),
    /// A sentence that a reader must not miss.
    Warning(Words),
    /// How the run was made. Forms with room for all of these above their sections say them there.
    Note(Words),
    /// A total and what it is made of.
    Sum(Sum),
    /// A table.
    Table(Table),
    /// Who is charged, and why.
    Charges(Vec<Charge>),
    /// What is not known.
    Questions(Vec<Question>),
    /// What to do, the most useful first.
    Steps(Vec<Step>),
}

/// A total that its parts add up to: `29,826 requests = 4,663 ok + 25,163 answered with an error + 0 undelivered`.
#[derive(Clone, Debug)]
pub(crate) struct Sum {
    pub(crate) total: (u64, Measure),
    pub(crate) parts: Vec<(u64, Measure)>,
    /// Whether it adds up, where a reader must know: then it ends in `balanced`.
    pub(crate) balanced: Option<bool>,
}

impl Sum {
    /// The equation alone.
    pub(crate) fn equation(&self) -> String {
        let term = |(count, measure): &(u64, Measure)| format!("{} {}", grouped(*count), measure.name());
        let parts: Vec<String> = self.parts.iter().map(term).collect();
        format!("{} = {}", term(&self.total), parts.join(" + "))
    }

    /// What is to be said behind it.
    pub(crate) const fn balance(&self) -> Option<&'static str> {
        match self.balanced {
            None => None,
            Some(true) => Some("balanced"),
            Some(false) => Some("DOES NOT BALANCE: evidence is missing that nobody counted"),
        }
    }
}

/// A question that the evidence leaves open.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) question: Words,
    /// The experiment that would answer it.
    pub(crate) experiment: Words,
}

/// Something to do.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) action: Words,
    pub(crate) why: Words,
}

/// All that one hop is charged with.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    pub(crate) hop: Hop,
    /// What failed, as `25,163 failed requests`.
    pub(crate) failed: Words,
    /// That, as a share of all failures.
    pub(crate) share: f64,
    pub(crate) causes: Vec<ChargedCause>,
}

/// One cause of a hop.
#[derive(Clone, Debug)]
pub(crate) struct ChargedCause {
    pub(crate) cause: Cause,
    /// The hops that it stays open between, as `lb or backend`.
    pub(crate) open: Option<Words>,
    /// What failed, as `25,163 failed requests`.
    pub(crate) failed: Words,
    /// Those of them that another failure brought about.
    pub(crate) victims: u64,
    /// How sure, 0..=1.
    pub(crate) confidence: f64,
    pub(crate) speaks_for: Findings,
    pub(crate) speaks_against: Findings,
}

/// What speaks on one side of a charge.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    /// What is said here for the first time: the statement, and the rule that found it.
    pub(crate) new: Vec<(Words, Words)>,
    /// How many more were said above already, of another cause of the same hop.
    pub(crate) repeated: u64,
}

/// Rows of figures under named columns.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Value>>,
}

impl Table {
    /// Whether any row says something in this column. An empty one is not laid out.
    pub(crate) fn is_said(&self, column: usize) -> bool {
        self.rows
            .iter()
            .any(|row| row.get(column).is_some_and(|value| *value != Value::Empty))
    }
}

/// A column: what it counts, and how it behaves where there is too little room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) measure: Measure,
    /// 0 stays; the others give way, the largest first.
    pub(crate) gives_way: u8,
    /// Its texts may be cut.
    pub(crate) shrinks: bool,
}

impl Column {
    pub(crate) const fn of(measure: Measure) -> Self {
        Self {
            measure,
            gives_way: 0,
            shrinks: false,
        }
    }

    #[must_use]
    pub(crate) const fn giving_way(self, rank: u8) -> Self {
        Self {
            gives_way: rank,
            ..self
        }
    }

    #[must_use]
    pub(crate) const fn shrinking(self) -> Self {
        Self {
            shrinks: true,
            ..self
        }
    }
}

/// A cell, in the unit of its column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Empty,
    Words(Words),
    /// A name from outside, such as a route.
    Name(Words),
    Count(u64),
    /// A count that is good only when it is 0.
    Failed(u64),
    /// 0..=1.
    Share(Option<f64>),
    Seconds(Option<f64>),
}

impl Value {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Words(words) | Self::Name(words) => words.as_str().to_owned(),
            Self::Count(count) | Self::Failed(count) => grouped(*count),
            Self::Share(share) => share.map_or_else(|| "–".to_owned(), percent),
            Self::Seconds(seconds) => time(*seconds),
        }
    }
}

/// Something that the report names or counts, and the one name that it has in every form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    Path,
    Kind,
    Target,
    Route,
    /// What a row of latencies is about.
    Of,
    Statuses,
    ChargedTo,
    Connections,
    Requests,
    /// Requests that neither failed nor were under way.
    Ok,
    Failed,
    /// What stands in the column before it, as a share of its whole.
    Share,
    DeliveredErrors,
    Undelivered,
    Failures,
    FailedRequests,
    FailedConnections,
    NeverReached,
    P50,
    P90,
    P95,
    P99,
    Max,
    Mean,
    Count,
    Compared,
    Before,
    Now,
    Difference,
    Interval,
    WouldShow,
    Finding,
    Accepts,
    ConnectionRows,
    LeftOut,
    CountedLosses,
}

impl Measure {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Kind => "kind",
            Self::Target => "target",
            Self::Route => "route",
            Self::Of => "of",
            Self::Statuses => "statuses",
            Self::ChargedTo => "charged to",
            Self::Connections => "connections",
            Self::Requests => "requests",
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Share => "share",
            Self::DeliveredErrors => "answered with an error",
            Self::Undelivered => "undelivered",
            Self::Failures => "failures",
            Self::FailedRequests => "failed requests",
            Self::FailedConnections => "failed connections",
            Self::NeverReached => "that never reached hopscope",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Max => "max",
            Self::Mean => "mean",
            Self::Count => "count",
            Self::Compared => "measure",
            Self::Before => "baseline",
            Self::Now => "now",
            Self::Difference => "difference",
            Self::Interval => "interval",
            Self::WouldShow => "would show from",
            Self::Finding => "finding",
            Self::Accepts => "accepts",
            Self::ConnectionRows => "connection rows",
            Self::LeftOut => "left out to stay within a limit",
            Self::CountedLosses => "counted losses",
        }
    }

    pub(crate) const fn unit(self) -> Unit {
        match self {
            Self::Path
            | Self::Kind
            | Self::Target
            | Self::Route
            | Self::Of
            | Self::Statuses
            | Self::ChargedTo
            | Self::Compared
            | Self::Difference
            | Self::Interval
            | Self::WouldShow
            | Self::Finding => Unit::Words,
            Self::Before | Self::Now => Unit::Mixed,
            Self::Connections
            | Self::Requests
            | Self::Ok
            | Self::Failed
            | Self::DeliveredErrors
            | Self::Undelivered
            | Self::Failures
            | Self::FailedRequests
            | Self::FailedConnections
            | Self::NeverReached
            | Self::Count
            | Self::Accepts
            | Self::ConnectionRows
            | Self::LeftOut
            | Self::CountedLosses => Unit::Count,
            Self::Share => Unit::Share,
            Self::P50 | Self::P90 | Self::P95 | Self::P99 | Self::Max | Self::Mean => Unit::Seconds,
        }
    }
}

/// What a column's cells are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Words,
    Count,
    Share,
    Seconds,
    /// Each row has its own.
    Mixed,
}

impl Unit {
    /// Figures stand on the right.
    pub(crate) const fn is_figure(self) -> bool {
        !matches!(self, Self::Words)
    }
}
