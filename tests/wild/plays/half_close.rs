//! Clients that end their direction early, or leave.

use crate::play::{Answer, Envoy, LB_OR_BACKEND, Load, PLAY, Part, Play, Truth};

const SLOW: Part = Part::Node(&["--latency", "300:350"]);
const HALF: Load = Load::Client("half", &["--seconds", "4", "--patience", "3"]);
/// `client-abort` would be wrong: the client waits.
const LEFT_OPEN: &[Answer] = &[Answer::Open, LB_OR_BACKEND];

pub(super) const PLAYS: &[Play] = &[
    Play {
        name: "half-close-envoy",
        mirror: "half-close-app-ends",
        truth: Truth::Lb,
        done: "The client ends its direction after its request and waits; Envoy closes without an answer.",
        path: &[
            SLOW,
            Part::Envoy(Envoy {
                patience_ms: 5_000,
                one_at_a_time: false,
                rate: 0,
                few_routes: false,
                own_status: 0,
                h2: false,
            }),
        ],
        load: HALF,
        alone: LEFT_OPEN,
        two: LEFT_OPEN,
        ..PLAY
    },
    Play {
        name: "half-close-app-ends",
        mirror: "half-close-envoy",
        truth: Truth::Backend,
        done: "The application closes unanswered when it reads the end of the client's direction.",
        path: &[Part::Python(&["--half", "end", "--latency", "100:200"])],
        load: HALF,
        alone: &[Answer::Open, Answer::Hop("backend", &[])],
        ..PLAY
    },
    Play {
        name: "half-close-nginx",
        mirror: "half-close-app-ends",
        truth: Truth::Lb,
        done: "The same client; nginx closes without an answer.",
        path: &[SLOW, Part::Nginx("", "location / { proxy_pass http://TARGET; }")],
        load: HALF,
        alone: LEFT_OPEN,
        two: LEFT_OPEN,
        ..PLAY
    },
    Play {
        name: "half-close-haproxy-aborts",
        mirror: "half-close-haproxy",
        truth: Truth::Lb,
        done: "The same client; HAProxy with `option abortonclose` and a queue.",
        path: &[
            SLOW,
            Part::HaProxy("", "  option abortonclose\n  server only TARGET maxconn 1"),
        ],
        load: HALF,
        alone: LEFT_OPEN,
        ..PLAY
    },
    Play {
        name: "half-close-haproxy",
        mirror: "half-close-haproxy-aborts",
        done: "The same client; HAProxy answers.",
        path: &[
            SLOW,
            Part::HaProxy("  no option abortonclose", "  server only TARGET"),
        ],
        load: HALF,
        alone: &[Answer::Nothing],
        ..PLAY
    },
    Play {
        name: "half-close-node",
        mirror: "half-close-envoy",
        truth: Truth::Backend,
        done: "The same client; node closes without an answer, as it does by default.",
        path: &[SLOW],
        load: HALF,
        alone: &[Answer::Open, Answer::Hop("backend", &[])],
        ..PLAY
    },
    Play {
        name: "half-close-app",
        mirror: "half-close-envoy",
        done: "The same client; the application answers.",
        path: &[Part::Python(&["--latency", "100:200"])],
        load: HALF,
        alone: &[Answer::Nothing],
        ..PLAY
    },
    Play {
        name: "half-close-kubectl",
        mirror: "abort-kubectl",
        truth: Truth::Tunnel,
        done: "The same client through kubectl; the application needs 2 s, the runtime waits 1.00 s.",
        path: &[Part::Node(&["--latency", "2000:2100"]), Part::Kubectl],
        load: Load::Client("half", &["--seconds", "4", "--patience", "4"]),
        alone: &[Answer::Hop("tunnel", &["tunnel-half-close"])],
        ..PLAY
    },
    Play {
        name: "abort-direct",
        mirror: "app-resets",
        truth: Truth::Client,
        done: "The client closes 50 ms after every second request; answers take 300 ms.",
        path: &[SLOW],
        load: Load::Client("abort", &["--wait", "0.05", "--seconds", "4"]),
        alone: &[Answer::Hop("client", &["client-abort", "client-timeout"])],
        ..PLAY
    },
    Play {
        name: "abort-kubectl",
        mirror: "half-close-kubectl",
        truth: Truth::Client,
        done: "The same through kubectl.",
        path: &[SLOW, Part::Kubectl],
        load: Load::Client("abort", &["--wait", "0.05", "--seconds", "4"]),
        alone: &[
            Answer::Hop("client", &["client-abort", "client-timeout"]),
            Answer::Open,
        ],
        ..PLAY
    },
];
