//! What passed and was not read: neither healthy nor failed, and counted beside both.

use std::collections::{BTreeMap, BTreeSet};

use crate::between::Between;
use crate::case::Case;
use crate::cause::Cause;
use crate::evidence::{Cut, Evidence, Opaque, PathId};
use crate::failure::{Failure, NONE, What};
use crate::figures::{count, counted};
use crate::hop::Hop;
use crate::verdict::{Advice, Confidence, NotRead, Verdict};

/// How many connections are named for a person to look up.
const EXAMPLES: usize = 5;

/// Counts the connections that were not read to their end, by path and reason.
pub(crate) fn gather(evidence: &Evidence, failures: &[Failure]) -> Vec<NotRead> {
    let mut groups: BTreeMap<(PathId, usize), NotRead> = BTreeMap::new();
    let unread = |index: &u32| {
        let connection = evidence.connections.get(*index as usize);
        connection.is_some_and(|connection| connection.not_read().is_some())
    };
    let broken: BTreeSet<u32> = failures
        .iter()
        .filter(|failure| failure.exchange == NONE || unreadable(failure))
        .map(|failure| failure.connection)
        .filter(unread)
        .collect();
    for (index, connection) in (0..NONE).zip(&evidence.connections) {
        let Some((reason, unread)) = connection.not_read() else {
            continue;
        };
        let rank = Opaque::ALL.iter().position(|of| *of == reason).unwrap_or(0);
        let group = groups.entry((connection.path, rank)).or_insert_with(|| NotRead {
            path: connection.path,
            reason,
            connections: 0,
            read_at_first: 0,
            failed: 0,
            bytes: 0,
            examples: Vec::new(),
        });
        group.connections += 1;
        group.read_at_first += u64::from(connection.exchanges > 0);
        group.failed += u64::from(broken.contains(&index));
        group.bytes = group.bytes.saturating_add(unread.bytes());
        group.examples.push(connection.id);
        // The earliest, whatever the order of the rows.
        group.examples.sort_unstable();
        group.examples.truncate(EXAMPLES);
    }
    groups.into_values().collect()
}

/// What could not be read is the answer itself, and its request has failed for it: there is no more doubt.
const fn unreadable(failure: &Failure) -> bool {
    matches!(
        failure.what,
        What::Broken {
            by: Cut::Unreadable,
            ..
        }
    )
}

/// The verdict where nothing failed and that proves nothing: something was not read, or nothing was sent.
pub(crate) fn verdict(case: &Case<'_>) -> Option<Verdict> {
    let (cause, headline) = if !case.not_read.is_empty() {
        (Cause::NotRead, headline(case))
    } else if requests(case) == 0 {
        (Cause::NoTraffic, nothing_sent(case))
    } else {
        return None;
    };
    Some(Verdict {
        charged: Some((Hop::Unknown, cause)),
        between: Between::Any,
        share: 0.0,
        confidence: Confidence::NONE,
        headline,
    })
}

/// A headline about failures, with a word on what was not read beside them.
pub(crate) fn beside(case: &Case<'_>, headline: String) -> String {
    match total(case).0 {
        0 => headline,
        1 => format!("{headline} 1 connection was not read."),
        unread => format!("{headline} {} connections were not read.", count(unread)),
    }
}

/// Asks what became of it, path by path and reason by reason.
pub(crate) fn ask(case: &mut Case<'_>) {
    for group in case.not_read.clone() {
        let question = format!(
            "What became of the requests in {} on path {} that {} not read ({})?",
            counted(group.connections, "connection", "connections"),
            case.path_name(group.path),
            if group.connections == 1 { "was" } else { "were" },
            what(group.reason)
        );
        case.ask(question, experiment(group.reason).to_owned());
    }
}

/// How to make it known, the most connections first; and what to look at where nothing was sent.
pub(crate) fn advice(case: &Case<'_>) -> Vec<Advice> {
    if case.not_read.is_empty() && requests(case) == 0 && nothing_reached(case) {
        return vec![Advice {
            action: "Check that the load generator uses hopscope's address: is {url} (or HOPSCOPE_URL) missing in its \
                     command?"
                .to_owned(),
            why: "No request reached hopscope.".to_owned(),
        }];
    }
    by_reason(case)
        .into_iter()
        .map(|(reason, connections)| Advice {
            action: experiment(reason).to_owned(),
            why: format!(
                "{} not read: {}.",
                if connections == 1 {
                    "1 connection was".to_owned()
                } else {
                    format!("{} connections were", count(connections))
                },
                what(reason)
            ),
        })
        .collect()
}

