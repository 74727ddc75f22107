//! Who is who on this host: namespaces, listeners, the sockets that were there before us, and the workloads behind.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hopscope_attribution::hop::Hop;

use super::homes::{Homes, Workload};
use super::hops::{HopTable, Leg};
use super::host::HostNamespace;
use super::names::{Names, PodName};
use super::parse::{PeerKind, Process, Socket, Tallied};
use super::snapshot::{self, Live};
use super::whereabouts::Whereabouts;
use hopscope_host::procfs::{self, Netns};

mod ground;

/// Where the kernel's file systems are mounted.
#[derive(Clone, Debug)]
pub struct Mounts {
    /// The host's `/proc`.
    pub proc: PathBuf,
    /// The host's `/sys/fs/cgroup`.
    pub cgroup: PathBuf,
}

/// What is known of the host.
#[derive(Debug)]
pub struct World {
    mounts: Mounts,
    table: HopTable,
    /// What the Kubernetes API calls the pods; empty without one.
    pub names: Names,
    /// The namespaces and cgroups.
    pub homes: Homes,
    listeners: HashMap<(Netns, u16), Process>,
    older: HashMap<(Netns, SocketAddr, SocketAddr), Older>,
    whereabouts: Whereabouts,
    /// What is known of the host's own namespace.
    pub host: HostNamespace,
    /// Somebody asks where an address is: a probe that does not see a socket's namespace, or a queue that overflowed.
    addresses_wanted: bool,
}

#[derive(Debug)]
struct Older {
    owner: Option<Arc<Process>>,
    active: bool,
}

/// Hops that were found of live sockets, while a list of them is gone through.
pub type Known = HashMap<Alike, (Hop, Hop)>;

/// What live sockets of one owner and peer have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Alike {
    netns: Netns,
    pid: u32,
    active: bool,
    port: u16,
    loopback: bool,
    balancer: bool,
}

/// Listeners and older sockets that are remembered.
const REMEMBERED: usize = 65_536;

impl World {
    /// Looks around, once: the sockets that exist are taken over, so that the first minute does not lie.
    pub fn look(mounts: Mounts, mut table: HopTable) -> Self {
        let host = HostNamespace::look(&mounts.proc);
        table.host_netns = host.netns();
        let mut world = Self {
            mounts,
            homes: Homes::new(table.host_netns),
            host,
            table,
            names: Names::default(),
            listeners: HashMap::new(),
            older: HashMap::new(),
            whereabouts: Whereabouts::default(),
            addresses_wanted: false,
        };
        world.refresh();
        world.take_over(snapshot::look(&world.mounts.proc, &world.seen_through()));
        world
    }

    /// Takes over the sockets that were there before the probes.
    fn take_over(&mut self, all: Vec<Live>) {
        self.listeners_of(&all);
        for live in all {
            if live.state != hopscope_abi::state::LISTEN {
                let active = !self.listeners.contains_key(&(live.netns, live.ends.local.port()));
                let older = Older {
                    owner: live.owner,
                    active,
                };
                self.older
                    .insert((live.netns, live.ends.local, live.ends.remote), older);
            }
        }
    }

    /// Remembers the listeners among live sockets.
    pub fn listeners_of(&mut self, all: &[Live]) {
        for live in all {
            if live.state == hopscope_abi::state::LISTEN
                && let Some(owner) = &live.owner
                && self.listeners.len() < REMEMBERED
            {
                self.listeners
                    .insert((live.netns, live.ends.local.port()), Process::clone(owner));
            }
        }
    }

    /// The addresses that stand for pods are these from now on.
    pub fn stand_ins(&mut self, (services, node_ports): (BTreeSet<SocketAddr>, BTreeSet<u16>)) {
        self.table.services = services;
        self.table.node_ports = node_ports;
    }

    /// Every namespace with one of its processes.
    pub fn seen_through(&self) -> Vec<(Netns, u32)> {
        let living = self.homes.living().iter();
        living.map(|(netns, pid)| (*netns, *pid)).collect()
    }

    /// Where the host's processes are.
    pub fn proc(&self) -> &Path {
        &self.mounts.proc
    }

