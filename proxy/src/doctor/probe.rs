//! A look at the machine: files of the kernel, limits, programs, and a trial of the probes. Nothing is changed, and
//! nothing leaves it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hopscope_agent::layout::Wishes;
use hopscope_agent::loader::{self, ProbeStatus, Refusal};

/// What was seen of this machine. `None` where it could not be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Kernel release, such as `6.8.0-45-generic`.
    pub kernel: Option<String>,
    /// Whether the kernel describes its own types (`/sys/kernel/btf/vmlinux`).
    pub btf: bool,
    /// What became of each of the agent's probes when they were loaded and attached, or why none could be.
    pub probes: Option<Result<Vec<ProbeStatus>, Refusal>>,
    /// Effective capabilities as a bit set (`CapEff` of `/proc/self/status`).
    pub capabilities: Option<u64>,
    /// Kernel lockdown: `none`, `integrity` or `confidentiality`. `None` where the kernel has none.
    pub lockdown: Option<String>,
    /// Whether cgroup v2 is mounted at the usual place.
    pub cgroup_v2: bool,
    /// What the kernel answered to a question for its socket tables; `Ok` when it answered.
    pub sock_diag: Option<Result<(), String>>,
    /// Soft and hard limit of descriptors.
    pub descriptors: Option<(u64, u64)>,
    /// First and last ephemeral port.
    pub ports: Option<(u16, u16)>,
    /// Soft limit of locked memory in bytes; `u64::MAX` when unlimited.
    pub memlock: Option<u64>,
    /// Programs that hopscope works with: name, and the version that they state where they were found.
    pub programs: Vec<Program>,
}

/// A program that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// Where it was found on PATH: the first, and how many others.
    pub found: Option<(PathBuf, usize)>,
    /// What it says of its version.
    pub version: Option<String>,
}

/// Sockets that the trial's maps have room for: it is over before one is opened.
const TRIAL_CONNECTIONS: u32 = 1_024;

/// Looks at this machine.
pub fn look() -> Seen {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    Seen {
        kernel: line_of("/proc/sys/kernel/osrelease"),
        btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
        probes: Some(probes()),
        capabilities: capabilities(&status),
        lockdown: fs::read_to_string("/sys/kernel/security/lockdown")
            .ok()
            .and_then(|text| chosen(&text)),
        cgroup_v2: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
        sock_diag: Some(sock_diag()),
        descriptors: limit(&limits, "Max open files"),
        ports: line_of("/proc/sys/net/ipv4/ip_local_port_range").and_then(|line| ports(&line)),
        memlock: limit(&limits, "Max locked memory").map(|(soft, _)| soft),
        programs: vec![
            program("kubectl", &["version", "--client"]),
            program("k6", &["version"]),
            program("wrk", &["-v"]),
            program("oha", &["--version"]),
        ],
    }
}

fn line_of(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

/// Loads the probes, attaches them, and takes them away again: what a kernel allows, nobody can tell from outside.
fn probes() -> Result<Vec<ProbeStatus>, Refusal> {
    let wishes = Wishes {
        balancers: false,
        every_close: false,
    };
    loader::load(wishes, &[], TRIAL_CONNECTIONS).map(|loaded| loaded.status)
}

/// `CapEff: 000001ffffffffff`
fn capabilities(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The word in brackets: `none [integrity] confidentiality`.
fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    let (word, _) = rest.split_once(']')?;
    Some(word.to_owned())
}

/// Soft and hard limit: `Max open files            1024                 524288               files`.
fn limit(limits: &str, name: &str) -> Option<(u64, u64)> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    let mut words = line.split_whitespace();
    let mut next = || match words.next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    };
    Some((next()?, next()?))
}

fn ports(line: &str) -> Option<(u16, u16)> {
    let mut words = line.split_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// Asks for a netlink socket of the family that answers for socket tables.
fn sock_diag() -> Result<(), String> {
    // NETLINK_SOCK_DIAG, include/uapi/linux/netlink.h.
    const NETLINK_SOCK_DIAG: i32 = 4;
    let opened = socket2::Socket::new(
        socket2::Domain::from(libc::AF_NETLINK),
        socket2::Type::DGRAM,
        Some(socket2::Protocol::from(NETLINK_SOCK_DIAG)),
    );
    opened.map(drop).map_err(|error| error.to_string())
}

/// Looks a program up and asks it for its version.
fn program(name: &'static str, arguments: &[&str]) -> Program {
    let mut found: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| {
            std::env::split_paths(&path)
                .map(|folder| folder.join(name))
                .filter(|file| runs(file))
                .collect()
        })
        .unwrap_or_default();
    // The same file by another name is not another version.
    let mut real = Vec::new();
    found.retain(|file| {
        let target = fs::canonicalize(file).unwrap_or_else(|_unresolvable| file.clone());
        let new = !real.contains(&target);
        real.push(target);
        new
    });
    let version = found.first().and_then(|file| stated_version(file, arguments));
    Program {
        name,
        found: found.first().cloned().map(|first| (first, found.len() - 1)),
        version,
    }
}

fn runs(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// The first word of its output that looks like a version: `v1.32.4`, and wrk's `debian/4.1.0-3`, which exits with 1.
fn stated_version(file: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(file)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text.split(|c: char| c.is_whitespace() || matches!(c, '[' | ',' | '/'))
        .find(|word| {
            let digits = word.strip_prefix('v').unwrap_or(word);
            digits.contains('.') && digits.starts_with(|c: char| c.is_ascii_digit())
        })
        .map(|word| word.chars().take(40).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        assert_eq!(
            chosen("none [integrity] confidentiality\n").as_deref(),
            Some("integrity")
        );
        assert_eq!(
            capabilities("Name:\tx\nCapEff:\t000001ffffffffff\n"),
            Some(0x1ff_ffff_ffff)
        );
        assert_eq!(ports("32768\t60999"), Some((32_768, 60_999)));
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 524288               files     \n\
                      Max locked memory         unlimited            unlimited            bytes     \n";
        assert_eq!(limit(limits, "Max open files"), Some((1_024, 524_288)));
        assert_eq!(limit(limits, "Max locked memory"), Some((u64::MAX, u64::MAX)));
    }

    #[test]
    fn what_cannot_be_read_is_not_there() {
        assert_eq!(chosen(""), None);
        assert_eq!(capabilities("CapEff: zz"), None);
        assert_eq!(ports("1"), None);
        assert_eq!(limit("Max open files x y", "Max open files"), None);
    }

    #[test]
    fn looking_changes_nothing_and_ends() {
        assert!(look().kernel.is_some());
    }
}