fn requests(case: &Case<'_>) -> u64 {
    let cells = case.evidence.traffic.iter();
    cells.fold(0_u64, |sum, cell| sum.saturating_add(cell.requests))
}

/// Not a request, not even one that the end of the run cut off, and nothing that failed before it could be one.
fn nothing_reached(case: &Case<'_>) -> bool {
    case.failures.is_empty() && case.unrowed.is_empty() && case.evidence.cut_by_the_end.is_empty()
}

/// Connections and bytes.
fn total(case: &Case<'_>) -> (u64, u64) {
    case.not_read.iter().fold((0, 0), |(connections, bytes), group| {
        (
            group.connections.saturating_add(connections),
            group.bytes.saturating_add(bytes),
        )
    })
}

/// Connections by reason, most first.
fn by_reason(case: &Case<'_>) -> Vec<(Opaque, u64)> {
    let mut reasons: Vec<(Opaque, u64)> = Opaque::ALL
        .into_iter()
        .map(|reason| {
            let of = case.not_read.iter().filter(|group| group.reason == reason);
            (reason, of.map(|group| group.connections).sum())
        })
        .filter(|(_, connections)| *connections > 0)
        .collect();
    reasons.sort_by_key(|(_, connections)| std::cmp::Reverse(*connections));
    reasons
}

fn headline(case: &Case<'_>) -> String {
    let reasons = by_reason(case);
    let (main, _) = reasons.first().copied().unwrap_or((Opaque::NotHttp, 0));
    let (connections, bytes) = total(case);
    let whether = match requests(case) {
        0 => "whether anything failed is unknown".to_owned(),
        1 => "the 1 request that was read did not fail, of the rest nothing is known".to_owned(),
        read => format!(
            "of the {} requests that were read none failed, of the rest nothing is known",
            count(read)
        ),
    };
    let others = if reasons.len() > 1 {
        ", among other reasons"
    } else {
        ""
    };
    format!(
        "{} not read ({}{others}; {} bytes): {whether}. {}",
        if connections == 1 {
            "1 connection was".to_owned()
        } else {
            format!("{} connections were", count(connections))
        },
        what(main),
        count(bytes),
        experiment(main),
    )
}

fn nothing_sent(case: &Case<'_>) -> String {
    let under_way = u64::try_from(case.evidence.cut_by_the_end.len()).unwrap_or(u64::MAX);
    let connections = u64::try_from(case.evidence.connections.len()).unwrap_or(u64::MAX);
    let lost = match case.rows_lost {
        0 => String::new(),
        lost => format!(" ({} lost)", counted(lost, "row was", "rows were")),
    };
    if under_way > 0 {
        return format!(
            "Nothing can be said: no request came to its end, {} under way when the generator ended{lost}.",
            counted(under_way, "was", "were")
        );
    }
    let tried = match connections {
        0 => "no connection reached hopscope".to_owned(),
        1 => "1 connection came, and carried no request".to_owned(),
        many => format!("{} connections came, and carried no request", count(many)),
    };
    format!("Nothing was tried, so nothing is known: {tried}{lost}.")
}

/// What was there instead, for the middle of a sentence.
const fn what(reason: Opaque) -> &'static str {
    match reason {
        Opaque::ByConfiguration => "tcp:// keeps reading off",
        Opaque::Tls => "TLS that the generator itself speaks to the target",
        Opaque::Http2 => "HTTP/2 that cannot be followed",
        Opaque::Upgraded => "what follows an upgrade or CONNECT",
        Opaque::HeadTooLong => "a head above the limit, and what follows it",
        Opaque::NotHttp => "not HTTP",
        Opaque::Pipelined => "too many requests at once without an answer",
    }
}

/// How to make it known.
const fn experiment(reason: Opaque) -> &'static str {
    match reason {
        Opaque::ByConfiguration => "Give the path without tcp://, if it carries HTTP.",
        Opaque::Tls => {
            "Let hopscope end the generator's TLS (--front https, or --front proxy) towards --via NAME=https://HOST."
        }
        Opaque::Http2 => "Repeat the run with HTTP/1.1 in the generator.",
        Opaque::Upgraded => {
            "Compare with the generator's own result, or test the requests before the upgrade alone."
        }
        Opaque::HeadTooLong => "Send smaller heads: cookies and headers are most of them.",
        Opaque::NotHttp => "Compare with the generator's own result: hopscope reads HTTP alone.",
        Opaque::Pipelined => "Let the generator pipeline fewer requests on a connection.",
    }
}
