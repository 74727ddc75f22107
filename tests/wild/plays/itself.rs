//! The generator's host and hopscope's own: descriptors and ports.

use crate::play::{Answer, Load, PLAY, Part, Place, Play, Truth};

const NODE: Part = Part::Node(&["--latency", "200:300"]);
const MANY: Load = Load::K6(&[("FRESH", "1"), ("VUS", "40"), ("SECONDS", "3")]);
/// Local ports for thirty connections, and none of them twice within a minute.
const FEW_PORTS: Place = Place::Pair(&[]);

pub(super) const PLAYS: &[Play] = &[
    Play {
        name: "client-fd-limit",
        mirror: "observer-fd-limit",
        truth: Truth::Client,
        done: "k6 may open 24 files and wants 40 connections; its result is given.",
        path: &[NODE],
        load: MANY,
        generator_behind: &["prlimit", "--nofile=24:24"],
        join: true,
        alone: &[Answer::Hop("client", &["client-fd-limit"])],
        ..PLAY
    },
    Play {
        name: "observer-fd-limit",
        mirror: "client-fd-limit",
        truth: Truth::Observer,
        done: "hopscope may open 80 files and gets 40 connections.",
        path: &[NODE],
        load: MANY,
        hopscope_behind: &["prlimit", "--nofile=80:80"],
        generator_behind: &["prlimit", "--nofile=80:80"],
        alone: &[Answer::Hop("observer", &["observer-fd-limit"])],
        differs: "hopscope itself is what is short of descriptors in this play",
        ..PLAY
    },
    Play {
        name: "observer-ports",
        mirror: "app-absent",
        truth: Truth::Observer,
        done: "hopscope's host has no more than ten local ports towards the application.",
        place: FEW_PORTS,
        path: &[NODE],
        load: MANY,
        hopscope_behind: &[
            "sh",
            "-c",
            "sysctl -qw net.ipv4.ip_local_port_range='40000 40009' && exec \"$@\"",
            "sh",
        ],
        alone: &[Answer::Hop("observer", &["observer-ports-exhausted"])],
        differs: "without hopscope the ports of that host are not limited in this play",
        ..PLAY
    },
];
