//! `hopscope doctor`.

use std::io;

use super::Exit;
use super::manner;
use super::output::{OutputError, to_stream};
use crate::doctor::{examine, look, text};

const EXAMPLES: &str = "\
Each line is ok, limited or missing; what is not ok has its remedy under it. Nothing is changed on the machine.
The exit code is 0 unless something is missing that proxy and run cannot do without.

Examples:
  hopscope doctor
  hopscope doctor --json | jq '.findings[] | select(.state != \"ok\")'";

/// What works here: kernel, capabilities, limits, kubectl; each with its remedy
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Print the examination as JSON
    #[arg(long)]
    json: bool,
}

/// Looks, judges and tells.
///
/// # Errors
/// When standard output is gone.
pub fn execute(args: &Args) -> Result<Exit, OutputError> {
    let examination = examine(&look());
    let text = if args.json {
        serde_json::to_string_pretty(&examination).map_err(OutputError::Json)? + "\n"
    } else {
        text::render(&examination, manner::stdout())
    };
    to_stream(io::stdout(), &text)?;
    Ok(if examination.main_job {
        Exit::Ran
    } else {
        Exit::CouldNotRun
    })
}
