//! Where it is measured: two cores, and a network namespace that has nothing but the bench in it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::target::Target;
use super::workload::Workload;
use crate::workspace;

/// The two cores.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cores {
    proxy: u32,
    load: u32,
}

impl Cores {
    /// The first two that we may use.
    pub(super) fn find() -> Result<Self> {
        let status = fs::read_to_string("/proc/self/status").context("reading /proc/self/status")?;
        let list = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
            .context("the kernel does not say which cores we may use")?;
        let available: Vec<u32> = list
            .trim()
            .split(',')
            .filter_map(|range| {
                let (from, to) = range.split_once('-').unwrap_or((range, range));
                Some(from.parse::<u32>().ok()?..=to.parse().ok()?)
            })
            .flatten()
            .collect();
        match available.as_slice() {
            [proxy, load, ..] => Ok(Self {
                proxy: *proxy,
                load: *load,
            }),
            _ => anyhow::bail!("two cores are needed: one for the proxy, one for generator and upstream"),
        }
    }

    /// Where the proxy runs, as taskset(1) takes it.
    pub(super) fn of_proxy(self, workload: Workload) -> String {
        self.pinned_to(self.proxy, workload)
    }

    /// Where the generator and the upstream run.
    pub(super) fn of_load(self, workload: Workload) -> String {
        self.pinned_to(self.load, workload)
    }

    fn pinned_to(self, core: u32, workload: Workload) -> String {
        if workload.is_pinned() {
            core.to_string()
        } else {
            self.both()
        }
    }

    fn both(self) -> String {
        format!("{},{}", self.proxy, self.load)
    }
}

/// Builds hopscope, and runs this very command again inside. Gives the folder with the figures.
pub(super) fn enter(root: &Path) -> Result<PathBuf> {
    let hopscope = match std::env::var_os("HOPSCOPE_BIN") {
        Some(named) => PathBuf::from(named),
        None => workspace::dist(root)?,
    };
    let cores = Cores::find()?;
    let folder = std::env::temp_dir().join(format!("hopscope-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let ourselves = std::env::current_exe().context("finding this program")?;
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    // The namespace has no name: it is gone with the last process in it, however that ends.
    let status = Command::new("sh")
        .args([
            "-c",
            "ulimit -n \"$(ulimit -Hn)\"; exec \"$@\"",
            "sh",
            "taskset",
            "-c",
        ])
        .arg(cores.both())
        .args(["unshare", "--net", "--"])
        .arg(ourselves)
        .args(words)
        .arg("--inside")
        .arg(&folder)
        .env("HOPSCOPE_BIN", hopscope)
        .status()
        .context("running unshare")?;
    ensure!(
        status.success(),
        "the bench did not come to its end; its files are in {}",
        folder.display()
    );
    Ok(folder)
}

/// Makes the namespace fit to be measured in.
pub(super) fn furnish() -> Result<()> {
    let status = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()
        .context("running ip")?;
    ensure!(
        status.success(),
        "the loopback device cannot be brought up: the bench needs root"
    );
    for (name, value) in [
        // All ports that anything here listens on are below: a connect() that waits for its listener would otherwise
        // meet itself there, and keep the port.
        ("ipv4/ip_local_port_range", "10000 64999"),
        ("ipv4/tcp_tw_reuse", "1"),
        ("core/somaxconn", "8192"),
    ] {
        fs::write(format!("/proc/sys/net/{name}"), value).with_context(|| format!("setting net/{name}"))?;
    }
    Ok(())
}

/// What the figures depend on, as name and value. Nothing in it tells one machine from another of its kind.
pub(super) fn facts() -> Vec<(String, String)> {
    let mut facts = vec![
        ("date".to_owned(), said("date", &["-u", "+%F"])),
        ("kernel".to_owned(), said("uname", &["-r"])),
    ];
    // What else ran on the machine when the bench began: it makes ratios rougher, and latencies worthless.
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    facts.push((
        "load".to_owned(),
        load.split(' ').next().unwrap_or("unknown").to_owned(),
    ));
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let virtual_machine = processors.contains(" hypervisor");
    facts.push(("cpu".to_owned(), model.to_owned()));
    facts.push((
        "machine".to_owned(),
        format!("{cores}-core-{}", if virtual_machine { "vm" } else { "host" }),
    ));
    for (name, target, words) in [
        ("hopscope", Target::Hopscope, ["--version"]),
        ("haproxy", Target::Haproxy, ["-v"]),
        ("nginx", Target::Nginx, ["-v"]),
        ("envoy", Target::Envoy, ["--version"]),
    ] {
        if let Some(program) = target.program() {
            facts.push((
                name.to_owned(),
                version(&said(&program.to_string_lossy(), &words)),
            ));
        }
    }
    facts.push(("wrk".to_owned(), version(&said("wrk", &["-v"]))));
    facts
}

/// The first number with a dot in what a program says of itself.
fn version(said: &str) -> String {
    said.split(|c: char| c.is_whitespace() || c == '/')
        .find(|word| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()))
        .unwrap_or("absent")
        .to_owned()
}

/// All that a program says, on both streams.
fn said(program: &str, words: &[&str]) -> String {
    match Command::new(program).args(words).output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            String::from_utf8_lossy(&text).trim().to_owned()
        }
        Err(_) => String::new(),
    }
}
