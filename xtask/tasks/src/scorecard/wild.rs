//! The wild set (`tests/wild`): builds what it needs in one step, and runs it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// What to play of the wild set.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// The wild set (tests/wild): plays with real programs, each with its mirror image, without and with hopscope
    #[arg(long, conflicts_with = "real")]
    pub(super) wild: bool,
    /// Of the wild set, families or parts of names; without any, all is played and docs/accuracy.md is written
    #[arg(value_name = "FILTER", requires = "wild")]
    filter: Vec<String>,
    /// Of the wild set, one play of each kind: what CI plays
    #[arg(long, requires = "wild")]
    sample: bool,
    /// Print the catalogue of the wild set, and play nothing
    #[arg(long, requires = "wild")]
    list: bool,
    /// Write the results of the wild set as JSON
    #[arg(long, requires = "wild", value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep the recordings and reports of the wild set in this folder
    #[arg(long, requires = "wild", value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

/// Plays all, a sample, or what the filter names; a full run writes docs/accuracy.md.
pub(super) fn execute(root: &Path, args: &Args) -> Result<()> {
    let folder = workspace::programs(root)?;
    let named = |variable: &str, file: &str| -> OsString {
        std::env::var_os(variable).unwrap_or_else(|| folder.join(file).into())
    };
    let mut command = Command::new(folder.join("wild"));
    command
        .args(&args.filter)
        .env("HOPSCOPE_BIN", named("HOPSCOPE_BIN", "hopscope"))
        .env(
            "HOPSCOPE_LAB_CLUSTER",
            named("HOPSCOPE_LAB_CLUSTER", "examples/cluster"),
        );
    if args.sample {
        command.arg("--sample");
    }
    if args.list {
        command.arg("--list");
    }
    for (flag, file) in [("--json", &args.json), ("--keep", &args.keep)] {
        if let Some(file) = file {
            command.arg(flag).arg(file);
        }
    }
    if args.filter.is_empty() && !args.sample && !args.list {
        command.arg("--page").arg(root.join("docs/accuracy.md"));
    }
    let status = command.status().context("running the wild set")?;
    ensure!(status.success(), "the wild set is below its floors");
    Ok(())
}
