//! What a balancer refuses, answers or cuts on its own account.

use crate::play::{Answer, Envoy, LB_OR_BACKEND, Load, PLAY, Part, Play, Truth};

const NODE: Part = Part::Node(&["--latency", "3:10"]);
const SLOW: Part = Part::Node(&["--latency", "80:120"]);
const PLAIN: Envoy = Envoy {
    patience_ms: 5_000,
    one_at_a_time: false,
    rate: 0,
    few_routes: false,
    own_status: 0,
    h2: false,
};
const LOAD: Load = Load::Hey(&["-z", "4s", "-c", "4", "-q", "15"]);
const LB: Answer = Answer::Hop("lb", &[]);

pub(super) const PLAYS: &[Play] = &[
    Play {
        name: "envoy-overflow",
        mirror: "uvicorn-limit",
        truth: Truth::Lb,
        done: "Envoy lets one request through at a time and says `overflow` of the others.",
        path: &[
            SLOW,
            Part::Envoy(Envoy {
                one_at_a_time: true,
                ..PLAIN
            }),
        ],
        load: LOAD,
        alone: &[LB],
        two: &[LB],
        ..PLAY
    },
    Play {
        name: "app-404-behind-envoy",
        mirror: "envoy-no-route",
        truth: Truth::Client,
        done: "node answers 404 behind Envoy.",
        path: &[NODE, Part::Envoy(PLAIN)],
        load: Load::K6(&[("ROUTES", "/missing,/products"), ("VUS", "6")]),
        alone: &[Answer::Rejected],
        ..PLAY
    },
    Play {
        name: "envoy-no-route",
        mirror: "app-404-behind-envoy",
        truth: Truth::Lb,
        done: "Envoy has no route for what is asked: its own 404, without the upstream's time.",
        path: &[
            NODE,
            Part::Envoy(Envoy {
                few_routes: true,
                ..PLAIN
            }),
        ],
        load: Load::K6(&[("ROUTES", "/known/1,/products"), ("VUS", "6")]),
        alone: &[LB, Answer::Rejected],
        two: &[LB, Answer::Rejected],
        ..PLAY
    },
    Play {
        name: "envoy-rate-limit",
        mirror: "app-429",
        truth: Truth::Lb,
        done: "Envoy's local rate limit of 20 a second: 429.",
        path: &[NODE, Part::Envoy(Envoy { rate: 20, ..PLAIN })],
        load: LOAD,
        alone: &[Answer::Hop("lb", &["lb-rate-limited"])],
        two: &[Answer::Hop("lb", &["lb-rate-limited"])],
        ..PLAY
    },
    Play {
        name: "envoy-direct-response",
        mirror: "app-500",
        truth: Truth::Lb,
        done: "Envoy itself answers 503 on a route, with a text that anybody may have written.",
        path: &[
            NODE,
            Part::Envoy(Envoy {
                own_status: 503,
                ..PLAIN
            }),
        ],
        load: Load::K6(&[("ROUTES", "/products,/health"), ("VUS", "6")]),
        alone: &[LB_OR_BACKEND],
        two: &[LB_OR_BACKEND, LB],
        ..PLAY
    },
    Play {
        name: "nginx-limit",
        mirror: "uvicorn-limit",
        truth: Truth::Lb,
        done: "nginx lets 20 requests a second through and answers 503 to the others.",
        path: &[
            NODE,
            Part::Nginx(
                "limit_req_zone $binary_remote_addr zone=all:1m rate=20r/s;",
                "location / { limit_req zone=all burst=2 nodelay; proxy_pass http://TARGET; }",
            ),
        ],
        load: LOAD,
        alone: &[LB_OR_BACKEND, LB],
        two: &[LB_OR_BACKEND, LB],
        ..PLAY
    },
    Play {
        name: "nginx-own-500",
        mirror: "app-500-behind-nginx",
        truth: Truth::Lb,
        done: "nginx itself answers 500 on a route.",
        path: &[
            NODE,
            Part::Nginx(
                "",
                "location / { proxy_pass http://TARGET; } location /products { return 500; }",
            ),
        ],
        load: Load::K6(&[("ROUTES", "/products,/health"), ("VUS", "6")]),
        alone: &[LB_OR_BACKEND, LB],
        two: &[LB_OR_BACKEND, LB],
        ..PLAY
    },
    Play {
        name: "haproxy-queue",
        mirror: "haproxy-refusing",
        truth: Truth::Lb,
        done: "HAProxy sends one request at a time to a healthy application and lets the others wait 50 ms: 503.",
        path: &[
            SLOW,
            Part::HaProxy("", "  timeout queue 50ms\n  server only TARGET maxconn 1"),
        ],
        load: LOAD,
        alone: &[LB_OR_BACKEND, LB],
        two: &[LB_OR_BACKEND, LB],
        ..PLAY
    },
    Play {
        name: "haproxy-429",
        mirror: "app-429",
        truth: Truth::Lb,
        done: "HAProxy denies with its own 429 above a rate.",
        path: &[
            NODE,
            Part::HaProxy(
                "  stick-table type ip size 1k expire 10s store http_req_rate(1s)\n  http-request track-sc0 src\n  \
                 http-request deny deny_status 429 if { sc_http_req_rate(0) gt 20 }",
                "  server only TARGET",
            ),
        ],
        load: LOAD,
        alone: &[Answer::Hop("lb", &["lb-rate-limited"])],
        two: &[Answer::Hop("lb", &["lb-rate-limited"])],
        ..PLAY
    },
    Play {
        name: "haproxy-own-server-timeout",
        mirror: "gunicorn-worker-timeout",
        truth: Truth::Lb,
        done: "HAProxy waits 50 ms for an application whose good answers take 80 to 120: 504.",
        path: &[
            SLOW,
            Part::HaProxy("", "  timeout server 90ms\n  server only TARGET"),
        ],
        load: LOAD,
        alone: &[LB_OR_BACKEND],
        two: &[LB_OR_BACKEND, LB],
        ..PLAY
    },
    Play {
        name: "haproxy-tcp-idle",
        mirror: "app-idle-cut-behind-haproxy",
        truth: Truth::Lb,
        done: "HAProxy in TCP mode cuts what is idle for 1 s; pauses are 0.3 s and 1.5 s.",
        path: &[
            Part::Node(&["--keep-alive", "60000"]),
            Part::HaProxyTcp("  timeout client 1s\n  timeout server 1s"),
        ],
        load: Load::Client("get", &["--pauses", "0.3,1.5", "--seconds", "5"]),
        alone: &[LB_OR_BACKEND, Answer::Nothing],
        ..PLAY
    },
    Play {
        name: "app-idle-cut-behind-haproxy",
        mirror: "haproxy-tcp-idle",
        truth: Truth::Backend,
        done: "The application closes what is idle for 2 s, behind HAProxy in TCP mode; pauses are 0.3 s and 2.5 s.",
        path: &[Part::Node(&["--keep-alive", "2000"]), Part::HaProxyTcp("")],
        load: Load::Client("get", &["--pauses", "0.3,2.5", "--seconds", "5"]),
        alone: &[LB_OR_BACKEND, Answer::Nothing],
        ..PLAY
    },
];
