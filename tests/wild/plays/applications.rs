//! The application alone, on a path with nothing between.

use crate::play::{Answer, Deed, LB_OR_BACKEND, Load, PLAY, Part, Play, Truth};

const NODE: &[Part] = &[Part::Node(&["--latency", "3:10"])];
const FRESH: Load = Load::K6(&[("FRESH", "1"), ("VUS", "8"), ("PATIENCE", "2000")]);
const KEPT: Load = Load::K6(&[("VUS", "8"), ("PATIENCE", "2000")]);
const GONE: Answer = Answer::Hop(
    "backend",
    &[
        "backend-not-ready",
        "backend-refused",
        "backend-reset",
        "backend-truncated",
    ],
);

pub(super) const PLAYS: &[Play] = &[
    Play {
        name: "app-killed",
        mirror: "kubectl-killed",
        truth: Truth::Backend,
        done: "node is killed after 2 s.",
        path: NODE,
        load: KEPT,
        deeds: &[(2.0, Deed::Signal(0, "KILL"))],
        alone: &[GONE],
        agents: &[GONE],
        ..PLAY
    },
    Play {
        name: "app-healthy",
        mirror: "app-killed",
        done: "node answers; wrk asks for 3 s.",
        path: NODE,
        load: Load::Wrk(&["-t1", "-c8", "-d3s"]),
        alone: &[Answer::Nothing],
        agents: &[Answer::Nothing],
        ..PLAY
    },
    Play {
        name: "app-500",
        mirror: "envoy-direct-response",
        truth: Truth::Backend,
        done: "node answers 500 to a third.",
        path: &[Part::Node(&["--status", "0.33:500"])],
        load: Load::Hey(&["-z", "3s", "-c", "4", "-q", "20"]),
        alone: &[Answer::Hop("backend", &["backend-error"])],
        ..PLAY
    },
    Play {
        name: "app-429",
        mirror: "envoy-rate-limit",
        truth: Truth::Backend,
        done: "node answers 429 above 20 requests a second.",
        path: &[Part::Node(&["--rate", "20"])],
        load: Load::Hey(&["-z", "4s", "-c", "4", "-q", "15"]),
        alone: &[Answer::Hop("backend", &["backend-rate-limited"])],
        ..PLAY
    },
    Play {
        name: "app-restarted",
        mirror: "kubectl-restarted",
        truth: Truth::Backend,
        done: "node is killed after 1.5 s and started again a second later.",
        path: NODE,
        load: KEPT,
        deeds: &[(1.5, Deed::Signal(0, "KILL")), (2.5, Deed::Again(0))],
        alone: &[GONE],
        ..PLAY
    },
    Play {
        name: "app-stopped",
        mirror: "kubectl-stopped-last",
        truth: Truth::Backend,
        done: "node is stopped (SIGSTOP) after 2 s; k6 waits a second.",
        path: NODE,
        load: Load::K6(&[("VUS", "8"), ("PATIENCE", "1000"), ("SECONDS", "5")]),
        deeds: &[(2.0, Deed::Signal(0, "STOP"))],
        alone: &[Answer::Hop("backend", &["backend-timeout", "backend-not-ready"])],
        agents: &[Answer::Hop("backend", &["backend-timeout"])],
        ..PLAY
    },
    Play {
        name: "app-resets",
        mirror: "forwarder-cuts",
        truth: Truth::Backend,
        done: "The application resets a fifth of its connections in place of an answer.",
        path: &[Part::Python(&["--do", "reset=0.2"])],
        load: FRESH,
        alone: &[Answer::Hop("backend", &["backend-reset"])],
        agents: &[Answer::Hop("backend", &["backend-reset"])],
        ..PLAY
    },
    Play {
        name: "app-truncates",
        mirror: "kubectl-lost",
        truth: Truth::Backend,
        done: "A fifth of the answers is half as long as it says, and ended by a FIN.",
        path: &[Part::Python(&["--do", "truncate=0.2"])],
        load: FRESH,
        alone: &[Answer::Hop("backend", &["backend-truncated"])],
        ..PLAY
    },
    Play {
        name: "gunicorn-worker-timeout",
        mirror: "haproxy-own-server-timeout",
        truth: Truth::Backend,
        done: "A sync worker of gunicorn takes 3 s for an answer and is killed after one (-t 1).",
        path: &[Part::Gunicorn(&["-w", "2", "-t", "1"])],
        load: Load::K6(&[
            ("ROUTES", "/late/3000,/products,/products"),
            ("VUS", "4"),
            ("SECONDS", "5"),
        ]),
        alone: &[Answer::Hop(
            "backend",
            &[
                "backend-reset",
                "backend-truncated",
                "backend-not-ready",
                "backend-timeout",
            ],
        )],
        ..PLAY
    },
    Play {
        name: "gunicorn-max-requests",
        mirror: "node-crashes",
        done: "gunicorn's workers end after 200 requests and others take over; connections are closed as announced.",
        path: &[Part::Gunicorn(&["-w", "2", "--max-requests", "200"])],
        load: Load::Hey(&["-z", "3s", "-c", "4", "-q", "40"]),
        alone: &[Answer::Nothing],
        ..PLAY
    },
    Play {
        name: "uvicorn-limit",
        mirror: "envoy-overflow",
        truth: Truth::Backend,
        done: "uvicorn takes four at a time (--limit-concurrency) and answers 503 to the rest.",
        path: &[Part::Uvicorn(&["--limit-concurrency", "4"])],
        load: Load::Hey(&["-z", "3s", "-c", "12", "-q", "10"]),
        alone: &[Answer::Hop("backend", &["backend-error", "backend-overloaded"])],
        ..PLAY
    },
    Play {
        name: "node-crashes",
        mirror: "haproxy-killed",
        truth: Truth::Backend,
        done: "node's 60th request ends the process, which is started again twice.",
        path: &[Part::Node(&["--crash", "60"])],
        load: KEPT,
        deeds: &[(1.5, Deed::Again(0)), (3.0, Deed::Again(0))],
        alone: &[GONE],
        ..PLAY
    },
    Play {
        name: "app-absent",
        mirror: "service-reject-rst",
        truth: Truth::Backend,
        done: "Nobody listens where the application should.",
        path: &[Part::Nobody],
        load: FRESH,
        alone: &[Answer::Hop("backend", &["backend-refused", "backend-not-ready"])],
        agents: &[Answer::Hop("backend", &["backend-refused", "backend-not-ready"])],
        ..PLAY
    },
    Play {
        name: "app-503-behind-haproxy",
        mirror: "haproxy-queue",
        truth: Truth::Backend,
        done: "node's own 503, with a body of its own, behind HAProxy.",
        path: &[
            Part::Node(&["--status", "0.3:503"]),
            Part::HaProxy("", "  server only TARGET"),
        ],
        load: Load::Hey(&["-z", "3s", "-c", "4", "-q", "20"]),
        alone: &[
            Answer::Hop(
                "backend",
                &["backend-error", "backend-overloaded", "backend-dependency"],
            ),
            LB_OR_BACKEND,
        ],
        two: &[Answer::Hop(
            "backend",
            &["backend-error", "backend-overloaded", "backend-dependency"],
        )],
        ..PLAY
    },
    Play {
        name: "app-500-behind-nginx",
        mirror: "nginx-own-500",
        truth: Truth::Backend,
        done: "node's own 500, with a body of its own, behind nginx.",
        path: &[
            Part::Node(&["--status", "0.3:500"]),
            Part::Nginx("", "location / { proxy_pass http://TARGET; }"),
        ],
        load: Load::Hey(&["-z", "3s", "-c", "4", "-q", "20"]),
        alone: &[Answer::Hop("backend", &["backend-error"])],
        ..PLAY
    },
];
