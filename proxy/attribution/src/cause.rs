//! What a hop can be charged with. Every cause belongs to exactly one hop.

use std::fmt;

use crate::hop::Hop;

macro_rules! causes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal => $hop:ident,)+) => {
        /// Why a failure happened; the word says the hop and the mechanism.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause { $($(#[doc = $doc])+ $variant,)+ }

        impl Cause {
            /// Every cause, grouped by hop.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word used in reports and metrics.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// What it means, as a sentence.
            pub const fn means(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// The hop that this cause charges.
            pub const fn hop(self) -> Hop {
                match self { $(Self::$variant => Hop::$hop,)+ }
            }
        }
    };
}

causes! {
    /// The generator closed or reset before its answer was complete.
    ClientAbort = "client-abort" => Client,
    /// The generator gave up after its own time-out, and nothing else was late.
    ClientTimeout = "client-timeout" => Client,
    /// The generator's host ran out of ephemeral ports.
    ClientPortsExhausted = "client-ports-exhausted" => Client,
    /// The generator ran out of descriptors.
    ClientFdLimit = "client-fd-limit" => Client,
    /// A firewall, or a full connection table, of the generator's own host dropped its packets.
    ClientFirewall = "client-firewall" => Client,
    /// The generator refused the TLS handshake with hopscope, broke it off, or did not speak TLS.
    ClientTls = "client-tls" => Client,

    /// hopscope or its host could not keep up: late event loop, full accept queue, no CPU.
    ObserverSaturated = "observer-saturated" => Observer,
    /// hopscope ran out of descriptors.
    ObserverFdLimit = "observer-fd-limit" => Observer,
    /// hopscope's host ran out of ephemeral ports towards the upstream.
    ObserverPortsExhausted = "observer-ports-exhausted" => Observer,
    /// The path's target led back to hopscope itself.
    ObserverOwnAddress = "observer-own-address" => Observer,
    /// hopscope was stopped or killed while the exchange was under way.
    ObserverStopped = "observer-stopped" => Observer,
    /// The TLS that hopscope speaks cannot answer the other side's: nothing in common, or a server name that is none.
    ObserverTls = "observer-tls" => Observer,
    /// So much evidence was lost that what is left proves nothing.
    ObserverEvidenceLost = "observer-evidence-lost" => Observer,

    /// Nothing listens where the forward should: kubectl is not running.
    TunnelDown = "tunnel-down" => Tunnel,
    /// The tunnel's own connection ended and took its forwarded connections with it.
    TunnelLost = "tunnel-lost" => Tunnel,
    /// A stream was not acknowledged within kubectl's 30 s.
    TunnelTimeout = "tunnel-timeout" => Tunnel,
    /// One stalled connection blocked the others: SPDY has no flow control.
    TunnelHeadOfLine = "tunnel-head-of-line" => Tunnel,
    /// A frame worker is stuck for ever: failures are periodic in the stream number.
    TunnelPoisoned = "tunnel-poisoned" => Tunnel,
    /// The tunnel's packets go nowhere: sleep, NAT, VPN or a firewall dropped the flow silently.
    TunnelBlackhole = "tunnel-blackhole" => Tunnel,
    /// kubectl ran out of descriptors: its accept loop has ended for good.
    TunnelFdLimit = "tunnel-fd-limit" => Tunnel,
    /// The far end of the tunnel refused a stream at once, and the tunnel stood.
    TunnelStreamRefused = "tunnel-stream-refused" => Tunnel,
    /// kubectl waits for somebody to read its own output: whoever started it does not.
    TunnelOutputBlocked = "tunnel-output-blocked" => Tunnel,
    /// The forwarder lives and no longer copies: the local connections that it should end or empty stay as they are.
    TunnelHung = "tunnel-hung" => Tunnel,
    /// kubectl is stopped or starved of CPU.
    TunnelStopped = "tunnel-stopped" => Tunnel,
    /// The forward cut transfers by their size, whatever their route.
    TunnelTruncated = "tunnel-truncated" => Tunnel,
    /// The forward cannot pass a half-close on: 1 s after the generator ended its direction the runtime ended all.
    TunnelHalfClose = "tunnel-half-close" => Tunnel,
    /// The cluster refused to open the forward: RBAC, no such pod, pod not running, node unreachable.
    TunnelDenied = "tunnel-denied" => Tunnel,
    /// The runtime had no local port left in the pod's namespace for its dial to the application.
    TunnelPortsExhausted = "tunnel-ports-exhausted" => Tunnel,

    /// The load balancer's address refused the connection.
    LbRefused = "lb-refused" => Lb,
    /// The load balancer's address did not answer.
    LbUnreachable = "lb-unreachable" => Lb,
    /// The load balancer reset the connection.
    LbReset = "lb-reset" => Lb,
    /// The load balancer cut a connection that had been idle for its time-out.
    LbIdleTimeout = "lb-idle-timeout" => Lb,
    /// The load balancer answered 503 although it had a ready target.
    LbNoTarget = "lb-no-target" => Lb,
    /// The load balancer answered 502 although its target was well.
    LbBadGateway = "lb-bad-gateway" => Lb,
    /// The load balancer answered 504 although its target was well.
    LbGatewayTimeout = "lb-gateway-timeout" => Lb,
    /// The load balancer answered 5xx of its own, other than 502, 503 and 504.
    LbError = "lb-error" => Lb,
    /// A limit of the load balancer's own was reached: a circuit breaker, or as many connections as it takes.
    LbOverloaded = "lb-overloaded" => Lb,
    /// The load balancer held the request in its queue until its queue time-out.
    LbQueueTimeout = "lb-queue-timeout" => Lb,
    /// The load balancer answered 429 of its own.
    LbRateLimited = "lb-rate-limited" => Lb,
    /// The TLS handshake with the load balancer failed.
    LbTls = "lb-tls" => Lb,
    /// The load balancer's name did not resolve.
    LbDns = "lb-dns" => Lb,
    /// A firewall, or a full connection table, of the load balancer's own host dropped its packets.
    LbFirewall = "lb-firewall" => Lb,
    /// The load balancer ended an HTTP/2 connection with GOAWAY just as more streams were begun on it.
    LbGoaway = "lb-goaway" => Lb,
    /// The load balancer had no local port left towards its target.
    LbPortsExhausted = "lb-ports-exhausted" => Lb,

    /// The application's port refused the connection.
    BackendRefused = "backend-refused" => Backend,
    /// The application's address did not answer, or a router said that it cannot be reached.
    BackendUnreachable = "backend-unreachable" => Backend,
    /// The TLS handshake with the application failed.
    BackendTls = "backend-tls" => Backend,
    /// The application reset an established connection.
    BackendReset = "backend-reset" => Backend,
    /// The application's accept queue was full.
    BackendAcceptQueue = "backend-accept-queue" => Backend,
    /// The application took the request and did not answer in time.
    BackendTimeout = "backend-timeout" => Backend,
    /// The application answered 5xx.
    BackendError = "backend-error" => Backend,
    /// What the application's address answered is not HTTP, or breaks its rules.
    BackendNotHttp = "backend-not-http" => Backend,
    /// The application ended an HTTP/2 connection with GOAWAY just as more streams were begun on it.
    BackendGoaway = "backend-goaway" => Backend,
    /// The application refused an HTTP/2 stream without processing it: mostly more of them than it allows.
    BackendRefusedStream = "backend-refused-stream" => Backend,
    /// The application answered 429.
    BackendRateLimited = "backend-rate-limited" => Backend,
    /// The application ended its answer before it was complete.
    BackendTruncated = "backend-truncated" => Backend,
    /// The application answered and closed without reading the request's body, so the kernel reset the connection.
    BackendUnreadBody = "backend-unread-body" => Backend,
    /// The pod was not ready, restarting or gone.
    BackendNotReady = "backend-not-ready" => Backend,
    /// A service behind the application failed, and the application (or its gateway) said so.
    BackendDependency = "backend-dependency" => Backend,
    /// The application said that it was overloaded.
    BackendOverloaded = "backend-overloaded" => Backend,
    /// The application closed an idle kept-alive connection just as it was used again.
    BackendKeepAliveRace = "backend-keep-alive-race" => Backend,
    /// The application closes the connection after each answer and does not say so in the answer.
    BackendNoKeepAlive = "backend-no-keep-alive" => Backend,
    /// The kernel killed the application for using more memory than its limit.
    BackendOomKilled = "backend-oom-killed" => Backend,
    /// The node evicted the pod: it was short of memory, disk or process ids.
    BackendEvicted = "backend-evicted" => Backend,
    /// The pod's CPU limit held the application back while it was asked.
    BackendCpuThrottled = "backend-cpu-throttled" => Backend,
    /// The application had no local port left for its own outbound connections.
    BackendPortsExhausted = "backend-ports-exhausted" => Backend,

    /// A complete 4xx: every hop delivered; whether the request or its judge was wrong cannot be seen from here.
    RequestRejected = "request-rejected" => Unknown,
    /// The evidence fits more than one hop.
    Undetermined = "undetermined" => Unknown,
    /// Nothing that was read failed, and something was not read. Names a verdict; no failure is charged with it.
    NotRead = "not-read" => Unknown,
    /// Nothing was sent that could have failed. Names a verdict; no failure is charged with it.
    NoTraffic = "no-traffic" => Unknown,
}

impl Cause {
    /// The cause that a report's word names, if it names one.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|cause| cause.word() == word)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