    /// A turn of the clock: looks for new namespaces and cgroups, and forgets those that are gone.
    pub fn refresh(&mut self) {
        self.homes.turn(&self.mounts.proc, &self.mounts.cgroup);
        self.look_for_addresses();
        // A namespace that is gone takes its listeners and sockets with it.
        let homes = &self.homes;
        self.listeners.retain(|(netns, _), _| homes.remembers(*netns));
        self.older.retain(|(netns, _, _), _| homes.remembers(*netns));
    }

    /// Looks around when a namespace is new.
    pub fn meet(&mut self, netns: Netns) {
        if self.homes.meet(netns, &self.mounts.proc, &self.mounts.cgroup) {
            self.look_for_addresses();
        }
    }

    /// From now on it is kept in sight which namespace has which address.
    fn want_addresses(&mut self) {
        if !self.addresses_wanted {
            self.addresses_wanted = true;
            self.look_for_addresses();
        }
    }

    fn look_for_addresses(&mut self) {
        if self.addresses_wanted {
            self.whereabouts = Whereabouts::look(&self.mounts.proc, self.homes.living());
        }
    }

    /// Finds the namespace of a socket for a probe that did not see it: by its process, by its address, or by the only
    /// listener that it can belong to. And the name of its process' main thread, for one that saw any thread's.
    pub fn place(&mut self, socket: &mut Socket) {
        if socket.netns != 0 {
            return;
        }
        self.want_addresses();
        if let Some(owner) = &mut socket.owner {
            if let Some(comm) = procfs::comm(&self.mounts.proc, owner.pid) {
                owner.comm = comm;
            }
            socket.netns = procfs::netns(&self.mounts.proc, &owner.pid.to_string()).unwrap_or(0);
        }
        if socket.netns == 0 {
            socket.netns = self.netns_by_ends(socket).unwrap_or(0);
        }
    }

    fn netns_by_ends(&self, socket: &Socket) -> Option<Netns> {
        let ends = socket.ends;
        if let Some(netns) = self.whereabouts.of(ends.local.ip()) {
            return Some(netns);
        }
        if !ends.local.ip().is_loopback() && !ends.local.ip().is_unspecified() {
            return None;
        }
        // On loopback the listener is in the same namespace, at either end.
        let near = self.only_listener(ends.local.port());
        near.or_else(|| self.only_listener(ends.remote.port()).filter(|_| socket.active))
    }

    /// The namespace of a port that is listened on in one namespace only.
    fn only_listener(&self, port: u16) -> Option<Netns> {
        let mut found = self.listening_on(port);
        let first = found.next()?;
        found.all(|netns| netns == first).then_some(first)
    }

    /// A socket began to listen.
    pub fn listening(&mut self, socket: &Socket) {
        if let Some(owner) = &socket.owner
            && self.listeners.len() < REMEMBERED
        {
            self.listeners
                .insert((socket.netns, socket.ends.local.port()), owner.clone());
        }
    }

    /// Fills in what the probes did not see of a socket: an older one's owner, an accepted one's listener.
    /// With `last`, this is the last that will be told of it.
    pub fn complete(&mut self, socket: &mut Socket, last: bool) {
        let key = (socket.netns, socket.ends.local, socket.ends.remote);
        if let Some(older) = self.older.get(&key)
            && socket.owner.is_none()
        {
            socket.active = older.active;
            socket.owner = older.owner.as_ref().map(|owner| Process::clone(owner));
        }
        if last {
            self.older.remove(&key);
        }
        if socket.owner.is_none() && !socket.active {
            socket.owner = self
                .listeners
                .get(&(socket.netns, socket.ends.local.port()))
                .cloned();
        }
    }

    /// The hop that owns a socket.
    pub fn owner(&self, socket: &Socket) -> Hop {
        self.table.owner(&self.leg(socket))
    }

    /// The hop at a socket's far end, from this end alone.
    pub fn peer(&self, owner: Hop, socket: &Socket) -> Hop {
        let listener = self.listener_hop(socket);
        self.table
            .peer(owner, &self.leg(socket), socket.ends.remote, listener)
    }

