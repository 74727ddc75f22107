//! What to do next, most useful first.

use crate::case::Case;
use crate::cause::Cause;
use crate::evidence::{PathKind, PortOwner};
use crate::hop::Hop;
use crate::verdict::{Advice, HopCharge};

/// More than this nobody reads.
const MOST: usize = 5;

pub(crate) fn of(case: &Case<'_>, hops: &[HopCharge]) -> Vec<Advice> {
    let mut causes: Vec<(u64, Cause)> = hops
        .iter()
        .flat_map(|hop| &hop.causes)
        .map(|cause| (cause.failures, cause.cause))
        .collect();
    causes.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let tunnel = !case.paths_of(PathKind::Tunnel).is_empty();
    // Before everything else: the load may not have gone where it was meant to go.
    let mut advice = astray(case);
    for (_, cause) in causes {
        for (action, why) in remedy(cause, tunnel) {
            let one = Advice {
                action: (*action).to_owned(),
                why: (*why).to_owned(),
            };
            if advice.len() < MOST && !advice.contains(&one) {
                advice.push(one);
            }
        }
    }
    let hurts_all =
        |hop: &HopCharge| hop.hop == Hop::Backend && hop.causes.iter().any(|cause| cause.victims > 0);
    if tunnel && hops.iter().any(hurts_all) && advice.len() < MOST {
        advice.push(Advice {
            action:
                "Load-test over a load balancer or the pod's address, and keep the forward for debugging."
                    .to_owned(),
            why: "Since kubectl 1.23 one error of the pod's ends the whole forward and every request on it."
                .to_owned(),
        });
    }
    advice
}

/// Forwards whose address belongs to something else. kubectl does not complain when it gets only one of `127.0.0.1` and
/// `::1`, and a generator that uses the other talks to whatever listens there.
fn astray(case: &Case<'_>) -> Vec<Advice> {
    let tunnels = case
        .evidence
        .tunnels
        .iter()
        .filter_map(|(_, tunnel)| tunnel.seen());
    let processes = tunnels.flat_map(|tunnel| &tunnel.processes);
    let mut advice: Vec<Advice> = Vec::new();
    for process in processes.filter(|process| process.is_kubectl.seen() == Some(&true)) {
        for (host, owner) in [("127.0.0.1", process.on_ipv4), ("[::1]", process.on_ipv6)] {
            let owner = match owner.seen() {
                Some(PortOwner::Other(pid)) => format!("process {pid}"),
                Some(PortOwner::Stranger) => "a process of another user".to_owned(),
                Some(PortOwner::Forward | PortOwner::Nobody) | None => continue,
            };
            let kubectl = process
                .pid
                .seen()
                .map_or_else(|| "kubectl".to_owned(), |pid| format!("kubectl (process {pid})"));
            let one = Advice {
                action: format!(
                    "Give the forward a port that is free on both 127.0.0.1 and ::1: {host}:{} belongs to {owner}.",
                    process.local_port
                ),
                why: format!(
                    "{kubectl} got only the other loopback address and did not complain; what connects to {host} does not reach the tunnel."
                ),
            };
            if advice.len() < MOST && !advice.contains(&one) {
                advice.push(one);
            }
        }
    }
    advice
}

type Remedy = &'static [(&'static str, &'static str)];

