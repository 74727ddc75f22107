//! Names with several addresses, some of which do not answer.

use crate::play::{Answer, Load, PLAY, Part, Place, Play, Truth};

const NODE: Part = Part::Node(&["--latency", "3:10"]);
const LOCALHOST: Option<(&str, &[&str])> = Some(("localhost", &["::1", "127.0.0.1"]));
const LOAD: Load = Load::Hey(&["-n", "200", "-c", "4", "-disable-keepalive", "-t", "4"]);
const LOOPBACK: Place = Place::One("127.0.0.1", &[]);
/// Addresses of one kind: a resolver has no reason to prefer the one that works.
const THREE: &[&str] = &["10.98.0.3", "10.98.0.2", "10.98.0.1"];
const OTHERS: &[&[&str]] = &[
    &["ip", "address", "add", "10.98.0.2", "dev", "lo"],
    &["ip", "address", "add", "10.98.0.3", "dev", "lo"],
];
/// The first takes no SYN.
const DEAF: &[&[&str]] = &[
    &["ip", "address", "add", "10.98.0.2", "dev", "lo"],
    &["ip", "address", "add", "10.98.0.3", "dev", "lo"],
    &[
        "nft",
        "add table inet stage; add chain inet stage input { type filter hook input priority 0 ; }; \
         add rule inet stage input ip daddr 10.98.0.3 drop",
    ],
];

pub(super) const PLAYS: &[Play] = &[
    Play {
        name: "localhost-tunnel",
        mirror: "name-all-refuse",
        done: "`localhost` is ::1 first; the forwarder listens on 127.0.0.1 alone.",
        place: LOOPBACK,
        path: &[NODE, Part::Forwarder("")],
        hosts: LOCALHOST,
        load: LOAD,
        alone: &[Answer::Nothing],
        ..PLAY
    },
    Play {
        name: "name-all-refuse",
        mirror: "localhost-direct",
        truth: Truth::Backend,
        done: "A name has three addresses, and nobody listens on any.",
        place: Place::One("10.98.0.1", OTHERS),
        path: &[Part::Nobody],
        hosts: Some(("shop.test", THREE)),
        load: LOAD,
        alone: &[Answer::Hop("backend", &["backend-refused", "backend-not-ready"])],
        ..PLAY
    },
    Play {
        name: "localhost-direct",
        mirror: "name-all-refuse",
        done: "`localhost` is ::1 first; the application listens on 127.0.0.1 alone.",
        place: LOOPBACK,
        path: &[NODE],
        hosts: LOCALHOST,
        load: LOAD,
        alone: &[Answer::Nothing],
        ..PLAY
    },
    Play {
        name: "localhost-balancer",
        mirror: "name-all-refuse",
        done: "`localhost` is ::1 first; HAProxy listens on 127.0.0.1 alone.",
        place: LOOPBACK,
        path: &[NODE, Part::HaProxy("", "  server only TARGET")],
        hosts: LOCALHOST,
        load: LOAD,
        alone: &[Answer::Nothing],
        ..PLAY
    },
    Play {
        name: "name-two-refuse",
        mirror: "name-all-refuse",
        done: "A name has three addresses; on the first two nobody listens.",
        place: Place::One("10.98.0.1", OTHERS),
        path: &[NODE],
        hosts: Some(("shop.test", THREE)),
        load: LOAD,
        alone: &[Answer::Nothing],
        ..PLAY
    },
    Play {
        name: "name-one-deaf",
        mirror: "name-all-refuse",
        done: "A name has two addresses; the first takes no SYN.",
        place: Place::One("10.98.0.1", DEAF),
        path: &[NODE],
        hosts: Some(("shop.test", &["10.98.0.3", "10.98.0.1"])),
        load: Load::Hey(&["-n", "40", "-c", "4", "-disable-keepalive", "-t", "4"]),
        alone: &[Answer::Nothing],
        ..PLAY
    },
];
