//! What agents said of Services, CPU limits and of themselves, placed in the recording's time. Pure.

use std::collections::{BTreeMap, HashMap};

use hopscope_attribution::evidence::{
    CpuThrottle, Endpoint, EndpointTurn, Moment, Observation, PodId, ServiceEndpoints, Span, WatchedNode,
    WhyUnseen,
};

use hopscope_attribution::evidence::node::KernelWindow;

use super::Clock;
use crate::evidence::{EndpointSeen, Head, Line, Pods, Seen, ServiceSeen, ThrottleSeen};

/// How late a change of endpoints may be heard of, and how late a node acts on it: a watch tells within milliseconds, and
/// kube-proxy waits up to a second before it changes its rules (`--iptables-min-sync-period`).
const HEARD_LATE: Span = Span::from_micros(2_000_000);

/// The Services, as one agent was told of them.
pub(super) fn services(head: &Head, lines: &[Line], clock: Clock) -> Observation<Vec<ServiceEndpoints>> {
    match head.services {
        Some(Pods::Told) => {}
        Some(Pods::NoAnswer) => return Observation::Unseen(WhyUnseen::NoAnswer),
        Some(Pods::Newer) | None => return Observation::Unseen(WhyUnseen::NotWatched),
    }
    let mut found: BTreeMap<(String, String), ServiceEndpoints> = BTreeMap::new();
    for line in lines {
        let Seen::Service(seen) = &line.seen else { continue };
        let id = (seen.namespace.clone(), seen.name.clone());
        let service = found.entry(id).or_insert_with(|| ServiceEndpoints {
            namespace: seen.namespace.clone(),
            name: seen.name.clone(),
            ..ServiceEndpoints::default()
        });
        take(service, seen, clock);
    }
    Observation::Seen(found.into_values().collect())
}

fn take(service: &mut ServiceEndpoints, seen: &ServiceSeen, clock: Clock) {
    // One that is gone keeps the addresses that it had: connections went to them.
    if !seen.addresses.is_empty() || !seen.node_ports.is_empty() {
        service.addresses.clone_from(&seen.addresses);
        service.node_ports.clone_from(&seen.node_ports);
    }
    let error = clock.error + HEARD_LATE;
    let end = |end: &EndpointSeen| Endpoint {
        address: end.address,
        pod: (!end.pod.is_empty()).then(|| PodId {
            namespace: seen.namespace.clone(),
            name: end.pod.clone(),
        }),
        node: (!end.node.is_empty()).then(|| end.node.clone()),
    };
    let turn = |at, error| EndpointTurn {
        at,
        error,
        ready: seen.ready.iter().map(end).collect(),
        not_ready: seen.not_ready.iter().map(end).collect(),
    };
    if seen.unix_us.saturating_add(error.as_micros()) < clock.began_unix_us {
        // What was so before the recording began, and nothing changed since.
        service.turns = vec![turn(Moment(0), Span::ZERO)];
        return;
    }
    let at = Moment(seen.unix_us.saturating_sub(clock.began_unix_us));
    let first = service.turns.is_empty();
    // What an agent finds when it begins to watch is so; what it finds after a silence came about at any time of that.
    let error = match (seen.listed, first) {
        (true, true) => clock.error,
        (true, false) => Span::from_micros(at.0).max(error),
        (false, _) => error,
    };
    service.turns.push(turn(at, error));
}

/// How CPU limits held containers back.
pub(super) fn throttling(head: &Head, lines: &[Line], clock: Clock) -> Observation<Vec<CpuThrottle>> {
    if !head.sees_throttling {
        return Observation::Unseen(WhyUnseen::NotWatched);
    }
    let rows = lines.iter().filter_map(|line| match &line.seen {
        Seen::Throttle(seen) => throttle(seen, clock),
        Seen::Socket(_)
        | Seen::Window(_)
        | Seen::Pod(_)
        | Seen::Refusal(_)
        | Seen::Service(_)
        | Seen::Newer => None,
    });
    Observation::Seen(rows.collect())
}

fn throttle(seen: &ThrottleSeen, clock: Clock) -> Option<CpuThrottle> {
    Some(CpuThrottle {
        from: clock.moment(seen.from_unix_us)?,
        length: Span::from_micros(seen.length_us),
        error: clock.error,
        pod: PodId {
            namespace: seen.namespace.clone(),
            name: seen.pod.clone(),
        },
        workload: seen.workload.clone(),
        container: seen.container.clone(),
        periods: seen.periods,
        throttled: seen.throttled,
        held_back: Span::from_micros(seen.held_back_us),
        used: Span::from_micros(seen.used_us),
    })
}

