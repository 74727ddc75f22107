//! Where sockets live: the network namespaces and cgroups of this host, and whose each of them is.
//!
//! The kernel tells of a socket's end after its process is gone, and often its pod with it. So what was there at a look
//! is remembered until two turns have passed without it.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::path::Path;

use super::cgroup;
use super::names::PodName;
use hopscope_host::procfs::{self, Netns};

/// Whose series a failure goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Kubernetes namespace; empty when unknown.
    pub namespace: String,
    /// What the pod is one of, or its uid where no API names it; systemd unit or process; empty when unknown.
    pub name: String,
    /// It is a pod's.
    pub in_pod: bool,
}

impl From<&PodName> for Workload {
    fn from(pod: &PodName) -> Self {
        Self {
            namespace: pod.namespace.clone(),
            name: pod.workload.clone(),
            in_pod: true,
        }
    }
}

/// Namespaces that were looked for in vain, which are remembered.
const REMEMBERED: usize = 65_536;

/// The namespaces and cgroups.
#[derive(Debug, Default)]
pub struct Homes {
    /// The host's own namespace; it is nobody's in particular.
    host: Netns,
    /// Turns so far.
    turn: u64,
    /// A process of each namespace that lives, to enter it by.
    living: HashMap<Netns, u32>,
    /// Namespaces that were looked for in vain since the last turn: gone already, or not ours to see.
    unseen: HashSet<Netns>,
    by_netns: HashMap<Netns, Home>,
    by_cgroup: HashMap<u64, Home>,
    /// Paths of cgroups outside pods, as long as they may tell which namespace is the host's.
    paths: HashMap<u64, String>,
    /// Paths of pods' cgroups.
    of_pods: Vec<String>,
    /// There is a tree of cgroups.
    has_cgroups: bool,
}

/// Whose a place is, and when it was last there.
#[derive(Debug)]
struct Home {
    workload: Workload,
    seen: u64,
}

impl Homes {
    /// Of a host whose own namespace this is; nothing is known of the others before a look.
    pub fn new(host: Netns) -> Self {
        Self {
            host,
            ..Self::default()
        }
    }

    /// A turn of the clock: looks around, and forgets what is gone since the turn before the last.
    pub fn turn(&mut self, proc: &Path, cgroups: &Path) {
        self.turn += 1;
        self.unseen.clear();
        self.look(proc, cgroups);
        forget(&mut self.by_netns, self.turn);
        forget(&mut self.by_cgroup, self.turn);
    }

    /// Looks around between two turns, when a namespace is new. Whether it did: once each, because not every one can be
    /// seen.
    pub fn meet(&mut self, netns: Netns, proc: &Path, cgroups: &Path) -> bool {
        // One that is remembered only may be another by now: the kernel uses the numbers again.
        if netns == 0 || self.living.contains_key(&netns) || self.unseen.contains(&netns) {
            return false;
        }
        self.look(proc, cgroups);
        if !self.living.contains_key(&netns) && self.unseen.len() < REMEMBERED {
            self.unseen.insert(netns);
        }
        true
    }

    fn look(&mut self, proc: &Path, cgroups: &Path) {
        self.living = procfs::namespaces(proc).into_iter().collect();
        for (netns, pid) in &self.living {
            let workload = if *netns == self.host {
                Workload::default()
            } else {
                workload_of(proc, *pid)
            };
            // Perhaps the host's own: what is no pod by its cgroup is nobody's in particular.
            let workload = if self.host == 0 && !workload.in_pod {
                Workload::default()
            } else {
                workload
            };
            let seen = self.turn;
            self.by_netns.insert(*netns, Home { workload, seen });
        }
        self.paths.clear();
        self.of_pods.clear();
        let cgroups = procfs::cgroups(cgroups);
        self.has_cgroups = !cgroups.is_empty();
        for (inode, path) in cgroups {
            let (workload, seen) = (named(&path), self.turn);
            if workload.in_pod {
                self.of_pods.push(path);
            } else if self.host == 0 {
                self.paths.insert(inode, path);
            }
            self.by_cgroup.insert(inode, Home { workload, seen });
        }
    }

    /// This is the host's own namespace, as it turned out.
    pub fn settle_host(&mut self, host: Netns) {
        self.host = host;
        self.paths.clear();
    }

