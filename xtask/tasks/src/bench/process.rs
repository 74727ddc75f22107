//! Programs that are started for a while, each on its cores.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::cgroup::Cgroup;

/// The longest that a program may take until it listens.
const PATIENCE: Duration = Duration::from_secs(10);

/// A program that is killed when dropped.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    /// What it writes to its standard error.
    complaints: PathBuf,
}

impl Running {
    /// Starts a program on those cores, in a cgroup if one is given.
    pub(super) fn start(
        program: &Path,
        words: &[impl AsRef<OsStr>],
        cores: &str,
        cgroup: Option<&Cgroup>,
        folder: &Path,
    ) -> Result<Self> {
        let name = program.file_name().unwrap_or(program.as_os_str());
        let complaints = folder.join(name).with_extension("stderr");
        let mut command = match cgroup {
            // The shell joins, and becomes the program: nothing of it runs outside.
            Some(cgroup) => {
                let mut command = Command::new("sh");
                command
                    .args(["-c", "echo $$ >\"$0\" && exec \"$@\""])
                    .arg(cgroup.door())
                    .arg("taskset");
                command
            }
            None => Command::new("taskset"),
        };
        let child = command
            .args(["-c", cores])
            .arg(program)
            .args(words)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&complaints)?)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Self { child, complaints })
    }

    /// Waits until something listens on the port.
    pub(super) fn listening(mut self, port: u16) -> Result<Self> {
        let began = Instant::now();
        loop {
            if TcpStream::connect(loopback(port)).is_ok() {
                return Ok(self);
            }
            if let Some(status) = self.child.try_wait()? {
                let complaints = fs::read_to_string(&self.complaints).unwrap_or_default();
                bail!("it ended with {status} before it listened on port {port}: {complaints}");
            }
            if began.elapsed() > PATIENCE {
                bail!("it does not listen on port {port}");
            }
            super::pause(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The loopback address with that port.
pub(super) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
