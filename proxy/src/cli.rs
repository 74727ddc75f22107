//! What the user types: subcommands and exit codes.
//!
//! One module a subcommand; each turns its own words into a configuration, once, and nothing past this module sees them.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use hopscope_host::limits::raise_descriptor_limit;

pub mod agent;
pub mod completions;
pub mod conduct;
pub mod demo;
mod discreet;
pub mod doctor;
pub mod explain;
pub mod files;
pub mod front;
pub mod generator;
mod log;
mod manner;
pub mod nodes;
pub mod output;
pub mod proxy;
pub mod report;
pub mod result;
pub mod run;
pub mod session;
pub mod version;

use manner::{tell, warn};

/// Says which hop broke your load test, and proves it.
#[derive(Debug, Parser)]
#[command(
    name = "hopscope",
    version,
    max_term_width = 100,
    after_help = "RUST_LOG in the environment chooses what hopscope says of itself on standard error: warn (the default), info, debug, off."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    manner: manner::Manner,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Run(run::Args),
    Proxy(proxy::Args),
    Report(report::Args),
    Explain(explain::Args),
    Doctor(doctor::Args),
    Agent(agent::Args),
    Completions(completions::CompletionsArgs),
    Man(completions::ManArgs),
    Version(version::Args),
}

/// Descriptors without which nothing that stays can begin: event loops, listeners, the recording, kubectl's pipes.
const LEAST_DESCRIPTORS: u64 = 64;

impl Command {
    /// Whether there are descriptors to begin with, for a command that stays. An event loop that gets none for its
    /// signals can only panic, so this comes before it.
    fn enough_descriptors(&self) -> Result<(), String> {
        match self {
            Self::Report(_)
            | Self::Explain(_)
            | Self::Doctor(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Version(_) => Ok(()),
            Self::Demo(_) | Self::Run(_) | Self::Proxy(_) | Self::Agent(_) => {
                match raise_descriptor_limit() {
                    Ok(allowed) if allowed < LEAST_DESCRIPTORS => Err(format!(
                        "this process may open {allowed} files, and {LEAST_DESCRIPTORS} are the least to begin with: raise \
                     the limit with `ulimit -n`"
                    )),
                    Ok(_) | Err(_) => Ok(()),
                }
            }
        }
    }
}

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It ran.
    Ran,
    /// It ran, and a `--fail-on` condition holds.
    ConditionHolds,
    /// It was called wrongly. clap uses the same code.
    Usage,
    /// It could not run: a port taken, a recording unreadable, no privilege.
    CouldNotRun,
    /// It ran, and a `--fail-on` condition cannot be judged: no traffic, or traffic that was not read.
    CannotBeJudged,
    /// It ran, and ends as the load generator did: `run --pass-exit-code`.
    AsGenerator(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ran => 0,
            Exit::ConditionHolds => 1,
            Exit::Usage => 2,
            Exit::CouldNotRun => 3,
            Exit::CannotBeJudged => 4,
            Exit::AsGenerator(code) => code,
        })
    }
}

/// Reads the command line, does what it says, and says how that ended.
pub fn main() -> ExitCode {
    discreet::about_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return discreet::about_usage(&error),
    };
    cli.manner.choose();
    log::begin(cli.manner.log_level());
    if let Err(message) = cli.command.enough_descriptors() {
        warn(&format!("hopscope: {message}"));
        return Exit::CouldNotRun.into();
    }
    let outcome = match cli.command {
        Command::Demo(args) => demo::execute(&args).map_err(|error| (error.exit(), error.to_string())),
        Command::Run(args) => run::execute(args).map_err(|error| (error.exit(), error.to_string())),
        Command::Proxy(args) => proxy::execute(&args).map_err(|error| (error.exit(), error.to_string())),
        Command::Report(args) => report::execute(&args).map_err(|error| (error.exit(), error.to_string())),
        Command::Doctor(args) => doctor::execute(&args).map_err(|error| (error.exit(), error.to_string())),
        Command::Explain(args) => explain::execute(&args).map_err(|error| (error.exit(), error.to_string())),
        Command::Agent(args) => agent::execute(args)
            .map(|()| Exit::Ran)
            .map_err(|error| (Exit::CouldNotRun, error.to_string())),
        Command::Completions(args) => {
            completions::completions(args, Cli::command()).map_err(|error| (error.exit(), error.to_string()))
        }
        Command::Man(args) => {
            completions::man(&args, Cli::command()).map_err(|error| (Exit::CouldNotRun, error.to_string()))
        }
        Command::Version(args) => version::execute(args).map_err(|error| (error.exit(), error.to_string())),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err((exit, message)) => {
            warn(&format!("hopscope: {message}"));
            exit.into()
        }
    }
}
