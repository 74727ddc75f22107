//! Which socket is which hop: a table from the configuration, with defaults that know the usual names.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use hopscope_attribution::evidence::Forwarder;
use hopscope_attribution::hop::Hop;

use super::loader::Prefix;

/// The kubelet's port, which port-forwards, `exec` and `logs` arrive at.
const KUBELET: u16 = 10_250;

/// Processes that are nothing but tunnel, beside the [forwarders](Forwarder).
const TUNNEL: [&str; 3] = ["konnectivity", "proxy-agent", "proxy-server"];
/// Bytes of a process's name that the kernel keeps (`TASK_COMM_LEN` less its NUL).
const COMM: usize = 15;

/// Container runtimes: tunnel where they serve or dial loopback, else pulling images and the like. dockershim,
/// cri-dockerd and older cri-o have socat dial for them, within the pod's network but not in its cgroup.
const RUNTIMES: [&str; 8] = [
    "containerd",
    "crio",
    "dockerd",
    "cri-dockerd",
    "dockershim",
    "k3s",
    "rke2",
    "socat",
];
const BALANCERS: [&str; 5] = ["haproxy", "envoy", "traefik", "kube-proxy", "ingress"];
const GENERATORS: [&str; 10] = [
    "k6",
    "wrk",
    "wrk2",
    "oha",
    "hey",
    "vegeta",
    "ab",
    "locust",
    "bombardier",
    "fortio",
];

/// Who is which hop.
#[derive(Clone, Debug, Default)]
pub struct HopTable {
    /// Process names that are tunnel, beside the known ones.
    pub tunnel: Vec<String>,
    /// Process names that are load balancers, beside the known ones.
    pub balancers: Vec<String>,
    /// Process names that generate load, beside the known ones.
    pub generators: Vec<String>,
    /// Workloads that are tunnel: `NAMESPACE/NAME` as Kubernetes has it, or a systemd unit.
    pub tunnel_workloads: Vec<String>,
    /// Workloads that are load balancers: an ingress controller may be called nginx.
    pub balancer_workloads: Vec<String>,
    /// Workloads that generate load.
    pub generator_workloads: Vec<String>,
    /// Workloads that are the application, wherever they run.
    pub backend_workloads: Vec<String>,
    /// Addresses of load balancers and of node NAT.
    pub balancer_addresses: Vec<Prefix>,
    /// Ports on which the workload listens.
    pub workload_ports: Vec<u16>,
    /// The host's own network namespace; 0 when unknown.
    pub host_netns: u32,
    /// Addresses of Services, as the Kubernetes API told them: each stands for its pods.
    pub services: BTreeSet<SocketAddr>,
    /// Node ports of Services, on whatever address of a node.
    pub node_ports: BTreeSet<u16>,
}

/// One end of a connection, as far as a hop can be told from it.
#[derive(Clone, Copy, Debug)]
pub struct Leg<'a> {
    /// Name of the owner's process; empty when unknown.
    pub comm: &'a str,
    /// Opened by `connect`.
    pub active: bool,
    /// Its network namespace; 0 when unknown.
    pub netns: u32,
    /// Its cgroup is a pod's.
    pub in_pod: bool,
    /// The pod's Kubernetes namespace; empty when unknown.
    pub namespace: &'a str,
    /// What the pod is one of, or the systemd unit; empty when unknown.
    pub workload: &'a str,
    /// The near port.
    pub local_port: u16,
    /// The far port.
    pub remote_port: u16,
    /// The far side is loopback.
    pub loopback: bool,
}

impl Leg<'_> {
    /// Whether it is of the workload of that name, `NAMESPACE/NAME` or a unit's.
    fn is_of(&self, name: &str) -> bool {
        match name.split_once('/') {
            Some((namespace, name)) => self.namespace == namespace && self.workload == name,
            None => self.namespace.is_empty() && self.workload == name,
        }
    }
}

/// Whether `comm` is `name`, or begins with it and goes on with something that is no letter: `containerd-shim` is
/// containerd, `k3s-server` is k3s, `abrt` is not ab.
fn is(comm: &str, name: &str) -> bool {
    let comm = comm.rsplit('/').next().unwrap_or(comm);
    match comm.strip_prefix(name) {
        Some(rest) => !rest.starts_with(|c: char| c.is_ascii_alphanumeric()),
        None => false,
    }
}

