//! 502, 503 and 504 that nginx, HAProxy and Envoy write because of what is behind them.

use crate::play::{Answer, Deed, Envoy, LB_OR_BACKEND, Load, PLAY, Part, Place, Play, Truth};

const NODE: Part = Part::Node(&["--latency", "3:10"]);
const CLOSING: Part = Part::Python(&["--do", "close=0.3"]);
const RESETTING: Part = Part::Python(&["--do", "reset=0.3"]);
const SILENT: Part = Part::Python(&["--do", "silence=0.1"]);
const NGINX: Part = Part::Nginx(
    "",
    "location / { proxy_pass http://TARGET; proxy_read_timeout 1s; proxy_connect_timeout 1s; }",
);
const HAPROXY: Part = Part::HaProxy("", "  retries 0\n  timeout server 600ms\n  server only TARGET");
const ENVOY: Part = Part::Envoy(Envoy {
    patience_ms: 600,
    one_at_a_time: false,
    rate: 0,
    few_routes: false,
    own_status: 0,
    h2: false,
});
const LOAD: Load = Load::K6(&[("VUS", "6"), ("FRESH", "1")]);
const KEPT: Load = Load::K6(&[("VUS", "6")]);
const BACKEND: &[Answer] = &[Answer::Hop("backend", &[])];
/// The kernel of the application's own namespace is watched, and what the balancer's end of the same moment was.
const OPEN: &[Answer] = &[LB_OR_BACKEND];
/// Packets to the application are dropped where it stands.
const DROPS: &[&[&str]] = &[&[
    "nft",
    "add table inet stage; add chain inet stage input { type filter hook input priority 0 ; }; \
     add rule inet stage input tcp dport 18180 drop",
]];

