//! Running other programs, and what went wrong with them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What went wrong, in words: this program has no caller that could do anything else with it.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Runs a command in this folder, with these variables; one that does not succeed is an error that names it.
pub(crate) fn run<A: AsRef<OsStr>>(
    folder: &Path,
    program: &str,
    arguments: &[A],
    environment: &[(&str, OsString)],
) -> Result<()> {
    let status = Command::new(program)
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(folder)
        .status()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let arguments: Vec<_> = arguments
        .iter()
        .map(|one| one.as_ref().to_string_lossy())
        .collect();
    Err(format!("`{program} {}` ended with {status}", arguments.join(" ")))
}

/// What a command prints, or nothing where it cannot be run or does not succeed.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A task of hopscope-tasks, with the machine's environment.
pub(crate) fn hand_on(task: &[OsString]) -> Result<()> {
    let mut arguments: Vec<OsString> = ["run", "--quiet", "--package", "hopscope-tasks", "--"]
        .map(OsString::from)
        .to_vec();
    let asked = task.iter().skip_while(|word| *word == "tasks");
    arguments.extend(asked.cloned());
    run(&root(), "cargo", &arguments, &crate::machine::environment())
}

#[expect(clippy::print_stdout, reason = "progress is for whoever typed the command")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "the one place where this program complains")]
pub(crate) fn complain(line: &str) {
    eprintln!("error: {line}");
}
