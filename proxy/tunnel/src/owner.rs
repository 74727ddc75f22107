//! Who listens on a forward's port: kubectl, or something else that would take its connections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hopscope_attribution::evidence::tunnel::PortOwner;
use hopscope_attribution::evidence::{Observation, WhyUnseen};

use hopscope_host::process;
use hopscope_host::sock_diag::message::{Family, Query, States};
use hopscope_host::sock_diag::{SockDiag, SockDiagError};

/// A listener on one loopback address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    /// Nobody listens.
    Nobody,
    /// This process of ours does.
    Process(u32),
    /// A process does that is not ours to look at.
    Stranger,
}

/// Who listens on a port of `127.0.0.1` and of `::1`; a listener on the wildcard address counts for both.
pub(super) fn listeners(port: u16) -> Result<(Listener, Listener), SockDiagError> {
    let mut diag = SockDiag::open()?;
    let mut v4 = Found::default();
    let mut v6 = Found::default();
    for family in [Family::V4, Family::V6] {
        let query = Query {
            family,
            states: States::listening(),
            local_port: Some(port),
            tcp_info: false,
        };
        diag.dump(query, |entry| match entry.local.ip() {
            IpAddr::V4(Ipv4Addr::LOCALHOST) => v4.exact = Some(entry.inode),
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => v4.wildcard = Some(entry.inode),
            IpAddr::V6(Ipv6Addr::LOCALHOST) => v6.exact = Some(entry.inode),
            // Unless it was told to be IPv6 only, which the kernel does not say here, it takes IPv4 too.
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
                v6.wildcard = Some(entry.inode);
                v4.dual = Some(entry.inode);
            }
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        })?;
    }
    Ok((v4.listener(), v6.listener()))
}

/// The sockets that may take a connection, by precedence.
#[derive(Debug, Default)]
struct Found {
    exact: Option<u32>,
    wildcard: Option<u32>,
    dual: Option<u32>,
}

impl Found {
    fn listener(&self) -> Listener {
        match self.exact.or(self.wildcard).or(self.dual) {
            None => Listener::Nobody,
            Some(inode) => process::holder(inode).map_or(Listener::Stranger, Listener::Process),
        }
    }
}

impl Listener {
    /// The same, from the point of view of the forward's own process.
    pub(super) fn seen_from(self, forward: u32) -> PortOwner {
        match self {
            Self::Nobody => PortOwner::Nobody,
            Self::Process(pid) if pid == forward => PortOwner::Forward,
            Self::Process(pid) => PortOwner::Other(pid),
            Self::Stranger => PortOwner::Stranger,
        }
    }
}

/// Why the listeners could not be seen.
pub(super) fn why(error: &SockDiagError) -> WhyUnseen {
    match error {
        SockDiagError::NotSupported => WhyUnseen::NotSupported,
        SockDiagError::Socket { .. } | SockDiagError::Refused(_) => WhyUnseen::NotPermitted,
    }
}

/// Whether a process is a `kubectl port-forward`. Its wrappers, and what embeds it, are not.
pub(super) fn is_kubectl(pid: u32) -> Observation<bool> {
    process::command(pid).map(|words| {
        let name = words
            .first()
            .map(|program| program.rsplit('/').next().unwrap_or_default());
        name.is_some_and(|name| name.starts_with("kubectl"))
            && words.iter().any(|word| word == "port-forward")
    })
}

/// Flags of kubectl's whose value stands in a word of its own when it is not joined to them by `=`.
const WITH_VALUE: [&str; 24] = [
    "-n",
    "-s",
    "-v",
    "--namespace",
    "--server",
    "--v",
    "--address",
    "--pod-running-timeout",
    "--context",
    "--cluster",
    "--user",
    "--kubeconfig",
    "--token",
    "--as",
    "--as-group",
    "--as-uid",
    "--cache-dir",
    "--certificate-authority",
    "--client-certificate",
    "--client-key",
    "--request-timeout",
    "--tls-server-name",
    "--log-flush-frequency",
    "--vmodule",
];

/// The pod that a `kubectl port-forward` names on its command line: `pod/web`, or `web` alone. `None` where it names
/// something that stands for pods.
pub(super) fn named_pod(words: &[String]) -> Option<String> {
    let mut positional = Vec::new();
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next() {
        if WITH_VALUE.contains(&word.as_str()) {
            rest.next();
        } else if !word.starts_with('-') {
            positional.push(word.as_str());
        }
    }
    let target = positional
        .iter()
        .position(|word| *word == "port-forward")
        .and_then(|at| positional.get(at + 1))?;
    match target.split_once('/') {
        None => Some((*target).to_owned()),
        Some(("pod" | "pods" | "po", name)) => Some(name.to_owned()),
        Some(_) => None,
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_port_taken_on_one_address_only_is_told_from_one_taken_on_both() {
        let v4 = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = v4.local_addr().expect("bound").port();
        let us = std::process::id();
        assert_eq!(
            listeners(port).expect("readable"),
            (Listener::Process(us), Listener::Nobody)
        );
        assert_eq!(is_kubectl(us), Observation::Seen(false));
        drop(v4);
        assert_eq!(listeners(port).expect("readable").0, Listener::Nobody);
    }

    #[test]
    fn the_pod_is_read_from_the_command_line_where_that_names_one() {
        let named = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            named_pod(&words)
        };
        let web = Some("web".to_owned());
        assert_eq!(named("kubectl port-forward web 80"), web);
        assert_eq!(
            named("kubectl -n shop port-forward --address 0.0.0.0 pod/web 3000:80"),
            web
        );
        assert_eq!(named("kubectl --context=a port-forward -v 6 pods/web :80"), web);
        assert_eq!(named("kubectl port-forward svc/web 80"), None);
        assert_eq!(named("kubectl port-forward deployment/web 80"), None);
        assert_eq!(named("kubectl get pods"), None);
    }

    #[test]
    fn another_process_on_the_forwards_port_is_named() {
        assert_eq!(Listener::Process(7).seen_from(7), PortOwner::Forward);
        assert_eq!(Listener::Process(8).seen_from(7), PortOwner::Other(8));
    }
}