pub(super) const PLAYS: &[Play] = &[
    Play {
        name: "nginx-refusing",
        mirror: "nginx-limit",
        truth: Truth::Backend,
        done: "The application behind nginx is killed after 2 s: 502.",
        path: &[NODE, NGINX],
        load: KEPT,
        deeds: &[(2.0, Deed::Signal(0, "KILL"))],
        alone: OPEN,
        agents: BACKEND,
        two: BACKEND,
        ..PLAY
    },
    Play {
        name: "haproxy-killed",
        mirror: "app-killed",
        truth: Truth::Lb,
        done: "HAProxy on this host is killed after 2 s, its process having been seen.",
        path: &[NODE, HAPROXY],
        load: LOAD,
        deeds: &[(2.0, Deed::Signal(1, "KILL"))],
        alone: &[Answer::Hop("lb", &["lb-refused", "lb-reset"])],
        two: &[Answer::Hop("lb", &["lb-refused", "lb-reset"])],
        ..PLAY
    },
    Play {
        name: "haproxy-refusing",
        mirror: "haproxy-queue",
        truth: Truth::Backend,
        done: "The application behind HAProxy is killed after 2 s: 503.",
        path: &[NODE, HAPROXY],
        load: KEPT,
        deeds: &[(2.0, Deed::Signal(0, "KILL"))],
        alone: OPEN,
        agents: BACKEND,
        two: BACKEND,
        ..PLAY
    },
    Play {
        name: "envoy-refusing",
        mirror: "envoy-overflow",
        truth: Truth::Backend,
        done: "The application behind Envoy is killed after 2 s: 503 (UF).",
        path: &[NODE, ENVOY],
        load: KEPT,
        deeds: &[(2.0, Deed::Signal(0, "KILL"))],
        alone: OPEN,
        agents: BACKEND,
        two: BACKEND,
        ..PLAY
    },
    Play {
        name: "nginx-closing",
        mirror: "nginx-limit",
        truth: Truth::Backend,
        done: "The application behind nginx closes a third unanswered: 502.",
        path: &[CLOSING, NGINX],
        load: LOAD,
        alone: OPEN,
        agents: BACKEND,
        two: BACKEND,
        ..PLAY
    },
    Play {
        name: "haproxy-closing",
        mirror: "haproxy-queue",
        truth: Truth::Backend,
        done: "The application behind HAProxy resets a third unanswered: 502.",
        path: &[RESETTING, HAPROXY],
        load: LOAD,
        alone: OPEN,
        agents: BACKEND,
        two: BACKEND,
        ..PLAY
    },
    Play {
        name: "envoy-closing",
        mirror: "envoy-overflow",
        truth: Truth::Backend,
        done: "The application behind Envoy resets a third unanswered: 503 (UC).",
        path: &[RESETTING, ENVOY],
        load: LOAD,
        alone: OPEN,
        agents: BACKEND,
        two: BACKEND,
        ..PLAY
    },
    Play {
        name: "nginx-late",
        mirror: "nginx-limit",
        truth: Truth::Backend,
        done: "The application behind nginx never answers a tenth: 504 after 1 s.",
        path: &[SILENT, NGINX],
        load: LOAD,
        alone: OPEN,
        two: BACKEND,
        ..PLAY
    },
    Play {
        name: "haproxy-late",
        mirror: "haproxy-queue",
        truth: Truth::Backend,
        done: "The application behind HAProxy never answers a tenth: 504 after 600 ms.",
        path: &[SILENT, HAPROXY],
        load: LOAD,
        alone: OPEN,
        two: BACKEND,
        ..PLAY
    },
    Play {
        name: "envoy-late",
        mirror: "envoy-overflow",
        truth: Truth::Backend,
        done: "The application behind Envoy never answers a tenth: 504 after 600 ms.",
        path: &[SILENT, ENVOY],
        load: LOAD,
        alone: OPEN,
        two: BACKEND,
        ..PLAY
    },
    Play {
        name: "nginx-absent",
        mirror: "nginx-limit",
        truth: Truth::Backend,
        done: "nginx's connects to the application are dropped: 504 after 1 s.",
        place: Place::Pair(DROPS),
        path: &[NODE, NGINX],
        load: Load::K6(&[("VUS", "4"), ("FRESH", "1")]),
        alone: OPEN,
        agents: &[LB_OR_BACKEND, Answer::Open],
        ..PLAY
    },
    Play {
        name: "haproxy-absent",
        mirror: "haproxy-queue",
        truth: Truth::Backend,
        done: "HAProxy's connects to the application are dropped: 503 after 1 s.",
        place: Place::Pair(DROPS),
        path: &[NODE, HAPROXY],
        load: Load::K6(&[("VUS", "4"), ("FRESH", "1")]),
        alone: OPEN,
        agents: &[LB_OR_BACKEND, Answer::Open],
        ..PLAY
    },
    Play {
        name: "envoy-absent",
        mirror: "envoy-overflow",
        truth: Truth::Backend,
        done: "Envoy's connects to the application are dropped: 503 or 504.",
        place: Place::Pair(DROPS),
        path: &[NODE, ENVOY],
        load: Load::K6(&[("VUS", "4"), ("FRESH", "1")]),
        alone: OPEN,
        agents: &[LB_OR_BACKEND, Answer::Open],
        ..PLAY
    },
    Play {
        name: "one-of-two-nginx",
        mirror: "nginx-limit",
        truth: Truth::Backend,
        done: "One of two applications behind nginx is dead and nothing is tried twice: half are 502 while the other answers.",
        path: &[
            NODE,
            Part::Nginx(
                "upstream two { server TARGET max_fails=0; server 127.0.0.1:9 max_fails=0; }",
                "location / { proxy_pass http://two; proxy_next_upstream off; }",
            ),
        ],
        load: LOAD,
        alone: OPEN,
        two: OPEN,
        ..PLAY
    },
    Play {
        name: "one-of-two-haproxy",
        mirror: "haproxy-queue",
        truth: Truth::Backend,
        done: "One of two applications behind HAProxy is dead and nothing is tried twice: half are 503 while the other answers.",
        path: &[
            NODE,
            Part::HaProxy(
                "",
                "  retries 0\n  balance roundrobin\n  server one TARGET\n  server two 127.0.0.1:9",
            ),
        ],
        load: LOAD,
        alone: OPEN,
        two: OPEN,
        ..PLAY
    },
    Play {
        name: "app-stopped-behind-haproxy",
        mirror: "haproxy-stopped",
        truth: Truth::Backend,
        done: "node behind HAProxy is stopped (SIGSTOP) after 2 s: 504.",
        path: &[NODE, HAPROXY],
        load: KEPT,
        deeds: &[(2.0, Deed::Signal(0, "STOP"))],
        alone: OPEN,
        two: &[Answer::Hop("backend", &[]), LB_OR_BACKEND],
        ..PLAY
    },
    Play {
        name: "haproxy-pauses",
        mirror: "app-stopped-behind-haproxy",
        truth: Truth::Lb,
        done: "HAProxy is stopped (SIGSTOP) for 3 s; k6 waits 1.5 s, and who asks next waits it out.",
        path: &[NODE, HAPROXY],
        load: Load::K6(&[("VUS", "6"), ("PATIENCE", "1500"), ("SECONDS", "7")]),
        deeds: &[(2.0, Deed::Signal(1, "STOP")), (5.0, Deed::Signal(1, "CONT"))],
        alone: OPEN,
        ..PLAY
    },
    Play {
        name: "haproxy-stopped",
        mirror: "app-stopped-behind-haproxy",
        truth: Truth::Lb,
        done: "HAProxy is stopped (SIGSTOP) after 2 s; k6 waits a second.",
        path: &[NODE, HAPROXY],
        load: Load::K6(&[("VUS", "6"), ("PATIENCE", "1000"), ("SECONDS", "5")]),
        deeds: &[(2.0, Deed::Signal(1, "STOP"))],
        alone: OPEN,
        two: &[Answer::Hop("lb", &[]), LB_OR_BACKEND],
        ..PLAY
    },
];
