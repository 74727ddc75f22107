//! A limit on a process's CPU time by a control group of its own, gone when the scenario ends.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A control group with one process in it.
#[derive(Debug)]
pub struct Quota {
    folder: PathBuf,
    outside: PathBuf,
    pid: u32,
}

impl Quota {
    /// Gives a process one millisecond of CPU time a second.
    ///
    /// # Errors
    /// Without root, or where no control group of either version can limit CPU time.
    pub fn starve(pid: u32) -> Result<Self> {
        let name = format!("hopscope-{}-{pid}", std::process::id());
        let first = Path::new("/sys/fs/cgroup/cpu");
        let second = Path::new("/sys/fs/cgroup");
        let (root, files) = if first.join("cpu.cfs_quota_us").exists() || first.join("cgroup.procs").exists()
        {
            // cpu.cfs_period_us first: a quota has to fit its period.
            let files: &[_] = &[("cpu.cfs_period_us", "1000000"), ("cpu.cfs_quota_us", "1000")];
            (first, files)
        } else {
            fs::write(second.join("cgroup.subtree_control"), "+cpu")
                .context("control groups of version 2 cannot limit CPU time here")?;
            let files: &[_] = &[("cpu.max", "1000 1000000")];
            (second, files)
        };
        let quota = Self {
            folder: root.join(name),
            outside: root.join("cgroup.procs"),
            pid,
        };
        fs::create_dir(&quota.folder).with_context(|| format!("making {}", quota.folder.display()))?;
        for (file, value) in files {
            fs::write(quota.folder.join(file), value).with_context(|| format!("setting {file}"))?;
        }
        fs::write(quota.folder.join("cgroup.procs"), pid.to_string()).context("moving the process")?;
        Ok(quota)
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // The process may be gone, and then its group is empty.
        drop(fs::write(&self.outside, self.pid.to_string()));
        drop(fs::remove_dir(&self.folder));
    }
}
