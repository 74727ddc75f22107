//! An address that stands for pods, as kube-proxy makes it: a namespace in the middle that translates.

use hopscope_tests::netns::Row;

use crate::play::{Answer, Deed, LB_OR_BACKEND, Load, PLAY, Part, Place, Play, Truth};

const NODE: Part = Part::Node(&["--latency", "3:10"]);
const LOAD: Load = Load::K6(&[("FRESH", "1"), ("VUS", "6"), ("PATIENCE", "2000")]);
const KEPT: Load = Load::K6(&[("VUS", "6"), ("PATIENCE", "2000")]);
const OPEN: &[Answer] = &[LB_OR_BACKEND];
const REFUSED: &[Answer] = &[Answer::Hop("backend", &["backend-refused", "backend-not-ready"])];

const CHAINS: &str = "add table ip service; \
    add chain ip service pre { type nat hook prerouting priority -100 ; }; \
    add chain ip service through { type filter hook forward priority 0 ; }; \
    add chain ip service local { type filter hook input priority 0 ; }; ";

/// Port 80 leads to a port of the pod's.
fn to_port(row: &Row, port: u16) -> String {
    format!(
        "{CHAINS} add rule ip service pre tcp dport 80 dnat to {}:{port}",
        row.far_address
    )
}

fn to_the_pod(row: &Row) -> String {
    to_port(row, 18_180)
}

fn to_a_wrong_port(row: &Row) -> String {
    to_port(row, 9_999)
}

fn to_both(row: &Row) -> String {
    format!(
        "{CHAINS} add rule ip service pre tcp dport 80 dnat to {0} : numgen inc mod 2 map {{ 0 : 18180, 1 : 9999 }}",
        row.far_address
    )
}

fn to_nobody(row: &Row) -> String {
    let [a, b, c, _] = row.far_address.octets();
    format!("{CHAINS} add rule ip service pre tcp dport 80 dnat to {a}.{b}.{c}.77:18180")
}

fn without_endpoints(_: &Row) -> String {
    format!("{CHAINS} add rule ip service local tcp dport 80 reject with icmp port-unreachable")
}

fn rejects(row: &Row, how: &str) -> String {
    format!(
        "{} ; add rule ip service through ct state new tcp dport 18180 reject with {how}",
        to_the_pod(row)
    )
}

fn rejects_by_rst(row: &Row) -> String {
    rejects(row, "tcp reset")
}

fn rejects_by_icmp(row: &Row) -> String {
    rejects(row, "icmp admin-prohibited")
}

/// A fifth of the packets with data towards the client meets a reset.
fn cuts(row: &Row) -> String {
    format!(
        "{} ; add rule ip service through ct state established tcp sport 18180 tcp flags & psh == psh \
         numgen random mod 5 0 reject with tcp reset",
        to_the_pod(row)
    )
}

/// The node forgets connections after 3 s and drops what it does not know.
fn forgets(row: &Row) -> String {
    let rule = "ct state invalid drop";
    format!(
        "{} ; add rule ip service through {rule} ; add rule ip service local {rule}",
        to_the_pod(row)
    )
}

const FORGETFUL: &[&str] = &[
    "sysctl",
    "-qw",
    "net.netfilter.nf_conntrack_tcp_loose=0",
    "net.netfilter.nf_conntrack_tcp_timeout_established=3",
];

const PAUSES: Load = Load::Client(
    "get",
    &[
        "--pauses",
        "1,1,5",
        "--seconds",
        "16",
        "--patience",
        "2",
        "--connections",
        "16",
    ],
);

