//! What /proc tells without any privilege but seeing the host's processes: namespaces, sockets and their owners, and
//! the kernel's own counters of each namespace.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::{fs, io};

use hopscope_attribution::evidence::FourTuple;

use crate::label;

/// A network namespace: its inode number.
pub type Netns = u32;

/// Sockets whose owners are looked up; more than that stay without.
const SOCKETS: usize = 131_072;
/// Directories of a cgroup tree that are looked into.
const CGROUPS: usize = 65_536;

/// The namespace of a process.
///
/// # Errors
/// When the link cannot be read: without CAP_SYS_PTRACE, that of another user's process.
pub fn netns(proc: &Path, pid: &str) -> io::Result<Netns> {
    let link = fs::read_link(proc.join(pid).join("ns/net"))?;
    let link = link.to_string_lossy();
    let inode = link.strip_prefix("net:[").and_then(|rest| rest.strip_suffix(']'));
    inode
        .and_then(|inode| inode.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no namespace in '{link}'")))
}

/// Device and inode of a process' `net/tcp`: the same for two processes of one network namespace, and for no others.
/// Anybody may ask, also of processes whose `ns/net` is closed to him.
pub type SocketTable = (u64, u64);

/// The socket table that a process sees.
pub fn socket_table(proc: &Path, pid: u32) -> Option<SocketTable> {
    use std::os::unix::fs::MetadataExt as _;
    let facts = fs::metadata(proc.join(pid.to_string()).join("net/tcp")).ok()?;
    Some((facts.dev(), facts.ino()))
}

/// The number by which a `/proc` knows the process that asks.
pub fn own_pid(proc: &Path) -> Option<u32> {
    fs::read_link(proc.join("self")).ok()?.to_str()?.parse().ok()
}

/// The processes of a cgroup.
pub fn members(cgroup: &Path) -> Vec<u32> {
    let text = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|pid| pid.parse().ok()).collect()
}

/// Every process, by number.
fn pids(proc: &Path) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
}

/// Every namespace that a process lives in, with one of its processes.
pub fn namespaces(proc: &Path) -> BTreeMap<Netns, u32> {
    let mut found = BTreeMap::new();
    for pid in pids(proc) {
        if let Ok(netns) = netns(proc, &pid.to_string()) {
            found.entry(netns).or_insert(pid);
        }
    }
    found
}

/// The name of a process' main thread.
pub fn comm(proc: &Path, pid: u32) -> Option<String> {
    let name = fs::read(proc.join(pid.to_string()).join("comm")).ok()?;
    // The kernel ends it with a newline of its own; whatever else is in it the process chose.
    let name = String::from_utf8_lossy(name.strip_suffix(b"\n").unwrap_or(&name)).into_owned();
    Some(label::shown(&name))
}

/// The path of a process' cgroup (v2, or systemd's of v1).
pub fn cgroup_path(proc: &Path, pid: u32) -> Option<String> {
    let text = fs::read_to_string(proc.join(pid.to_string()).join("cgroup")).ok()?;
    let path_of = |start: &str| {
        text.lines()
            .find_map(|line| line.split_once(start).map(|(_, path)| path.to_owned()))
    };
    // A container's path is in every v1 hierarchy, and in v2's single one.
    let v2 = path_of("0::").filter(|path| path != "/");
    v2.or_else(|| path_of(":memory:"))
        .or_else(|| path_of(":name=systemd:"))
}

/// The sockets of one namespace as /proc/PID/net/tcp lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its addresses.
    pub ends: FourTuple,
    /// Its TCP state.
    pub state: u8,
    /// For a listener the length of its accept queue, else bytes not yet read.
    pub receive_queue: u32,
    /// What kind of timer runs: 4 is the zero-window probe.
    pub timer: u8,
    /// Inode of the socket.
    pub inode: u64,
}

/// Reads one line of /proc/PID/net/tcp or tcp6; `None` for its heading, and for what is no such line.
pub fn listed(line: &str) -> Option<Listed> {
    let mut fields = line.split_ascii_whitespace();
    fields.next()?;
    let local = endpoint(fields.next()?)?;
    let remote = endpoint(fields.next()?)?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let (_, receive) = fields.next()?.split_once(':')?;
    let (timer, _) = fields.next()?.split_once(':')?;
    let inode = fields.nth(3)?.parse().ok()?;
    Some(Listed {
        ends: FourTuple { local, remote },
        state,
        receive_queue: u32::from_str_radix(receive, 16).ok()?,
        timer: u8::from_str_radix(timer, 16).ok()?,
        inode,
    })
}

