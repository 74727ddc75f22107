//! Advice for load that came to the wrong door: a server that is chosen by name, or one that speaks TLS.

use std::collections::BTreeMap;

use hopscope_attribution::evidence::{Ending, Evidence, Path, PathId, RunFacts};

use crate::input::RouteMeasurement;
use crate::model::AdviceReport;
use hopscope_text::figures::counted;

/// Fewer answers than this say nothing of all.
const ENOUGH: u64 = 5;

/// One advice a path, where every answer on it was the same refusal of the request itself.
pub(super) fn advice(
    run: &RunFacts,
    measured: &[RouteMeasurement],
    evidence: &Evidence,
) -> Vec<AdviceReport> {
    (0..=u8::MAX)
        .map(PathId)
        .zip(&evidence.paths)
        .filter_map(|(id, path)| {
            let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
            for (status, times) in measured.iter().filter(|of| of.path == id).flat_map(|of| &of.statuses) {
                *statuses.entry(*status).or_default() += times;
            }
            let plain = !["https://", "tcp://", "kubectl:"]
                .iter()
                .any(|scheme| path.target.starts_with(scheme));
            if plain && statuses.is_empty() && path.target.trim_end_matches('/').ends_with("443") {
                return unanswered(evidence, id).map(|ended| AdviceReport {
                    action: speak_tls(path),
                    why: format!(
                        "It ended {} without an answer, as servers do that are spoken to without TLS on a TLS port.",
                        counted(ended, "connection")
                    ),
                });
            }
            let (status, times) = match statuses.iter().next() {
                Some((status, times)) if statuses.len() == 1 && *times >= ENOUGH => (*status, *times),
                Some(_) | None => return None,
            };
            let replaced = run.notes.iter().any(|note| note.contains(&format!("path {} ", path.name)));
            match status {
                404 | 421 if !replaced => Some(AdviceReport {
                    action: format!(
                        "If what answers on path {} is chosen by name, give the name: --host-header NAME.",
                        path.name
                    ),
                    why: format!(
                        "All of its {} were {status}, and requests carried the Host that the generator wrote, which is \
                         hopscope's own address unless it was told another.",
                        counted(times, "answer")
                    ),
                }),
                400 if plain => Some(AdviceReport {
                    action: speak_tls(path),
                    why: format!(
                        "All of its {} were 400, as servers answer that are spoken to without TLS on a TLS port.",
                        counted(times, "answer")
                    ),
                }),
                _ => None,
            }
        })
        .collect()
}

fn speak_tls(path: &Path) -> String {
    format!(
        "If that port speaks TLS, write --via {}=https://{}.",
        path.name,
        path.target.trim_start_matches("http://")
    )
}

/// Connections of a path that its side ended, where it did so to every one that stood and none was answered.
fn unanswered(evidence: &Evidence, path: PathId) -> Option<u64> {
    let of_path = evidence
        .connections
        .iter()
        .filter(|connection| connection.path == path);
    let ended = of_path
        .clone()
        .filter(|connection| matches!(connection.upstream_end.how, Ending::Fin | Ending::Reset));
    let (all, ended) = (of_path.count(), u64::try_from(ended.count()).unwrap_or(u64::MAX));
    (all > 0 && usize::try_from(ended) == Ok(all)).then_some(ended)
}
