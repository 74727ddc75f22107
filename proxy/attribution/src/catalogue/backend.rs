//! The backend's causes.

use super::{Entry, entry};
use crate::cause::Cause;

pub(super) const ENTRIES: &[Entry] = &[
    entry(
        Cause::BackendRefused,
        "the application's port refused the connection",
        "a refusal on a direct path; kubectl's words; a RST without a socket in the pod's network namespace; refusals on two paths in the same seconds",
        &[(
            "Check that the application listens on that port, on 127.0.0.1 as well when a forward is used.",
            "Its port refused the connection.",
        )],
    ),
    entry(
        Cause::BackendUnreachable,
        "the application's address did not answer",
        "connects that got no answer on a direct path; requests that were never acknowledged",
        &[(
            "Check the address, its routes and firewalls.",
            "Nothing answered.",
        )],
    ),
    entry(
        Cause::BackendTls,
        "the TLS handshake with the application failed",
        "hopscope's own TLS handshake on a direct path",
        &[("Check certificate, name and chain.", "The TLS handshake failed.")],
    ),
    entry(
        Cause::BackendReset,
        "the application ended connections without an answer",
        "the application's FIN or RST came first, on a direct path or as its kernel or kubectl says it",
        &[(
            "Look for crashes, restarts and OOM kills of the application at those moments.",
            "It ended connections in mid-request.",
        )],
    ),
    entry(
        Cause::BackendAcceptQueue,
        "the application's accept queue was full",
        "overflows that the kernel of its listener counted; a SYN that met a full queue",
        &[(
            "Raise the listen backlog and net.core.somaxconn, or accept faster.",
            "Its accept queue overflowed.",
        )],
    ),
    entry(
        Cause::BackendTimeout,
        "the application took requests and did not answer them",
        "silence on a direct path, or through a forward that was healthy all the while",
        &[(
            "Profile the failing routes in the application under this load.",
            "It took the requests and did not answer in time.",
        )],
    ),
    entry(
        Cause::BackendError,
        "the answers were delivered complete, with an error of its own",
        "the complete answer itself",
        &[(
            "Read the application's log for the failing routes.",
            "It answered with an error itself; the path delivered.",
        )],
    ),
    entry(
        Cause::BackendNotHttp,
        "what its address answered is not HTTP",
        "the bytes themselves",
        &[(
            "Check the target's port and scheme: https:// for TLS, and an address that speaks HTTP.",
            "What answered there is not HTTP.",
        )],
    ),
    entry(
        Cause::BackendGoaway,
        "the application said GOAWAY and left the newest streams unprocessed",
        "the frame itself",
        &[(
            "Let the generator repeat what GOAWAY left unprocessed, or raise the connection's maximum age and requests.",
            "Streams were begun on a connection that was being ended.",
        )],
    ),
    entry(
        Cause::BackendRefusedStream,
        "the application refused streams without processing them",
        "the frame itself",
        &[(
            "Begin fewer streams at a time on a connection, or raise the server's SETTINGS_MAX_CONCURRENT_STREAMS.",
            "Streams were refused without being processed.",
        )],
    ),
    entry(
        Cause::BackendRateLimited,
        "the answers were delivered complete, with status 429",
        "the complete answer itself",
        &[(
            "Raise the limit for the test, or lower the rate.",
            "The application refused the excess.",
        )],
    ),
    entry(
        Cause::BackendTruncated,
        "the application ended answers before they were complete",
        "an answer that had begun, ended by the application's FIN or RST",
        &[(
            "Look for crashes, restarts and OOM kills of the application at those moments.",
            "It ended connections in mid-request.",
        )],
    ),
    entry(
        Cause::BackendUnreadBody,
        "the application answered and closed without reading the request's body",
        "an answer before the request's body was sent, and a RST behind it",
        &[(
            "Let the application read or drain request bodies before it closes.",
            "Closing with unread bytes makes its kernel reset.",
        )],
    ),
    entry(
        Cause::BackendNotReady,
        "the pod was gone or not running",
        "EndpointSlices without a ready endpoint at that moment; all connections and the listener gone together; what the Kubernetes API says of the pod",
        &[("Check restarts and readiness of the pod.", "It was gone.")],
    ),
    entry(
        Cause::BackendDependency,
        "the application delivered complete answers that blame a service behind it",
        "answers of 502 or 504, or a gateway's own page, that the path in front did not write",
        &[(
            "Look at the service behind the gateway.",
            "The gateway answered on its behalf.",
        )],
    ),
    entry(
        Cause::BackendOverloaded,
        "the application said that it was overloaded",
        "a gateway's reply that says so",
        &[(
            "Profile the failing routes in the application under this load.",
            "It had more to do than it takes.",
        )],
    ),
    entry(
        Cause::BackendKeepAliveRace,
        "the application closed idle connections just as they were used again",
        "connections that were cut when they were used again, idle for longer than nearly all that were answered",
        &[(
            "Make the application's keep-alive time-out longer than the pauses of whoever calls it: server.keepAliveTimeout (Node.js), --keep-alive (gunicorn), --timeout-keep-alive (uvicorn), keepalive_timeout (nginx).",
            "Connections were closed just as they were used again.",
        )],
    ),
    entry(
        Cause::BackendNoKeepAlive,
        "the application closed connections after each answer without saying so",
        "connections that were cut when they were used a second time, however short the pause",
        &[(
            "Let the application keep connections alive, or send `Connection: close` with each answer.",
            "Whoever is not told uses the connection again and finds it closed.",
        )],
    ),
    entry(
        Cause::BackendOomKilled,
        "the kernel killed the application's container because memory ran out",
        "the Kubernetes API's `OOMKilled` for the pod that the connection led to, at that moment",
        &[(
            "Raise the container's memory limit, or find what uses the memory under this load.",
            "It was killed at its limit, and its connections with it.",
        )],
    ),
    entry(
        Cause::BackendEvicted,
        "the node evicted the pod",
        "the Kubernetes API's eviction of the pod that the connection led to, at that moment",
        &[(
            "Set requests for memory and ephemeral storage that match what the pod uses, and look at the node's pressure.",
            "The node put it out to save itself.",
        )],
    ),
    entry(
        Cause::BackendCpuThrottled,
        "the pod's CPU limit held the application back",
        "`cpu.stat` of the pod's cgroup: throttled in most periods while requests waited",
        &[(
            "Raise or remove the container's CPU limit, or add replicas.",
            "It stood still for a part of each 100 ms.",
        )],
    ),
    entry(
        Cause::BackendPortsExhausted,
        "it had no local port left for its own outbound connections",
        "EADDRNOTAVAIL at its connect, seen by its host's agent",
        &[(
            "Reuse outbound connections, or widen net.ipv4.ip_local_port_range where they are made.",
            "Each new connection holds a port for a minute after its end.",
        )],
    ),
];
