//! What a reader must know of how the run was made: what hopscope changed, and what the generator saw because of it.

use std::collections::{BTreeMap, HashSet};

use hopscope_attribution::evidence::{
    Author, ConnectFailure, ConnectionId, Delivery, Ending, Evidence, RunFacts, Span, Upstream,
};

use hopscope_text::figures::{counted, grouped};

/// A reset this soon after the last byte of an answer may have reached a generator before it had read the answer.
const SOON: Span = Span::from_micros(1_000_000);

/// All of them, in sentences: first what was known when the run began.
pub(super) fn notes(run: &RunFacts, evidence: &Evidence) -> Vec<String> {
    let derived = [seen_instead(evidence), cut_off_without_hopscope(evidence)];
    run.notes
        .iter()
        .cloned()
        .chain(derived.into_iter().flatten())
        .collect()
}

/// A connection to hopscope stands before its upstream is tried. So what the generator's own attempt would have met
/// reads as a reset of a connection that stood, or as hopscope's 502.
fn seen_instead(evidence: &Evidence) -> Option<String> {
    let by_hopscope: HashSet<ConnectionId> = evidence
        .exchanges
        .iter()
        .filter(|exchange| {
            matches!(
                exchange.delivery,
                Delivery::Complete {
                    author: Author::Hopscope,
                    ..
                }
            )
        })
        .map(|exchange| exchange.connection)
        .collect();
    let mut told: BTreeMap<&'static str, u64> = BTreeMap::new();
    let (mut reset, mut answered) = (0_u64, 0_u64);
    for connection in &evidence.connections {
        let Upstream::Failed { failure, .. } = connection.upstream else {
            continue;
        };
        let Some(words) = words(failure) else {
            continue;
        };
        *told.entry(words).or_default() += 1;
        if by_hopscope.contains(&connection.id) {
            answered += 1;
        } else {
            reset += 1;
        }
    }
    if told.is_empty() {
        return None;
    }
    let without: Vec<String> = told
        .iter()
        .map(|(words, times)| format!("\"{words}\" × {}", grouped(*times)))
        .collect();
    let saw: Vec<String> = [
        ("\"connection reset by peer\"", reset),
        ("hopscope's 502", answered),
    ]
    .into_iter()
    .filter(|(_, times)| *times > 0)
    .map(|(words, times)| format!("{words} × {}", grouped(times)))
    .collect();
    Some(format!(
        "Where no upstream connection stood, the generator saw {}: its connection to hopscope stood already. Without \
         hopscope it would have seen {}.",
        saw.join(" and "),
        without.join(", ")
    ))
}

/// What a generator reads where its own attempt fails in this way; `None` where the failure is hopscope's own.
const fn words(failure: ConnectFailure) -> Option<&'static str> {
    match failure {
        ConnectFailure::Refused => Some("connection refused"),
        ConnectFailure::TimedOut => Some("connection timed out"),
        ConnectFailure::Unreachable => Some("no route to host"),
        ConnectFailure::Reset => Some("connection reset by peer"),
        ConnectFailure::Dns => Some("name not resolved"),
        ConnectFailure::Tls(_) => Some("TLS handshake failed"),
        ConnectFailure::Errno(_) => Some("a socket error"),
        ConnectFailure::OwnAddress | ConnectFailure::NoLocalPort | ConnectFailure::NoDescriptor => None,
    }
}

/// A relay reads ahead. What a reset destroys that overtakes an answer is less through hopscope than without it.
fn cut_off_without_hopscope(evidence: &Evidence) -> Option<String> {
    let failed: HashSet<ConnectionId> = evidence
        .exchanges
        .iter()
        .filter(|exchange| !matches!(exchange.delivery, Delivery::Complete { .. }))
        .map(|exchange| exchange.connection)
        .collect();
    let could = evidence.connections.iter().filter(|connection| {
        connection.upstream_end.how == Ending::Reset
            && connection.first_byte_down.is_some()
            && !failed.contains(&connection.id)
            && connection
                .last_byte
                .is_some_and(|last| connection.upstream_end.at.since(last) <= SOON)
            && !(connection.downstream_end.how != Ending::EndedByRelay
                && connection.downstream_end.at < connection.upstream_end.at)
    });
    let could = u64::try_from(could.count()).unwrap_or(u64::MAX);
    (could > 0).then(|| {
        format!(
            "At most {} could have been cut off without hopscope: the path's side reset the connection right behind it, \
             and hopscope, which reads ahead, had it by then.",
            counted(could, "answer")
        )
    })
}
