//! The program `hopscope`.

use std::process::ExitCode;

fn main() -> ExitCode {
    hopscope::cli::main()
}