    /// Owner and peer of a live socket; `known` keeps what was found, because most sockets are alike.
    pub fn hops_of(&self, live: &Live, known: &mut Known) -> (Hop, Hop) {
        let (local, remote) = (live.ends.local, live.ends.remote);
        let active = !self.listeners.contains_key(&(live.netns, local.port()));
        let alike = Alike {
            netns: live.netns,
            pid: live.owner.as_ref().map_or(0, |owner| owner.pid),
            active,
            port: if active { remote.port() } else { local.port() },
            loopback: remote.ip().is_loopback(),
            balancer: self.table.is_balancer(remote.ip()),
        };
        *known.entry(alike).or_insert_with(|| {
            let owner = live.owner.as_deref().cloned();
            let mut socket = Socket {
                at: 0,
                cookie: None,
                key: 0,
                cgroup: 0,
                netns: live.netns,
                owner,
                active,
                ends: live.ends,
                state: live.state,
            };
            if socket.owner.is_none() && !active {
                socket.owner = self.listeners.get(&(live.netns, local.port())).cloned();
            }
            let owner = self.owner(&socket);
            (owner, self.peer(owner, &socket))
        })
    }

    fn leg<'a>(&'a self, socket: &'a Socket) -> Leg<'a> {
        let (in_pod, namespace, workload) = self.home(socket.cgroup, socket.netns);
        Leg {
            comm: socket.owner.as_ref().map_or("", |owner| owner.comm.as_str()),
            active: socket.active,
            netns: socket.netns,
            in_pod,
            namespace,
            workload,
            local_port: socket.ends.local.port(),
            remote_port: socket.ends.remote.port(),
            loopback: socket.ends.remote.ip().is_loopback(),
        }
    }

    /// Whether a socket's cgroup, or where that says nothing its namespace, is a pod's, and what both are called.
    fn home(&self, cgroup: u64, netns: Netns) -> (bool, &str, &str) {
        let by_cgroup = self.homes.of_cgroup(cgroup);
        let Some(home) = by_cgroup.or_else(|| self.homes.of_netns(netns)) else {
            return (false, "", "");
        };
        match home.in_pod.then(|| self.names.of(&home.name)).flatten() {
            Some(name) => (true, &name.namespace, &name.workload),
            None => (home.in_pod, &home.namespace, &home.name),
        }
    }

    /// The hop that listens where an active socket went: in its own namespace for loopback, else wherever on this
    /// host the port is listened on by one hop only.
    fn listener_hop(&self, socket: &Socket) -> Option<Hop> {
        let port = socket.ends.remote.port();
        let hop_of = |netns: Netns, owner: &Process| {
            let (in_pod, namespace, workload) = self.home(0, netns);
            self.table.owner(&Leg {
                comm: &owner.comm,
                active: false,
                netns,
                in_pod,
                namespace,
                workload,
                local_port: port,
                remote_port: 0,
                loopback: socket.ends.remote.ip().is_loopback(),
            })
        };
        if socket.ends.remote.ip().is_loopback() {
            let owner = self.listeners.get(&(socket.netns, port))?;
            return Some(hop_of(socket.netns, owner));
        }
        let mut hops = self
            .listeners
            .iter()
            .filter(|((_, at), _)| *at == port)
            .map(|((netns, _), owner)| hop_of(*netns, owner));
        let first = hops.next()?;
        hops.all(|hop| hop == first).then_some(first)
    }

