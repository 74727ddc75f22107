//! A child process: read from its first word on, waited for with a bound, killed on drop.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// A running program in a process group of its own.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Every line so far, for the message of a failure.
    heard: Vec<String>,
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {name}"))?;
        let (sender, lines) = mpsc::channel();
        if let Some(pipe) = child.stdout.take() {
            follow(pipe, sender.clone());
        }
        if let Some(pipe) = child.stderr.take() {
            follow(pipe, sender);
        }
        Ok(Self {
            input: child.stdin.take(),
            name,
            child,
            lines,
            heard: Vec::new(),
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has said as far as it was waited for.
    pub fn heard(&self) -> String {
        self.heard.join("\n")
    }

    /// Waits for a line from which `wanted` makes something.
    ///
    /// # Errors
    /// Where none comes in time; the message holds what it said.
    pub fn wait_for<T>(
        &mut self,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let found = wanted(&line);
                    self.heard.push(line);
                    if let Some(found) = found {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!(
                        "{}: no {what} within {limit:?}; it said:\n{}",
                        self.name,
                        self.heard()
                    )
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("{}: ended before {what}; it said:\n{}", self.name, self.heard())
                }
            }
        }
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    /// Where it does not read any more.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().context("its standard input is closed")?;
        writeln!(input, "{line}").with_context(|| format!("{} does not read", self.name))
    }

    /// Sends it a signal, by the name that kill(1) knows.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn signal(&self, signal: &str) -> Result<()> {
        signal_to(self.id(), signal)
    }

    /// Waits for its end, reading on.
    ///
    /// # Errors
    /// Where it does not end in time.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.heard.push(line),
                Err(RecvTimeoutError::Disconnected) => {
                    return self
                        .child
                        .wait()
                        .with_context(|| format!("waiting for {}", self.name));
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!(
                        "{} did not end within {limit:?}; it said:\n{}",
                        self.name,
                        self.heard()
                    )
                }
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // The group, so that its own children do not stay behind.
            drop(
                Command::new("kill")
                    .args(["-KILL", "--", &format!("-{}", self.id())])
                    .status(),
            );
            drop(self.child.wait());
        }
    }
}

/// Sends a signal to a process, by the name that kill(1) knows.
///
/// # Errors
/// Where it is gone.
pub fn signal_to(pid: u32, signal: &str) -> Result<()> {
    let status = Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(pid.to_string())
        .status()
        .context("running kill")?;
    if !status.success() {
        bail!("process {pid} is gone");
    }
    Ok(())
}

/// The children of a process whose command line holds all of `words`.
///
/// # Errors
/// Where the process is gone.
pub fn children(pid: u32, words: &[&str]) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid}"))? {
        let children = std::fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        for child in children.split_ascii_whitespace() {
            let line = std::fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
            if words.iter().all(|word| line.contains(word)) {
                found.push(child.parse()?);
            }
        }
    }
    Ok(found)
}

fn follow(pipe: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { return };
            if lines.send(line).is_err() {
                return;
            }
        }
    });
}
