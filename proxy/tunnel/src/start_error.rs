//! Why a forward could not be opened, said in one line with what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hopscope_attribution::cause::Cause;
use hopscope_attribution::evidence::tunnel::{StartFailure, TunnelMeaning};

/// Why a forward could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum TunnelStartError {
    /// There is no such program.
    #[error("`{}` was not found: install kubectl, or name it with ?kubectl=/path/to/kubectl", program.display())]
    KubectlMissing {
        /// What was to be run.
        program: PathBuf,
    },
    /// The program is there and cannot be run.
    #[error("`{}` cannot be run ({source}): check its permissions and its architecture, or name another with ?kubectl=", program.display())]
    CannotRun {
        /// What was to be run.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// kubectl ended before it listened.
    #[error("kubectl could not forward to {resource}: {}; kubectl said: {}", advice(*meaning), words.as_deref().unwrap_or("nothing"))]
    Refused {
        /// What was to be forwarded to.
        resource: String,
        /// What its last words mean.
        meaning: TunnelMeaning,
        /// Its last words.
        words: Option<String>,
    },
    /// kubectl neither listened nor ended.
    #[error("kubectl did not open the forward to {resource} within {} s: check the cluster with `kubectl get pods`; kubectl said: {}", after.as_secs(), words.as_deref().unwrap_or("nothing"))]
    Late {
        /// What was to be forwarded to.
        resource: String,
        /// How long was waited.
        after: Duration,
        /// Its last words.
        words: Option<String>,
    },
    /// hopscope has no thread or event loop for it.
    #[error(
        "cannot start the thread that watches kubectl: check the limits of processes and descriptors (ulimit -u, ulimit -n)"
    )]
    NoThread(#[source] io::Error),
}

impl TunnelStartError {
    /// The cause that the failure is charged to, should a report be made of it.
    pub fn cause(&self) -> Cause {
        match self {
            Self::KubectlMissing { .. } | Self::CannotRun { .. } | Self::NoThread(_) => Cause::TunnelDown,
            Self::Refused { .. } | Self::Late { .. } => Cause::TunnelDenied,
        }
    }
}

/// What is wrong, and what to do about it.
fn advice(meaning: TunnelMeaning) -> &'static str {
    let Some(failure) = meaning.start_failure() else {
        return "it ended before it listened: try the same command by hand";
    };
    match failure {
        StartFailure::Forbidden => {
            "the cluster forbids it: ask for the RBAC verbs `get` and `create` on `pods/portforward`, and `get` and `list` on pods and services"
        }
        StartFailure::NotLoggedIn => "the cluster does not accept the credentials: log in again",
        StartFailure::BadConfiguration => {
            "the kubeconfig does not fit: check ?context= and ?kubeconfig= with `kubectl config get-contexts`"
        }
        StartFailure::NotFound => {
            "there is no such object or port: check the name, the port and the namespace (?namespace=)"
        }
        StartFailure::PodNotRunning => "no pod of it is running: look with `kubectl get pods`",
        StartFailure::NodeUnreachable => {
            "the API server cannot reach the pod's node: look at the node with `kubectl get nodes`, at firewalls to port 10250, at konnectivity"
        }
        StartFailure::RuntimeRefused => {
            "the container runtime on the pod's node did not take it: look whether the pod restarts (`kubectl get pods`), and at the runtime's log on that node"
        }
        StartFailure::UpgradeFailed => {
            "the API server, or a proxy before it, did not open the tunnel: try again with `-v=6`, and with KUBECTL_PORT_FORWARD_WEBSOCKETS=false"
        }
        StartFailure::CannotListen => {
            "it could not listen on 127.0.0.1: look for what holds the port with `ss -ltnp`"
        }
        StartFailure::ApiUnreachable => {
            "the API server cannot be reached: try `kubectl cluster-info`, and check VPN and proxy settings"
        }
        StartFailure::NoDescriptor => "kubectl ran out of descriptors: raise the limit (ulimit -n)",
        StartFailure::LostAtOnce => {
            "the tunnel ended as soon as it stood: look at the API server and the node"
        }
    }
}
