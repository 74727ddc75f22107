//! Which namespace is the host's own, as kernels tell it bit by bit, and where the cgroups of pods are.

use std::path::Path;

use super::super::parse::{Socket, Tallied};
use super::World;

impl World {
    /// A kernel told whose a socket is and where it lives: that may say which namespace is the host's.
    pub fn learn_host(&mut self, socket: &Socket) {
        let Some(owner) = &socket.owner else { return };
        if self.host.learn(&self.mounts.proc, owner, socket.netns) {
            self.settle_host();
        }
    }

    /// The same of a row of counts, which names a cgroup.
    pub fn learn_host_of(&mut self, row: &Tallied) {
        if self.host.unknown().is_none() || !row.active {
            return;
        }
        let Some(path) = self.homes.path_of(row.cgroup) else {
            return;
        };
        let cgroup = self.mounts.cgroup.join(path.trim_start_matches('/'));
        if self.host.learn_of_cgroup(&self.mounts.proc, &cgroup, row.netns) {
            self.settle_host();
        }
    }

    /// Where the tree of cgroups is, and the paths of pods' below it.
    pub fn pod_cgroups(&self) -> (&Path, impl Iterator<Item = &str>) {
        (&self.mounts.cgroup, self.homes.of_pods())
    }

    /// Whether there is a tree of cgroups (v2).
    pub const fn has_cgroups(&self) -> bool {
        self.homes.has_cgroups()
    }

    fn settle_host(&mut self) {
        self.table.host_netns = self.host.netns();
        self.homes.settle_host(self.host.netns());
    }
}
