//! `hopscope report RECORDING`.

use std::path::PathBuf;
use std::str::FromStr;

use hopscope_attribution::evidence::PathKind;

use super::Exit;
use super::files::Named;
use super::nodes::{NodeError, NodeOptions};
use super::output::{OutputError, ReportOptions};
use super::result::{Given, ResultError, ResultOptions};
use crate::diagnosis::{Compared, Witnesses, of_recording_with};
use hopscope_recording::{NoSuchPath, Recording, RecordingError};
use hopscope_text::near::did_you_mean;

const EXAMPLES: &str = "\
The same recording gives the same bytes. A recording that was cut off (kill -9, a full disk) is read as far as it goes,
and the report says where it stops.

Examples:
  hopscope report hopscope-20260131T120000.sqlite
  hopscope report run.sqlite --html report.html --markdown ticket.md
  hopscope report run.sqlite --json - | jq .verdict
  hopscope report run.sqlite --result points.json   (k6 run --out json=points.json: failure by failure)
  hopscope report run.sqlite --result summary.json  (totals only)
  hopscope report run.sqlite --agent http://10.0.0.7:9464 --agent http://10.0.0.8:9464 --save-evidence nodes.jsonl
  hopscope report run.sqlite --agent-evidence nodes.jsonl
  hopscope report run.sqlite --path staging=lb       (the path called staging led through a load balancer)
  hopscope report new.sqlite --baseline old.sqlite   (what changed, and what could have changed without showing)
  hopscope report run.sqlite --fail-on 'tunnel>0.5%' --fail-on 'cause:backend-reset>0'";

/// The diagnosis again, from a recording
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A file that run, proxy or demo recorded
    #[arg(value_name = "RECORDING")]
    recording: PathBuf,

    /// Say what was on the way of a path where its name did not, or said it wrongly: KIND is tunnel, lb, direct or
    /// unstated. More than once; the recording stays as it is
    #[arg(long, value_name = "NAME=KIND", help_heading = "Paths")]
    path: Vec<Relabel>,

    /// Compare with the recording OLD of an earlier run: failures by cause and latency, with intervals by blocks of time, and
    /// whether the load was the same
    #[arg(long, value_name = "OLD", help_heading = "Comparison")]
    baseline: Option<PathBuf>,

    #[command(flatten)]
    generator: ResultOptions,

    #[command(flatten)]
    nodes: NodeOptions,

    #[command(flatten)]
    output: ReportOptions,
}

/// `NAME=KIND`: what was on the way of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Relabel {
    name: String,
    kind: PathKind,
}

impl FromStr for Relabel {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let (name, word) = typed
            .split_once('=')
            .ok_or_else(|| format!("`{typed}` is not NAME=KIND: write, for example, staging=lb"))?;
        let kind = PathKind::from_word(word).ok_or_else(|| {
            let near = did_you_mean(word, ["tunnel", "lb", "direct", "unstated"]);
            format!("`{word}` is no kind of path{near}: write tunnel, lb, direct or unstated")
        })?;
        Ok(Self {
            name: name.to_owned(),
            kind,
        })
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The recording cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// A path was to be relabelled that the run did not have.
    #[error(transparent)]
    NoSuchPath(#[from] NoSuchPath),
    /// The generator's result cannot be read.
    #[error(transparent)]
    Result(#[from] ResultError),
    /// An agent's evidence cannot be had.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The report cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl ReportError {
    /// How the program ends on it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Output(error) => error.exit(),
            Self::NoSuchPath(_) => Exit::Usage,
            Self::Result(error) => error.exit(),
            Self::Recording(_) | Self::Node(_) => Exit::CouldNotRun,
        }
    }
}

impl Args {
    /// The files that it reads and writes besides the report.
    fn files(&self) -> Vec<Named<'_>> {
        let baseline = self.baseline.iter().map(|file| Named::read("--baseline", file));
        std::iter::once(Named::read("RECORDING", &self.recording))
            .chain(baseline)
            .chain(self.generator.files())
            .chain(self.nodes.files())
            .collect()
    }
}

/// Reads, judges and tells.
///
/// # Errors
/// When the recording, the generator's result or an agent's evidence cannot be read, or the report cannot be written.
pub fn execute(args: &Args) -> Result<Exit, ReportError> {
    args.output.check(&args.files())?;
    let mut recording = Recording::open(&args.recording)?;
    for Relabel { name, kind } in &args.path {
        recording = recording.relabelled(name, *kind)?;
    }
    let Given { result, failures } = args.generator.read(None)?;
    let node = args.nodes.ask(&recording)?;
    // One recording after the other: of the earlier run only its blocks of time are kept.
    let baseline = match &args.baseline {
        None => None,
        Some(file) => Some(Compared::of(&Recording::open(file)?)),
    };
    let now = baseline.as_ref().map(|_| Compared::of(&recording));
    let mut report = of_recording_with(
        recording,
        Witnesses {
            generator: result,
            failures,
            node,
        },
    );
    if let (Some(old), Some(new)) = (&baseline, &now) {
        report.comparison = Some(new.with(old));
    }
    Ok(args.output.deliver(&report)?)
}
