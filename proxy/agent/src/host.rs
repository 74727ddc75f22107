//! The host's own network namespace, by its number: all else that is not the host's is a container's.
//!
//! Process 1 lives in it, where it is the host's and not a container's own. Without CAP_SYS_PTRACE its `ns/net` is closed;
//! its `net` folder is open to all, and every namespace has a `net/tcp` of its own, with an inode number of its own. So
//! any process whose namespace is known and whose `net/tcp` is the same file as process 1's lives in the host's.
//! As long as it is not known, nothing is taken for a container by its namespace alone.

use std::path::Path;

use hopscope_host::procfs::{self, Netns, SocketTable};

use super::cgroup;
use super::parse::Process;

/// What is known of the host's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostNamespace {
    found: Option<Netns>,
    /// Process 1's; `None` where process 1 is not the host's.
    table: Option<SocketTable>,
    /// Why it is not known; empty where it is.
    why: &'static str,
}

/// Whether process 1 is a container's own, as without `hostPID`.
fn is_contained(proc: &Path) -> bool {
    // The first process that a kernel makes after it; no container has it.
    if procfs::comm(proc, 2).is_some_and(|name| name == "kthreadd") {
        return false;
    }
    let ours = procfs::own_pid(proc) == Some(1);
    let in_pod = procfs::cgroup_path(proc, 1).is_some_and(|path| cgroup::pod(&path).is_some());
    ours || in_pod || procfs::comm(proc, 1).is_some_and(|name| name == "pause")
}

impl HostNamespace {
    /// Looks for it.
    pub fn look(proc: &Path) -> Self {
        if is_contained(proc) {
            return Self {
                why: "process 1 is the container's own: the agent needs the host's processes in sight (hostPID, --pid=host)",
                ..Self::default()
            };
        }
        if let Ok(found) = procfs::netns(proc, "1") {
            return Self {
                found: Some(found),
                ..Self::default()
            };
        }
        let mut host = Self {
            table: procfs::socket_table(proc, 1),
            why: "the namespace of process 1 is closed to the agent (CAP_SYS_PTRACE opens it), and no process of it has been seen yet",
            ..Self::default()
        };
        if let Some(own) = procfs::own_pid(proc) {
            host.is_shared_by(proc, own);
        }
        for (_, pid) in procfs::namespaces(proc) {
            host.is_shared_by(proc, pid);
        }
        host
    }

    /// Its number; 0 while it is not known.
    pub fn netns(&self) -> Netns {
        self.found.unwrap_or(0)
    }

