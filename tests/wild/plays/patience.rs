//! Generators that wait too short, and applications that let them wait.

use crate::play::{Answer, Deed, Load, PLAY, Part, Play, Truth};

const SILENT: Part = Part::Python(&["--do", "silence=0.1"]);
const TIMEOUT: &[Answer] = &[Answer::Hop("backend", &["backend-timeout"])];

pub(super) const PLAYS: &[Play] = &[
    Play {
        name: "k6-impatient",
        mirror: "silent-tenth",
        truth: Truth::Client,
        done: "k6 waits 100 ms; good answers take 60 to 180 ms.",
        path: &[Part::Node(&["--latency", "60:180"])],
        load: Load::K6(&[("PATIENCE", "100"), ("VUS", "8")]),
        alone: &[Answer::Hop("client", &["client-timeout"])],
        ..PLAY
    },
    Play {
        name: "silent-tenth",
        mirror: "k6-impatient",
        truth: Truth::Backend,
        done: "A tenth is never answered; k6 waits a second.",
        path: &[SILENT],
        load: Load::K6(&[("PATIENCE", "1000"), ("VUS", "8")]),
        alone: TIMEOUT,
        agents: TIMEOUT,
        ..PLAY
    },
    Play {
        name: "silent-hey",
        mirror: "k6-impatient",
        truth: Truth::Backend,
        done: "A tenth is never answered; hey waits a second.",
        path: &[SILENT],
        load: Load::Hey(&["-n", "300", "-c", "8", "-t", "1"]),
        alone: TIMEOUT,
        ..PLAY
    },
    Play {
        name: "silent-locust",
        mirror: "k6-impatient",
        truth: Truth::Backend,
        done: "A tenth is never answered; Locust waits a second.",
        path: &[SILENT],
        load: Load::Locust("5s", "1000"),
        alone: TIMEOUT,
        ..PLAY
    },
    Play {
        name: "late-wrk",
        mirror: "silent-tenth",
        done: "A tenth is answered after 1.5 s; wrk's --timeout of 1 s counts these, and they are answered.",
        path: &[Part::Node(&["--slow", "0.1:1500", "--latency", "20:40"])],
        load: Load::Wrk(&["-t1", "-c8", "-d5s", "--timeout", "1s"]),
        alone: &[Answer::Nothing],
        miscounts: "wrk counts an answer that is late and still comes as a time-out",
        ..PLAY
    },
    Play {
        name: "silent-kubectl",
        mirror: "kubectl-stopped",
        truth: Truth::Backend,
        done: "A tenth is never answered, behind kubectl.",
        path: &[SILENT, Part::Kubectl],
        load: Load::K6(&[("PATIENCE", "1500"), ("VUS", "6"), ("SECONDS", "5")]),
        alone: TIMEOUT,
        ..PLAY
    },
    Play {
        name: "kubectl-stopped",
        mirror: "silent-kubectl",
        truth: Truth::Tunnel,
        done: "kubectl is stopped (SIGSTOP) for 3 s; k6 waits 1.5 s.",
        path: &[Part::Node(&["--latency", "3:10"]), Part::Kubectl],
        load: Load::K6(&[("PATIENCE", "1500"), ("VUS", "6"), ("SECONDS", "7")]),
        deeds: &[(2.0, Deed::Kubectl("STOP")), (5.0, Deed::Kubectl("CONT"))],
        alone: &[Answer::Hop("tunnel", &["tunnel-stopped"])],
        two: &[Answer::Hop("tunnel", &["tunnel-stopped"])],
        ..PLAY
    },
];
