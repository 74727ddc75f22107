//! What is not HTTP/1 in the clear: TLS end to end, HTTP/2, gRPC, WebSocket, other protocols, and oddities of HTTP/1.

use crate::play::{Answer, Deed, Envoy, LB_OR_BACKEND, Load, PLAY, Part, Play, TUNNEL_OR_BACKEND, Truth};

const CERTIFICATE: &str =
    "ssl_certificate FOLDER/cert.pem; ssl_certificate_key FOLDER/key.pem; location / { return 200 ok; }";
const TLS_503: &str =
    "ssl_certificate FOLDER/cert.pem; ssl_certificate_key FOLDER/key.pem; location / { return 503 no; }";
const GONE: Answer = Answer::Hop(
    "backend",
    &[
        "backend-refused",
        "backend-reset",
        "backend-not-ready",
        "backend-truncated",
    ],
);
const HTTPS: Load = Load::K6(&[("VUS", "6")]);
const READ_OR_NOT: &[Answer] = &[Answer::Nothing, Answer::NotRead];
const H2: Load = Load::H2load(&["-n", "600", "-c", "3", "-m", "4", "-p", "h2c"]);

const H2_ENVOY: Envoy = Envoy {
    patience_ms: 2_000,
    one_at_a_time: false,
    rate: 0,
    few_routes: false,
    own_status: 0,
    h2: true,
};

