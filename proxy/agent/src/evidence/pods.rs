//! What is told of pods beside their ends of sockets: refusals without a socket, CPU limits, and Services' endpoints.

use std::net::SocketAddr;

use hopscope_attribution::evidence::FourTuple;
use serde::{Deserialize, Serialize};

/// A SYN that nobody's socket took, as the kernel of the namespace saw it that the SYN arrived in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalSeen {
    /// When, microseconds since 1970.
    pub unix_us: u64,
    /// Where the SYN arrived: address and port after any translation.
    pub local: SocketAddr,
    /// Who had sent it, as that namespace sees it.
    pub remote: SocketAddr,
    /// Inode of the network namespace; 0 when unknown.
    pub netns: u32,
    /// A word of [`Arrived`](hopscope_attribution::evidence::Arrived).
    pub arrived: String,
    /// The namespace is a pod's.
    #[serde(default)]
    pub in_pod: bool,
    /// The pod's Kubernetes namespace, where the API names it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// What the pod is one of, or its uid where no API names it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub workload: String,
    /// The pod's name, where the API names it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pod: String,
    /// The kernel's reason for a packet that it dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl RefusalSeen {
    /// Of a SYN with these ends; `local` is where it arrived.
    pub(crate) fn at(ends: FourTuple) -> Self {
        Self {
            unix_us: 0,
            local: ends.local,
            remote: ends.remote,
            netns: 0,
            arrived: String::new(),
            in_pod: false,
            namespace: String::new(),
            workload: String::new(),
            pod: String::new(),
            reason: None,
        }
    }
}

/// A second in which a container's CPU limit held it back (`cpu.stat` of its cgroup).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottleSeen {
    /// Start of the window, microseconds since 1970.
    pub from_unix_us: u64,
    /// Its length, microseconds.
    pub length_us: u64,
    /// The pod's Kubernetes namespace, where the API names it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The pod's name, its uid where no API names it.
    pub pod: String,
    /// What it is one of.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub workload: String,
    /// The container's id; absent where the figures are the whole pod's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// `nr_periods`: periods of the quota with something to run.
    pub periods: u64,
    /// `nr_throttled`: those of them that used the quota up.
    pub throttled: u64,
    /// `throttled_usec`, added up over its CPUs.
    pub held_back_us: u64,
    /// `usage_usec`.
    pub used_us: u64,
}

/// A Service and its endpoints, from a moment on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSeen {
    /// When the agent heard of it, microseconds since 1970.
    pub unix_us: u64,
    /// It was so when the agent began to watch, or began anew after a time without an answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub listed: bool,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The addresses that stand for it, each with each of its ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<SocketAddr>,
    /// Its node ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_ports: Vec<u16>,
    /// Endpoints that take traffic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ready: Vec<EndpointSeen>,
    /// Those that do not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_ready: Vec<EndpointSeen>,
}

/// One endpoint of a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EndpointSeen {
    /// Its address and port.
    pub address: SocketAddr,
    /// The pod's name in the Service's namespace; empty where it is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pod: String,
    /// Its node; empty where the API does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node: String,
}
