//! Why a run could not begin, with what to do.

use std::io;
use std::net::SocketAddr;

use hopscope_host::trust::TrustError;
use hopscope_recording::RecordingError;
use hopscope_tunnel::TunnelStartError;

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The listening address cannot be had.
    #[error("cannot listen on {address}: {source}; {}", advice_on_listening(source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A path's name does not resolve.
    #[error("the host of path {path}, {host}, does not resolve; check the name, or give an address")]
    Unresolvable {
        /// The path.
        path: String,
        /// The name.
        host: String,
    },
    /// A path leads to hopscope's own listener.
    #[error(
        "path {path} leads to {address}, where hopscope itself listens: every connection would come back to it; give --via \
         the application's address, or --listen another port"
    )]
    OwnAddress {
        /// The path.
        path: String,
        /// The address that it leads to.
        address: SocketAddr,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TrustError),
    /// A forward cannot be opened.
    #[error(transparent)]
    Tunnel(#[from] TunnelStartError),
    /// The recording cannot be made.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The system refuses what every run needs.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

fn advice_on_listening(error: &io::Error) -> &'static str {
    #[expect(clippy::wildcard_enum_match_arm, reason = "io::ErrorKind is non-exhaustive")]
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program has that port: stop it, or choose another with --listen",
        io::ErrorKind::PermissionDenied => "ports below 1024 need privilege: choose another with --listen",
        io::ErrorKind::AddrNotAvailable => {
            "that address is not one of this host's: choose another with --listen"
        }
        _ => "choose another address with --listen",
    }
}
