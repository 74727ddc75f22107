//! A pod: its name, its phase, and where its ports really are.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// A pod's phase, with the one that the API has no word for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It runs.
    #[default]
    Running,
    /// It is not started yet.
    Pending,
    /// It ended well.
    Succeeded,
    /// It ended badly.
    Failed,
    /// It was deleted: the API knows it no more, and the runtime has no sandbox of it. Open forwards find out at the next connection.
    Gone,
}

impl Phase {
    /// The API's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Pending => "Pending",
            Self::Succeeded => "Succeeded",
            Self::Failed | Self::Gone => "Failed",
        }
    }
}

/// A pod to put into a cluster.
#[derive(Clone, Debug)]
pub struct Pod {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) phase: Phase,
    pub(crate) ports: BTreeMap<u16, Listening>,
}

/// Where a port of the pod's is on this machine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Listening {
    pub(crate) on_ipv4: Option<SocketAddr>,
    pub(crate) on_ipv6: Option<SocketAddr>,
}

impl Pod {
    /// A running pod of that name in the namespace `default`, labelled `app=NAME`, with no port open.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            namespace: "default".to_owned(),
            labels: BTreeMap::from([("app".to_owned(), name.to_owned())]),
            phase: Phase::Running,
            ports: BTreeMap::new(),
        }
    }

    /// Puts it into another namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// Adds or replaces a label.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Its phase at first.
    #[must_use]
    pub fn phase(mut self, phase: Phase) -> Self {
        self.phase = phase;
        self
    }

    /// Says that what the pod has on 127.0.0.1:`port` is at `address`. A port that nobody listens on is refused, as in a real pod.
    #[must_use]
    pub fn port(mut self, port: u16, address: SocketAddr) -> Self {
        self.ports.entry(port).or_default().on_ipv4 = Some(address);
        self
    }

    /// The same for the pod's `[::1]:port`, which is dialled when 127.0.0.1 fails.
    #[must_use]
    pub fn ipv6_port(mut self, port: u16, address: SocketAddr) -> Self {
        self.ports.entry(port).or_default().on_ipv6 = Some(address);
        self
    }
}

/// A pod of a running cluster; clones are the same pod.
#[derive(Clone, Debug)]
pub struct PodHandle {
    pod: Arc<Mutex<Pod>>,
}

impl PodHandle {
    pub(crate) fn new(pod: Pod) -> Self {
        Self {
            pod: Arc::new(Mutex::new(pod)),
        }
    }

    /// Changes the phase from now on.
    pub fn set_phase(&self, phase: Phase) {
        self.pod.lock().unwrap_or_else(PoisonError::into_inner).phase = phase;
    }

    /// Moves a port: the next dial goes to `address`; with none it is refused.
    pub fn set_port(&self, port: u16, address: Option<SocketAddr>) {
        let mut pod = self.pod.lock().unwrap_or_else(PoisonError::into_inner);
        pod.ports.entry(port).or_default().on_ipv4 = address;
    }

    pub(crate) fn read(&self) -> Pod {
        self.pod.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A sandbox id of the runtime's form, always the same for the same name.
    pub(crate) fn sandbox(&self) -> String {
        let pod = self.read();
        let seed = pod
            .name
            .bytes()
            .chain(pod.namespace.bytes())
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        let mut random = fastrand::Rng::with_seed(seed);
        format!("{:032x}{:032x}", random.u128(..), random.u128(..))
    }
}
