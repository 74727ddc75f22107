//! What the quantiles of latency say.

use super::Said;
use crate::summary::Summary;
use hopscope_text::figures::{counted, grouped, percent, ratio, time};

/// Shorter than the shortest time-out of a tunnel (30 s, less a margin).
const BELOW_TUNNEL_TIMEOUT: f64 = 29.0;
/// A quantile this close to a known constant stands at it.
const CLOSE: f64 = 0.03;

/// Times that many systems share, and who is known to have them. Sources: RFC 6298 §2 (first retransmission after 1 s,
/// doubled each time), containerd's half-closed grace, client-go's stream creation, k6's and AWS's documentation.
const CONSTANTS: [(f64, &str); 7] = [
    (
        1.0,
        "a SYN sent a second time (its first was lost, or met a full accept queue), a container runtime that waits 1 s \
         on a half-closed forward, or an application's own time-out or retry of 1 s",
    ),
    (
        3.0,
        "a SYN sent a third time (1 s + 2 s), or an application's own time-out of 3 s",
    ),
    (5.0, "an application's or a DNS resolver's time-out of 5 s"),
    (7.0, "a SYN sent a fourth time (1 s + 2 s + 4 s)"),
    (
        30.0,
        "kubectl's and kubelet's limit for opening a stream, or a gateway's time-out of 30 s",
    ),
    (
        60.0,
        "k6's own limit for a request, or the idle limit of an ALB or nginx",
    ),
    (350.0, "the idle limit of an AWS NLB"),
];

/// How many failures must have been fast, by counting alone: of all requests that took at most a quantile, no more than
/// all successes can have been successes.
pub(super) fn fast_failures(summary: &Summary, says: &mut Vec<Said>) {
    let (Some(requests), Some(failed)) = (summary.requests, summary.failed) else {
        return;
    };
    if failed == 0 || failed > requests || !measures_failures(summary) {
        return;
    }
    let ok_share = ratio(requests - failed, requests).unwrap_or(0.0);
    let of_failures = |quantile: f64| (quantile - ok_share) / (1.0 - ok_share);
    let latency = &summary.latency;
    let found = [(0.9, latency.p90), (0.5, latency.p50)]
        .into_iter()
        .find_map(|(quantile, value)| value.map(|value| (of_failures(quantile), value)))
        .filter(|(share, value)| *share > 0.5 && *value > 0.0 && *value < 1.0);
    let Some((share, value)) = found else {
        return;
    };
    let compared = match (latency.p50, summary.latency_ok.p50) {
        (Some(all), Some(ok)) if all < ok / 2.0 => format!(
            " The median of all is {}, that of the successful ones {}: failing was quicker than answering.",
            time(Some(all)),
            time(Some(ok))
        ),
        _ => String::new(),
    };
    says.push(Said {
        rule: "fast-failures",
        statement: format!(
            "By counting alone, at least {} of the {} failures took no longer than {}.{compared} A stalled tunnel or a \
             full queue makes slow failures; a prompt error answer, a refusal or a reset makes fast ones.",
            percent(share.min(1.0)),
            grouped(failed),
            time(Some(value))
        ),
        caveat: Some(match summary.tool.word() {
            "k6" => "k6's http_req_duration leaves out the time to connect.".to_owned(),
            tool => format!("As {tool} measures it."),
        }),
    });
}

/// Whether the quantiles include the failures: some generators measure only requests that were answered.
fn measures_failures(summary: &Summary) -> bool {
    summary.tool.times_broken_requests() || summary.undelivered == Some(0)
}

/// No request was long enough for the long time-outs.
pub(super) fn longest(summary: &Summary, says: &mut Vec<Said>) {
    let (Some(max), Some(failed)) = (summary.latency.max, summary.failed) else {
        return;
    };
    let hidden = summary.gaps.iter().any(|gap| gap.hides_failures);
    if failed == 0 || hidden || max <= 0.0 || max >= BELOW_TUNNEL_TIMEOUT || !measures_failures(summary) {
        return;
    }
    says.push(Said {
        rule: "no-long-timeout",
        statement: format!(
            "No request took longer than {}: neither kubectl's 30 s for opening a stream nor a time-out of 60 s is \
             behind these failures.",
            time(Some(max))
        ),
        caveat: Some("Time to connect may not be part of it.".to_owned()),
    });
}

/// A step in the quantiles at a time that is somebody's constant.
pub(super) fn lattice(summary: &Summary, says: &mut Vec<Said>) {
    let latency = &summary.latency;
    let quantiles: Vec<(&str, f64)> = [
        ("p50", latency.p50),
        ("p90", latency.p90),
        ("p95", latency.p95),
        ("p99", latency.p99),
        ("max", latency.max),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect();
    for (constant, owners) in CONSTANTS {
        let near: Vec<_> = quantiles
            .iter()
            .filter(|(_, value)| (value - constant).abs() <= constant * CLOSE)
            .collect();
        let below = quantiles
            .iter()
            .rfind(|(_, value)| *value < constant * (1.0 - CLOSE));
        // One value near a constant is a coincidence unless everything below it is far away.
        let (Some((_, _)), Some((below_name, below))) = (near.first(), below) else {
            continue;
        };
        if *below * 5.0 > constant || near.iter().all(|(name, _)| *name == "max") {
            continue;
        }
        let at: Vec<_> = near
            .iter()
            .map(|(name, value)| format!("{name} {}", time(Some(*value))))
            .collect();
        says.push(Said {
            rule: "time-out-lattice",
            statement: format!(
                "{} stand at {}, and {below_name} at {} does not: a step, as a timer makes it. Known for {}: {owners}.",
                at.join(" and "),
                time(Some(constant)),
                time(Some(*below)),
                time(Some(constant)),
            ),
            caveat: Some(format!(
                "A hint: it concerns the slowest {} at most, and which timer it was cannot be told from quantiles.",
                slowest(summary, below_name)
            )),
        });
    }
}

/// `one in ten (2,982 requests)`: those above a quantile, whole numbers only.
fn slowest(summary: &Summary, below: &str) -> String {
    let (one_in, words) = match below {
        "p50" => (2, "half"),
        "p90" => (10, "one in ten"),
        "p95" => (20, "one in twenty"),
        _ => (100, "one in a hundred"),
    };
    match summary.requests {
        Some(requests) => format!("{words} ({})", counted(requests / one_in, "request")),
        None => words.to_owned(),
    }
}
