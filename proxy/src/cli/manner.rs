//! How hopscope talks: how much it says on standard error, and whether in colour.

use std::io::{self, Write};
use std::sync::OnceLock;

use clap::ArgAction;
use hopscope_text::paint::Screen;

use crate::live::Mode;

/// Chosen once, when the command line has been read.
static CHOSEN: OnceLock<Manner> = OnceLock::new();

/// Options of every command.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(super) struct Manner {
    /// Colour in what is printed for people. auto: on a terminal, unless NO_COLOR is set or TERM is dumb
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        global = true,
        help_heading = "Messages"
    )]
    color: When,

    /// Print nothing on standard error but warnings and errors
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        help_heading = "Messages"
    )]
    quiet: bool,

    /// Say what hopscope itself does: -v for steps, -vv for details. RUST_LOG chooses more finely, and wins
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Messages")]
    verbose: u8,
}

/// When colour is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum When {
    /// Where it can be seen.
    #[default]
    Auto,
    /// Also in files and pipes.
    Always,
    /// Nowhere.
    Never,
}

impl When {
    /// What was decided, where anything was.
    const fn decided(self) -> Option<bool> {
        match self {
            Self::Auto => None,
            Self::Always => Some(true),
            Self::Never => Some(false),
        }
    }
}

impl Manner {
    /// From now on this is how hopscope talks. Only the first choice counts.
    pub(super) fn choose(self) {
        let _chosen = CHOSEN.get_or_init(|| self);
    }

    fn chosen() -> Self {
        CHOSEN.get().copied().unwrap_or_default()
    }

    /// What of the program's own log is shown where `RUST_LOG` does not say.
    pub(super) const fn log_level(self) -> &'static str {
        match (self.quiet, self.verbose) {
            (true, _) => "error",
            (false, 0) => "warn",
            (false, 1) => "info",
            (false, 2) => "debug",
            (false, _) => "trace",
        }
    }
}

/// Whether nothing but warnings and errors may stand on standard error.
pub(super) fn is_quiet() -> bool {
    Manner::chosen().quiet
}

/// The screen behind standard output.
pub(super) fn stdout() -> Screen {
    Screen::of_stdout(Manner::chosen().color.decided())
}

/// The screen behind standard error.
pub(super) fn stderr() -> Screen {
    Screen::of_stderr(Manner::chosen().color.decided())
}

/// How a run is shown while it goes on, where nobody else draws on the terminal.
pub(super) fn live() -> Mode {
    if is_quiet() {
        Mode::Off
    } else {
        Mode::of_standard_error(stderr().colour)
    }
}

/// A line of news for the person in front of the terminal; standard output belongs to the report.
pub(crate) fn tell(line: &str) {
    if !is_quiet() {
        warn(line);
    }
}

/// A line that must be read: an error, a warning, or what is missing from the outcome.
pub(crate) fn warn(line: &str) {
    // A terminal that is gone is no reason to stop a run.
    drop(writeln!(io::stderr().lock(), "{line}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_v_says_more_and_quiet_says_least() {
        let level = |quiet, verbose| {
            let color = When::Auto;
            Manner {
                color,
                quiet,
                verbose,
            }
            .log_level()
        };
        let levels = [
            level(true, 0),
            level(false, 0),
            level(false, 1),
            level(false, 2),
            level(false, 9),
        ];
        assert_eq!(levels, ["error", "warn", "info", "debug", "trace"]);
    }
}
