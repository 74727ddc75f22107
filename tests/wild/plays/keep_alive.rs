//! Connections that are ended between two requests, or just as the next one is sent.

use crate::play::{Answer, LB_OR_BACKEND, Load, PLAY, Part, Place, Play, TUNNEL_OR_BACKEND, Truth};

/// 30 ms one way: a request that is sent up to 60 ms before the server's time is up meets a closed connection.
const WIRE: Place = Place::Wire(30);
const POST: Load = Load::K6(&[
    ("POST", "1"),
    ("VUS", "10"),
    ("PAUSE", "0.92:1.0"),
    ("SECONDS", "5"),
]);
const RACE: Answer = Answer::Hop("backend", &["backend-keep-alive-race"]);
const FOR_EVER: Part = Part::Node(&["--keep-alive", "60000"]);
const EACH: Load = Load::Hey(&["-n", "400", "-c", "4", "-m", "POST", "-d", "x"]);
const EACH_BEHIND: Load = Load::Hey(&["-n", "60", "-c", "4", "-m", "POST", "-d", "x"]);

pub(super) const PLAYS: &[Play] = &[
    Play {
        name: "race-node",
        mirror: "race-haproxy-front",
        truth: Truth::Backend,
        done: "node closes after 2 s, POSTs follow after about 2 s.",
        place: WIRE,
        path: &[Part::Node(&["--keep-alive", "2000"])],
        load: Load::K6(&[
            ("POST", "1"),
            ("VUS", "12"),
            ("PAUSE", "1.92:2.0"),
            ("SECONDS", "6"),
        ]),
        alone: &[RACE],
        agents: &[RACE],
        ..PLAY
    },
    Play {
        name: "race-haproxy-front",
        mirror: "race-node",
        truth: Truth::Lb,
        done: "HAProxy closes its clients' connections after 1 s; the application never would.",
        place: WIRE,
        path: &[
            FOR_EVER,
            Part::HaProxy("  timeout http-keep-alive 1s", "  server only TARGET"),
        ],
        load: POST,
        alone: &[LB_OR_BACKEND],
        ..PLAY
    },
    Play {
        name: "race-nginx-front",
        mirror: "race-nginx-app",
        truth: Truth::Lb,
        done: "nginx as a balancer closes after 1 s; the application never would.",
        place: WIRE,
        path: &[
            FOR_EVER,
            Part::Nginx(
                "",
                "keepalive_timeout 1s; location / { proxy_pass http://TARGET; }",
            ),
        ],
        load: POST,
        alone: &[LB_OR_BACKEND],
        ..PLAY
    },
    Play {
        name: "race-nginx-app",
        mirror: "race-nginx-front",
        truth: Truth::Backend,
        done: "nginx as the application closes after 1 s.",
        place: WIRE,
        path: &[Part::NginxApp(
            "keepalive_timeout 1s; location / { return 200 ok; }",
        )],
        load: POST,
        alone: &[RACE],
        ..PLAY
    },
    Play {
        name: "race-gunicorn",
        mirror: "race-nginx-front",
        truth: Truth::Backend,
        done: "gunicorn closes after 1 s.",
        place: WIRE,
        path: &[Part::Gunicorn(&[
            "-k",
            "gthread",
            "--threads",
            "16",
            "--keep-alive",
            "1",
        ])],
        load: POST,
        alone: &[RACE],
        ..PLAY
    },
    Play {
        name: "race-uvicorn",
        mirror: "race-nginx-front",
        truth: Truth::Backend,
        done: "uvicorn closes after 1 s.",
        place: WIRE,
        path: &[Part::Uvicorn(&["--timeout-keep-alive", "1"])],
        load: POST,
        alone: &[RACE],
        ..PLAY
    },
    Play {
        name: "race-repeated",
        mirror: "race-haproxy-front",
        truth: Truth::Backend,
        done: "As race-node with GET, which Go asks again on a fresh connection: k6 counts no failure.",
        place: WIRE,
        path: &[Part::Node(&["--keep-alive", "2000"])],
        load: Load::K6(&[("VUS", "12"), ("PAUSE", "1.92:2.0"), ("SECONDS", "6")]),
        alone: &[RACE, Answer::Nothing],
        ..PLAY
    },
    Play {
        name: "race-node-kubectl",
        mirror: "forwarder-idle-cut",
        truth: Truth::Backend,
        done: "node closes after 2 s behind kubectl, where its end arrives a second late.",
        path: &[Part::Node(&["--keep-alive", "2000"]), Part::Kubectl],
        load: Load::K6(&[
            ("POST", "1"),
            ("VUS", "8"),
            ("PAUSE", "2.2:2.8"),
            ("SECONDS", "7"),
        ]),
        alone: &[RACE],
        ..PLAY
    },
    Play {
        name: "forwarder-idle-cut",
        mirror: "race-node-kubectl",
        truth: Truth::Tunnel,
        done: "A python forwarder ends connections after a second without a byte.",
        place: WIRE,
        path: &[FOR_EVER, Part::Forwarder("idle:1")],
        load: POST,
        alone: &[TUNNEL_OR_BACKEND],
        ..PLAY
    },
    Play {
        name: "race-behind-nginx",
        mirror: "nginx-limit",
        truth: Truth::Backend,
        done: "nginx keeps connections to node, which answers one request a connection and says nothing of it: 502 to POST.",
        path: &[
            Part::Python(&["--each", "close"]),
            Part::Nginx(
                "upstream app { server TARGET; keepalive 8; }",
                "location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\"; }",
            ),
        ],
        load: Load::Hey(&["-z", "3s", "-c", "8", "-m", "POST", "-d", "x"]),
        alone: &[LB_OR_BACKEND],
        two: &[RACE, LB_OR_BACKEND],
        miscounts: "hey counts a POST that it did not send because the connection had been closed before",
        ..PLAY
    },
    Play {
        name: "close-each",
        mirror: "close-each-forwarder",
        truth: Truth::Backend,
        done: "The application closes after each answer without saying so.",
        path: &[Part::Python(&["--each", "close"])],
        load: EACH,
        alone: &[RACE],
        miscounts: "hey counts a POST that it did not send because the connection had been closed before",
        ..PLAY
    },
    Play {
        name: "close-each-forwarder",
        mirror: "close-each",
        truth: Truth::Tunnel,
        done: "A python forwarder ends each connection after its first answer.",
        path: &[FOR_EVER, Part::Forwarder("each")],
        load: EACH,
        alone: &[TUNNEL_OR_BACKEND],
        miscounts: "hey counts a POST that it did not send because the connection had been closed before",
        ..PLAY
    },
    Play {
        name: "close-each-kubectl",
        mirror: "close-each-forwarder",
        truth: Truth::Backend,
        done: "As close-each behind kubectl: the application's end arrives a second late.",
        path: &[Part::Python(&["--each", "close"]), Part::Kubectl],
        load: EACH_BEHIND,
        alone: &[RACE],
        ..PLAY
    },
    Play {
        name: "close-each-said",
        mirror: "close-each",
        done: "The same application says `Connection: close`.",
        path: &[Part::Python(&["--each", "said"])],
        load: EACH,
        alone: &[Answer::Nothing],
        ..PLAY
    },
    Play {
        name: "nginx-20-requests",
        mirror: "close-each",
        done: "nginx closes after 20 requests and says so.",
        path: &[Part::NginxApp(
            "keepalive_requests 20; location / { return 200 ok; }",
        )],
        load: Load::Hey(&["-z", "3s", "-c", "4", "-q", "50", "-m", "POST", "-d", "x"]),
        alone: &[Answer::Nothing],
        ..PLAY
    },
    Play {
        name: "unasked-408",
        mirror: "haproxy-408",
        truth: Truth::Backend,
        done: "The application sends a 408 on a connection that was idle for a second, and closes; the client's next request meets it.",
        path: &[Part::Python(&["--idle", "408:1"])],
        load: Load::Client("get", &["--pauses", "0.2,1.5", "--seconds", "5"]),
        alone: &[RACE, Answer::Rejected],
        ..PLAY
    },
    Play {
        name: "end-after-answer",
        mirror: "app-resets",
        done: "The client ends its direction after a whole answer; the application resets 2 s later.",
        path: &[Part::Python(&["--half", "rst:2"])],
        load: Load::Client("over", &["--seconds", "4"]),
        alone: &[Answer::Nothing],
        ..PLAY
    },
];