/// Whether a process's name is a forwarder's. A relay of bytes that serves for anything is none by its name alone.
fn is_forwarder(comm: &str) -> bool {
    let comm = comm.rsplit('/').next().unwrap_or(comm);
    let known = Forwarder::ALL
        .iter()
        .filter(|forwarder| forwarder.only_forwards());
    let programs = known.flat_map(|forwarder| forwarder.programs());
    // Distributions of Kubernetes bring a kubectl by the name of what is everything else as well.
    let mut programs = programs.filter(|program| !RUNTIMES.contains(program));
    programs.any(|program| is(comm, program.get(..COMM).unwrap_or(program)) || is_versioned(comm, program))
}

/// kubectl is installed under its version as well: `kubectl1.32`.
fn is_versioned(comm: &str, program: &str) -> bool {
    let version = comm.strip_prefix(program).filter(|_| program == "kubectl");
    version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
}

fn any(comm: &str, known: &[&str], configured: &[String]) -> bool {
    known.iter().any(|name| is(comm, name)) || configured.iter().any(|name| is(comm, name))
}

impl HopTable {
    /// The hop that owns this end.
    pub fn owner(&self, leg: &Leg<'_>) -> Hop {
        let comm = leg.comm;
        if is(comm, "hopscope") {
            return Hop::Observer;
        }
        let listed = |workloads: &[String]| workloads.iter().any(|name| leg.is_of(name));
        // What was configured of a workload is more than what a process happens to be called.
        for (workloads, hop) in [
            (&self.generator_workloads, Hop::Client),
            (&self.balancer_workloads, Hop::Lb),
            (&self.tunnel_workloads, Hop::Tunnel),
            (&self.backend_workloads, Hop::Backend),
        ] {
            if listed(workloads) {
                return hop;
            }
        }
        if any(comm, &GENERATORS, &self.generators) {
            return Hop::Client;
        }
        if any(comm, &BALANCERS, &self.balancers) {
            return Hop::Lb;
        }
        let kubectl = is(comm, "kubectl") || is_versioned(comm, "kubectl");
        let forwards = kubectl || (is_forwarder(comm) && !leg.in_pod);
        if any(comm, &TUNNEL, &self.tunnel) || forwards || self.carries_forwards(leg) {
            return Hop::Tunnel;
        }
        // In a pod a program of such a name may be the application itself, or forward for a job of CI.
        if is_forwarder(comm) {
            return Hop::Unknown;
        }
        let serves_workload = !leg.active && self.workload_ports.contains(&leg.local_port);
        if leg.in_pod || serves_workload || self.is_foreign(leg.netns) {
            return Hop::Backend;
        }
        Hop::Unknown
    }

    /// kubelet, API server and runtime do much else; these are the legs of a port-forward.
    fn carries_forwards(&self, leg: &Leg<'_>) -> bool {
        let kubelet_port = if leg.active {
            leg.remote_port
        } else {
            leg.local_port
        };
        if is(leg.comm, "kube-apiserver") {
            return leg.active && kubelet_port == KUBELET;
        }
        if is(leg.comm, "kubelet") {
            return (!leg.active && kubelet_port == KUBELET) || (leg.active && leg.loopback);
        }
        // The last leg is dialled on loopback within the pod's namespace, by a thread of the runtime.
        any(leg.comm, &RUNTIMES, &[])
            && !leg.in_pod
            && leg.loopback
            && (!leg.active || self.is_foreign(leg.netns))
    }

    /// A network namespace other than the host's: a container's.
    fn is_foreign(&self, netns: u32) -> bool {
        netns != 0 && self.host_netns != 0 && netns != self.host_netns
    }

