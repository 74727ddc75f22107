//! A load generator's result on the command line: one option for any generator's, recognised by its content.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use hopscope_attribution::evidence::GeneratorResult;
use hopscope_explain::{Explained, FailedRequest, Keep, Summary, Tool, Unrecognised};

use super::Exit;
use super::files::Named;
use super::output::OutputError;

/// The result of the generator that made the load.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ResultOptions {
    /// Join with what the load generator counted: each of its failures gets a hop or `unknown`, and differences are
    /// stated. Any result that `hopscope explain` reads, recognised by its content; one with a time for each request (k6
    /// --out json or csv, a JMeter JTL, vegeta encode, a Gatling log) is joined failure by failure
    #[arg(
        long,
        value_name = "FILE",
        group = "generator",
        help_heading = "Load generator"
    )]
    result: Option<PathBuf>,

    /// The same, and it has to be k6's
    #[arg(long, value_name = "FILE", group = "generator", hide = true)]
    k6: Option<PathBuf>,

    /// The same, and it has to be oha's
    #[arg(long, value_name = "FILE", group = "generator", hide = true)]
    oha: Option<PathBuf>,

    /// The same, and it has to be wrk's
    #[arg(long, value_name = "FILE", group = "generator", hide = true)]
    wrk: Option<PathBuf>,
}

/// A result, ready to be joined with a recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    /// Its totals.
    pub result: Option<GeneratorResult>,
    /// Its failures one by one, where it has their times, and what they asked for.
    pub failures: (Vec<FailedRequest>, Vec<String>),
}

/// Why a result cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    /// The file cannot be opened.
    #[error("cannot open {}: {error}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is no result that we know.
    #[error("cannot explain {}: {reason}", .path.display())]
    Unrecognised {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: Unrecognised,
    },
    /// The option names one generator, and the file is another's.
    #[error("{} is a result of {}, and --{flag} takes {wanted}'s: use --result, which takes any", .path.display(), .found.word())]
    AnotherTool {
        /// The file.
        path: PathBuf,
        /// The option.
        flag: &'static str,
        /// Whose it takes.
        wanted: &'static str,
        /// Whose the file is.
        found: Tool,
    },
    /// It holds several results.
    #[error("{} holds {count} results: give the one of this run (`hopscope explain` reads all of them)", .path.display())]
    Several {
        /// The file.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// It does not say how many requests there were.
    #[error("{} does not state how many requests there were: give the generator's summary", .0.display())]
    NoTotals(PathBuf),
    /// It was there before the run.
    #[error("{} was written before this run began: it is another run's", .0.display())]
    Stale(PathBuf),
    /// The word is no cause.
    #[error("{word} is no cause: {nearest}")]
    NoCause {
        /// What was asked for.
        word: String,
        /// What may have been meant.
        nearest: String,
    },
    /// The reading cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl ResultError {
    /// How the program ends on it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Output(error) => error.exit(),
            Self::AnotherTool { .. } | Self::NoCause { .. } => Exit::Usage,
            Self::Open { .. }
            | Self::Unrecognised { .. }
            | Self::Several { .. }
            | Self::NoTotals(_)
            | Self::Stale(_) => Exit::CouldNotRun,
        }
    }
}

impl ResultOptions {
    /// The file that is read.
    pub fn files(&self) -> Vec<Named<'_>> {
        let all = [
            ("--result", &self.result),
            ("--k6", &self.k6),
            ("--oha", &self.oha),
            ("--wrk", &self.wrk),
        ];
        all.into_iter()
            .filter_map(|(by, file)| Some(Named::read(by, file.as_deref()?)))
            .collect()
    }

    /// The file, and the generator whose it has to be, with its option.
    fn file(&self) -> Option<(&Path, Option<(Tool, &'static str)>)> {
        if let Some(file) = &self.result {
            return Some((file, None));
        }
        [
            (&self.k6, Tool::K6, "k6"),
            (&self.oha, Tool::Oha, "oha"),
            (&self.wrk, Tool::Wrk, "wrk"),
        ]
        .into_iter()
        .find_map(|(file, tool, flag)| Some((file.as_deref()?, Some((tool, flag)))))
    }

    /// Reads the result, where one is named. What was written before `since` is another run's.
    ///
    /// # Errors
    /// When it cannot be read, is none that is known, is another generator's than its option says, or holds several.
    pub fn read(&self, since: Option<std::time::SystemTime>) -> Result<Given, ResultError> {
        let Some((path, wanted)) = self.file() else {
            return Ok(Given::default());
        };
        if let Some(since) = since {
            let written = std::fs::metadata(path).and_then(|metadata| metadata.modified());
            // A file system may keep whole seconds only.
            if written.is_ok_and(|written| written + std::time::Duration::from_secs(1) < since) {
                return Err(ResultError::Stale(path.to_owned()));
            }
        }
        let explained = explain(path, Keep::Failures)?;
        let (summary, _) = explained.only().map_err(|count| ResultError::Several {
            path: path.to_owned(),
            count,
        })?;
        check_tool(path, wanted, &summary)?;
        let result = summary
            .generator_result()
            .ok_or_else(|| ResultError::NoTotals(path.to_owned()))?;
        Ok(Given {
            result: Some(result),
            failures: (summary.failures, summary.targets),
        })
    }
}

/// An option that names a generator takes no other's; wrk2's is wrk's.
fn check_tool(
    path: &Path,
    wanted: Option<(Tool, &'static str)>,
    summary: &Summary,
) -> Result<(), ResultError> {
    match wanted {
        Some((tool, flag)) if tool != summary.tool && (tool, summary.tool) != (Tool::Wrk, Tool::Wrk2) => {
            Err(ResultError::AnotherTool {
                path: path.to_owned(),
                flag,
                wanted: tool.word(),
                found: summary.tool,
            })
        }
        Some(_) | None => Ok(()),
    }
}

/// Reads every result in a file; `-` is standard input.
///
/// # Errors
/// When it cannot be read, or holds none that is known.
pub fn explain(path: &Path, keep: Keep) -> Result<Explained, ResultError> {
    let explained = if path.as_os_str() == "-" {
        hopscope_explain::explain(io::stdin().lock(), keep)
    } else {
        let file = File::open(path).map_err(|error| ResultError::Open {
            path: path.to_owned(),
            error,
        })?;
        hopscope_explain::explain(BufReader::with_capacity(256 * 1024, file), keep)
    };
    explained.map_err(|reason| ResultError::Unrecognised {
        path: path.to_owned(),
        reason,
    })
}
