//! Packets that do not arrive, on a path with nothing between, and listeners that do not accept.

use crate::play::{Answer, Deed, Load, PLAY, Part, Place, Play, Truth};

const NODE: Part = Part::Node(&["--latency", "3:10"]);
const PLAIN: Place = Place::Pair(&[]);
const FRESH: Load = Load::Client(
    "fresh",
    &["--patience", "1", "--seconds", "5", "--pauses", "0.05"],
);

macro_rules! filter {
    ($rule:literal) => {
        &[
            "nft",
            concat!(
                "add table inet stage; add chain inet stage input { type filter hook input priority 0 ; }; ",
                "add rule inet stage input ",
                $rule
            ),
        ]
    };
}

pub(super) const PLAYS: &[Play] = &[
    Play {
        name: "syn-dropped",
        mirror: "queue-full",
        truth: Truth::Network,
        done: "Every SYN is dropped; the client waits a second.",
        place: Place::Pair(&[filter!("tcp dport 18180 tcp flags & (syn | ack) == syn drop")]),
        path: &[NODE],
        load: FRESH,
        alone: &[Answer::Open],
        agents: &[Answer::Open],
        ..PLAY
    },
    Play {
        name: "queue-full",
        mirror: "syn-dropped",
        truth: Truth::Backend,
        done: "The application accepts four connections and no more; its queue of four fills up.",
        place: PLAIN,
        path: &[Part::Python(&["--accept", "4", "--backlog", "4"])],
        load: Load::Client(
            "fresh",
            &[
                "--patience",
                "1",
                "--seconds",
                "6",
                "--pauses",
                "0.05",
                "--connections",
                "12",
            ],
        ),
        alone: &[
            Answer::Open,
            Answer::Hop("backend", &["backend-accept-queue", "backend-timeout"]),
        ],
        agents: &[Answer::Hop(
            "backend",
            &["backend-accept-queue", "backend-timeout"],
        )],
        ..PLAY
    },
    Play {
        name: "syn-loss",
        mirror: "queue-slow",
        truth: Truth::Network,
        done: "A tenth of the SYNs is dropped; the client waits 800 ms.",
        place: Place::Pair(&[filter!(
            "tcp dport 18180 tcp flags & (syn | ack) == syn numgen random mod 10 0 drop"
        )]),
        path: &[NODE],
        load: Load::Client(
            "fresh",
            &["--patience", "0.8", "--seconds", "5", "--pauses", "0.02"],
        ),
        alone: &[Answer::Open],
        agents: &[Answer::Open],
        ..PLAY
    },
    Play {
        name: "queue-slow",
        mirror: "syn-loss",
        truth: Truth::Backend,
        done: "The application accepts five connections a second from a queue of two.",
        place: PLAIN,
        path: &[Part::Python(&["--accept-rate", "5", "--backlog", "2"])],
        load: Load::Client(
            "fresh",
            &[
                "--patience",
                "0.8",
                "--seconds",
                "5",
                "--pauses",
                "0.02",
                "--connections",
                "8",
            ],
        ),
        alone: &[
            Answer::Open,
            Answer::Hop("backend", &["backend-accept-queue", "backend-timeout"]),
        ],
        agents: &[Answer::Hop(
            "backend",
            &["backend-accept-queue", "backend-timeout"],
        )],
        ..PLAY
    },
    Play {
        name: "link-down",
        mirror: "app-stopped",
        truth: Truth::Network,
        done: "After 2 s nothing reaches the application's host any more; the client waits a second.",
        place: PLAIN,
        path: &[NODE],
        load: Load::Client("get", &["--patience", "1", "--seconds", "5"]),
        deeds: &[(2.0, Deed::Far(filter!("drop")))],
        alone: &[Answer::Open],
        agents: &[Answer::Open],
        ..PLAY
    },
    Play {
        name: "reject-icmp",
        mirror: "app-absent",
        truth: Truth::Network,
        done: "A firewall of the application's host refuses by ICMP admin-prohibited.",
        place: Place::Pair(&[filter!("tcp dport 18180 reject with icmp admin-prohibited")]),
        path: &[NODE],
        load: FRESH,
        alone: &[Answer::Open],
        agents: &[Answer::Open],
        ..PLAY
    },
];