    /// The hop at the far end of a socket of `owner`'s, from this end alone; `listener` owns the port that an active
    /// socket went to, where that is on this host.
    pub fn peer(&self, owner: Hop, leg: &Leg<'_>, remote: SocketAddr, listener: Option<Hop>) -> Hop {
        if self.is_balancer(remote.ip()) {
            return Hop::Lb;
        }
        if !leg.active {
            return match owner {
                // Whom a forwarder serves on its local port.
                Hop::Tunnel if is_forwarder(leg.comm) => Hop::Client,
                Hop::Tunnel => Hop::Tunnel,
                Hop::Lb => Hop::Client,
                Hop::Backend | Hop::Client | Hop::Observer | Hop::Unknown => Hop::Unknown,
            };
        }
        match (owner, listener) {
            (Hop::Tunnel, _) if leg.loopback && self.is_foreign(leg.netns) && !is_forwarder(leg.comm) => {
                Hop::Backend
            }
            // What else than the API server such a program dials is not known.
            (Hop::Tunnel, _) if is_forwarder(leg.comm) && !is(leg.comm, "kubectl") => Hop::Unknown,
            (Hop::Tunnel, _) => Hop::Tunnel,
            (_, _) if self.stands_for_pods(remote) => Hop::Lb,
            (_, Some(listener)) if listener != Hop::Unknown => listener,
            (Hop::Lb | Hop::Backend, _) => Hop::Backend,
            (Hop::Client | Hop::Observer | Hop::Unknown, _)
                if self.workload_ports.contains(&remote.port()) =>
            {
                Hop::Backend
            }
            (Hop::Client | Hop::Observer | Hop::Unknown, _) => Hop::Unknown,
        }
    }

    /// Whether the address is a Service's, or a node port: it refuses and resets for whoever stands behind it.
    fn stands_for_pods(&self, remote: SocketAddr) -> bool {
        let canonical = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        self.services.contains(&canonical) || self.node_ports.contains(&remote.port())
    }

