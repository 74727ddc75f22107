//! A recording, read back.
//!
//! Everything in the file is hostile until it has been read: a table that is not what the schema says is an error
//! that names the table, the row and the column, never a panic, and never half a diagnosis.

mod assemble;
mod guard;
mod layout;
mod load;
mod place;
mod relabel;
mod thinning;

use std::collections::BTreeMap;
use std::path::Path as FilePath;

use hopscope_attribution::end_of_load;
use hopscope_attribution::evidence::{Evidence, GeneratorResult, Moment, NodeEvidence, Observation, PathId};

use super::error::RecordingError;
use super::figures::{Figures, RouteFigures};
use super::losses::Losses;
use super::schema::{APPLICATION_ID, VERSION};
use hopscope_attribution::evidence::RunFacts;
use hopscope_text::distribution::Distribution;
use place::Opened;

pub use relabel::NoSuchPath;

/// What the first bytes of every SQLite file are.
const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// How many rows are read at most: a report holds all that it judges in memory, and a run may have had more connections
/// and failures than a machine has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Rows of connections. A report takes about 75 bytes of memory for each.
    pub(crate) connections: u64,
    /// Rows of exchanges. A report takes about 40 bytes of memory for each, and 90 more for one that failed.
    pub(crate) exchanges: u64,
    /// Rows of any other table; a file that has more is refused.
    pub(crate) others: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 5_000_000,
            exchanges: 5_000_000,
            others: 5_000_000,
        }
    }
}

/// A run, as it was recorded.
#[derive(Clone, Debug)]
pub struct Recording {
    facts: RunFacts,
    exit_code: Option<i32>,
    kernel: Option<String>,
    evidence: Evidence,
    figures: Vec<RouteFigures>,
    added: Distribution,
    losses: Losses,
    cut_off: Option<CutOff>,
}

/// Where a recording that was not closed properly stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutOff {
    /// The last moment that is on record.
    pub at: Moment,
    /// Connections that had been accepted and whose end is not on record; they are counted as lost.
    pub in_flight: u64,
}

impl Recording {
    /// Reads a recording, finished, cut off, or still growing.
    ///
    /// # Errors
    /// When there is none, when it is something else, when a newer hopscope wrote it, and when it is damaged.
    pub fn open(path: &FilePath) -> Result<Self, RecordingError> {
        Self::open_within(path, Bounds::default())
    }

    /// The same with other bounds on what is read.
    pub(crate) fn open_within(path: &FilePath, most: Bounds) -> Result<Self, RecordingError> {
        let opened = open(path)?;
        load::load(opened.database(), opened.bytes(), most).map_err(|damage| RecordingError::Read {
            path: path.to_path_buf(),
            reason: damage.to_string(),
        })
    }

    /// What was known of the run when it began.
    pub const fn facts(&self) -> &RunFacts {
        &self.facts
    }

    /// The load generator's exit code, where hopscope ran it and it exited.
    pub const fn exit_code(&self) -> Option<i32> {
        self.exit_code
    }

    /// The boot id of the kernel that the probes of the run watched, where there were any.
    pub fn kernel(&self) -> Option<&str> {
        self.kernel.as_deref()
    }

    /// All that was seen, and what was not.
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The same, with what a load generator and the kernels told of the run in the place of what is on record, where
    /// they told.
    #[must_use]
    pub fn with(
        mut self,
        generator: Option<GeneratorResult>,
        node: Option<Observation<NodeEvidence>>,
    ) -> Self {
        if let Some(result) = generator {
            self.evidence.generator = Observation::Seen(result);
            for exchange in end_of_load::heed_the_generator(&mut self.evidence) {
                let of_it = |of: &&mut RouteFigures| (of.path, of.route) == (exchange.path, exchange.route);
                if let Some(of) = self.figures.iter_mut().find(of_it) {
                    of.figures.add_exchange(&exchange);
                }
            }
        }
        if let Some(node) = node {
            self.evidence.node = node;
        }
        self
    }

    /// The same with what `add_node` has just added to its file: it need not be read again.
    #[must_use]
    pub fn with_node(mut self, node: Observation<NodeEvidence>, kernel: Option<String>) -> Self {
        self.evidence.node = node;
        self.kernel = kernel.or(self.kernel);
        self
    }

    /// Exact figures per path and route, ordered by both; those without any exchange are left out.
    pub fn figures(&self) -> &[RouteFigures] {
        &self.figures
    }

    /// Exact figures of the whole run.
    pub fn total(&self) -> Figures {
        self.sum(|_| true)
    }

    /// Exact figures of one path.
    pub fn of_path(&self, path: PathId) -> Figures {
        self.sum(|figures| figures.path == path)
    }

    fn sum(&self, wanted: impl Fn(&RouteFigures) -> bool) -> Figures {
        let mut sum = Figures::default();
        for figures in self.figures.iter().filter(|figures| wanted(figures)) {
            sum.merge(&figures.figures);
        }
        sum
    }

    /// Latency that hopscope itself added, as it was measured in this run.
    pub const fn added(&self) -> &Distribution {
        &self.added
    }

    /// What was lost, by kind.
    pub const fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Where it stops, if it was not closed properly.
    pub const fn cut_off(&self) -> Option<CutOff> {
        self.cut_off
    }
}

/// Whether the file is a recording of ours.
pub(super) fn check(path: &FilePath) -> Result<(), RecordingError> {
    open(path).map(drop)
}

/// Opens the file and makes sure that it is a recording of ours.
fn open(path: &FilePath) -> Result<Opened, RecordingError> {
    let not_ours = |reason: &str| RecordingError::NotARecording {
        path: path.to_path_buf(),
        reason: reason.to_owned(),
    };
    let unreadable = |reason: String| RecordingError::Read {
        path: path.to_path_buf(),
        reason,
    };
    match magic(path) {
        Ok(true) => {}
        Ok(false) => return Err(not_ours("it is not an SQLite file")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(RecordingError::NotFound(path.to_path_buf()));
        }
        Err(error) => return Err(unreadable(error.to_string())),
    }
    let opened = Opened::of(path).map_err(|error| unreadable(error.to_string()))?;
    let database = opened.database();
    let pragma = |name: &str| database.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application = pragma("application_id").map_err(|error| unreadable(error.to_string()))?;
    if application != APPLICATION_ID {
        return Err(not_ours("it is an SQLite file of another program"));
    }
    let found = pragma("user_version").map_err(|error| unreadable(error.to_string()))?;
    if found > VERSION {
        let written_by = database
            .query_row("SELECT value FROM run WHERE key = 'version'", (), |row| {
                row.get::<_, String>(0)
            })
            .map_or_else(
                |_| "a newer version".to_owned(),
                |version| version.replace(char::is_control, "").chars().take(80).collect(),
            );
        return Err(RecordingError::NewerSchema {
            path: path.to_path_buf(),
            found,
            supported: VERSION,
            written_by,
        });
    }
    if found < VERSION {
        return Err(not_ours("its schema version is unknown"));
    }
    Ok(opened)
}

fn magic(path: &FilePath) -> std::io::Result<bool> {
    use std::io::Read;
    let mut first = Vec::new();
    std::fs::File::open(path)?
        .take(SQLITE_MAGIC.len() as u64)
        .read_to_end(&mut first)?;
    Ok(first == SQLITE_MAGIC)
}

/// Figures by path and route while they are gathered.
type Gathered = BTreeMap<(PathId, hopscope_attribution::evidence::RouteId), Figures>;
