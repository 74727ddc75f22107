//! Requests with bodies: unread, refused, slow, never taken.

use crate::play::{Answer, Deed, Envoy, LB_OR_BACKEND, Load, PLAY, Part, Play, Truth};

/// More than the buffers on the way hold: the client is still writing when it is reset.
const UPLOAD: Load = Load::Client(
    "upload",
    &["--bytes", "30000000", "--seconds", "3", "--pauses", "0.1"],
);
const UNREAD: Answer = Answer::Hop("backend", &["backend-unread-body"]);
/// The answer is whole, and a reset follows it.
const ANSWERED: &str = "the answers came whole before the resets: who reads while it writes (hey, k6, curl) has them, who reads \
                        only after it has written meets the reset, and the report says how many answers that can be";
const REFUSES: Part = Part::Python(&["--body", "unread:413"]);

pub(super) const PLAYS: &[Play] = &[
    Play {
        name: "unread-200",
        mirror: "kubectl-lost-upload",
        truth: Truth::Backend,
        done: "The application answers 200 without reading the body and closes: the kernel resets.",
        path: &[Part::Python(&["--body", "unread:200"])],
        load: UPLOAD,
        alone: &[UNREAD, Answer::Nothing],
        agents: &[UNREAD, Answer::Nothing],
        miscounts: ANSWERED,
        ..PLAY
    },
    Play {
        name: "kubectl-lost-upload",
        mirror: "unread-kubectl",
        truth: Truth::Tunnel,
        done: "Uploads through kubectl, whose connection to the API server is reset after 1.5 s.",
        path: &[Part::Python(&["--latency", "300:400"]), Part::Kubectl],
        load: Load::Client(
            "upload",
            &["--bytes", "1000000", "--seconds", "4", "--pauses", "0.1"],
        ),
        deeds: &[(1.5, Deed::Cluster("tunnel reset"))],
        alone: &[Answer::Hop("tunnel", &["tunnel-lost"])],
        ..PLAY
    },
    Play {
        name: "unread-413",
        mirror: "nginx-413",
        truth: Truth::Backend,
        done: "The application answers 413 without reading the body and closes.",
        path: &[REFUSES],
        load: UPLOAD,
        alone: &[UNREAD, Answer::Rejected],
        agents: &[UNREAD, Answer::Rejected],
        ..PLAY
    },
    Play {
        name: "nginx-413",
        mirror: "unread-413",
        truth: Truth::Client,
        done: "nginx as a balancer refuses bodies above a megabyte and lets the client finish.",
        path: &[
            Part::Node(&[]),
            Part::Nginx(
                "",
                "client_max_body_size 1m; location / { proxy_pass http://TARGET; }",
            ),
        ],
        load: UPLOAD,
        alone: &[Answer::Rejected],
        ..PLAY
    },
    Play {
        name: "unread-kubectl",
        mirror: "kubectl-lost-upload",
        truth: Truth::Backend,
        done: "As unread-200 behind kubectl.",
        path: &[Part::Python(&["--body", "unread:200"]), Part::Kubectl],
        load: Load::Client(
            "upload",
            &["--bytes", "30000000", "--seconds", "3", "--pauses", "0.1"],
        ),
        alone: &[
            Answer::Hop(
                "backend",
                &["backend-unread-body", "backend-reset", "backend-truncated"],
            ),
            Answer::Nothing,
        ],
        miscounts: ANSWERED,
        ..PLAY
    },
    Play {
        name: "unread-behind-nginx",
        mirror: "nginx-413",
        truth: Truth::Backend,
        done: "As unread-413 behind nginx, which passes bodies on at once.",
        path: &[
            REFUSES,
            Part::Nginx(
                "",
                "client_max_body_size 0; location / { proxy_pass http://TARGET; proxy_request_buffering off; }",
            ),
        ],
        load: UPLOAD,
        alone: &[LB_OR_BACKEND, Answer::Rejected],
        ..PLAY
    },
    Play {
        name: "unread-behind-envoy",
        mirror: "nginx-413",
        truth: Truth::Backend,
        done: "As unread-413 behind Envoy: its 503 (UC), or the 413.",
        path: &[
            REFUSES,
            Part::Envoy(Envoy {
                patience_ms: 5_000,
                one_at_a_time: false,
                rate: 0,
                few_routes: false,
                own_status: 0,
                h2: false,
            }),
        ],
        load: UPLOAD,
        alone: &[LB_OR_BACKEND, Answer::Rejected],
        ..PLAY
    },
    Play {
        name: "header-431",
        mirror: "upload-not-taken",
        truth: Truth::Client,
        done: "A header of 20 kB: node answers 431 and closes.",
        path: &[Part::Node(&[])],
        load: Load::Client("header", &["--bytes", "20000", "--seconds", "3"]),
        alone: &[Answer::Rejected, Answer::Open],
        ..PLAY
    },
    Play {
        name: "header-400-haproxy",
        mirror: "upload-not-taken",
        truth: Truth::Client,
        done: "The same header: HAProxy answers 400.",
        path: &[Part::Node(&[]), Part::HaProxy("", "  server only TARGET")],
        load: Load::Client("header", &["--bytes", "20000", "--seconds", "3"]),
        alone: &[Answer::Rejected, Answer::Open],
        ..PLAY
    },
    Play {
        name: "upload-not-taken",
        mirror: "upload-trickled",
        truth: Truth::Backend,
        done: "The application reads the head and never the body; the client leaves after 1.5 s.",
        path: &[Part::Python(&["--body", "never"])],
        load: Load::Client(
            "upload",
            &["--bytes", "9000000", "--seconds", "5", "--patience", "1.5"],
        ),
        alone: &[Answer::Hop("backend", &["backend-timeout"])],
        ..PLAY
    },
    Play {
        name: "upload-trickled",
        mirror: "upload-not-taken",
        truth: Truth::Client,
        done: "The client pauses for 2 s in its body; nginx waits one (client_body_timeout).",
        path: &[
            Part::Node(&[]),
            Part::Nginx(
                "",
                "client_body_timeout 1s; location / { proxy_pass http://TARGET; }",
            ),
        ],
        load: Load::Client("trickle", &["--bytes", "20000", "--wait", "2", "--seconds", "4"]),
        alone: &[Answer::Hop("client", &[]), Answer::Open, Answer::Rejected],
        ..PLAY
    },
    Play {
        name: "expect-ignored",
        mirror: "expect-late",
        truth: Truth::Backend,
        done: "`Expect: 100-continue` is never answered; the client leaves after 1.5 s.",
        path: &[Part::Python(&["--expect", "ignore"])],
        load: Load::Client(
            "expect",
            &["--bytes", "1000", "--patience", "1.5", "--seconds", "5"],
        ),
        alone: &[Answer::Hop("backend", &["backend-timeout"])],
        ..PLAY
    },
    Play {
        name: "expect-late",
        mirror: "expect-ignored",
        done: "`Expect: 100-continue` is answered after 300 ms.",
        path: &[Part::Python(&["--expect", "300"])],
        load: Load::Client("expect", &["--bytes", "1000", "--seconds", "3"]),
        alone: &[Answer::Nothing],
        ..PLAY
    },
    Play {
        name: "haproxy-408",
        mirror: "unasked-408",
        truth: Truth::Client,
        done: "The client sends the second half of its head after 2 s; HAProxy waits one.",
        path: &[
            Part::Node(&[]),
            Part::HaProxy("  timeout http-request 1s", "  server only TARGET"),
        ],
        load: Load::Client("slow-head", &["--wait", "2", "--seconds", "5"]),
        alone: &[Answer::Hop("client", &[]), Answer::Rejected, Answer::Open],
        ..PLAY
    },
];