#[expect(clippy::too_many_lines, reason = "a table: one cause, one line")]
fn remedy(cause: Cause, tunnel: bool) -> Remedy {
    match cause {
        Cause::ClientAbort => &[(
            "Look at the generator's scenario for aborts and early ends.",
            "It left before answers were due.",
        )],
        Cause::ClientTimeout => &[(
            "Raise the generator's time-out.",
            "Answers usually take about as long as it waits.",
        )],
        Cause::ClientPortsExhausted => &[(
            "Reuse connections, or widen net.ipv4.ip_local_port_range on the generator's host.",
            "Each new connection holds a port for a minute after its end.",
        )],
        Cause::ClientFdLimit => &[(
            "Raise ulimit -n for the generator.",
            "Each connection needs a descriptor.",
        )],
        Cause::ClientFirewall | Cause::LbFirewall => &[(
            "Look at the firewall's rules and at nf_conntrack_count against nf_conntrack_max on that host.",
            "Its own kernel dropped packets before they left, or the answers on their way in.",
        )],
        Cause::ObserverSaturated => &[(
            "Give hopscope more CPU, or lower the rate.",
            "While it is late itself nobody can be convicted.",
        )],
        Cause::ObserverFdLimit => &[(
            "Raise ulimit -n for hopscope.",
            "Each connection needs two descriptors.",
        )],
        Cause::ObserverPortsExhausted => &[(
            "Reuse connections in the generator, or widen net.ipv4.ip_local_port_range on hopscope's host.",
            "Each new connection holds a port for a minute after its end.",
        )],
        Cause::TunnelPortsExhausted => &[(
            "Reuse connections in the generator, or widen net.ipv4.ip_local_port_range in the pod.",
            "Each forwarded connection takes a port of the pod's, and keeps it for a minute after its end.",
        )],
        Cause::LbPortsExhausted | Cause::BackendPortsExhausted => &[(
            "Reuse outbound connections, or widen net.ipv4.ip_local_port_range where they are made.",
            "Each new connection holds a port for a minute after its end.",
        )],
        Cause::ObserverEvidenceLost => &[("Record to a faster or emptier disk.", "Rows were lost.")],
        Cause::TunnelDown => &[(
            "Start the forward, or let hopscope run it: --via tunnel=kubectl:svc/NAME:PORT.",
            "Nothing listened.",
        )],
        Cause::TunnelLost | Cause::TunnelBlackhole => &[(
            "Look at what lies between kubectl and the API server: VPN, NAT, proxy, sleep.",
            "The tunnel's own connection went, and with it everything it carried.",
        )],
        Cause::TunnelTimeout | Cause::TunnelPoisoned => &[(
            "Restart kubectl after its first `Timeout occurred`.",
            "It never recovers: a stuck frame worker stays stuck.",
        )],
        Cause::TunnelHeadOfLine => &[(
            "Use one forward per heavy flow, and kubectl 1.32 or later.",
            "SPDY has no flow control: one unread answer stops all others.",
        )],
        Cause::TunnelFdLimit => &[(
            "Raise ulimit -n for kubectl and restart it.",
            "Its accept loop ends for good at the first EMFILE.",
        )],
        Cause::TunnelStreamRefused => &[(
            "Look for a proxy between kubectl and the node that rewrites the tunnel, and compare the versions of kubectl and the kubelet.",
            "Streams were refused at once, while the tunnel went on.",
        )],
        Cause::TunnelOutputBlocked => &[(
            "Read what kubectl writes, or send it to a file: kubectl port-forward ... > forward.log 2>&1.",
            "It writes a line for each connection, and after some 2,000 it waits for ever for somebody to read them.",
        )],
        Cause::TunnelStopped => &[("Find out what stopped or starved kubectl.", "It did not run.")],
        Cause::TunnelTruncated => &[(
            "Repeat the run with --via direct=POD-IP:PORT beside the tunnel.",
            "If the cuts stay away there, the forward makes them.",
        )],
        Cause::TunnelHalfClose => &[(
            "Do not half-close: keep the request's side open until the answer is in.",
            "A forward cannot pass a half-close on.",
        )],
        Cause::TunnelDenied => &[(
            "Read kubectl's message: RBAC, a missing pod or an unreachable node.",
            "The cluster refused the forward.",
        )],
        Cause::LbRefused | Cause::LbUnreachable | Cause::LbReset | Cause::LbError | Cause::LbRateLimited => {
            &[(
                "Look at the load balancer's own log and listener for that time.",
                "It failed before or instead of the application.",
            )]
        }
        Cause::LbIdleTimeout => &[(
            "Keep client keep-alive shorter than the load balancer's idle time-out.",
            "Connections that it has forgotten are reset when they are used again.",
        )],
        Cause::LbNoTarget => &[(
            "Check target health and readiness probes.",
            "The load balancer had nobody to send the request to.",
        )],
        Cause::LbBadGateway => &[(
            "Compare with --via direct=POD-IP:PORT, and check keep-alive time-outs behind the load balancer.",
            "Its target refused, reset or spoke nonsense.",
        )],
        Cause::LbGatewayTimeout => &[(
            "Find the slow requests in the application.",
            "The load balancer waited for its target in vain.",
        )],
        Cause::LbTls | Cause::BackendTls => {
            &[("Check certificate, name and chain.", "The TLS handshake failed.")]
        }
        Cause::LbDns => &[("Check the name.", "It did not resolve.")],
        Cause::BackendRefused => &[(
            "Check that the application listens, on 127.0.0.1 as well when a forward is used.",
            "Its port refused the connection.",
        )],
        Cause::BackendUnreachable => &[(
            "Check the address, its routes and firewalls.",
            "Nothing answered.",
        )],
        Cause::BackendReset | Cause::BackendTruncated => &[(
            "Look for crashes, restarts and OOM kills of the application at those moments.",
            "It ended connections in mid-request.",
        )],
        Cause::BackendAcceptQueue => &[(
            "Raise the listen backlog and net.core.somaxconn, or accept faster.",
            "Its accept queue overflowed.",
        )],
        Cause::BackendTimeout | Cause::BackendOverloaded => &[(
            "Profile the failing routes in the application under this load.",
            "It took the requests and did not answer in time.",
        )],
        Cause::BackendError => &[(
            "Read the application's log for the failing routes.",
            "It answered 5xx itself; the path delivered.",
        )],
        Cause::BackendRateLimited if tunnel => &[(
            "Exempt 127.0.0.1 from the limit, or test over the load balancer.",
            "Through a tunnel all users share one address.",
        )],
        Cause::BackendRateLimited => &[(
            "Raise the limit for the test, or lower the rate.",
            "The application refused the excess.",
        )],
        Cause::BackendUnreadBody => &[(
            "Let the application read or drain request bodies before it closes.",
            "Closing with unread bytes makes its kernel reset.",
        )],
        Cause::BackendNotReady => &[("Check restarts and readiness of the pod.", "It was gone.")],
        Cause::BackendDependency => &[(
            "Look at the service behind the gateway.",
            "The gateway answered on its behalf.",
        )],
        Cause::BackendKeepAliveRace => &[(
            "Make the generator's idle time-out shorter than the application's keep-alive time-out.",
            "Connections were closed just as they were used again.",
        )],
        Cause::ObserverStopped | Cause::RequestRejected | Cause::Undetermined => &[],
    }
}
