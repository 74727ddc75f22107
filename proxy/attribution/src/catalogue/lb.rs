//! The load balancer's causes.

use super::{Entry, entry};
use crate::cause::Cause;

/// What to look at where the balancer itself failed.
const ITS_LOG: (&str, &str) = (
    "Look at the load balancer's own log and listener for that time.",
    "It failed before or instead of the application.",
);

pub(super) const ENTRIES: &[Entry] = &[
    entry(
        Cause::LbRefused,
        "its address refused the connection",
        "a refusal by an address whose listener was shown in this run to be a balancer's; or ready endpoints, and no SYN in the chosen pod's network namespace",
        &[ITS_LOG],
    ),
    entry(
        Cause::LbUnreachable,
        "its address did not answer",
        "ready endpoints, and no SYN in the chosen pod's network namespace",
        &[ITS_LOG],
    ),
    entry(
        Cause::LbReset,
        "it reset connections that the application had not ended",
        "the application's kernel, which was sent the end; the bytes that it had got through",
        &[ITS_LOG],
    ),
    entry(
        Cause::LbIdleTimeout,
        "it cut connections that had been idle for its time-out",
        "a sharp limit: connections idle for longer were cut or went silent, all others were answered",
        &[(
            "Keep client keep-alive shorter than the load balancer's idle time-out.",
            "Connections that it has forgotten are reset when they are used again.",
        )],
    ),
    entry(
        Cause::LbNoTarget,
        "it answered 503 although a ready target was there",
        "answers of 503 while a path without the balancer reached every ready pod and was answered",
        &[(
            "Check target registration, health checks and routing rules of the load balancer.",
            "The application answered whoever asked it without the balancer.",
        )],
    ),
    entry(
        Cause::LbBadGateway,
        "it answered 502 although its target was well",
        "answers of 502 while a path without the balancer reached every ready pod and was answered",
        &[(
            "Compare keep-alive time-outs, protocol and TLS settings between the load balancer and its target.",
            "The application answered whoever asked it without the balancer.",
        )],
    ),
    entry(
        Cause::LbGatewayTimeout,
        "it answered 504 although its target was well",
        "answers of 504 while a path without the balancer reached every ready pod and was answered",
        &[(
            "Compare the load balancer's time-out with how long answers take, and look at its route to the target.",
            "The application answered whoever asked it without the balancer.",
        )],
    ),
    entry(
        Cause::LbError,
        "it answered with an error of its own",
        "a 5xx other than 502, 503 and 504 with the balancer's own page or header",
        &[ITS_LOG],
    ),
    entry(
        Cause::LbOverloaded,
        "a limit of its own was reached",
        "Envoy's reply that says `overflow`",
        &[(
            "Raise the balancer's limit on connections and pending requests, or send less.",
            "Its circuit breaker was open: the request was never sent on.",
        )],
    ),
    entry(
        Cause::LbQueueTimeout,
        "it held requests in its queue until its queue time-out",
        "answers of 503 with HAProxy's own page, all at one age, while those that were answered had waited nearly as long",
        &[(
            "Raise `maxconn` of the server or `timeout queue`, add servers, or make answers faster.",
            "All connections that the balancer allows to its servers were busy.",
        )],
    ),
    entry(
        Cause::LbRateLimited,
        "it answered with a limit on the rate",
        "answers of 429 with the balancer's own page or header; or its page of 503 at a fixed rate of admission",
        &[(
            "Raise the load balancer's limit for the test, or lower the rate.",
            "It refused the excess itself.",
        )],
    ),
    entry(
        Cause::LbTls,
        "the TLS handshake with it failed",
        "hopscope's own TLS handshake with the balancer's name",
        &[("Check certificate, name and chain.", "The TLS handshake failed.")],
    ),
    entry(
        Cause::LbDns,
        "its name did not resolve",
        "hopscope's own name resolution",
        &[("Check the name.", "It did not resolve.")],
    ),
    entry(
        Cause::LbFirewall,
        "its own host's firewall or connection table dropped its packets",
        "a packet dropped on its way out of the balancer's host, seen by that host's agent",
        &[(
            "Look at the firewall's rules and at nf_conntrack_count against nf_conntrack_max on that host.",
            "Its own kernel dropped packets before they left, or the answers on their way in.",
        )],
    ),
    entry(
        Cause::LbGoaway,
        "it said GOAWAY and left the newest streams unprocessed",
        "the frame, on a path on which a balancer has left its mark",
        &[(
            "Let the generator repeat what GOAWAY left unprocessed, or raise the connection's maximum age and requests.",
            "Streams were begun on a connection that was being ended.",
        )],
    ),
    entry(
        Cause::LbPortsExhausted,
        "it had no local port left towards its target",
        "EADDRNOTAVAIL at its connect, seen by its host's agent",
        &[(
            "Reuse outbound connections, or widen net.ipv4.ip_local_port_range where they are made.",
            "Each new connection holds a port for a minute after its end.",
        )],
    ),
];
