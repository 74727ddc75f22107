//! A process that is alive and does nothing: frozen by a control group, so that it is not seen as stopped. What it has
//! open stays open, and what arrives stays unread, as with a program that hangs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A frozen process; dropped, it goes on.
#[derive(Debug)]
pub(crate) struct Frozen {
    folder: PathBuf,
    outside: PathBuf,
    pid: u32,
}

impl Frozen {
    /// Freezes it.
    pub(crate) fn new(pid: u32) -> Result<Self> {
        let root = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .map(Path::new)
            .into_iter()
            .find(|root| root.join("cgroup.controllers").exists())
            .context("no control groups of version 2 are mounted")?;
        let frozen = Self {
            folder: root.join(format!("hopscope-wild-{}-{pid}", std::process::id())),
            outside: root.join("cgroup.procs"),
            pid,
        };
        fs::create_dir(&frozen.folder).with_context(|| format!("making {}", frozen.folder.display()))?;
        fs::write(frozen.folder.join("cgroup.procs"), pid.to_string()).context("moving the process")?;
        fs::write(frozen.folder.join("cgroup.freeze"), "1").context("freezing it")?;
        Ok(frozen)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // Each may fail where the process is gone; its group then goes all the same.
        drop(fs::write(self.folder.join("cgroup.freeze"), "0"));
        drop(fs::write(&self.outside, self.pid.to_string()));
        drop(fs::remove_dir(&self.folder));
    }
}
