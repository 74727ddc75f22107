//! Which program carries a forward, and the laws that hold for it.

use super::super::observation::Observation;
use super::TunnelProcess;

macro_rules! forwarders {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $programs:expr, $laws:expr;)+) => {
        /// A program that carries connections to an application that is elsewhere.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Forwarder { $($(#[doc = $doc])+ $variant,)+ }

        impl Forwarder {
            /// Every one that is known.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name in a sentence.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The names of its executable files.
            pub const fn programs(self) -> &'static [&'static str] {
                match self { $(Self::$variant => $programs,)+ }
            }

            /// What is known of how it works.
            pub const fn laws(self) -> Laws {
                match self { $(Self::$variant => $laws,)+ }
            }
        }
    };
}

/// What is known of how a forwarder works. What is not known of it may not be held against anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Laws {
    /// client-go's forwarder: all connections share one connection to the API server, one error of the pod's ends them
    /// all, a stream is waited for 30.00 s, five workers read the frames, and the container runtime drains for 1.00 s.
    ClientGo,
    /// All connections share one connection to the far end, and each ends for itself.
    Shared,
    /// Each connection has one of its own to the far end, through the container runtime and its drain of 1.00 s.
    OwnThroughRuntime,
    /// Nothing but what holds for any process that listens.
    Any,
}

impl Laws {
    /// Whether client-go's constants hold.
    pub const fn client_go(self) -> bool {
        matches!(self, Self::ClientGo)
    }

    /// Whether all connections share one connection to the far end: then one that goes on proves that it stands.
    pub const fn shared(self) -> bool {
        matches!(self, Self::ClientGo | Self::Shared)
    }

    /// Whether the container runtime's drain of 1.00 s lies on the way.
    pub const fn drains(self) -> bool {
        matches!(self, Self::ClientGo | Self::OwnThroughRuntime)
    }
}

forwarders! {
    /// `kubectl port-forward`, also as k3s, microk8s and minikube bring it.
    Kubectl = "kubectl", &["kubectl", "k3s", "microk8s", "minikube", "rke2"], Laws::ClientGo;
    /// OpenShift's command line.
    Oc = "oc", &["oc"], Laws::ClientGo;
    /// k9s: client-go in its own process.
    K9s = "k9s", &["k9s"], Laws::ClientGo;
    /// Tilt: its own copy of client-go's forwarder.
    Tilt = "Tilt", &["tilt"], Laws::ClientGo;
    /// kubefwd: client-go, an address for each Service.
    Kubefwd = "kubefwd", &["kubefwd"], Laws::ClientGo;
    /// krelay: client-go to a pod of its own.
    Krelay = "krelay", &["kubectl-relay", "krelay"], Laws::ClientGo;
    /// Headlamp's backend.
    Headlamp = "Headlamp", &["headlamp-server", "headlamp"], Laws::ClientGo;
    /// KubeVirt's command line: a WebSocket for each connection.
    Virtctl = "virtctl", &["virtctl"], Laws::OwnThroughRuntime;
    /// kftray: a WebSocket for each connection.
    Kftray = "kftray", &["kftray", "kftui"], Laws::OwnThroughRuntime;
    /// `mirrord port-forward`: a protocol of its own.
    Mirrord = "mirrord", &["mirrord"], Laws::Any;
    /// `ssh -L`: channels in one connection.
    Ssh = "ssh", &["ssh", "autossh", "plink"], Laws::Shared;
    /// The plug-in of AWS's Session Manager.
    SessionManager = "session-manager-plugin", &["session-manager-plugin", "ssmcli"], Laws::Any;
    /// Docker's published ports, where a process carries them.
    DockerProxy = "docker-proxy", &["docker-proxy", "rootlessport", "slirp4netns", "pasta", "gvproxy"], Laws::Any;
    /// `cloudflared access tcp`.
    Cloudflared = "cloudflared", &["cloudflared"], Laws::Any;
    /// A relay of bytes that people put together.
    Socat = "socat", &["socat", "ncat", "nc", "rinetd", "simpleproxy"], Laws::Any;
    /// None that is known here.
    Other = "the forwarder", &[], Laws::Any;
}

/// Programs that forward only when they are told to: by this word on their command line.
const TOLD: &str = "port-forward";

