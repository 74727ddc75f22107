//! The end of a run: what is under way when a generator's time is up failed only where its age says so.

use crate::play::{Answer, Load, PLAY, Part, Play, Truth};

/// Answers of 30 to 60 ms, one in twenty of 600 ms: something is always under way.
const TAIL: &[Part] = &[Part::Node(&["--latency", "30:60", "--slow", "0.05:600"])];
const NOTHING: &[Answer] = &[Answer::Nothing];

const fn healthy(name: &'static str, done: &'static str, load: Load) -> Play {
    Play {
        name,
        mirror: "hang-last-3",
        done,
        path: TAIL,
        load,
        alone: NOTHING,
        ..PLAY
    }
}

pub(super) const PLAYS: &[Play] = &[
    Play {
        name: "hang-last-3",
        mirror: "end-wrk",
        truth: Truth::Backend,
        done: "The application reads and never answers from the second second on; wrk's time is up 3 s later.",
        path: &[Part::Python(&["--hang", "2", "--latency", "20:40"])],
        load: Load::Wrk(&["-t1", "-c8", "-d5s", "--timeout", "20s"]),
        alone: &[Answer::Hop("backend", &["backend-timeout"])],
        miscounts: "wrk does not count what is under way when its time is up",
        ..PLAY
    },
    healthy("end-wrk", "wrk's 3 s are up.", Load::Wrk(&["-t1", "-c8", "-d3s"])),
    healthy(
        "end-hey",
        "hey's 3 s are up.",
        Load::Hey(&["-z", "3s", "-c", "8"]),
    ),
    healthy(
        "end-ab",
        "ab's 3 s are up.",
        Load::Ab(&["-t", "3", "-c", "8", "-k"]),
    ),
    healthy(
        "end-k6-cut",
        "k6's 3 s are up, gracefulStop 0 s.",
        Load::K6(&[("SECONDS", "3"), ("GRACE", "0"), ("VUS", "10")]),
    ),
    healthy(
        "end-k6-graceful",
        "k6's 3 s are up, and it waits for what is under way.",
        Load::K6(&[("SECONDS", "3"), ("GRACE", "10"), ("VUS", "10")]),
    ),
    healthy(
        "end-h2load",
        "h2load's 3 s are up, over HTTP/1.1.",
        Load::H2load(&["-D", "3", "-c", "8", "--h1"]),
    ),
    healthy(
        "end-siege",
        "siege's 3 s are up.",
        Load::Siege(&["-t", "3S", "-c", "8"]),
    ),
    healthy("end-locust", "Locust's 4 s are up.", Load::Locust("4s", "5000")),
    healthy(
        "end-autocannon",
        "autocannon's 3 s are up.",
        Load::Autocannon(&["-d", "3", "-c", "8"]),
    ),
    Play {
        name: "hang-last-30",
        mirror: "end-wrk",
        truth: Truth::Backend,
        done: "The same for 30 s.",
        path: &[Part::Python(&["--hang", "3", "--latency", "20:40"])],
        load: Load::Wrk(&["-t1", "-c8", "-d33s", "--timeout", "60s"]),
        alone: &[Answer::Hop("backend", &["backend-timeout"])],
        miscounts: "wrk does not count what is under way when its time is up",
        ..PLAY
    },
    Play {
        name: "bursts-wrk",
        mirror: "hang-last-3",
        done: "Three bursts of wrk behind `hopscope proxy`.",
        path: TAIL,
        load: Load::Wrk(&["-t1", "-c8", "-d1s"]),
        bursts: 3,
        alone: NOTHING,
        ..PLAY
    },
    Play {
        name: "bursts-hey",
        mirror: "hang-last-3",
        done: "Three bursts of hey behind `hopscope proxy`.",
        path: TAIL,
        load: Load::Hey(&["-z", "1s", "-c", "8"]),
        bursts: 3,
        alone: NOTHING,
        ..PLAY
    },
];
