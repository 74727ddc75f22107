//! The generator's host and hopscope's own: descriptors and ports.

use crate::play::{Answer, Load, PLAY, Part, Place, Play, Truth};

const NODE: Part = Part::Node(&["--latency", "200:300"]);
const MANY: Load = Load::K6(&[("FRESH", "1"), ("VUS", "40"), ("SECONDS", "3")]);
const FEW_PORTS: Place = Place::Pair(&[]);
/// Holds 90 of 100 local ports towards the application, then becomes hopscope. Ports towards other addresses are free.
const HOG: &str = "sysctl -qw net.ipv4.ip_local_port_range='40000 40099' && \
    { timeout 20 python3 -c 'import socket, time; \
    held = [socket.create_connection((\"APP_HOST\", APP_PORT)) for _ in range(90)]; time.sleep(20)' & } && \
    sleep 1 && exec \"$@\"";

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
        done: "Of the 100 local ports of hopscope's host 90 are taken by other connections to the application.",
        place: FEW_PORTS,
        path: &[NODE],
        load: Load::K6(&[("VUS", "20"), ("SECONDS", "3")]),
        hopscope_behind: &["sh", "-c", HOG, "sh"],
        alone: &[Answer::Hop("observer", &["observer-ports-exhausted"])],
        differs: "without hopscope nobody takes the ports of that host in this play",
        ..PLAY
    },
];
