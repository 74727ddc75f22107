//! Forwards that end, stop, hang or refuse, and applications that do so behind them.

use crate::play::{Answer, Deed, Load, PLAY, Part, Play, TUNNEL_OR_BACKEND, Truth};

const NODE: Part = Part::Node(&["--latency", "3:10"]);
const KUBECTL: &[Part] = &[NODE, Part::Kubectl];
const OWN: &[Part] = &[NODE, Part::OwnKubectl];
const LOAD: Load = Load::K6(&[("FRESH", "1"), ("VUS", "6"), ("PATIENCE", "2000")]);
const KEPT: Load = Load::K6(&[("VUS", "6"), ("PATIENCE", "2000")]);
const PATIENT: Load = Load::K6(&[("VUS", "6"), ("PATIENCE", "1500"), ("SECONDS", "6")]);
const TUNNEL: &[Answer] = &[Answer::Hop("tunnel", &[])];
const LOST: &[Answer] = &[Answer::Hop("tunnel", &["tunnel-lost", "tunnel-down"])];
const REFUSED: &[Answer] = &[Answer::Hop("backend", &["backend-refused", "backend-not-ready"])];
const BACKEND: &[Answer] = &[Answer::Hop("backend", &[])];
const OPEN: &[Answer] = &[TUNNEL_OR_BACKEND];

/// Nobody reads the words of a kubectl that hopscope did not start, and a pod's refusal ends it as well.
const ENDED: &[Answer] = &[
    TUNNEL_OR_BACKEND,
    Answer::Hop("tunnel", &["tunnel-lost", "tunnel-down"]),
];