pub(super) const PLAYS: &[Play] = &[
    Play {
        name: "tls-503",
        mirror: "tls-killed-balancer",
        truth: Truth::Backend,
        done: "TLS end to end; nginx answers 503 to all, which nobody on the way can read.",
        path: &[Part::NginxApp(TLS_503)],
        scheme: "tcp://",
        url: "https",
        load: HTTPS,
        alone: &[Answer::NotRead],
        ..PLAY
    },
    Play {
        name: "tls-healthy",
        mirror: "tls-503",
        done: "TLS end to end, nothing fails.",
        path: &[Part::NginxApp(CERTIFICATE)],
        url: "https",
        load: HTTPS,
        alone: &[Answer::NotRead],
        ..PLAY
    },
    Play {
        name: "tls-killed",
        mirror: "tls-killed-balancer",
        truth: Truth::Backend,
        done: "TLS end to end; nginx is killed after 2 s.",
        path: &[Part::NginxApp(CERTIFICATE)],
        scheme: "tcp://",
        url: "https",
        load: HTTPS,
        deeds: &[(2.0, Deed::Signal(0, "KILL"))],
        alone: &[GONE],
        ..PLAY
    },
    Play {
        name: "tls-killed-balancer",
        mirror: "tls-killed",
        truth: Truth::Lb,
        done: "TLS through HAProxy in TCP mode, which is killed after 2 s.",
        path: &[Part::NginxApp(CERTIFICATE), Part::HaProxyTcp("")],
        scheme: "tcp://",
        url: "https",
        load: HTTPS,
        deeds: &[(2.0, Deed::Signal(1, "KILL"))],
        alone: &[Answer::Hop("lb", &["lb-refused", "lb-reset"]), LB_OR_BACKEND],
        ..PLAY
    },
    Play {
        name: "ssh-banner",
        mirror: "protocol-healthy",
        truth: Truth::Backend,
        done: "An ssh server's banner answers HTTP.",
        path: &[Part::Python(&["--speak", "banner"])],
        load: Load::K6(&[("VUS", "4"), ("FRESH", "1")]),
        alone: &[Answer::Hop("backend", &["backend-not-http"]), Answer::NotRead],
        ..PLAY
    },
    Play {
        name: "protocol-healthy",
        mirror: "protocol-killed",
        done: "A line protocol through tcp://.",
        path: &[Part::Python(&["--speak", "line"])],
        scheme: "tcp://",
        load: Load::Client("line", &["--seconds", "3"]),
        alone: &[Answer::NotRead],
        ..PLAY
    },
    Play {
        name: "protocol-killed",
        mirror: "protocol-killed-forwarder",
        truth: Truth::Backend,
        done: "The same; the application is killed after 1.5 s.",
        path: &[Part::Python(&["--speak", "line"])],
        scheme: "tcp://",
        load: Load::Client("line", &["--seconds", "3"]),
        deeds: &[(1.5, Deed::Signal(0, "KILL"))],
        alone: &[GONE],
        ..PLAY
    },
    Play {
        name: "protocol-killed-forwarder",
        mirror: "protocol-killed",
        truth: Truth::Tunnel,
        done: "The same through a python forwarder, which is killed.",
        path: &[Part::Python(&["--speak", "line"]), Part::Forwarder("")],
        scheme: "tcp://",
        load: Load::Client("line", &["--seconds", "3"]),
        deeds: &[(1.5, Deed::Signal(1, "KILL"))],
        alone: &[Answer::Hop("tunnel", &["tunnel-lost", "tunnel-down"])],
        ..PLAY
    },
    Play {
        name: "h2-healthy",
        mirror: "h2-503",
        done: "HTTP/2 in the clear (h2load, nghttpd).",
        path: &[Part::Nghttpd(&[])],
        load: H2,
        alone: READ_OR_NOT,
        ..PLAY
    },
    Play {
        name: "h2-503",
        mirror: "h2-envoy-overflow",
        truth: Truth::Backend,
        done: "nginx answers 503 to all over HTTP/2 in the clear.",
        path: &[Part::NginxApp("# h2c\nlocation / { return 503 no; }")],
        load: H2,
        alone: &[
            Answer::Hop("backend", &["backend-error", "backend-overloaded"]),
            Answer::NotRead,
        ],
        ..PLAY
    },
    Play {
        name: "h2-max-requests",
        mirror: "h2-503",
        done: "nginx ends HTTP/2 connections after 50 requests by GOAWAY.",
        path: &[Part::NginxApp(
            "# h2c\nkeepalive_requests 50; location / { return 200 ok; }",
        )],
        load: Load::H2load(&["-D", "3", "-c", "3", "-m", "1", "-p", "h2c"]),
        alone: READ_OR_NOT,
        miscounts: "h2load does not open another connection after GOAWAY and counts the rest as not done",
        ..PLAY
    },
    Play {
        name: "h2-envoy-overflow",
        mirror: "h2-503",
        truth: Truth::Lb,
        done: "Envoy lets one HTTP/2 request through at a time and says `overflow` of the others.",
        path: &[
            Part::Nghttpd(&[]),
            Part::Envoy(Envoy {
                one_at_a_time: true,
                ..H2_ENVOY
            }),
        ],
        load: H2,
        alone: &[Answer::Hop("lb", &[]), Answer::NotRead],
        ..PLAY
    },
    Play {
        name: "h2-envoy-refusing",
        mirror: "h2-envoy-overflow",
        truth: Truth::Backend,
        done: "Envoy speaks HTTP/2; the application behind it is dead.",
        path: &[Part::Nobody, Part::Envoy(H2_ENVOY)],
        load: H2,
        alone: &[LB_OR_BACKEND, Answer::NotRead],
        ..PLAY
    },
    Play {
        name: "grpc-unavailable",
        mirror: "grpc-envoy-limit",
        truth: Truth::Backend,
        done: "A gRPC server answers four fifths of the calls with UNAVAILABLE.",
        path: &[Part::Grpc("0.8")],
        load: Load::Grpc,
        alone: &[
            Answer::Hop(
                "backend",
                &[
                    "backend-error",
                    "backend-overloaded",
                    "backend-dependency",
                    "backend-not-ready",
                ],
            ),
            Answer::NotRead,
        ],
        ..PLAY
    },
    Play {
        name: "grpc-healthy",
        mirror: "grpc-unavailable",
        done: "A gRPC server answers all.",
        path: &[Part::Grpc("0")],
        load: Load::Grpc,
        alone: READ_OR_NOT,
        ..PLAY
    },
    Play {
        name: "grpc-envoy-limit",
        mirror: "grpc-unavailable",
        truth: Truth::Lb,
        done: "gRPC through Envoy with a local rate limit of 5 a second: UNAVAILABLE by Envoy.",
        path: &[Part::Grpc("0"), Part::Envoy(Envoy { rate: 5, ..H2_ENVOY })],
        load: Load::Grpc,
        alone: &[
            Answer::Hop("lb", &["lb-rate-limited"]),
            LB_OR_BACKEND,
            Answer::NotRead,
        ],
        ..PLAY
    },
    Play {
        name: "grpc-envoy-refusing",
        mirror: "grpc-healthy",
        truth: Truth::Backend,
        done: "gRPC through Envoy; the application behind it is dead: UNAVAILABLE by Envoy.",
        path: &[Part::Nobody, Part::Envoy(H2_ENVOY)],
        load: Load::Grpc,
        alone: &[LB_OR_BACKEND, Answer::NotRead],
        ..PLAY
    },
    Play {
        name: "websocket-healthy",
        mirror: "websocket-killed",
        done: "WebSocket frames are echoed.",
        path: &[Part::Python(&["--speak", "ws"])],
        load: Load::Client("ws", &["--seconds", "3"]),
        alone: READ_OR_NOT,
        ..PLAY
    },
    Play {
        name: "websocket-killed",
        mirror: "websocket-killed-forwarder",
        truth: Truth::Backend,
        done: "WebSocket; the application is killed after 1.5 s.",
        path: &[Part::Python(&["--speak", "ws"])],
        load: Load::Client("ws", &["--seconds", "3"]),
        deeds: &[(1.5, Deed::Signal(0, "KILL"))],
        alone: &[GONE],
        ..PLAY
    },
    Play {
        name: "websocket-killed-forwarder",
        mirror: "websocket-killed",
        truth: Truth::Tunnel,
        done: "WebSocket through a python forwarder, which is killed.",
        path: &[Part::Python(&["--speak", "ws"]), Part::Forwarder("")],
        load: Load::Client("ws", &["--seconds", "3"]),
        deeds: &[(1.5, Deed::Signal(1, "KILL"))],
        alone: &[Answer::Hop("tunnel", &["tunnel-lost", "tunnel-down"])],
        ..PLAY
    },
    Play {
        name: "pipelined",
        mirror: "pipelined-close",
        done: "Four requests in one segment, all answered.",
        path: &[Part::Python(&[])],
        load: Load::Client("pipelined", &["--seconds", "3"]),
        alone: &[Answer::Nothing],
        ..PLAY
    },
    Play {
        name: "pipelined-close",
        mirror: "pipelined-close-forwarder",
        truth: Truth::Backend,
        done: "The application answers the first of four that came together, and closes.",
        path: &[Part::Python(&["--pipeline", "close"])],
        load: Load::Client("pipelined", &["--seconds", "3"]),
        alone: &[Answer::Hop("backend", &[])],
        ..PLAY
    },
    Play {
        name: "pipelined-close-forwarder",
        mirror: "pipelined-close",
        truth: Truth::Tunnel,
        done: "A python forwarder ends the connection after the first answer of four.",
        path: &[Part::Python(&["--latency", "20:30"]), Part::Forwarder("each")],
        load: Load::Client("pipelined", &["--seconds", "3"]),
        alone: &[TUNNEL_OR_BACKEND, Answer::Open],
        ..PLAY
    },
    Play {
        name: "connect-method",
        mirror: "ssh-banner",
        done: "CONNECT to a proxy behind hopscope, and requests through what it opened.",
        path: &[Part::Python(&["--speak", "connect"])],
        load: Load::Client("connect", &["--seconds", "3"]),
        alone: READ_OR_NOT,
        ..PLAY
    },
    Play {
        name: "garbage-after",
        mirror: "ssh-banner",
        done: "Ten requests, then bytes that are not HTTP.",
        path: &[Part::Node(&[])],
        load: Load::Client("garbage", &["--seconds", "3", "--connections", "2"]),
        alone: &[Answer::NotRead, Answer::Rejected],
        ..PLAY
    },
];
