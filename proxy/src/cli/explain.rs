//! `hopscope explain RESULT`.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Exit;
use super::output::{OutputError, to_stream};
use hopscope_explain::{Reading, Summary, Unrecognised};
use hopscope_text::paint::Screen;

const EXAMPLES: &str = "\
It reads, and recognises by itself:
  k6    --summary-export FILE, what handleSummary() was given, --out json=FILE, --out csv=FILE,
        and the text that k6 prints at the end
  oha   --output-format json
  wrk   what it prints

Examples:
  hopscope explain summary.json
  k6 run script.js | tee k6.txt; hopscope explain k6.txt
  wrk -d10s --latency http://127.0.0.1:8080/ | hopscope explain -";

/// What an old k6, oha or wrk result alone can and cannot say about whose fault the failures were
///
/// No proxy was there when it was made, so nothing is attributed: explain says what follows from the figures, under
/// which assumption, what does not follow, and the one test that would settle it.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The result file; `-` is standard input
    #[arg(value_name = "RESULT")]
    result: PathBuf,

    /// Print the reading as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    summary: &'a Summary,
    reading: &'a Reading,
}

/// Why a result cannot be explained.
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
    /// It does not say how many requests there were and how many failed.
    #[error("{} does not state how many requests there were and how many failed: give the generator's summary", .0.display())]
    NoTotals(PathBuf),
    /// The reading cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl ResultError {
    /// How the program ends on it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Output(error) => error.exit(),
            Self::Open { .. } | Self::Unrecognised { .. } | Self::NoTotals(_) => Exit::CouldNotRun,
        }
    }
}

/// Reads a result file; `-` is standard input.
///
/// # Errors
/// When it cannot be read, or is none that is known.
pub fn read(path: &Path) -> Result<(Summary, Reading), ResultError> {
    let explained = if path.as_os_str() == "-" {
        hopscope_explain::explain(io::stdin().lock())
    } else {
        let file = File::open(path).map_err(|error| ResultError::Open {
            path: path.to_owned(),
            error,
        })?;
        hopscope_explain::explain(BufReader::new(file))
    };
    explained.map_err(|reason| ResultError::Unrecognised {
        path: path.to_owned(),
        reason,
    })
}

/// Reads the result and says what it says.
///
/// # Errors
/// When the result cannot be read or is none that is known, or standard output is gone.
pub fn execute(args: &Args) -> Result<Exit, ResultError> {
    let (summary, reading) = read(&args.result)?;
    let text = if args.json {
        let document = Document {
            schema: "hopscope.explain/1",
            summary: &summary,
            reading: &reading,
        };
        serde_json::to_string_pretty(&document).map_err(OutputError::Json)? + "\n"
    } else {
        hopscope_explain::render(&summary, &reading, Screen::of_stdout())
    };
    to_stream(io::stdout(), &text)?;
    Ok(Exit::Ran)
}