/// `0100007F:1F90`: the address in words of the machine's byte order, the port as a number.
fn endpoint(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok();
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?.to_ne_bytes())),
        32 => {
            let mut octets = [0; 16];
            for (at, chunk) in octets.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at)?.to_ne_bytes());
            }
            Ipv6Addr::from(octets).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Every TCP socket that a process of the namespace can see.
pub fn sockets(proc: &Path, pid: u32) -> Vec<Listed> {
    let net = proc.join(pid.to_string()).join("net");
    let read = |name: &str| fs::read_to_string(net.join(name)).unwrap_or_default();
    let mut found: Vec<_> = read("tcp").lines().filter_map(listed).collect();
    found.extend(read("tcp6").lines().filter_map(listed));
    found
}

/// Processes by the inodes of the sockets that they hold, as far as we may look. One that several hold is the first's.
pub fn owners(proc: &Path) -> HashMap<u64, u32> {
    let mut owners: HashMap<u64, u32> = HashMap::new();
    for pid in pids(proc) {
        let links = fs::read_dir(proc.join(pid.to_string()).join("fd"))
            .into_iter()
            .flatten()
            .flatten();
        for link in links.filter_map(|entry| fs::read_link(entry.path()).ok()) {
            if let Some(inode) = socket_inode(&link)
                && owners.len() < SOCKETS
            {
                owners.entry(inode).or_insert(pid);
            }
        }
    }
    owners
}

fn socket_inode(link: &Path) -> Option<u64> {
    link.to_str()?
        .strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

/// The counters of a namespace that are evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// `ListenOverflows`: SYNs and last ACKs that met a full accept queue.
    pub listen_overflows: u64,
    /// `ListenDrops`: those, and SYNs dropped for other want of room.
    pub listen_drops: u64,
    /// `TCPReqQFullDrop`: SYNs dropped because too many handshakes were half done, and cookies are off.
    pub syn_queue_drops: u64,
    /// `InDestUnreachs` of ICMP.
    pub told_unreachable: u64,
    /// `OutNoRoutes` of IPv4: connects and packets for which there was no route.
    pub no_routes: u64,
    /// `TCPToZeroWindowAdv`: times that a receiver closed its window.
    pub zero_windows: u64,
    /// `TCPAbortOnClose`: closed with bytes unread.
    pub aborts_on_close: u64,
    /// `TCPAbortOnTimeout`: gave up.
    pub aborts_on_timeout: u64,
    /// `AttemptFails`: connects that failed, or embryonic connections that were reset.
    pub attempt_fails: u64,
    /// `EstabResets`: established connections that were reset.
    pub established_resets: u64,
    /// `OutRsts`.
    pub resets_sent: u64,
    /// `RetransSegs`.
    pub retransmits: u64,
    /// `TCPSynRetrans`.
    pub syn_retransmits: u64,
}

/// Reads /proc/PID/net/netstat and snmp: pairs of lines, names and then numbers.
pub fn counters(text: &str) -> Counters {
    let mut all = HashMap::new();
    let mut lines = text.lines();
    while let (Some(names), Some(numbers)) = (lines.next(), lines.next()) {
        let group = names.split(':').next().unwrap_or_default();
        for (name, number) in names
            .split_ascii_whitespace()
            .zip(numbers.split_ascii_whitespace())
            .skip(1)
        {
            // MaxConn is -1; none of ours is ever negative.
            all.insert((group, name), number.parse::<u64>().unwrap_or(0));
        }
    }
    let of = |group: &'static str, name: &'static str| all.get(&(group, name)).copied().unwrap_or(0);
    Counters {
        listen_overflows: of("TcpExt", "ListenOverflows"),
        listen_drops: of("TcpExt", "ListenDrops"),
        syn_queue_drops: of("TcpExt", "TCPReqQFullDrop"),
        told_unreachable: of("Icmp", "InDestUnreachs"),
        no_routes: of("Ip", "OutNoRoutes"),
        zero_windows: of("TcpExt", "TCPToZeroWindowAdv"),
        aborts_on_close: of("TcpExt", "TCPAbortOnClose"),
        aborts_on_timeout: of("TcpExt", "TCPAbortOnTimeout"),
        attempt_fails: of("Tcp", "AttemptFails"),
        established_resets: of("Tcp", "EstabResets"),
        resets_sent: of("Tcp", "OutRsts"),
        retransmits: of("Tcp", "RetransSegs"),
        syn_retransmits: of("TcpExt", "TCPSynRetrans"),
    }
}

