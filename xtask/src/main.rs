//! The second command of a fresh clone: `cargo xtask ci` sets the machine up and passes every gate.
//!
//! It builds from the standard library and clap alone, so that what a machine lacks is said before anything else is
//! built. Every other task lives in `hopscope-tasks` (xtask/tasks) and is handed on to it.

mod command;
mod fresh;
mod gates;
mod machine;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    about = "Set up, check, build, measure",
    after_help = "Any other word is a task of hopscope-tasks: scenarios, scorecard, bench, endurance, fuzz, tidy, deploy, \
                  ebpf, image, churn, kernels. `cargo xtask tasks --help` lists them."
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Set the machine up, then pass every gate: rules, lints, tests, probes, scenarios. What `.ci/run` runs.
    Ci(gates::Args),
    /// Format, lints and unit tests of what changed since HEAD: the gate after an edit.
    Quick,
    /// Install what the gates need on this machine: as root on Debian 12; elsewhere, say what is missing.
    Setup {
        /// Only say what is missing.
        #[arg(long)]
        check: bool,
    },
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Ci(args) => gates::execute(&args),
        Task::Quick => gates::quick(),
        Task::Setup { check: true } => machine::check(),
        Task::Setup { check: false } => machine::set_up(),
        Task::Other(task) => command::hand_on(&task),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            command::complain(&error);
            ExitCode::FAILURE
        }
    }
}