pub(super) const PLAYS: &[Play] = &[
    Play {
        name: "kubectl-pod-refuses",
        mirror: "kubectl-lost",
        truth: Truth::Backend,
        done: "The pod's port refuses after 2 s: kubectl ends the whole forward.",
        path: KUBECTL,
        load: LOAD,
        deeds: &[(2.0, Deed::Cluster("port web 8080 closed"))],
        alone: REFUSED,
        two: REFUSED,
        ..PLAY
    },
    Play {
        name: "kubectl-lost",
        mirror: "kubectl-pod-refuses",
        truth: Truth::Tunnel,
        done: "kubectl's connection to the API server is reset after 2 s.",
        path: KUBECTL,
        load: LOAD,
        deeds: &[(2.0, Deed::Cluster("tunnel reset"))],
        alone: LOST,
        two: LOST,
        ..PLAY
    },
    Play {
        name: "kubectl-healthy",
        mirror: "kubectl-lost",
        done: "kubectl in front of a healthy application.",
        path: KUBECTL,
        load: KEPT,
        alone: &[Answer::Nothing],
        ..PLAY
    },
    Play {
        name: "kubectl-pod-gone",
        mirror: "kubectl-lost",
        truth: Truth::Backend,
        done: "The pod is deleted after 2 s.",
        path: KUBECTL,
        load: LOAD,
        deeds: &[(2.0, Deed::Cluster("phase web Gone"))],
        alone: &[Answer::Hop("backend", &["backend-not-ready", "backend-refused"])],
        ..PLAY
    },
    Play {
        name: "kubectl-app-500",
        mirror: "kubectl-lost",
        truth: Truth::Backend,
        done: "node answers 500 to a third, behind kubectl.",
        path: &[Part::Node(&["--status", "0.33:500"]), Part::Kubectl],
        load: Load::Hey(&["-z", "3s", "-c", "4", "-q", "15"]),
        alone: &[Answer::Hop("backend", &["backend-error"])],
        ..PLAY
    },
    Play {
        name: "kubectl-app-resets",
        mirror: "kubectl-lost",
        truth: Truth::Backend,
        done: "The application resets a tenth, behind kubectl.",
        path: &[Part::Python(&["--do", "reset=0.1"]), Part::Kubectl],
        load: LOAD,
        alone: &[Answer::Hop("backend", &["backend-reset"])],
        two: &[Answer::Hop("backend", &["backend-reset"])],
        ..PLAY
    },
    Play {
        name: "kubectl-killed",
        mirror: "own-kubectl-pod-refuses",
        truth: Truth::Tunnel,
        done: "An own kubectl is killed after 2 s.",
        path: OWN,
        load: LOAD,
        deeds: &[(2.0, Deed::Signal(1, "KILL"))],
        alone: ENDED,
        two: LOST,
        ..PLAY
    },
    Play {
        name: "own-kubectl-pod-refuses",
        mirror: "kubectl-killed",
        truth: Truth::Backend,
        done: "The pod's port refuses after 2 s: an own kubectl, whose words nobody reads, ends the whole forward.",
        path: OWN,
        load: LOAD,
        deeds: &[(2.0, Deed::Cluster("port web 8080 closed"))],
        alone: &[
            TUNNEL_OR_BACKEND,
            Answer::Hop("backend", &["backend-refused", "backend-not-ready"]),
        ],
        ..PLAY
    },
    Play {
        name: "kubectl-restarted",
        mirror: "app-restarted",
        truth: Truth::Tunnel,
        done: "An own kubectl is killed after 1.5 s and started again a second later.",
        path: OWN,
        load: KEPT,
        deeds: &[(1.5, Deed::Signal(1, "KILL")), (2.5, Deed::Again(1))],
        alone: ENDED,
        ..PLAY
    },
    Play {
        name: "kubectl-stopped-last",
        mirror: "app-stopped",
        truth: Truth::Tunnel,
        done: "An own kubectl is stopped (SIGSTOP) after 2 s and never goes on.",
        path: OWN,
        load: Load::K6(&[("VUS", "6"), ("PATIENCE", "1500"), ("SECONDS", "6")]),
        deeds: &[(2.0, Deed::Signal(1, "STOP"))],
        alone: &[Answer::Hop("tunnel", &["tunnel-stopped"])],
        ..PLAY
    },
    Play {
        name: "kubectl-hung",
        mirror: "silent-kubectl",
        truth: Truth::Tunnel,
        done: "An own kubectl hangs after 2 s: alive, its sockets open, and it copies nothing.",
        path: OWN,
        load: PATIENT,
        deeds: &[(2.0, Deed::Hang(1))],
        alone: TUNNEL,
        two: TUNNEL,
        ..PLAY
    },
    Play {
        name: "kubectl-blackhole",
        mirror: "silent-kubectl",
        truth: Truth::Tunnel,
        done: "The API server stops reading kubectl's connection after 2 s.",
        path: KUBECTL,
        load: PATIENT,
        deeds: &[(2.0, Deed::Cluster("tunnel stop-reading"))],
        alone: &[
            Answer::Hop("tunnel", &["tunnel-blackhole", "tunnel-timeout", "tunnel-lost"]),
            Answer::Open,
        ],
        ..PLAY
    },
    Play {
        name: "kubectl-app-stopped",
        mirror: "kubectl-blackhole",
        truth: Truth::Backend,
        done: "The application is stopped (SIGSTOP) after 2 s, behind a healthy kubectl: all are silent.",
        path: KUBECTL,
        load: PATIENT,
        deeds: &[(2.0, Deed::Signal(0, "STOP"))],
        alone: &[Answer::Hop("backend", &["backend-timeout"])],
        two: &[Answer::Hop("backend", &["backend-timeout"])],
        ..PLAY
    },
    Play {
        name: "kubectl-api-pauses",
        mirror: "kubectl-app-pauses",
        truth: Truth::Tunnel,
        done: "The API server does not read kubectl's connection for 1.6 s, about as long as k6 waits.",
        path: KUBECTL,
        load: PATIENT,
        deeds: &[
            (2.0, Deed::Cluster("tunnel stop-reading")),
            (3.6, Deed::Cluster("tunnel start-reading")),
        ],
        alone: &[TUNNEL_OR_BACKEND, Answer::Hop("tunnel", &[])],
        ..PLAY
    },
    Play {
        name: "kubectl-app-pauses",
        mirror: "kubectl-api-pauses",
        truth: Truth::Backend,
        done: "The application is stopped (SIGSTOP) for 1.6 s, about as long as k6 waits, behind a healthy kubectl.",
        path: KUBECTL,
        load: PATIENT,
        deeds: &[(2.0, Deed::Signal(0, "STOP")), (3.6, Deed::Signal(0, "CONT"))],
        alone: &[TUNNEL_OR_BACKEND, Answer::Hop("backend", &[])],
        ..PLAY
    },
    Play {
        name: "socat-app-deaf",
        mirror: "forwarder-deaf",
        truth: Truth::Backend,
        done: "The application accepts four connections and no more, its queue of four fills up; socat connects before it reads.",
        path: &[Part::Python(&["--accept", "4", "--backlog", "4"]), Part::Socat],
        load: Load::K6(&[
            ("FRESH", "1"),
            ("VUS", "12"),
            ("PATIENCE", "2000"),
            ("SECONDS", "6"),
        ]),
        alone: OPEN,
        two: &[Answer::Hop("backend", &[]), TUNNEL_OR_BACKEND],
        ..PLAY
    },
    Play {
        name: "kubectl-two-stages",
        mirror: "kubectl-lost",
        truth: Truth::Backend,
        done: "The pod refuses after 2 s, and 0.2 s later kubectl's connection is reset.",
        path: KUBECTL,
        load: Load::K6(&[
            ("VUS", "12"),
            ("FRESH", "1"),
            ("PATIENCE", "2000"),
            ("PAUSE", "0.01:0.05"),
        ]),
        deeds: &[
            (2.0, Deed::Cluster("port web 8080 closed")),
            (2.2, Deed::Cluster("tunnel reset")),
        ],
        alone: REFUSED,
        ..PLAY
    },
    Play {
        name: "forwarder-app-refuses",
        mirror: "forwarder-cuts",
        truth: Truth::Backend,
        done: "A python forwarder; the application is killed after 2 s: accepted, and closed without a byte.",
        path: &[NODE, Part::Forwarder("")],
        load: LOAD,
        deeds: &[(2.0, Deed::Signal(0, "KILL"))],
        alone: OPEN,
        two: BACKEND,
        ..PLAY
    },
    Play {
        name: "forwarder-cuts",
        mirror: "app-resets",
        truth: Truth::Tunnel,
        done: "A python forwarder resets a fifth of its connections in place of the answer.",
        path: &[NODE, Part::Forwarder("cut:0.2")],
        load: LOAD,
        alone: OPEN,
        two: &[Answer::Hop("tunnel", &[]), TUNNEL_OR_BACKEND],
        ..PLAY
    },
    Play {
        name: "forwarder-killed",
        mirror: "app-killed",
        truth: Truth::Tunnel,
        done: "A python forwarder is killed after 2 s.",
        path: &[NODE, Part::Forwarder("")],
        load: LOAD,
        deeds: &[(2.0, Deed::Signal(1, "KILL"))],
        alone: LOST,
        two: LOST,
        ..PLAY
    },
    Play {
        name: "forwarder-deaf",
        mirror: "silent-kubectl",
        truth: Truth::Tunnel,
        done: "A python forwarder accepts and reads nothing after 2 s.",
        path: &[NODE, Part::Forwarder("deaf:2")],
        load: Load::K6(&[
            ("FRESH", "1"),
            ("VUS", "6"),
            ("PATIENCE", "1000"),
            ("SECONDS", "5"),
        ]),
        // A forwarder of which nothing is known may wait for the application to accept: `socat-app-deaf`.
        alone: &[TUNNEL_OR_BACKEND, Answer::Hop("tunnel", &[])],
        two: &[Answer::Hop("tunnel", &[]), TUNNEL_OR_BACKEND],
        ..PLAY
    },
    Play {
        name: "forwarder-loop-ended",
        mirror: "queue-full",
        truth: Truth::Tunnel,
        done: "A python forwarder accepts no more after 2 s.",
        path: &[NODE, Part::Forwarder("loop:2")],
        load: Load::K6(&[
            ("FRESH", "1"),
            ("VUS", "6"),
            ("PATIENCE", "1000"),
            ("SECONDS", "5"),
        ]),
        alone: TUNNEL,
        ..PLAY
    },
    Play {
        name: "forwarder-hung",
        mirror: "silent-tenth",
        truth: Truth::Tunnel,
        done: "A python forwarder reads nothing more and passes nothing on after 2 s.",
        path: &[NODE, Part::Forwarder("hung:2")],
        load: Load::K6(&[("VUS", "6"), ("PATIENCE", "1000"), ("SECONDS", "5")]),
        alone: &[Answer::Hop("tunnel", &[]), TUNNEL_OR_BACKEND, Answer::Open],
        two: &[Answer::Hop("tunnel", &[]), TUNNEL_OR_BACKEND, Answer::Open],
        ..PLAY
    },
    Play {
        name: "socat-app-refuses",
        mirror: "socat-killed",
        truth: Truth::Backend,
        done: "socat; the application is killed after 2 s.",
        path: &[NODE, Part::Socat],
        load: LOAD,
        deeds: &[(2.0, Deed::Signal(0, "KILL"))],
        alone: OPEN,
        two: BACKEND,
        ..PLAY
    },
    Play {
        name: "socat-killed",
        mirror: "socat-app-refuses",
        truth: Truth::Tunnel,
        done: "socat is killed after 2 s.",
        path: &[NODE, Part::Socat],
        load: LOAD,
        deeds: &[(2.0, Deed::Signal(1, "KILL"))],
        alone: LOST,
        ..PLAY
    },
    Play {
        name: "ssh-app-refuses",
        mirror: "ssh-killed",
        truth: Truth::Backend,
        done: "ssh -L; the application is killed after 2 s: ssh ends that connection alone.",
        path: &[NODE, Part::Ssh],
        load: LOAD,
        deeds: &[(2.0, Deed::Signal(0, "KILL"))],
        alone: OPEN,
        two: BACKEND,
        ..PLAY
    },
    Play {
        name: "ssh-killed",
        mirror: "ssh-app-refuses",
        truth: Truth::Tunnel,
        done: "ssh is killed after 2 s.",
        path: &[NODE, Part::Ssh],
        load: LOAD,
        deeds: &[(2.0, Deed::Signal(1, "KILL"))],
        alone: LOST,
        ..PLAY
    },
];