/// What tells this kernel from every other: the id that it drew when it booted, the same in all its namespaces.
pub fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

/// The counters of the namespace that a process lives in.
pub fn read_counters(proc: &Path, pid: u32) -> io::Result<Counters> {
    let net = proc.join(pid.to_string()).join("net");
    let mut text = fs::read_to_string(net.join("netstat"))?;
    text.push_str(&fs::read_to_string(net.join("snmp"))?);
    Ok(counters(&text))
}

impl Counters {
    /// What was added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let less = u64::saturating_sub;
        Self {
            listen_overflows: less(self.listen_overflows, earlier.listen_overflows),
            listen_drops: less(self.listen_drops, earlier.listen_drops),
            syn_queue_drops: less(self.syn_queue_drops, earlier.syn_queue_drops),
            told_unreachable: less(self.told_unreachable, earlier.told_unreachable),
            no_routes: less(self.no_routes, earlier.no_routes),
            zero_windows: less(self.zero_windows, earlier.zero_windows),
            aborts_on_close: less(self.aborts_on_close, earlier.aborts_on_close),
            aborts_on_timeout: less(self.aborts_on_timeout, earlier.aborts_on_timeout),
            attempt_fails: less(self.attempt_fails, earlier.attempt_fails),
            established_resets: less(self.established_resets, earlier.established_resets),
            resets_sent: less(self.resets_sent, earlier.resets_sent),
            retransmits: less(self.retransmits, earlier.retransmits),
            syn_retransmits: less(self.syn_retransmits, earlier.syn_retransmits),
        }
    }
}

/// Paths of cgroups by their inode, which is their id.
pub fn cgroups(root: &Path) -> HashMap<u64, String> {
    use std::os::unix::fs::MetadataExt;
    // A host with v1 controllers has its v2 tree beside them.
    let unified = root.join("unified");
    let root = if unified.is_dir() {
        unified
    } else {
        root.to_owned()
    };
    let mut found = HashMap::new();
    let mut pending: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = pending.pop() {
        if let Ok(facts) = fs::metadata(&folder) {
            let path = folder
                .strip_prefix(&root)
                .map(|path| format!("/{}", path.display()));
            found.insert(facts.ino(), path.unwrap_or_default());
        }
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        // Links do not occur; a bound guards against a tree that is something else altogether.
        if found.len() < CGROUPS {
            pending.extend(
                entries
                    .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
                    .map(|e| e.path()),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_of_the_socket_table_is_read() {
        let line = "   0: 0100007F:1F90 0200000A:A0B1 0A 00000000:00000005 04:00000000 00000000     0        0 4711 1 0 100";
        let read = listed(line).unwrap();
        assert_eq!(read.ends.local, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(read.ends.remote, "10.0.0.2:41137".parse().unwrap());
        assert_eq!(
            (read.state, read.receive_queue, read.timer, read.inode),
            (10, 5, 4, 4711)
        );
    }

    #[test]
    fn an_ipv6_line_is_read_and_a_mapped_address_told_as_ipv4() {
        let line = "  0: 00000000000000000000000001000000:0050 0000000000000000FFFF00000100007F:0051 01 0:0 00:0 0 0 0 9";
        let read = listed(line).unwrap();
        assert_eq!(read.ends.local, "[::1]:80".parse().unwrap());
        assert_eq!(read.ends.remote, "127.0.0.1:81".parse().unwrap());
    }

    #[test]
    fn counters_are_found_by_name_whatever_their_column() {
        let text = "TcpExt: Other ListenOverflows ListenDrops\nTcpExt: 9 3 4\nTcp: MaxConn AttemptFails\nTcp: -1 7\n";
        let read = counters(text);
        assert_eq!(
            (read.listen_overflows, read.listen_drops, read.attempt_fails),
            (3, 4, 7)
        );
    }

    #[test]
    fn this_process_has_a_namespace_and_counters() {
        let proc = Path::new("/proc");
        assert!(netns(proc, "self").unwrap() > 0);
        assert!(read_counters(proc, std::process::id()).is_ok());
        assert!(cgroup_path(proc, std::process::id()).is_some());
    }

    #[test]
    fn a_socket_of_ours_is_known_by_its_inode() {
        let _listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let all = owners(Path::new("/proc"));
        assert!(all.values().any(|pid| *pid == std::process::id()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_line_is_read_or_refused(line in "[ 0-9A-F:a-z]{0,160}") {
            let _socket_or_none = listed(&line);
            let _counters = counters(&line);
        }
    }
}
