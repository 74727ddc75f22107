//! Where the workspace lies and what it builds.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The folder of the workspace.
pub(crate) fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here
        .ancestors()
        .nth(2)
        .context("this crate lies two folders below the workspace")?
        .to_path_buf())
}

/// The folder into which cargo builds.
pub(crate) fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Builds every program of the workspace, and says where they lie.
///
/// One selection for all who need one: cargo chooses features by what is selected, so that another selection builds
/// the dependencies anew. `--examples` counts tests' dependencies in, as `cargo test --workspace` does.
pub(crate) fn programs(root: &Path) -> Result<PathBuf> {
    run(
        root,
        &["cargo", "build", "--workspace", "--bins", "--examples"],
        &[],
    )?;
    Ok(target(root).join("debug"))
}

/// Builds the program as it is shipped (profile `dist`), and says where it lies.
pub(crate) fn dist(root: &Path) -> Result<PathBuf> {
    run(
        root,
        &["cargo", "build", "--profile", "dist", "--package", "hopscope"],
        &provenance(root),
    )?;
    Ok(target(root).join("dist/hopscope"))
}

/// What `hopscope version` says of its sources: their commit and its time, where git knows both and nothing was changed
/// since. What the environment says already stays.
pub(crate) fn provenance(root: &Path) -> Vec<(&'static str, PathBuf)> {
    let ask = |arguments: &[&str]| {
        let told = Command::new("git")
            .args(arguments)
            .current_dir(root)
            .output()
            .ok()?;
        let text = String::from_utf8(told.stdout).ok()?;
        told.status.success().then(|| text.trim().to_owned())
    };
    let clean = ask(&["status", "--porcelain"]).is_some_and(|changed| changed.is_empty());
    let told = ask(&["log", "-1", "--format=%H %ct"]).filter(|_| clean);
    let Some((commit, time)) = told.as_deref().and_then(|told| told.split_once(' ')) else {
        return Vec::new();
    };
    [("HOPSCOPE_COMMIT", commit), ("SOURCE_DATE_EPOCH", time)]
        .into_iter()
        .filter(|(name, _)| std::env::var_os(name).is_none())
        .map(|(name, value)| (name, PathBuf::from(value)))
        .collect()
}

/// Runs a command in this folder; one that does not succeed is an error that names it.
pub(crate) fn run(root: &Path, command: &[&str], environment: &[(&str, PathBuf)]) -> Result<()> {
    let [program, arguments @ ..] = command else {
        return Ok(());
    };
    let status = Command::new(program)
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(root)
        .status()
        .with_context(|| format!("running {program}"))?;
    ensure!(status.success(), "`{}` ended with {status}", command.join(" "));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "progress is for whoever typed the command")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