impl Forwarder {
    /// The forwarder that a command line starts, by its program and, where the program does much else, its words.
    pub fn of_command<'w>(words: impl IntoIterator<Item = &'w str>) -> Self {
        let mut words = words.into_iter();
        let program = words.next().unwrap_or_default();
        let program = program.rsplit(['/', '\\']).next().unwrap_or_default();
        let program = program.strip_suffix(".exe").unwrap_or(program);
        // kubectl is installed under its version as well: `kubectl1.32`, `kubectl-1.36`, `kubectl.real`.
        let versioned = |name: &str| {
            program
                .strip_prefix(name)
                .is_some_and(|rest| name == "kubectl" && !rest.starts_with("-relay") || rest.is_empty())
        };
        let found = Self::ALL
            .iter()
            .copied()
            .find(|forwarder| forwarder.programs().iter().any(|name| versioned(name)));
        match found {
            Some(forwarder @ (Self::Kubectl | Self::Oc | Self::Mirrord | Self::Virtctl)) => {
                if words.any(|word| word == TOLD) {
                    forwarder
                } else {
                    Self::Other
                }
            }
            Some(forwarder) => forwarder,
            None => Self::Other,
        }
    }

    /// Whether a process of this name does nothing but carry connections, or is known by it well enough: the others are
    /// asked for their command line.
    pub const fn only_forwards(self) -> bool {
        match self {
            Self::Kubectl
            | Self::Oc
            | Self::K9s
            | Self::Tilt
            | Self::Kubefwd
            | Self::Krelay
            | Self::Headlamp
            | Self::Virtctl
            | Self::Kftray
            | Self::Mirrord
            | Self::Ssh
            | Self::SessionManager => true,
            // What carries published ports dials the application itself.
            Self::DockerProxy | Self::Cloudflared | Self::Socat | Self::Other => false,
        }
    }

    /// The forwarder that a process is, where anything says it.
    pub fn of_process(process: &TunnelProcess) -> Observation<Self> {
        match (&process.command, &process.is_kubectl) {
            (_, Observation::Seen(true)) => Observation::Seen(Self::Kubectl),
            (Observation::Seen(command), _) => Observation::Seen(Self::of_command(command.split(' '))),
            (Observation::Unseen(_), Observation::Seen(false)) => Observation::Seen(Self::Other),
            (Observation::Unseen(why), Observation::Unseen(_)) => Observation::Unseen(*why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(command: &str) -> Forwarder {
        Forwarder::of_command(command.split(' '))
    }

    #[test]
    fn a_forwarder_is_known_by_its_program() {
        assert_eq!(
            of("/usr/bin/kubectl port-forward svc/web 3000"),
            Forwarder::Kubectl
        );
        assert_eq!(
            of("kubectl1.36 -n shop port-forward svc/web 3000"),
            Forwarder::Kubectl
        );
        assert_eq!(of("k3s kubectl port-forward svc/web 3000"), Forwarder::Kubectl);
        assert_eq!(of("oc port-forward svc/web 3000"), Forwarder::Oc);
        assert_eq!(of("k9s"), Forwarder::K9s);
        assert_eq!(of("ssh -N -L 3000:web:80 bastion"), Forwarder::Ssh);
        assert_eq!(of("kubectl-relay svc/web 3000"), Forwarder::Krelay);
        assert_eq!(of("virtctl port-forward vm/web 3000"), Forwarder::Virtctl);
    }

    #[test]
    fn what_is_none_of_them_is_another() {
        assert_eq!(of("python3 kubectl_forward.py"), Forwarder::Other);
        assert_eq!(of("kubectl proxy --port=3000"), Forwarder::Other);
        assert_eq!(of("octopus"), Forwarder::Other);
        assert_eq!(of(""), Forwarder::Other);
    }

    #[test]
    fn what_embeds_client_gos_forwarder_shares_its_laws_and_nobody_else_does() {
        for forwarder in Forwarder::ALL {
            let embeds = matches!(
                forwarder,
                Forwarder::Kubectl
                    | Forwarder::Oc
                    | Forwarder::K9s
                    | Forwarder::Tilt
                    | Forwarder::Kubefwd
                    | Forwarder::Krelay
                    | Forwarder::Headlamp
            );
            assert_eq!(forwarder.laws().client_go(), embeds, "{forwarder:?}");
        }
    }
}
