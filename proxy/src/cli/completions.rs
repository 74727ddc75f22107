//! `hopscope completions SHELL` and `hopscope man`: what shells and `man` know of the command line, from its definition.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::Command;
use clap::builder::PossibleValuesParser;
use clap_complete::Shell;
use hopscope_attribution::cause::Cause;
use hopscope_lab::scenario;

use super::Exit;
use super::output::{OutputError, to_stream};

const COMPLETIONS: &str = "\
Examples:
  hopscope completions bash > ~/.local/share/bash-completion/completions/hopscope
  hopscope completions zsh > ~/.zfunc/_hopscope         (a folder of $fpath)
  hopscope completions fish > ~/.config/fish/completions/hopscope.fish";

const MAN: &str = "\
Examples:
  hopscope man | man -l -
  hopscope man --into /usr/local/share/man/man1         (hopscope.1, hopscope-run.1, ...)";

/// Print what a shell needs to complete the command line
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(after_help = COMPLETIONS)]
pub struct CompletionsArgs {
    /// Whose completions
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

/// Print the manual page, or write one for each command
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = MAN)]
pub struct ManArgs {
    /// Write hopscope.1 and a page for each command into this folder
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

/// Why there are no pages.
#[derive(Debug, thiserror::Error)]
pub enum ManError {
    /// A page cannot be written.
    #[error("cannot write {}: {source}; --into names a folder that you may write to", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A page cannot be made.
    #[error("cannot make the manual page: {0}")]
    Page(io::Error),
    /// Standard output is gone.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Prints the completions.
///
/// # Errors
/// When standard output is gone.
pub(super) fn completions(args: CompletionsArgs, mut command: Command) -> Result<Exit, OutputError> {
    // Words that a command takes from a list of its own: a shell can offer them.
    // clap keeps words for as long as the program runs, which here ends with them.
    let scenarios: Vec<&'static str> = scenario::all()
        .into_iter()
        .filter(|scenario| scenario.shown)
        .map(|scenario| &*scenario.name.leak())
        .collect();
    let causes = Cause::ALL.iter().map(|cause| cause.word());
    command = command
        .mut_subcommand("demo", |demo| {
            demo.mut_arg("scenario", |word| {
                word.value_parser(PossibleValuesParser::new(scenarios))
            })
        })
        .mut_subcommand("explain", |explain| {
            explain.mut_arg("cause", |word| {
                word.value_parser(PossibleValuesParser::new(causes))
            })
        });
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "hopscope", &mut text);
    to_stream(io::stdout(), &String::from_utf8_lossy(&text))?;
    Ok(Exit::Ran)
}

/// Prints the manual page, or writes all of them.
///
/// # Errors
/// When they cannot be written.
pub(super) fn man(args: &ManArgs, command: Command) -> Result<Exit, ManError> {
    let Some(folder) = &args.into else {
        to_stream(io::stdout(), &page(command)?)?;
        return Ok(Exit::Ran);
    };
    for (name, text) in pages(command)? {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|source| ManError::File { path, source })?;
    }
    Ok(Exit::Ran)
}

/// Every page with the name of its file: the program's, and one for each command that is not hidden.
fn pages(mut command: Command) -> Result<Vec<(String, String)>, ManError> {
    command = command.disable_help_subcommand(true);
    // Names of pages, and options of every command, are handed down when it is built.
    command.build();
    std::iter::once(&command)
        .chain(command.get_subcommands().filter(|of| !of.is_hide_set()))
        .map(|of| {
            Ok((
                clap_mangen::Man::new(of.clone()).get_filename(),
                page(of.clone())?,
            ))
        })
        .collect()
}

fn page(command: Command) -> Result<String, ManError> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut text)
        .map_err(ManError::Page)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_has_a_page_with_its_examples() {
        let pages = pages(Cli::command()).unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for expected in [
            "hopscope.1",
            "hopscope-run.1",
            "hopscope-report.1",
            "hopscope-agent.1",
        ] {
            assert!(names.contains(&expected), "{names:?}");
        }
        let (_, run) = pages.iter().find(|(name, _)| name == "hopscope-run.1").unwrap();
        assert!(run.contains("fail\\-on") && run.contains("Examples:"), "{run}");
    }

    #[test]
    fn every_shell_can_be_told_and_offers_scenarios_and_causes() {
        for shell in [
            Shell::Bash,
            Shell::Zsh,
            Shell::Fish,
            Shell::Elvish,
            Shell::PowerShell,
        ] {
            let mut command = Cli::command();
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut command, "hopscope", &mut text);
            assert!(!text.is_empty(), "{shell}");
        }
    }
}