    /// Namespaces in which somebody listens on the port.
    pub fn listening_on(&self, port: u16) -> impl Iterator<Item = Netns> + '_ {
        self.listeners
            .keys()
            .filter(move |(_, at)| *at == port)
            .map(|(netns, _)| *netns)
    }

    /// Namespaces in which a connect may have met who listens: its own on loopback, the one that has the address where
    /// that can be told, else all where the port is listened on. An address that is translated is nobody's there.
    pub fn may_have_reached(&mut self, socket: &Socket) -> Vec<Netns> {
        let remote = socket.ends.remote;
        let mut all: Vec<_> = self.listening_on(remote.port()).collect();
        let home = if remote.ip().is_loopback() {
            Some(socket.netns)
        } else if all.len() > 1 {
            self.want_addresses();
            self.whereabouts.of(remote.ip())
        } else {
            None
        };
        if let Some(home) = home.filter(|home| all.contains(home)) {
            all = vec![home];
        }
        all
    }

    /// The hop that owns a row of counts.
    pub fn tallied(&self, row: &Tallied) -> Hop {
        let netns = match row.netns {
            0 if !row.active => self.only_listener(row.port).unwrap_or(0),
            told => told,
        };
        let comm = match self.listeners.get(&(netns, row.port)) {
            Some(owner) if !row.active => owner.comm.as_str(),
            Some(_) | None => row.comm.as_str(),
        };
        let (in_pod, namespace, workload) = self.home(row.cgroup, netns);
        self.table.owner(&Leg {
            comm,
            active: row.active,
            netns,
            in_pod,
            namespace,
            workload,
            local_port: if row.active { 0 } else { row.port },
            remote_port: if row.active { row.port } else { 0 },
            loopback: row.peer == PeerKind::Loopback,
        })
    }

    /// The hop of a namespace's own sockets, and whose they are.
    pub fn resident(&self, netns: Netns) -> (Hop, Workload) {
        let workload = self.tenant(netns);
        let listeners = self.listeners.iter().filter(|((at, _), _)| *at == netns);
        let mut hops: Vec<_> = listeners
            .map(|((_, port), owner)| {
                self.table.owner(&Leg {
                    comm: &owner.comm,
                    active: false,
                    netns,
                    in_pod: workload.in_pod,
                    namespace: &workload.namespace,
                    workload: &workload.name,
                    local_port: *port,
                    remote_port: 0,
                    loopback: false,
                })
            })
            .collect();
        hops.sort_unstable();
        hops.dedup();
        match *hops {
            [only] => (only, workload),
            _ if workload.in_pod => (Hop::Backend, workload),
            _ => (Hop::Unknown, workload),
        }
    }

    /// The hop that a packet was meant for.
    pub fn destination(&self, to: SocketAddr) -> Hop {
        if self.table.is_balancer(to.ip()) {
            return Hop::Lb;
        }
        if self.table.workload_ports.contains(&to.port()) {
            return Hop::Backend;
        }
        let mut hops = self.listening_on(to.port()).map(|netns| self.resident(netns).0);
        match hops.next() {
            Some(first) if hops.all(|hop| hop == first) => first,
            Some(_) | None => Hop::Unknown,
        }
    }

    /// Whose a socket is: its pod's, its namespace's, its unit's or its process'.
    pub fn workload(&self, socket: &Socket) -> Workload {
        if let Some(workload) = self.homes.of_cgroup(socket.cgroup) {
            return self.called(workload);
        }
        let process = socket.owner.as_ref().map(|owner| Workload {
            name: owner.comm.clone(),
            ..Workload::default()
        });
        process.unwrap_or_else(|| self.tenant(socket.netns))
    }

    /// Whose an address is: the pod's of this node that has it for its own.
    pub fn at_address(&self, address: IpAddr) -> Workload {
        let pod = self.names.at(address);
        pod.map(Workload::from).unwrap_or_default()
    }

    /// The pod that a socket is in, where the Kubernetes API names it.
    pub fn pod(&self, socket: &Socket) -> Option<&PodName> {
        let by_cgroup = self.homes.of_cgroup(socket.cgroup);
        let home = by_cgroup.or_else(|| self.homes.of_netns(socket.netns))?;
        home.in_pod.then(|| self.names.of(&home.name)).flatten()
    }

    /// The pod whose namespace this is, where the Kubernetes API names it.
    pub fn pod_of(&self, netns: Netns) -> Option<&PodName> {
        let home = self.homes.of_netns(netns)?;
        home.in_pod.then(|| self.names.of(&home.name)).flatten()
    }

    /// Whose the sockets of a namespace are.
    pub fn tenant(&self, netns: Netns) -> Workload {
        let tenant = self.homes.of_netns(netns);
        tenant.map(|tenant| self.called(tenant)).unwrap_or_default()
    }

    /// A workload as the Kubernetes API calls it; as its cgroup does where the API does not know it.
    fn called(&self, workload: &Workload) -> Workload {
        let known = workload.in_pod.then(|| self.names.of(&workload.name)).flatten();
        match known {
            Some(name) => Workload::from(name),
            None => workload.clone(),
        }
    }
}
