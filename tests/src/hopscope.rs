//! `hopscope proxy` as a process: started, sent load, stopped, its report read.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::process::Process;
use crate::program;
use crate::report::Report;

/// kubectl may take its time on a loaded machine.
const START_LIMIT: Duration = Duration::from_mins(1);

/// Its own grace comes on top of the diagnosis.
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// A running `hopscope proxy`.
#[derive(Debug)]
pub struct Hopscope {
    process: Process,
    address: SocketAddr,
    json: PathBuf,
}

impl Hopscope {
    /// Starts it with one path and more words on its command line; its files go to `folder`.
    ///
    /// # Errors
    /// Where it does not listen; the message holds what it said.
    pub fn proxy(via: &str, folder: &Path, more: &[&str]) -> Result<Self> {
        Self::launched(&[], via, folder, more)
    }

    /// The same, run by another program, such as `ip netns exec NAME`.
    ///
    /// # Errors
    /// Where it does not listen; the message holds what it said.
    pub fn launched(launcher: &[&str], via: &str, folder: &Path, more: &[&str]) -> Result<Self> {
        let json = folder.join("report.json");
        let program = program::hopscope()?;
        let mut command = match launcher {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command
            .arg("proxy")
            .args(["--listen=127.0.0.1:0", "--grace=1"].iter().filter(|default| {
                let name = default.split('=').next().unwrap_or_default();
                !more.iter().any(|word| word.starts_with(name))
            }))
            .args(["--via", via, "--record"])
            .arg(folder.join("run.hopscope"))
            .arg("--json")
            .arg(&json)
            .args(more)
            // kubectl keeps what it learns of a server under HOME.
            .env("HOME", folder)
            .env_remove("http_proxy")
            .env_remove("https_proxy");
        let mut process = Process::start(&mut command)?;
        let address = process.wait_for(START_LIMIT, "address", |line| {
            line.split("hopscope listens on http://")
                .nth(1)?
                .trim()
                .parse()
                .ok()
        })?;
        Ok(Self {
            process,
            address,
            json,
        })
    }

    /// Where the load goes.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends it a signal, by the name that kill(1) knows.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn signal(&self, signal: &str) -> Result<()> {
        self.process.signal(signal)
    }

    /// Stops it as Ctrl-C does and reads its report.
    ///
    /// # Errors
    /// Where it does not end, or leaves no report.
    pub fn finish(self) -> Result<Report> {
        self.process.signal("INT")?;
        self.wait()
    }

    /// Waits for its end, which something else has brought about, and reads its report.
    ///
    /// # Errors
    /// Where it does not end, or leaves no report.
    pub fn wait(mut self) -> Result<Report> {
        let status = self.process.wait(STOP_LIMIT)?;
        let said = self.process.heard();
        let text = std::fs::read_to_string(&self.json)
            .with_context(|| format!("no report ({status}); it said:\n{said}"))?;
        Report::parse(&text, said)
    }
}