    /// Whether the configuration gives the address to load balancers.
    pub fn is_balancer(&self, address: IpAddr) -> bool {
        self.balancer_addresses
            .iter()
            .any(|prefix| prefix.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> HopTable {
        HopTable {
            host_netns: 1,
            workload_ports: vec![8080],
            balancer_addresses: vec!["192.0.2.0/24".parse().unwrap()],
            ..HopTable::default()
        }
    }

    fn leg(comm: &str) -> Leg<'_> {
        Leg {
            comm,
            active: true,
            netns: 1,
            in_pod: false,
            namespace: "",
            workload: "",
            local_port: 40_000,
            remote_port: 8080,
            loopback: false,
        }
    }

    fn remote() -> SocketAddr {
        "10.0.0.9:8080".parse().unwrap()
    }

    #[test]
    fn a_runtime_that_dials_loopback_in_a_pods_namespace_is_tunnel_and_the_pod_is_backend() {
        let last = Leg {
            loopback: true,
            netns: 7,
            ..leg("containerd")
        };
        assert_eq!(table().owner(&last), Hop::Tunnel);
        assert_eq!(
            table().peer(Hop::Tunnel, &last, "127.0.0.1:8080".parse().unwrap(), None),
            Hop::Backend
        );
    }

    #[test]
    fn a_pods_own_socat_is_the_pods() {
        let of_the_pod = Leg {
            loopback: true,
            netns: 7,
            in_pod: true,
            ..leg("socat")
        };
        assert_eq!(table().owner(&of_the_pod), Hop::Backend);
        let of_the_runtime = Leg {
            in_pod: false,
            ..of_the_pod
        };
        assert_eq!(table().owner(&of_the_runtime), Hop::Tunnel);
    }

    #[test]
    fn a_node_port_stands_for_pods_where_the_api_names_it_and_no_range_of_ports_does() {
        let node = "10.0.0.9:30080".parse().unwrap();
        assert_eq!(table().peer(Hop::Client, &leg("k6"), node, None), Hop::Unknown);
        let table = HopTable {
            node_ports: BTreeSet::from([30_080]),
            ..table()
        };
        assert_eq!(table.peer(Hop::Client, &leg("k6"), node, None), Hop::Lb);
    }

    #[test]
    fn a_services_address_is_not_the_workloads_although_it_has_its_port() {
        let table = HopTable {
            services: BTreeSet::from([remote()]),
            ..table()
        };
        let peer = |owner| table.peer(owner, &leg("k6"), remote(), Some(Hop::Backend));
        assert_eq!(peer(Hop::Client), Hop::Lb);
        assert_eq!(peer(Hop::Observer), Hop::Lb);
    }

    #[test]
    fn every_forwarder_is_tunnel_on_a_host_and_in_a_container_and_only_kubectl_is_in_a_pod() {
        for program in [
            "kubectl",
            "oc",
            "k9s",
            "tilt",
            "ssh",
            "session-manager-plugin",
            "kubectl1.32",
        ] {
            let kept = &program[..program.len().min(COMM)];
            let of_the_host = leg(kept);
            assert_eq!(table().owner(&of_the_host), Hop::Tunnel, "{kept}");
            let of_a_container = Leg {
                netns: 7,
                ..of_the_host
            };
            assert_eq!(table().owner(&of_a_container), Hop::Tunnel, "{kept}");
            let of_a_pod = Leg {
                in_pod: true,
                ..of_a_container
            };
            let there = if kept.starts_with("kubectl") {
                Hop::Tunnel
            } else {
                Hop::Unknown
            };
            assert_eq!(table().owner(&of_a_pod), there, "{kept}");
        }
        assert_eq!(table().owner(&leg("octopus")), Hop::Unknown);
        assert_eq!(
            table().owner(&leg("socat")),
            Hop::Unknown,
            "it forwards what it is told to"
        );
    }

    #[test]
    fn a_runtime_that_pulls_an_image_is_nobody() {
        assert_eq!(table().owner(&leg("containerd")), Hop::Unknown);
        assert_eq!(
            table().owner(&Leg {
                loopback: true,
                ..leg("containerd")
            }),
            Hop::Unknown
        );
    }

    #[test]
    fn the_api_server_is_tunnel_only_towards_a_kubelet() {
        let to_kubelet = Leg {
            remote_port: 10_250,
            ..leg("kube-apiserver")
        };
        assert_eq!(table().owner(&to_kubelet), Hop::Tunnel);
        assert_eq!(
            table().owner(&Leg {
                remote_port: 2379,
                ..leg("kube-apiserver")
            }),
            Hop::Unknown
        );
    }

    #[test]
    fn a_configured_workload_is_its_hop_whatever_its_process_is_called() {
        let table = HopTable {
            balancer_workloads: vec!["edge/controller".to_owned()],
            tunnel_workloads: vec!["relay.service".to_owned()],
            ..table()
        };
        let pod = |namespace| Leg {
            in_pod: true,
            namespace,
            workload: "controller",
            ..leg("nginx")
        };
        assert_eq!(table.owner(&pod("edge")), Hop::Lb);
        assert_eq!(table.owner(&pod("other")), Hop::Backend);
        let unit = Leg {
            workload: "relay.service",
            ..leg("socat")
        };
        assert_eq!(table.owner(&unit), Hop::Tunnel);
    }

    #[test]
    fn names_match_whole_or_with_a_suffix() {
        assert!(is("containerd-shim", "containerd"));
        assert!(is("/usr/bin/k6", "k6"));
        assert!(!is("abrt", "ab"));
        assert!(!is("", "ab"));
    }

    #[test]
    fn a_process_in_a_container_is_backend_and_so_is_what_it_depends_on() {
        let outbound = Leg {
            netns: 7,
            ..leg("python3")
        };
        assert_eq!(table().owner(&outbound), Hop::Backend);
        assert_eq!(
            table().peer(Hop::Backend, &outbound, "10.0.0.5:5432".parse().unwrap(), None),
            Hop::Backend
        );
    }

    #[test]
    fn configured_addresses_are_load_balancers_from_either_side() {
        let inbound = Leg {
            active: false,
            netns: 7,
            local_port: 8080,
            ..leg("")
        };
        let balancer = "192.0.2.7:1234".parse().unwrap();
        assert_eq!(table().peer(Hop::Backend, &inbound, balancer, None), Hop::Lb);
        assert_eq!(table().peer(Hop::Client, &leg("k6"), balancer, None), Hop::Lb);
    }

    #[test]
    fn a_generator_is_client_and_its_target_is_who_listens_there() {
        assert_eq!(table().owner(&leg("k6")), Hop::Client);
        assert_eq!(
            table().peer(Hop::Client, &leg("k6"), remote(), Some(Hop::Lb)),
            Hop::Lb
        );
        assert_eq!(
            table().peer(Hop::Client, &leg("k6"), remote(), None),
            Hop::Backend
        );
        let other = "10.0.0.9:9".parse().unwrap();
        assert_eq!(table().peer(Hop::Client, &leg("k6"), other, None), Hop::Unknown);
    }
}
