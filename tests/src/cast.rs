//! Processes that play a part within a namespace, under the name of whom they play.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::netns::Netns;
use crate::process::Process;

/// How long anything may take on a slow and busy machine before the scenario fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A folder in which the actor stands under many names: to the kernel, a process is called like its file.
#[derive(Debug)]
pub struct Cast {
    actor: PathBuf,
    folder: TempDir,
}

impl Cast {
    /// Of one program, `actor`.
    ///
    /// # Errors
    /// Where the temporary folder cannot be written.
    pub fn of(actor: &str) -> Result<Self> {
        let folder = tempfile::tempdir().context("a temporary folder")?;
        Ok(Self {
            actor: actor.into(),
            folder,
        })
    }

    /// Starts the actor as `name` within a namespace.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub fn play(&self, name: &str, within: &Netns, words: &[&str]) -> Result<Process> {
        self.start(name, within, &[], words)
    }

    /// The same, with no more than so many descriptors.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub fn play_poor(&self, name: &str, within: &Netns, descriptors: u32, words: &[&str]) -> Result<Process> {
        let limit = format!("--nofile={descriptors}:{descriptors}");
        self.start(name, within, &["prlimit", &limit], words)
    }

    fn start(&self, name: &str, within: &Netns, behind: &[&str], words: &[&str]) -> Result<Process> {
        let path = self.folder.path().join(name);
        if !path.exists() {
            fs::hard_link(&self.actor, &path)
                .or_else(|_other_file_system| fs::copy(&self.actor, &path).map(|_bytes| ()))
                .with_context(|| format!("the actor as {name}"))?;
        }
        Process::start(
            Command::new("ip")
                .args(["netns", "exec", within.name()])
                .args(behind)
                .arg(path)
                .args(words),
        )
    }
}

/// Waits for the end of a process, and gives the lines that it said.
///
/// # Errors
/// Where it does not end.
pub fn all_of(mut process: Process) -> Result<Vec<String>> {
    process.wait(PATIENCE)?;
    Ok(process.heard().lines().map(ToOwned::to_owned).collect())
}
