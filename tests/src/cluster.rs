//! The lab's API server with one pod behind it, as a process that takes commands.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::Process;
use crate::program;

const LIMIT: Duration = Duration::from_secs(20);

/// The port of the pod that leads to the application.
pub const POD_PORT: u16 = 8080;

/// A running cluster with the pod, service and deployment `web`.
#[derive(Debug)]
pub struct Cluster {
    process: Process,
    folder: TempDir,
}

impl Cluster {
    /// Starts one whose pod's port leads to `application`, with more words on its command line.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start(application: SocketAddr, more: &[&str]) -> Result<Self> {
        let folder = TempDir::new().context("a folder for the kubeconfig")?;
        let mut command = Command::new(program::cluster()?);
        command
            .arg(format!("--port={POD_PORT}={application}"))
            .arg(format!("--service=80={POD_PORT}"))
            .arg("--kubeconfig")
            .arg(folder.path().join("kubeconfig"))
            .args(more);
        let mut process = Process::start(&mut command)?;
        process.wait_for(LIMIT, "address", |line| line.contains("\"server\"").then_some(()))?;
        Ok(Self { process, folder })
    }

    /// The kubeconfig that leads to it.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// The port of the API server.
    ///
    /// # Errors
    /// Where the kubeconfig does not name it.
    pub fn port(&self) -> Result<u16> {
        let text = std::fs::read_to_string(self.kubeconfig())?;
        let server = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("server: "))
            .context("the kubeconfig names no server")?;
        Ok(server.rsplit(':').next().unwrap_or_default().parse()?)
    }

    /// A folder that lives as long as it does.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Carries a command out and gives its answer; the commands are in its `--help`.
    ///
    /// # Errors
    /// Where it refuses.
    pub fn order(&mut self, command: &str) -> Result<Value> {
        self.process.say(command)?;
        let answer = self
            .process
            .wait_for(LIMIT, "answer", |line| serde_json::from_str::<Value>(line).ok())?;
        if let Some(error) = answer.get("error") {
            bail!("the cluster refuses {command:?}: {error}");
        }
        Ok(answer)
    }
}
