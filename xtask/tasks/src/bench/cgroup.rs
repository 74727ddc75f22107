//! A cgroup for each proxy: what it uses, all of its threads and processes, and nothing else's.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

/// A cgroup of version 2, removed when dropped.
#[derive(Debug)]
pub(super) struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes one of that name below the mount of version 2.
    pub(super) fn new(name: &str) -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").context("reading /proc/self/mounts")?;
        let mount = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .find(|fields| fields.get(2) == Some(&"cgroup2"))
            .and_then(|fields| fields.get(1).map(|path| (*path).to_owned()))
            .context("no cgroup2 is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified")?;
        let path = Path::new(&mount).join(format!("hopscope-bench-{}-{name}", std::process::id()));
        fs::create_dir(&path)
            .with_context(|| format!("making the cgroup {}; it needs root", path.display()))?;
        Ok(Self { path })
    }

    /// The file to which a process writes its number to join.
    pub(super) fn door(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// CPU time used since it was made (`usage_usec` of cpu.stat, Documentation/admin-guide/cgroup-v2.rst).
    pub(super) fn cpu(&self) -> Result<Duration> {
        let file = self.path.join("cpu.stat");
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let micros = text
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok())
            .context("cpu.stat has no usage_usec")?;
        Ok(Duration::from_micros(micros))
    }

    /// CPU time that its threads of this name have used (proc(5), `schedstat`: nanoseconds on a CPU come first).
    pub(super) fn cpu_of_thread(&self, name: &str) -> Result<Duration> {
        let mut nanos = 0;
        for thread in fs::read_to_string(self.path.join("cgroup.threads"))?.lines() {
            let read = |what: &str| fs::read_to_string(format!("/proc/{thread}/{what}"));
            // One that has just ended is no thread of ours: what we name lives as long as its process.
            let (Ok(called), Ok(times)) = (read("comm"), read("schedstat")) else {
                continue;
            };
            if called.trim_end() == name {
                let ran = times.split(' ').next().and_then(|ran| ran.parse::<u64>().ok());
                nanos += ran.context("a schedstat without times")?;
            }
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Proportional set size of its processes, KiB (proc(5), smaps_rollup).
    pub(super) fn memory_kib(&self) -> Result<u64> {
        let mut sum = 0;
        for process in fs::read_to_string(self.door())?.lines() {
            let file = format!("/proc/{process}/smaps_rollup");
            let text = fs::read_to_string(&file).with_context(|| format!("reading {file}"))?;
            sum += text
                .lines()
                .find_map(|line| {
                    line.strip_prefix("Pss:")?
                        .trim()
                        .strip_suffix(" kB")?
                        .parse::<u64>()
                        .ok()
                })
                .with_context(|| format!("{file} has no Pss"))?;
        }
        Ok(sum)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // It is empty only some time after its last process was waited for.
        for _attempt in 0..100 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            super::pause(Duration::from_millis(10));
        }
    }
}
