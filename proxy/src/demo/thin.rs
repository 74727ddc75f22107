//! Evidence with a part of it taken away at random: what a diagnosis may no longer be sure of.

use hopscope_attribution::evidence::{Evidence, Observation, WhyUnseen};

/// Keeps each record with this chance. What is lost is counted as lost, as a recorder would.
///
/// Exact counts stay: they say how many failures there were, and a diagnosis must answer for those whose record is gone.
pub(super) fn thinned(evidence: &Evidence, keep: f64, seed: u64) -> Evidence {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut thin = evidence.clone();
    let (connections, exchanges) = (thin.connections.len(), thin.exchanges.len());
    thin.connections.retain(|_| rng.f64() < keep);
    thin.exchanges.retain(|_| rng.f64() < keep);
    let lost = |before: usize, after: usize| u64::try_from(before - after).unwrap_or(u64::MAX);
    thin.observer.accounting.connection_rows -= lost(connections, thin.connections.len());
    thin.observer.accounting.connections_lost += lost(connections, thin.connections.len());
    thin.observer.accounting.exchanges_lost += lost(exchanges, thin.exchanges.len());
    for (_, tunnel) in &mut thin.tunnels {
        if rng.f64() >= keep {
            *tunnel = Observation::Unseen(WhyUnseen::EvidenceLost);
        } else if let Observation::Seen(tunnel) = tunnel {
            let mut omitted = 0;
            if let Observation::Seen(lines) = &mut tunnel.lines {
                let before = lines.len();
                lines.retain(|_| rng.f64() < keep);
                omitted = lost(before, lines.len());
            }
            if let Observation::Seen(gauges) = &mut tunnel.gauges {
                gauges.retain(|_| rng.f64() < keep);
                // Lines that are not recorded are counted, as in a real run: silence must not pass for words read.
                for gauge in gauges {
                    gauge.lines_omitted = gauge.lines_omitted.saturating_add(omitted);
                }
            }
            tunnel.life.retain(|_| rng.f64() < keep);
        }
    }
    if rng.f64() >= keep {
        thin.generator = Observation::Unseen(WhyUnseen::EvidenceLost);
    }
    thin
}