    /// Paths of the cgroups of pods and their containers.
    pub fn of_pods(&self) -> impl Iterator<Item = &str> {
        self.of_pods.iter().map(String::as_str)
    }

    /// Whether there is a tree of cgroups (v2).
    pub const fn has_cgroups(&self) -> bool {
        self.has_cgroups
    }

    /// The path of a cgroup outside pods, while it is not known which namespace is the host's.
    pub fn path_of(&self, cgroup: u64) -> Option<&str> {
        self.paths.get(&cgroup).map(String::as_str)
    }

    /// A process of every namespace that lives.
    pub const fn living(&self) -> &HashMap<Netns, u32> {
        &self.living
    }

    /// Whether the namespace lives, or did so lately.
    pub fn remembers(&self, netns: Netns) -> bool {
        self.by_netns.contains_key(&netns)
    }

    /// Whose a cgroup is, where its path says so.
    pub fn of_cgroup(&self, cgroup: u64) -> Option<&Workload> {
        let home = self.by_cgroup.get(&cgroup)?;
        Some(&home.workload).filter(|workload| !workload.name.is_empty())
    }

    /// Whose a namespace is; `None` of the host's own.
    pub fn of_netns(&self, netns: Netns) -> Option<&Workload> {
        let home = self.by_netns.get(&netns).filter(|_| netns != self.host)?;
        Some(&home.workload).filter(|workload| self.host != 0 || workload.in_pod)
    }
}

fn forget<K: Eq + Hash>(homes: &mut HashMap<K, Home>, turn: u64) {
    homes.retain(|_, home| turn - home.seen < 2);
}

fn named(path: &str) -> Workload {
    if let Some(pod) = cgroup::pod(path) {
        return Workload {
            name: pod.uid,
            in_pod: true,
            ..Workload::default()
        };
    }
    Workload {
        name: hopscope_host::label::shown(cgroup::unit(path).unwrap_or_default()),
        ..Workload::default()
    }
}

fn workload_of(proc: &Path, pid: u32) -> Workload {
    let workload = procfs::cgroup_path(proc, pid)
        .map(|path| named(&path))
        .unwrap_or_default();
    if workload.name.is_empty() {
        return Workload {
            name: procfs::comm(proc, pid).unwrap_or_default(),
            ..workload
        };
    }
    workload
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A `/proc` of these processes, each in a namespace of its own.
    fn proc_of(processes: &[(u32, Netns)]) -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        for (pid, netns) in processes {
            let folder = proc.path().join(pid.to_string());
            fs::create_dir_all(folder.join("ns")).unwrap();
            fs::write(folder.join("comm"), format!("p{pid}\n")).unwrap();
            symlink(format!("net:[{netns}]"), folder.join("ns/net")).unwrap();
        }
        proc
    }

    #[test]
    fn who_is_gone_is_remembered_for_a_whole_turn() {
        let (both, one) = (proc_of(&[(1, 7), (2, 8)]), proc_of(&[(1, 7)]));
        let cgroups = Path::new("/nowhere");
        let mut homes = Homes::new(7);
        homes.turn(both.path(), cgroups);
        assert_eq!(homes.of_netns(8).unwrap().name, "p2");
        assert_eq!(homes.of_netns(7), None, "the host's own");
        assert!(homes.meet(9, one.path(), cgroups), "somebody new: a look around");
        assert!(!homes.living().contains_key(&8));
        assert!(homes.remembers(8), "whatever looks around in between");
        homes.turn(one.path(), cgroups);
        assert_eq!(homes.of_netns(8).unwrap().name, "p2");
        homes.turn(one.path(), cgroups);
        assert!(!homes.remembers(8));
        assert!(homes.remembers(7));
    }

    #[test]
    fn who_cannot_be_seen_is_looked_for_once_a_turn() {
        let proc = proc_of(&[(1, 7)]);
        let cgroups = Path::new("/nowhere");
        let mut homes = Homes::new(7);
        assert!(homes.meet(8, proc.path(), cgroups));
        assert!(!homes.meet(8, proc.path(), cgroups));
        homes.turn(proc.path(), cgroups);
        assert!(homes.meet(8, proc.path(), cgroups));
        assert!(!homes.meet(0, proc.path(), cgroups), "no namespace at all");
    }
}
