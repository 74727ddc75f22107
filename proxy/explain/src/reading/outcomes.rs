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

/// Adds what the failures without an answer are.
pub(super) fn breaks(summary: &Summary, says: &mut Vec<Said>) {
    let Some(undelivered) = summary.undelivered.filter(|undelivered| *undelivered > 0) else {
        return;
    };
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
    says.push(Said {
        rule: "broken",
        statement: format!(
            "{} without a complete answer: {words}.", counted(undelivered, "failure")
        ),
        caveat: Some(
            "A reset, a refusal or a time-out on the generator's socket looks the same whichever hop began it."
                .to_owned(),
        ),
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
