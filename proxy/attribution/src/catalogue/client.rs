//! The load generator's causes, and hopscope's own.

use super::{Entry, entry};
use crate::cause::Cause;

pub(super) const ENTRIES: &[Entry] = &[
    entry(
        Cause::ClientAbort,
        "it left before an answer was due",
        "the generator's FIN or RST came first, and sooner than answers on that route usually take",
        &[(
            "Look at the generator's scenario for aborts and early ends.",
            "It left before answers were due.",
        )],
    ),
    entry(
        Cause::ClientTimeout,
        "its own time-out is about as short as answers take",
        "many requests that the generator gave up at the same age, about as long as successful answers take",
        &[(
            "Raise the generator's time-out.",
            "Answers usually take about as long as it waits.",
        )],
    ),
    entry(
        Cause::ClientPortsExhausted,
        "its host ran out of local ports before the requests reached hopscope",
        "the generator's own words for its errors; its host's kernel",
        &[(
            "Reuse connections, or widen net.ipv4.ip_local_port_range on the generator's host.",
            "Each new connection holds a port for a minute after its end.",
        )],
    ),
    entry(
        Cause::ClientFdLimit,
        "it ran out of descriptors before the requests reached hopscope",
        "the generator's own words for its errors",
        &[(
            "Raise ulimit -n for the generator.",
            "Each connection needs a descriptor.",
        )],
    ),
    entry(
        Cause::ClientFirewall,
        "its own host's firewall or connection table dropped its packets",
        "a packet dropped on its way out of the generator's host, seen by that host's agent",
        &[(
            "Look at the firewall's rules and at nf_conntrack_count against nf_conntrack_max on that host.",
            "Its own kernel dropped packets before they left, or the answers on their way in.",
        )],
    ),
    entry(
        Cause::ClientTls,
        "it did not take part in the TLS handshake that hopscope offered",
        "the alert that it sent, or its end in the middle of the handshake, where hopscope ends its TLS",
        &[(
            "Let the generator trust hopscope's authority for this run: SSL_CERT_FILE and its like name the file; a program with a store of its own needs its own flag. --tls-passthrough leaves TLS end to end.",
            "It refused hopscope's certificate, or did not speak TLS.",
        )],
    ),
    entry(
        Cause::ObserverSaturated,
        "hopscope itself could not keep up in those seconds",
        "hopscope's own samples: a late event loop, a full accept queue, no CPU",
        &[(
            "Give hopscope more CPU, or lower the rate.",
            "While it is late itself nobody can be convicted.",
        )],
    ),
    entry(
        Cause::ObserverFdLimit,
        "hopscope ran out of descriptors",
        "hopscope's own errno, and its count of descriptors",
        &[(
            "Raise ulimit -n for hopscope.",
            "Each connection needs two descriptors.",
        )],
    ),
    entry(
        Cause::ObserverPortsExhausted,
        "hopscope's host ran out of local ports towards the target",
        "EADDRNOTAVAIL at hopscope's own connect",
        &[(
            "Reuse connections in the generator, or widen net.ipv4.ip_local_port_range on hopscope's host.",
            "Each new connection holds a port for a minute after its end.",
        )],
    ),
    entry(
        Cause::ObserverOwnAddress,
        "the path's target led back to hopscope itself",
        "the address that the target's name stood for, and the one that hopscope listens on",
        &[(
            "Give --via the application's address, and --listen another port than that.",
            "The target's name led to the address that hopscope listens on itself.",
        )],
    ),
    entry(
        Cause::ObserverStopped,
        "they were under way when hopscope was stopped",
        "hopscope's own stop came first",
        &[],
    ),
    entry(
        Cause::ObserverTls,
        "hopscope's own TLS cannot answer the other side's: no version, cipher or key type in common, or a server name that is none",
        "the handshake itself: hopscope speaks TLS 1.2 and 1.3, and shows the generator an ECDSA key on P-256",
        &[(
            "Leave TLS end to end: --tls-passthrough, or tcp:// in --via. hey sends HOST:PORT as the server's name: give it -host localhost.",
            "hopscope's own TLS cannot answer the other side's.",
        )],
    ),
    entry(
        Cause::ObserverEvidenceLost,
        "they were counted, and the evidence of them was lost",
        "exact counts that have no row beside them",
        &[("Record to a faster or emptier disk.", "Rows were lost.")],
    ),
];