/// The node that an agent told of, and what that agent no longer knew of the recording's time. `windows` are the agent's
/// own: each hop has one of its own, and all repeat what was lost.
pub(super) fn node(head: &Head, windows: &[KernelWindow], given_up: u64) -> Option<WatchedNode> {
    let name = head.node.clone().or_else(|| head.kernel.clone())?;
    let mut lost: HashMap<Moment, u64> = HashMap::new();
    for window in windows {
        let one = lost.entry(window.from).or_default();
        *one = (*one).max(window.events_lost);
    }
    Some(WatchedNode {
        name,
        events_lost: lost.values().sum(),
        records_dropped: given_up,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: u64 = 1_790_000_000_000_000;

    fn clock() -> Clock {
        Clock {
            began_unix_us: BEGAN,
            error: Span::from_micros(1_000),
        }
    }

    fn line(unix_us: u64, listed: bool, ready: usize) -> Line {
        let end = EndpointSeen {
            address: "10.9.0.7:8080".parse().unwrap(),
            pod: "web-0".to_owned(),
            node: "worker-3".to_owned(),
        };
        Line {
            seq: 0,
            seen: Seen::Service(Box::new(ServiceSeen {
                unix_us,
                listed,
                namespace: "shop".to_owned(),
                name: "web".to_owned(),
                addresses: vec!["10.96.0.7:80".parse().unwrap()],
                ready: vec![end; ready],
                ..ServiceSeen::default()
            })),
        }
    }

    fn head() -> Head {
        serde_json::from_value(serde_json::json!({
            "schema": "hopscope.evidence/1", "now_unix_us": BEGAN, "next": 0, "forgotten": 0, "level": "tp_btf",
            "events_lost": 0, "services": "told", "node": "worker-3",
        }))
        .unwrap()
    }

    #[test]
    fn what_was_so_before_the_recording_is_its_first_turn_and_changes_follow() {
        let lines = [
            line(BEGAN - 90_000_000, true, 0),
            line(BEGAN - 60_000_000, false, 1),
            line(BEGAN + 5_000_000, false, 0),
        ];
        let services = services(&head(), &lines, clock());
        let services = services.seen().unwrap();
        let turns = &services[0].turns;
        assert_eq!((services.len(), turns.len()), (1, 2));
        assert_eq!(
            (turns[0].at, turns[0].error, turns[0].ready.len()),
            (Moment(0), Span::ZERO, 1)
        );
        assert_eq!((turns[1].at, turns[1].ready.len()), (Moment(5_000_000), 0));
        assert_eq!(turns[1].error, HEARD_LATE + clock().error);
        assert_eq!(turns[0].ready[0].node.as_deref(), Some("worker-3"));
    }

    #[test]
    fn an_agent_that_began_within_the_recording_knows_from_then_on() {
        let services = services(&head(), &[line(BEGAN + 3_000_000, true, 1)], clock());
        let turn = &services.seen().unwrap()[0].turns[0];
        assert_eq!((turn.at, turn.error), (Moment(3_000_000), clock().error));
    }

    #[test]
    fn what_a_list_tells_after_a_silence_came_about_at_any_time_before() {
        let lines = [
            line(BEGAN - 9_000_000, true, 1),
            line(BEGAN + 60_000_000, true, 0),
        ];
        let services = services(&head(), &lines, clock());
        let turn = &services.seen().unwrap()[0].turns[1];
        assert_eq!(
            (turn.at, turn.error),
            (Moment(60_000_000), Span::from_micros(60_000_000))
        );
    }

    #[test]
    fn an_agent_that_was_not_told_claims_nothing() {
        let silent = Head {
            services: Some(Pods::NoAnswer),
            ..head()
        };
        assert_eq!(
            services(&silent, &[], clock()),
            Observation::Unseen(WhyUnseen::NoAnswer)
        );
        assert_eq!(
            throttling(&head(), &[], clock()),
            Observation::Unseen(WhyUnseen::NotWatched)
        );
    }

    #[test]
    fn what_was_lost_in_a_window_counts_once_however_many_hops_tell_it() {
        let window = |from, events_lost| KernelWindow {
            from: Moment(from),
            length: Span::ZERO,
            hop: hopscope_attribution::hop::Hop::Unknown,
            syn_retransmits: 0,
            accept_queue_overflows: 0,
            events_lost,
        };
        let node = node(&head(), &[window(1, 7), window(1, 7), window(2, 1)], 3).unwrap();
        assert_eq!(
            (node.name.as_str(), node.events_lost, node.records_dropped),
            ("worker-3", 8, 3)
        );
    }
}
