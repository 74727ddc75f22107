//! `hopscope report RECORDING`.

use std::path::PathBuf;

use super::Exit;
use super::explain::ResultError;
use super::nodes::{NodeError, NodeOptions};
use super::output::{OutputError, ReportOptions};
use crate::diagnosis::{Witnesses, of_recording_with};
use hopscope_recording::{Recording, RecordingError};

const EXAMPLES: &str = "\
The same recording gives the same bytes. A recording that was cut off (kill -9, a full disk) is read as far as it goes,
and the report says where it stops.

Examples:
  hopscope report hopscope-20260131T120000.sqlite
  hopscope report run.sqlite --html report.html --markdown ticket.md
  hopscope report run.sqlite --json - | jq .verdict
  hopscope report run.sqlite --k6 points.json       (k6 run --out json=points.json: failure by failure)
  hopscope report run.sqlite --k6 summary.json      (totals only)
  hopscope report run.sqlite --agent http://10.0.0.7:9464 --agent http://10.0.0.8:9464 --save-evidence nodes.jsonl
  hopscope report run.sqlite --agent-evidence nodes.jsonl
  hopscope report run.sqlite --fail-on 'tunnel>0.5%' --fail-on 'cause:backend-reset>0'";

/// The diagnosis again, from a recording
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A file that run, proxy or demo recorded
    #[arg(value_name = "RECORDING")]
    recording: PathBuf,

    /// Join with what k6 counted: each of its failures gets a hop or `unknown`, and differences are stated.
    /// Any form of result that `hopscope explain` reads; `--out json=FILE` and `--out csv=FILE` have a time for each
    /// failure, and are joined one by one
    #[arg(
        long,
        value_name = "FILE",
        group = "generator",
        help_heading = "Load generator"
    )]
    k6: Option<PathBuf>,

    /// The same for oha (`--output-format json`)
    #[arg(
        long,
        value_name = "FILE",
        group = "generator",
        help_heading = "Load generator"
    )]
    oha: Option<PathBuf>,

    /// The same for wrk (its text)
    #[arg(
        long,
        value_name = "FILE",
        group = "generator",
        help_heading = "Load generator"
    )]
    wrk: Option<PathBuf>,

    #[command(flatten)]
    nodes: NodeOptions,

    #[command(flatten)]
    output: ReportOptions,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The recording cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
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
            Self::Recording(_) | Self::Result(_) | Self::Node(_) => Exit::CouldNotRun,
        }
    }
}

/// Reads, judges and tells.
///
/// # Errors
/// When the recording, the generator's result or an agent's evidence cannot be read, or the report cannot be written.
pub fn execute(args: &Args) -> Result<Exit, ReportError> {
    let recording = Recording::open(&args.recording)?;
    args.output.check()?;
    let result = args.k6.as_ref().or(args.oha.as_ref()).or(args.wrk.as_ref());
    let mut failures = Default::default();
    let generator = match result {
        Some(file) => {
            let (summary, _) = super::explain::read(file)?;
            let result = summary.generator_result();
            failures = (summary.failures, summary.targets);
            Some(result.ok_or_else(|| ResultError::NoTotals(file.clone()))?)
        }
        None => None,
    };
    let node = args.nodes.ask(&recording)?;
    let report = of_recording_with(
        recording,
        Witnesses {
            generator,
            failures,
            node,
        },
    );
    Ok(args.output.deliver(&report)?)
}
