//! What `/proc` tells of a process that runs as our own user, without any privilege. Linux only; empty elsewhere.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use hopscope_attribution::evidence::{Observation, WhyUnseen};

/// The kernel counts CPU time for `/proc` in these (`USER_HZ`, 100 on every Linux; `proc_pid_stat(5)`).
const MILLIS_PER_TICK: u64 = 10;

/// State and CPU time of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Stopped by a signal (state `T`) or by a tracer (`t`).
    pub stopped: bool,
    /// User and system time used so far, milliseconds.
    pub cpu_ms: u64,
}

/// `/proc/PID/stat`.
pub fn stat(pid: u32) -> Observation<Stat> {
    read(pid, "stat", |text| parse_stat(&text))
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name stands in brackets and may itself hold spaces and brackets.
    let (_, fields) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        stopped: matches!(*fields.first()?, "T" | "t"),
        cpu_ms: ticks(11)?
            .saturating_add(ticks(12)?)
            .saturating_mul(MILLIS_PER_TICK),
    })
}

/// The command line, arguments separated by spaces.
pub fn command(pid: u32) -> Observation<Vec<String>> {
    read(pid, "cmdline", |text| {
        let words: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
        (!words.is_empty()).then_some(words)
    })
}

/// The most descriptors that it may have.
pub fn descriptor_limit(pid: u32) -> Observation<u32> {
    read(pid, "limits", |text| {
        let line = text.lines().find(|line| line.starts_with("Max open files"))?;
        line.split_ascii_whitespace().nth(3)?.parse().ok()
    })
}

/// How many descriptors it has.
pub fn descriptors(pid: u32) -> Observation<u32> {
    let folder = descriptor_folder(pid);
    let count = match fs::metadata(&folder) {
        // Linux 6.2 and later give the count as the folder's size.
        Ok(folder) if folder.len() > 0 => Ok(folder.len()),
        _ => fs::read_dir(&folder).map(|entries| entries.count() as u64),
    };
    match count {
        Ok(count) => Observation::Seen(u32::try_from(count).unwrap_or(u32::MAX)),
        Err(error) => Observation::Unseen(why(&error)),
    }
}

/// What the kernel calls the wait for room in a pipe: `pipe_write`, and `anon_pipe_write` since Linux 6.15.
const PIPE_WRITE: &str = "pipe_write";

/// Whether a thread of it waits to write into a pipe that nobody reads.
pub fn output_blocked(pid: u32) -> Observation<bool> {
    let threads = match fs::read_dir(format!("/proc/{pid}/task")) {
        Ok(threads) => threads,
        Err(error) => return Observation::Unseen(why(&error)),
    };
    let waits: Vec<String> = threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("wchan")).ok())
        .collect();
    // A kernel that keeps its names to itself says 0 of every thread; some thread of a program with several always waits.
    if waits.iter().all(|wait| matches!(wait.as_str(), "" | "0")) {
        return Observation::Unseen(WhyUnseen::NotSupported);
    }
    Observation::Seen(waits.iter().any(|wait| wait.ends_with(PIPE_WRITE)))
}

/// Milliseconds for which its threads were ready to run and had no CPU, each thread's added up: on a busy host, or held
/// back by a quota of its control group. The second number of `schedstat`, nanoseconds.
pub fn cpu_wait(pid: u32) -> Observation<u64> {
    let threads = match fs::read_dir(format!("/proc/{pid}/task")) {
        Ok(threads) => threads,
        Err(error) => return Observation::Unseen(why(&error)),
    };
    let waits = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()
    });
    waits
        .reduce(u64::saturating_add)
        .map_or(Observation::Unseen(WhyUnseen::NotSupported), |nanos| {
            Observation::Seen(nanos / 1_000_000)
        })
}

/// The inodes of its sockets.
pub fn socket_inodes(pid: u32) -> Observation<HashSet<u32>> {
    match fs::read_dir(descriptor_folder(pid)) {
        Ok(entries) => Observation::Seen(
            entries
                .filter_map(|entry| socket_inode(&entry.ok()?.path()))
                .collect(),
        ),
        Err(error) => Observation::Unseen(why(&error)),
    }
}

/// Whether it holds the socket with this inode.
fn holds(pid: u32, inode: u32) -> bool {
    fs::read_dir(descriptor_folder(pid)).is_ok_and(|entries| {
        entries
            .filter_map(Result::ok)
            .any(|entry| socket_inode(&entry.path()) == Some(inode))
    })
}

/// The process that holds the socket with this inode, among those that we may look at.
pub fn holder(inode: u32) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?;
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .find(|pid| holds(*pid, inode))
}

/// The file that it runs.
pub fn program(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/exe"))
}

fn descriptor_folder(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/fd"))
}

/// `socket:[12345]`
fn socket_inode(descriptor: &Path) -> Option<u32> {
    let target = fs::read_link(descriptor).ok()?;
    target
        .to_str()?
        .strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

fn read<T>(pid: u32, file: &str, parse: impl FnOnce(String) -> Option<T>) -> Observation<T> {
    match fs::read(format!("/proc/{pid}/{file}")) {
        Ok(bytes) => parse(String::from_utf8_lossy(&bytes).into_owned())
            .map_or(Observation::Unseen(WhyUnseen::NotSupported), Observation::Seen),
        Err(error) => Observation::Unseen(why(&error)),
    }
}

fn why(error: &std::io::Error) -> WhyUnseen {
    if cfg!(not(target_os = "linux")) {
        WhyUnseen::NotSupported
    } else if error.kind() == std::io::ErrorKind::PermissionDenied {
        WhyUnseen::NotPermitted
    } else {
        WhyUnseen::OutsideTheWindow
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_is_running_and_within_its_limit() {
        let pid = std::process::id();
        assert!(stat(pid).seen().is_some_and(|stat| !stat.stopped));
        let (used, limit) = (descriptors(pid), descriptor_limit(pid));
        assert!(
            used.seen() > Some(&2) && used.seen() < limit.seen(),
            "{used:?} {limit:?}"
        );
        assert!(
            command(pid)
                .seen()
                .is_some_and(|words| words[0].contains("hopscope"))
        );
    }

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let text = "77 (a) b) c) T 1 77 77 0 -1 4194304 1 0 0 0 12 30 0 0 20 0 1 0 9 0 0";
        let expected = Stat {
            stopped: true,
            cpu_ms: 420,
        };
        assert_eq!(parse_stat(text), Some(expected));
        assert_eq!(parse_stat("77 (a"), None);
    }

    #[test]
    fn the_holder_of_a_socket_is_found_by_its_inode() {
        use std::os::fd::AsRawFd as _;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let inode = socket_inode(&PathBuf::from(format!("/proc/self/fd/{}", listener.as_raw_fd())));
        assert_eq!(holder(inode.expect("a socket")), Some(std::process::id()));
    }

    #[test]
    fn a_process_that_is_gone_is_outside_the_window() {
        assert_eq!(stat(u32::MAX), Observation::Unseen(WhyUnseen::OutsideTheWindow));
    }
}
