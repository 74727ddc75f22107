//! What the failures are, as far as the generator tells.

use super::Said;
use crate::summary::{GroupsFrom, Summary};
use hopscope_text::figures::{counted, float, grouped, percent, ratio};

/// This share of the failures has to be answers before they speak for all of them.
const NEARLY_ALL: f64 = 0.99;

/// Adds what delivered answers say. True when nearly all failures are answers.
pub(super) fn delivered(summary: &Summary, says: &mut Vec<Said>) -> bool {
    let (Some(delivered), Some(failed)) = (summary.delivered_errors, summary.failed) else {
        return false;
    };
    let Some(share) = ratio(delivered, failed).filter(|share| *share > 0.0) else {
        return false;
    };
    let statuses: Vec<_> = summary
        .statuses
        .range(400..)
        .map(|(status, times)| format!("{status} × {}", grouped(*times)))
        .collect();
    let statuses = match (statuses.len(), summary.tool) {
        (0, _) => "not 2xx or 3xx".to_owned(),
        (1..=6, _) => statuses.join(", "),
        (_, _) => format!("{} and more", statuses.get(..6).unwrap_or_default().join(", ")),
    };
    says.push(Said {
        rule: "delivered",
        statement: format!(
            "{} of {} failures ({}) are HTTP answers ({statuses}): every hop before the one that wrote them delivered \
             the request and the answer. A tunnel writes no HTTP.",
            grouped(delivered),
            grouped(failed),
            percent(share)
        ),
        caveat: Some(who_writes(summary)),
    });
    share >= NEARLY_ALL
}

fn who_writes(summary: &Summary) -> String {
    let times = |status: u16| summary.statuses.get(&status).copied().unwrap_or(0);
    let gateway = times(502).saturating_add(times(503)).saturating_add(times(504));
    if times(429) > gateway && times(429) > 0 {
        return "429 is a rate limit. Through a port-forward every request seems to come from 127.0.0.1, so a limit by \
                address counts all of them as one client's: then the tunnel is no fault, but the reason."
            .to_owned();
    }
    if gateway > 0 {
        return "502, 503 and 504 are written by applications, gateways and load balancers alike; which one it was, \
                the headers would tell."
            .to_owned();
    }
    "Who wrote them (application, gateway or load balancer), the headers would tell.".to_owned()
}

/// Adds that nothing came back at all.
pub(super) fn nothing_received(summary: &Summary, says: &mut Vec<Said>) {
    let failed = summary.failed.unwrap_or(0);
    if summary.bytes_received == Some(0) && failed > 0 {
        says.push(Said {
            rule: "nothing-received",
            statement: format!(
                "{} received no byte: not one of the {} was an answer. Whatever differs between checks or routes, \
                 differs without one.",
                summary.tool.word(),
                counted(failed, "failure")
            ),
            caveat: None,
        });
    }
}

/// The shortest complete answer: a HEADERS frame of HTTP/2 (RFC 9113, 4.1) with one indexed field. One of HTTP/1 is longer.
const SHORTEST_ANSWER: u64 = 10;

/// How many failures had no complete answer at least, by their count, by words in a log, or by bytes received.
fn broken_at_least(summary: &Summary) -> u64 {
    let by_bytes = match (summary.bytes_received, summary.requests, summary.failed) {
        (Some(bytes), Some(requests), Some(failed)) if summary.undelivered.is_none() => {
            requests.saturating_sub(bytes / SHORTEST_ANSWER).min(failed)
        }
        _ => 0,
    };
    summary.undelivered_at_least.max(by_bytes)
}

/// Adds what the failures without an answer are.
pub(super) fn breaks(summary: &Summary, says: &mut Vec<Said>) {
    let (undelivered, exact) = match summary.undelivered {
        Some(undelivered) => (undelivered, true),
        None => (broken_at_least(summary), false),
    };
    if undelivered == 0 {
        return;
    }
    let mut errors: Vec<_> = summary.errors.iter().collect();
    errors.sort_by_key(|(error, times)| (std::cmp::Reverse(**times), (*error).clone()));
    let words: Vec<_> = errors
        .iter()
        .take(4)
        .map(|(error, times)| format!("{error} × {}", grouped(**times)))
        .collect();
    let words = if words.is_empty() {
        "in words that are not given".to_owned()
    } else {
        words.join(", ")
    };
    let count = counted(undelivered, "failure");
    says.push(Said {
        rule: "broken",
        statement: if exact {
            format!("{count} without a complete answer: {words}.")
        } else {
            format!("At least {count} without a complete answer: {words}.")
        },
        caveat: Some(
            "A reset, a refusal or a time-out on the generator's socket looks the same whichever hop began it."
                .to_owned(),
        ),
    });
}

/// Adds that answers came, but late.
pub(super) fn late(summary: &Summary, says: &mut Vec<Said>) {
    let Some(late) = summary.late.filter(|late| *late > 0) else {
        return;
    };
    says.push(Said {
        rule: "late-answers",
        statement: format!(
            "{} came, but later than {}'s time-out. They are among its requests, and no failures besides.",
            counted(late, "answer"),
            summary.tool.word()
        ),
        caveat: Some("Which hop was slow, the generator's clock does not say.".to_owned()),
    });
}

/// Adds, where nothing failed, that what still waited is not counted.
pub(super) fn not_counted(summary: &Summary, says: &mut Vec<Said>) {
    if summary.failed == Some(0) && summary.requests != Some(0) && !summary.tool.counts_waiting() {
        says.push(Said {
            rule: "not-counted",
            statement: format!(
                "{} counts what ended: a request that still waited when the run was over is not in these figures.",
                summary.tool.word()
            ),
            caveat: None,
        });
    }
}

/// Adds what was under way at the end.
pub(super) fn in_flight(summary: &Summary, says: &mut Vec<Said>) {
    let Some(in_flight) = summary.in_flight.filter(|in_flight| *in_flight > 0) else {
        return;
    };
    let were = if in_flight == 1 { "was" } else { "were" };
    says.push(Said {
        rule: "in-flight",
        statement: format!(
            "{} {were} under way when the run ended: neither answered nor failed.",
            counted(in_flight, "request")
        ),
        caveat: None,
    });
}

/// Adds a warning when the parts do not make up the total.
pub(super) fn parts_and_total(summary: &Summary, says: &mut Vec<Said>) {
    let Some(failed) = summary.failed else {
        return;
    };
    if summary.groups_from != GroupsFrom::Checks {
        return;
    }
    let parts = summary
        .groups
        .iter()
        .fold(0_u64, |sum, group| sum.saturating_add(group.failed));
    let evaluated = summary
        .groups
        .iter()
        .fold(0_u64, |sum, group| sum.saturating_add(group.all()));
    if summary.requests.is_some_and(|requests| evaluated > requests) {
        // Several checks of one answer need not add up to anything.
        return;
    }
    let difference = parts.abs_diff(failed);
    if float(difference) > float(failed) * 0.01 {
        let (more, less) = if parts < failed {
            ("counts as failed that no check does", "The total")
        } else {
            ("count as failed that the total does not", "The checks")
        };
        says.push(Said {
            rule: "parts-and-total",
            statement: format!(
                "The checks add up to {} failures, the total says {}. {less} {more}: {} of them.",
                grouped(parts),
                grouped(failed),
                grouped(difference)
            ),
            caveat: Some(
                "Requests without a check, checks that expect an error, or figures of two runs. Nothing here can say \
                 to which route these belong."
                    .to_owned(),
            ),
        });
    }
}
