//! The tunnel's causes.

use super::{Entry, entry};
use crate::cause::Cause;

pub(super) const ENTRIES: &[Entry] = &[
    entry(
        Cause::TunnelDown,
        "nothing listened where the forward should, and it had never stood",
        "refused connects on a tunnel path before the first that stood",
        &[(
            "Start the forward, or let hopscope run it: --via tunnel=kubectl:svc/NAME:PORT.",
            "Nothing listened.",
        )],
    ),
    entry(
        Cause::TunnelLost,
        "its own connection ended and took its forwarded connections with it",
        "all connections of a forward ended at once, and kubectl's words were read in full and name no error of the pod's",
        &[(
            "Look at every link from {forwarder} to its far end: VPN, NAT, proxy, sleep; on a cluster also a restart of the API server, the kubelet or the container runtime.",
            "The tunnel's own connection went, and with it everything it carried.",
        )],
    ),
    entry(
        Cause::TunnelTimeout,
        "streams were not acknowledged within 30 s",
        "connections reset 30.00 s after they were opened, without one byte of an answer; kubectl's `Timeout occurred`",
        &[(
            "Restart {forwarder} after its first `Timeout occurred`.",
            "It never recovers: a stuck frame worker stays stuck.",
        )],
    ),
    entry(
        Cause::TunnelHeadOfLine,
        "it stopped moving bytes because one connection was not read",
        "samples of the forwarder's sockets: bytes that it does not read, and a local reader that does not read",
        &[(
            "Use one forward per heavy flow, and kubectl 1.32 or later.",
            "SPDY has no flow control: one unread answer stops all others.",
        )],
    ),
    entry(
        Cause::TunnelPoisoned,
        "a frame worker of {forwarder}'s is stuck, and streams hang by their number",
        "which connections time out follows the stream numbers modulo 5",
        &[(
            "Restart {forwarder} after its first `Timeout occurred`.",
            "It never recovers: a stuck frame worker stays stuck.",
        )],
    ),
    entry(
        Cause::TunnelBlackhole,
        "what {forwarder} sent into the tunnel led nowhere",
        "samples of the forwarder's own connection: sent and not acknowledged for seconds; or acknowledged, and nothing came back while streams were asked for",
        &[(
            "Look at what lies between {forwarder} and the node: VPN, NAT, proxy, sleep, the API server, the kubelet.",
            "The forwarder sent, and for seconds nothing came back, not even the acknowledgement of a stream.",
        )],
    ),
    entry(
        Cause::TunnelFdLimit,
        "{forwarder} ran out of descriptors and accepts no more",
        "its own words, or its count of descriptors beside a listener's queue that is not served",
        &[(
            "Raise ulimit -n for {forwarder} and restart it.",
            "Its accept loop ends for good at the first EMFILE.",
        )],
    ),
    entry(
        Cause::TunnelStreamRefused,
        "the far end of the tunnel refused a stream",
        "kubectl's `Stream reset` while it opened streams, and the forward stood",
        &[(
            "Look for a proxy between {forwarder} and the node that rewrites the tunnel, and compare the versions of kubectl and the kubelet.",
            "Streams were refused at once, while the tunnel went on.",
        )],
    ),
    entry(
        Cause::TunnelOutputBlocked,
        "{forwarder} waited for somebody to read its output",
        "a thread of the forwarder that waits to write into a pipe",
        &[(
            "Read what {forwarder} writes, or send it to a file: kubectl port-forward ... > forward.log 2>&1.",
            "It writes a line for each connection, and after some 2,000 it waits for ever for somebody to read them.",
        )],
    ),
    entry(
        Cause::TunnelHung,
        "{forwarder} lived and no longer copied",
        "samples of the forwarder's local sockets: bytes that it does not read, in connections that the other side has closed, while its process runs and its tunnel has nothing to say",
        &[(
            "Restart {forwarder}.",
            "It ends nothing and copies nothing any more, and it does not recover.",
        )],
    ),
    entry(
        Cause::TunnelStopped,
        "{forwarder} was stopped or had no CPU",
        "samples of the forwarder's process: state `T`, or threads that waited for CPU",
        &[("Find out what stopped or starved {forwarder}.", "It did not run.")],
    ),
    entry(
        Cause::TunnelTruncated,
        "it lost bytes that the application had sent, whatever the route",
        "answers cut once per so many bytes on every route; or the application's kernel had more bytes acknowledged than arrived",
        &[(
            "Repeat the run with --via direct=POD-IP:PORT beside the tunnel.",
            "If the cuts stay away there, the forward makes them.",
        )],
    ),
    entry(
        Cause::TunnelHalfClose,
        "it ended answers 1 s after the generator had half-closed",
        "the generator's FIN together with its request, and the forward's own end 1.00 s later",
        &[(
            "Do not half-close: keep the request's side open until the answer is in.",
            "A forward cannot pass a half-close on.",
        )],
    ),
    entry(
        Cause::TunnelDenied,
        "the cluster refused to open the forward",
        "kubectl's own words before it ever listened",
        &[(
            "Read kubectl's message: RBAC, a missing pod or an unreachable node.",
            "The cluster refused the forward.",
        )],
    ),
    entry(
        Cause::TunnelPortsExhausted,
        "the runtime had no local port left in the pod for its dial to the application",
        "kubectl's words for what the node said",
        &[(
            "Reuse connections in the generator, or widen net.ipv4.ip_local_port_range in the pod.",
            "Each forwarded connection takes a port of the pod's, and keeps it for a minute after its end.",
        )],
    ),
];