pub(super) const PLAYS: &[Play] = &[
    Play {
        name: "service-pod-killed",
        mirror: "service-reject-rst",
        truth: Truth::Backend,
        done: "The application behind the address is killed after 1.5 s: its kernel refuses.",
        place: Place::Row(to_the_pod),
        path: &[NODE, Part::Service],
        load: LOAD,
        deeds: &[(1.5, Deed::Signal(0, "KILL"))],
        alone: OPEN,
        agents: REFUSED,
        two: &[Answer::Hop("backend", &[])],
        ..PLAY
    },
    Play {
        name: "service-reject-rst",
        mirror: "service-wrong-port",
        truth: Truth::Lb,
        done: "A firewall of the node refuses new connections by RST; the pod is ready.",
        place: Place::Row(rejects_by_rst),
        path: &[NODE, Part::Service],
        load: LOAD,
        alone: OPEN,
        agents: OPEN,
        ..PLAY
    },
    Play {
        name: "service-healthy",
        mirror: "service-pod-killed",
        done: "The address leads to the pod.",
        place: Place::Row(to_the_pod),
        path: &[NODE, Part::Service],
        load: KEPT,
        alone: &[Answer::Nothing],
        agents: &[Answer::Nothing],
        ..PLAY
    },
    Play {
        name: "service-wrong-port",
        mirror: "service-reject-rst",
        truth: Truth::Backend,
        done: "The address leads to a port on which nobody listens.",
        place: Place::Row(to_a_wrong_port),
        path: &[NODE, Part::Service],
        load: LOAD,
        alone: OPEN,
        agents: REFUSED,
        ..PLAY
    },
    Play {
        name: "service-half-wrong",
        mirror: "service-reject-rst",
        truth: Truth::Backend,
        done: "One of two targets is a port on which nobody listens.",
        place: Place::Row(to_both),
        path: &[NODE, Part::Service],
        load: LOAD,
        alone: OPEN,
        agents: REFUSED,
        two: OPEN,
        ..PLAY
    },
    Play {
        name: "service-no-endpoints",
        mirror: "service-reject-icmp",
        truth: Truth::Backend,
        done: "Without endpoints the node rejects by ICMP port-unreachable, as kube-proxy does.",
        place: Place::Row(without_endpoints),
        path: &[NODE, Part::Service],
        load: LOAD,
        alone: OPEN,
        agents: OPEN,
        ..PLAY
    },
    Play {
        name: "service-pod-gone",
        mirror: "service-reject-icmp",
        truth: Truth::Backend,
        done: "The address leads to a pod's address that nobody has any more.",
        place: Place::Row(to_nobody),
        path: &[NODE, Part::Service],
        load: LOAD,
        alone: OPEN,
        agents: OPEN,
        ..PLAY
    },
    Play {
        name: "service-reject-icmp",
        mirror: "service-no-endpoints",
        truth: Truth::Lb,
        done: "A firewall of the node refuses new connections by ICMP; the pod is ready.",
        place: Place::Row(rejects_by_icmp),
        path: &[NODE, Part::Service],
        load: LOAD,
        alone: OPEN,
        agents: OPEN,
        ..PLAY
    },
    Play {
        name: "service-pod-resets",
        mirror: "service-node-cuts",
        truth: Truth::Backend,
        done: "The application resets a fifth unanswered.",
        place: Place::Row(to_the_pod),
        path: &[Part::Python(&["--do", "reset=0.2"]), Part::Service],
        load: LOAD,
        alone: OPEN,
        agents: &[Answer::Hop("backend", &["backend-reset"])],
        ..PLAY
    },
    Play {
        name: "service-node-cuts",
        mirror: "service-pod-resets",
        truth: Truth::Lb,
        done: "The node resets a fifth of the answers in the pod's name.",
        place: Place::Row(cuts),
        path: &[NODE, Part::Service],
        load: LOAD,
        alone: OPEN,
        agents: &[LB_OR_BACKEND, Answer::Hop("lb", &[])],
        ..PLAY
    },
    Play {
        name: "service-forgets",
        mirror: "service-pod-deaf",
        truth: Truth::Lb,
        done: "The node forgets what is idle for 3 s and drops it silently; pauses are 1 s and 5 s.",
        place: Place::Row(forgets),
        path: &[Part::Node(&["--keep-alive", "60000"]), Part::Service],
        load: PAUSES,
        deeds: &[(0.0, Deed::Middle(FORGETFUL))],
        alone: &[Answer::Hop("lb", &["lb-idle-timeout"])],
        ..PLAY
    },
    Play {
        name: "service-pod-deaf",
        mirror: "service-forgets",
        truth: Truth::Backend,
        done: "The application serves no connection any more that was idle for 3 s, without a word; its kernel still acknowledges.",
        place: Place::Row(to_the_pod),
        path: &[Part::Python(&["--idle", "deaf:3"]), Part::Service],
        load: PAUSES,
        alone: OPEN,
        ..PLAY
    },
];
