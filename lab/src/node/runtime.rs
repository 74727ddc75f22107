//! What each container runtime says and does when the pod's side fails.

use std::io;

/// A runtime by its habits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// containerd up to 1.6.21, 1.7.0 to 1.7.2 and 2.0: an error text, then the streams are closed.
    Containerd1621,
    /// containerd 1.6.22 and 1.7.3 on: a pod's reset or broken pipe resets both streams without a text.
    #[default]
    Containerd17,
    /// containerd 2.1 on: a text and a reset.
    Containerd21,
    /// cri-o: a text and a reset, in its own words.
    CriO,
    /// dockershim and others that run socat: socat's own words.
    Dockershim,
}

/// How the streams end when the pod's side failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The text, then FIN on both.
    TextThenFin,
    /// The text, then RST on both.
    TextThenReset,
    /// RST on both, no text.
    ResetOnly,
}

/// What failed on the pod's side.
#[derive(Debug)]
pub(super) enum PodFailure {
    /// Neither address took the connection.
    Dial {
        ipv4: io::ErrorKind,
        ipv6: io::ErrorKind,
    },
    /// Reading an established connection failed; `local` is the port that it was dialled from.
    Read { local: u16, error: io::ErrorKind },
    /// Writing to it failed.
    Write { local: u16, error: io::ErrorKind },
    /// The sandbox is gone.
    NoSandbox,
    /// Words given by a fault.
    Said(String),
}

impl Runtime {
    /// Every runtime.
    pub const ALL: [Self; 5] = [
        Self::Containerd1621,
        Self::Containerd17,
        Self::Containerd21,
        Self::CriO,
        Self::Dockershim,
    ];

    /// A word for it, on command lines.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Containerd1621 => "containerd-1.6.21",
            Self::Containerd17 => "containerd-1.7",
            Self::Containerd21 => "containerd-2.1",
            Self::CriO => "cri-o",
            Self::Dockershim => "dockershim",
        }
    }

    /// `containerRuntimeVersion` of the node's status.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Containerd1621 => "containerd://1.6.21",
            Self::Containerd17 => "containerd://1.7.13",
            Self::Containerd21 => "containerd://2.1.4",
            Self::CriO => "cri-o://1.34.1",
            Self::Dockershim => "docker://20.10.21",
        }
    }

    pub(super) const fn ending(self, failure: &PodFailure) -> Ending {
        match (self, failure) {
            (
                Self::Containerd17,
                PodFailure::Read {
                    error: io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe,
                    ..
                }
                | PodFailure::Write {
                    error: io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe,
                    ..
                },
            ) => Ending::ResetOnly,
            (Self::Containerd21 | Self::CriO, _) => Ending::TextThenReset,
            (Self::Containerd1621 | Self::Containerd17 | Self::Dockershim, _) => Ending::TextThenFin,
        }
    }

    /// Whether the data stream is reset after any end, so that what the client still sends blocks nobody.
    pub(super) const fn resets_after_any_end(self) -> bool {
        match self {
            Self::Containerd21 | Self::CriO => true,
            Self::Containerd1621 | Self::Containerd17 | Self::Dockershim => false,
        }
    }

    /// The words for a failure on the pod's `port`, without what the kubelet's library puts in front.
    pub(super) fn text(self, failure: &PodFailure, port: u16, sandbox: &str) -> String {
        let namespace = namespace_of(sandbox);
        match self {
            Self::Containerd1621 | Self::Containerd17 | Self::Containerd21 => {
                let cause = match failure {
                    PodFailure::NoSandbox => {
                        return format!("failed to find sandbox \"{sandbox}\" in store: not found");
                    }
                    PodFailure::Said(text) => return text.clone(),
                    PodFailure::Dial { ipv4, ipv6 } => format!(
                        "failed to connect to localhost:{port} inside namespace \"{sandbox}\", IPv4: {} IPv6 {} ",
                        dial(4, port, *ipv4),
                        dial(6, port, *ipv6),
                    ),
                    // Go 1.22 and later put the copying call's name in front.
                    PodFailure::Read { local, error } if self == Self::Containerd21 => {
                        format!("writeto {0}: {1}", ends(*local, port), read(*local, port, *error))
                    }
                    PodFailure::Read { local, error } => read(*local, port, *error),
                    PodFailure::Write { local, error } => write(*local, port, *error),
                };
                format!("failed to execute portforward in network namespace \"{namespace}\": {cause}")
            }
            Self::CriO => {
                let cause = match failure {
                    PodFailure::NoSandbox => return format!("could not find sandbox {sandbox}"),
                    PodFailure::Said(text) => return text.clone(),
                    // cri-o reports the last address that it tried.
                    PodFailure::Dial { ipv6, .. } => format!(
                        "failed to connect to localhost:{port} inside namespace {sandbox}: {}",
                        dial(6, port, *ipv6),
                    ),
                    PodFailure::Read { local, error } => read(*local, port, *error),
                    PodFailure::Write { local, error } => write(*local, port, *error),
                };
                format!("port forward into network namespace \"{namespace}\": {cause}")
            }
            Self::Dockershim => {
                let cause = match failure {
                    PodFailure::NoSandbox => return format!("container not found (\"{sandbox}\")"),
                    PodFailure::Said(text) => return text.clone(),
                    PodFailure::Dial { ipv4, .. } => {
                        format!("connect(5, AF=2 127.0.0.1:{port}, 16): {}", capital(errno(*ipv4)))
                    }
                    PodFailure::Read { error, .. } => {
                        format!("read(5, 0x5581a0b3c2a0, 8192): {}", capital(errno(*error)))
                    }
                    PodFailure::Write { error, .. } => {
                        format!("write(5, 0x5581a0b3c2a0, 8192): {}", capital(errno(*error)))
                    }
                };
                format!("exit status 1: 2026/01/02 15:04:05 socat[4711] E {cause}\n")
            }
        }
    }
}

fn namespace_of(sandbox: &str) -> String {
    let mut digits = sandbox.chars();
    let mut group = |len: usize| digits.by_ref().take(len).collect::<String>();
    let groups = [8, 4, 4, 4, 12].map(&mut group);
    format!("/var/run/netns/cni-{}", groups.join("-"))
}

fn ends(local: u16, port: u16) -> String {
    format!("tcp4 127.0.0.1:{local}->127.0.0.1:{port}")
}

fn dial(family: u8, port: u16, error: io::ErrorKind) -> String {
    let host = if family == 4 { "127.0.0.1" } else { "[::1]" };
    format!("dial tcp{family} {host}:{port}: connect: {}", errno(error))
}

fn read(local: u16, port: u16, error: io::ErrorKind) -> String {
    format!("read {}: read: {}", ends(local, port), errno(error))
}

fn write(local: u16, port: u16, error: io::ErrorKind) -> String {
    format!(
        "readfrom {0}: write {0}: write: {1}",
        ends(local, port),
        errno(error)
    )
}

/// The words of Linux, in Go's lower case.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "std may add kinds; Linux has words only for these on a dial or a copy"
)]
pub(crate) fn errno(error: io::ErrorKind) -> &'static str {
    match error {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset by peer",
        io::ErrorKind::BrokenPipe => "broken pipe",
        io::ErrorKind::TimedOut => "connection timed out",
        io::ErrorKind::NetworkUnreachable => "network is unreachable",
        io::ErrorKind::HostUnreachable => "no route to host",
        io::ErrorKind::AddrNotAvailable => "cannot assign requested address",
        _ => "input/output error",
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
