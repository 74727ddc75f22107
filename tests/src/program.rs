//! Where the programs under test are: named by the environment, or where cargo builds them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};

/// The program `hopscope`: `HOPSCOPE_BIN`, or built by cargo if need be.
///
/// # Errors
/// Where there is none and it cannot be built.
pub fn hopscope() -> Result<PathBuf> {
    static PATH: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    built(
        &PATH,
        "HOPSCOPE_BIN",
        "hopscope",
        &["build", "--package", "hopscope"],
    )
}

/// The lab's cluster: `HOPSCOPE_LAB_CLUSTER`, or built by cargo if need be.
///
/// # Errors
/// Where there is none and it cannot be built.
pub fn cluster() -> Result<PathBuf> {
    static PATH: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let arguments = ["build", "--package", "hopscope-lab", "--example", "cluster"];
    built(&PATH, "HOPSCOPE_LAB_CLUSTER", "examples/cluster", &arguments)
}

/// The root file system of the agent's image: `HOPSCOPE_IMAGE`, which `cargo xtask scenarios` makes and names.
///
/// # Errors
/// Where there is none.
pub fn image() -> Result<PathBuf> {
    let path = std::env::var_os("HOPSCOPE_IMAGE").context(
        "HOPSCOPE_IMAGE names no folder: play this by `cargo xtask scenarios image`, or name what `cargo xtask image` made",
    )?;
    let path = PathBuf::from(path);
    if !path.join("hopscope").is_file() {
        bail!("{} holds no image", path.display());
    }
    Ok(path)
}

/// The lab's shop: `HOPSCOPE_LAB_SHOP`, or built by cargo if need be.
///
/// # Errors
/// Where there is none and it cannot be built.
pub fn shop() -> Result<PathBuf> {
    static PATH: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let arguments = ["build", "--package", "hopscope-lab", "--example", "shop"];
    built(&PATH, "HOPSCOPE_LAB_SHOP", "examples/shop", &arguments)
}

fn built(
    once: &'static OnceLock<Result<PathBuf, String>>,
    variable: &str,
    file: &str,
    arguments: &[&str],
) -> Result<PathBuf> {
    let found = once.get_or_init(|| locate(variable, file, arguments).map_err(|error| format!("{error:#}")));
    found.clone().map_err(anyhow::Error::msg)
}

fn locate(variable: &str, file: &str, arguments: &[&str]) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        let path = PathBuf::from(path);
        if !path.is_file() {
            bail!("{variable} names {}, where there is no file", path.display());
        }
        return Ok(path);
    }
    // A test runs from target/PROFILE/deps, xtask from target/PROFILE.
    let own = std::env::current_exe().context("the path of this program")?;
    let mut folder = own.parent().context("the target folder")?;
    if folder.ends_with("deps") {
        folder = folder.parent().context("the target folder")?;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.arg("--quiet").args(arguments);
    if let Some(profile) = ["release", "dist"]
        .into_iter()
        .find(|profile| folder.ends_with(profile))
    {
        command.args(["--profile", profile]);
    }
    let status = command.status().context("running cargo")?;
    let path = folder.join(file);
    if !status.success() || !path.is_file() {
        bail!(
            "{} is missing: set {variable}, or run cargo {}",
            path.display(),
            arguments.join(" ")
        );
    }
    Ok(path)
}