    /// Why it is not known; `None` where it is.
    pub fn unknown(&self) -> Option<&'static str> {
        self.found.is_none().then_some(self.why)
    }

    /// Takes over the namespace of a process that may be looked into, where that is the host's.
    fn is_shared_by(&mut self, proc: &Path, pid: u32) {
        if self.found.is_none() && self.table.is_some() && self.table == procfs::socket_table(proc, pid) {
            self.found = procfs::netns(proc, &pid.to_string()).ok();
        }
    }

    /// A kernel told that this process has a socket in this namespace. Whether that says which one is the host's.
    pub fn learn(&mut self, proc: &Path, owner: &Process, netns: Netns) -> bool {
        if self.found.is_some() || self.table.is_none() || netns == 0 {
            return false;
        }
        // A number may be another process' by now, or in this /proc: then its name is another, too.
        let same = procfs::comm(proc, owner.pid).is_some_and(|comm| comm == owner.comm);
        if same && self.table == procfs::socket_table(proc, owner.pid) {
            self.found = Some(netns);
        }
        self.found.is_some()
    }

    /// A kernel told that processes of this cgroup have sockets in this namespace. Where all of them share process 1's,
    /// that is the host's.
    pub fn learn_of_cgroup(&mut self, proc: &Path, cgroup: &Path, netns: Netns) -> bool {
        if self.found.is_some() || self.table.is_none() || netns == 0 {
            return false;
        }
        let members = procfs::members(cgroup);
        let all = !members.is_empty()
            && members
                .iter()
                .all(|pid| procfs::socket_table(proc, *pid) == self.table);
        if all {
            self.found = Some(netns);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A process of a `/proc`: its number, its name, the namespace that its link names, and the file that its table is.
    fn process(proc: &Path, pid: u32, comm: &str, link: Option<Netns>, shares: &Path) {
        let folder = proc.join(pid.to_string());
        fs::create_dir_all(folder.join("ns")).unwrap();
        fs::create_dir_all(folder.join("net")).unwrap();
        fs::write(folder.join("comm"), format!("{comm}\n")).unwrap();
        if let Some(netns) = link {
            symlink(format!("net:[{netns}]"), folder.join("ns/net")).unwrap();
        }
        fs::hard_link(shares, folder.join("net/tcp")).unwrap();
    }

    struct Stage {
        folder: tempfile::TempDir,
    }

    impl Stage {
        /// Process 1 of a host, closed or open.
        fn new(link: Option<Netns>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for table in ["host", "pod"] {
                fs::write(folder.path().join(table), "").unwrap();
            }
            let stage = Self { folder };
            stage.add(1, "systemd", link, "host");
            stage.add(2, "kthreadd", None, "host");
            stage
        }

        fn add(&self, pid: u32, comm: &str, link: Option<Netns>, table: &str) {
            process(
                self.folder.path(),
                pid,
                comm,
                link,
                &self.folder.path().join(table),
            );
        }

        fn look(&self) -> HostNamespace {
            HostNamespace::look(self.folder.path())
        }
    }

    #[test]
    fn an_open_process_1_tells_it() {
        assert_eq!(Stage::new(Some(7)).look().netns(), 7);
    }

    #[test]
    fn a_closed_process_1_is_known_by_any_open_process_that_shares_its_namespace() {
        let stage = Stage::new(None);
        stage.add(20, "hopscope", Some(8), "pod");
        assert!(stage.look().unknown().unwrap().contains("CAP_SYS_PTRACE"));
        stage.add(30, "sleep", Some(7), "host");
        assert_eq!(stage.look().netns(), 7);
    }

    #[test]
    fn the_agents_own_namespace_is_not_taken_for_the_hosts() {
        let stage = Stage::new(None);
        stage.add(20, "hopscope", Some(8), "pod");
        symlink("20", stage.folder.path().join("self")).unwrap();
        assert_eq!(stage.look().netns(), 0);
    }

    #[test]
    fn the_first_socket_of_a_host_process_teaches_it_and_a_pods_does_not() {
        let stage = Stage::new(None);
        stage.add(20, "gateway", None, "pod");
        stage.add(30, "kubelet", None, "host");
        let mut host = stage.look();
        let of = |pid, comm: &str| Process {
            pid,
            comm: comm.to_owned(),
        };
        let proc = stage.folder.path();
        assert!(!host.learn(proc, &of(20, "gateway"), 8));
        assert!(
            !host.learn(proc, &of(30, "sshd"), 7),
            "another process had this number"
        );
        assert!(host.learn(proc, &of(30, "kubelet"), 7));
        assert_eq!((host.netns(), host.unknown()), (7, None));
        assert!(!host.learn(proc, &of(20, "gateway"), 8));
    }

    #[test]
    fn a_cgroup_whose_processes_all_live_on_the_host_teaches_it() {
        let stage = Stage::new(None);
        stage.add(20, "gateway", None, "pod");
        stage.add(30, "kubelet", None, "host");
        let mut host = stage.look();
        let proc = stage.folder.path();
        for (members, known) in [("30\n20\n", false), ("", false), ("30\n", true)] {
            fs::write(proc.join("cgroup.procs"), members).unwrap();
            assert_eq!(host.learn_of_cgroup(proc, proc, 7), known, "{members:?}");
        }
    }

    #[test]
    fn a_containers_own_process_1_is_not_the_hosts() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("pod"), "").unwrap();
        process(folder.path(), 1, "hopscope", Some(8), &folder.path().join("pod"));
        symlink("1", folder.path().join("self")).unwrap();
        let host = HostNamespace::look(folder.path());
        assert_eq!(host.netns(), 0);
        assert!(host.unknown().unwrap().contains("hostPID"));
    }

    #[test]
    fn the_table_of_this_very_process_is_found() {
        let own = std::process::id();
        assert!(procfs::socket_table(Path::new("/proc"), own).is_some());
        assert_eq!(
            procfs::socket_table(Path::new("/proc"), own),
            procfs::socket_table(Path::new("/proc"), own)
        );
    }
}
