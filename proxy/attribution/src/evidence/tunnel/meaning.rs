//! What a line of kubectl's says, and which of it explains a forward that never stood.

macro_rules! meanings {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)+) => {
        /// What a line of kubectl's says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum TunnelMeaning { $($(#[$doc])* $variant,)+ }

        impl TunnelMeaning {
            /// Every meaning.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word used in recordings and reports.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The meaning that a recording's word names, if it names one.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|meaning| meaning.word() == word)
            }
        }
    };
}

meanings! {
    /// `Forwarding from ...`: it listens.
    Listening = "listening",
    /// `Handling connection for ...`: it accepted one. Counted in [`TunnelGauge::handled`](super::TunnelGauge::handled), not recorded singly.
    Handling = "handling",
    /// `Timeout occurred` while a stream was created.
    StreamTimeout = "stream-timeout",
    /// `Stream reset` while a stream was created.
    StreamReset = "stream-reset",
    /// The stream could not be created because the tunnel's connection had ended.
    StreamLost = "stream-lost",
    /// The node could not connect to the pod's port: refused.
    PodRefused = "pod-refused",
    /// The node could not connect to the pod's port: timed out.
    PodConnectTimeout = "pod-connect-timeout",
    /// The pod reset an established connection.
    PodReset = "pod-reset",
    /// The pod closed while bytes were still being written to it.
    PodBrokenPipe = "pod-broken-pipe",
    /// The pod's sandbox is gone or not running.
    PodGone = "pod-gone",
    /// The node waited in vain for the second stream of a pair.
    NodePairTimeout = "node-pair-timeout",
    /// The node had no local port left in the pod's namespace for the connection to the pod.
    NoPodPort = "no-pod-port",
    /// Copying towards the local connection failed: the client went away.
    ClientGone = "client-gone",
    /// Copying from the local connection failed: the client went away.
    ClientReset = "client-reset",
    /// `lost connection to pod`: the forward is over.
    Lost = "lost",
    /// Its accept loop ended for want of descriptors.
    NoDescriptor = "no-descriptor",
    /// It could not listen on the local port.
    CannotListen = "cannot-listen",
    /// The cluster refused: RBAC.
    Forbidden = "forbidden",
    /// The credentials were not accepted, or could not be had.
    NotLoggedIn = "not-logged-in",
    /// kubectl's own configuration is wrong: no such context, file or cluster.
    BadConfiguration = "bad-configuration",
    /// No such pod, service or deployment.
    NotFound = "not-found",
    /// The pod is not running.
    PodNotRunning = "pod-not-running",
    /// The API server could not reach the kubelet.
    NodeUnreachable = "node-unreachable",
    /// The node's container runtime did not take the forward: no running sandbox, or too many requests in flight.
    RuntimeRefused = "runtime-refused",
    /// The upgrade to a tunnel failed for another reason.
    UpgradeFailed = "upgrade-failed",
    /// The API server itself could not be reached.
    ApiUnreachable = "api-unreachable",
    /// The WebSocket upgrade was refused and kubectl falls back to SPDY: noise, the forward works.
    Fallback = "fallback",
    /// An error of the node's that none of the above covers.
    NodeError = "node-error",
    /// Nothing that the classifier knows.
    Unrecognised = "unrecognised",
}

/// Why a forward never stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StartFailure {
    /// RBAC.
    Forbidden,
    /// The credentials were not accepted.
    NotLoggedIn,
    /// kubectl's own configuration is wrong.
    BadConfiguration,
    /// No such object or port.
    NotFound,
    /// No pod of it runs.
    PodNotRunning,
    /// The API server could not reach the kubelet.
    NodeUnreachable,
    /// The container runtime did not take it.
    RuntimeRefused,
    /// The upgrade failed for another reason.
    UpgradeFailed,
    /// The local port could not be had.
    CannotListen,
    /// The API server itself could not be reached.
    ApiUnreachable,
    /// kubectl ran out of descriptors.
    NoDescriptor,
    /// The tunnel ended as soon as it stood.
    LostAtOnce,
}

impl TunnelMeaning {
    /// Why a forward never stood, should this be what kubectl said before it listened. `None` for what it says only
    /// once it listens, and for what explains nothing.
    pub const fn start_failure(self) -> Option<StartFailure> {
        Some(match self {
            Self::Forbidden => StartFailure::Forbidden,
            Self::NotLoggedIn => StartFailure::NotLoggedIn,
            Self::BadConfiguration => StartFailure::BadConfiguration,
            Self::NotFound => StartFailure::NotFound,
            Self::PodNotRunning => StartFailure::PodNotRunning,
            Self::NodeUnreachable => StartFailure::NodeUnreachable,
            Self::RuntimeRefused => StartFailure::RuntimeRefused,
            Self::UpgradeFailed => StartFailure::UpgradeFailed,
            Self::CannotListen => StartFailure::CannotListen,
            Self::ApiUnreachable => StartFailure::ApiUnreachable,
            Self::NoDescriptor => StartFailure::NoDescriptor,
            Self::Lost => StartFailure::LostAtOnce,
            Self::Listening
            | Self::Handling
            | Self::StreamTimeout
            | Self::StreamReset
            | Self::StreamLost
            | Self::PodRefused
            | Self::PodConnectTimeout
            | Self::PodReset
            | Self::PodBrokenPipe
            | Self::PodGone
            | Self::NodePairTimeout
            | Self::NoPodPort
            | Self::ClientGone
            | Self::ClientReset
            | Self::Fallback
            | Self::NodeError
            | Self::Unrecognised => return None,
        })
    }

    /// How much it says of why a forward ended or was replaced, the more the greater: what the node reports of the pod
    /// says more than kubectl's own `lost connection to pod`, which follows every end. 0 explains nothing.
    pub const fn explains_an_end(self) -> u8 {
        match self {
            Self::PodRefused
            | Self::PodConnectTimeout
            | Self::PodReset
            | Self::PodBrokenPipe
            | Self::PodGone
            | Self::NodePairTimeout
            | Self::NoPodPort
            | Self::NodeError => 3,
            Self::StreamTimeout | Self::NoDescriptor => 2,
            Self::Lost => 1,
            Self::Listening
            | Self::Handling
            | Self::StreamReset
            | Self::StreamLost
            | Self::ClientGone
            | Self::ClientReset
            | Self::CannotListen
            | Self::Forbidden
            | Self::NotLoggedIn
            | Self::BadConfiguration
            | Self::NotFound
            | Self::PodNotRunning
            | Self::NodeUnreachable
            | Self::RuntimeRefused
            | Self::UpgradeFailed
            | Self::ApiUnreachable
            | Self::Fallback
            | Self::Unrecognised => 0,
        }
    }
}
