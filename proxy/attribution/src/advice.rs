//! What to do next, most useful first.

mod tls;

use crate::case::Case;
use crate::catalogue::{self, Remedy};
use crate::cause::Cause;
use crate::evidence::{PathKind, PortOwner};
use crate::hop::Hop;
use crate::not_read;
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
    let tunnels = case.paths_of(PathKind::Tunnel);
    let tunnel = !tunnels.is_empty();
    let forwarder = case.forwarder_of(tunnels.iter().copied());
    let one_error_ends_all = tunnels.iter().any(|path| case.laws(*path).client_go());
    // Before everything else: the load may not have gone where it was meant to go.
    let mut advice = astray(case);
    if hops.is_empty() {
        advice.extend(not_read::advice(case));
    }
    for (_, cause) in causes {
        if matches!(cause, Cause::LbTls | Cause::BackendTls) {
            let room = MOST.saturating_sub(advice.len());
            advice.extend(tls::of(case).into_iter().take(room));
            continue;
        }
        for (action, why) in remedies(cause, tunnel) {
            let one = Advice {
                action: catalogue::with_forwarder(action, forwarder),
                why: catalogue::with_forwarder(why, forwarder),
            };
            if advice.len() < MOST && !advice.contains(&one) {
                advice.push(one);
            }
        }
    }
    let hurts_all =
        |hop: &HopCharge| hop.hop == Hop::Backend && hop.causes.iter().any(|cause| cause.victims > 0);
    if !hops.is_empty() {
        let room = MOST.saturating_sub(advice.len());
        advice.extend(not_read::advice(case).into_iter().take(room));
    }
    if one_error_ends_all && hops.iter().any(hurts_all) && advice.len() < MOST {
        advice.push(Advice {
            action:
                "Load-test over a load balancer or the pod's address, and keep the forward for debugging."
                    .to_owned(),
            why: format!(
                "One error of the pod's ends {forwarder}'s whole forward and every request on it, as in every kubectl since 1.23."
            ),
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

/// Of one cause: from the table, but for what depends on the paths of the run.
fn remedies(cause: Cause, tunnel: bool) -> &'static [Remedy] {
    if cause == Cause::BackendRateLimited && tunnel {
        return &[(
            "Exempt 127.0.0.1 from the limit, or test over the load balancer.",
            "Through a tunnel all users share one address.",
        )];
    }
    catalogue::of(cause).remedies
}
