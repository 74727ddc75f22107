//! The laws that every diagnosis obeys, whatever the evidence.
#![expect(clippy::expect_used, reason = "a law that cannot be tried is a failed test")]

mod arbitrary;
mod court;

use std::collections::BTreeMap;

use arbitrary::{Draw, evidence};
use hopscope_attribution::cause::Cause;
use hopscope_attribution::evidence::{
    Accounting, Author, Delivery, Evidence, Moment, Observation, PathId, PathKind, Span, TrafficCell,
    WhyUnseen,
};
use hopscope_attribution::hop::Hop;
use hopscope_attribution::verdict::Diagnosis;
use hopscope_attribution::{attribute, first_charge, first_charge_without_exchange};
use proptest::collection::vec;
use proptest::prelude::*;

fn draws() -> impl Strategy<Value = Vec<u32>> {
    vec(any::<u32>(), 0..3_000)
}

/// Failures, counted without the core's help.
fn failures(evidence: &Evidence) -> u64 {
    let mut all = 0_u64;
    for path in 0..=u8::MAX {
        let rows = evidence
            .exchanges
            .iter()
            .filter(|e| e.path.0 == path && e.delivery.failed())
            .count() as u64;
        let cells = evidence.traffic.iter().filter(|cell| cell.path.0 == path);
        all += rows.max(cells.map(TrafficCell::failed).sum());
    }
    let mut with_row: BTreeMap<_, bool> = BTreeMap::new();
    for exchange in &evidence.exchanges {
        *with_row.entry(exchange.connection).or_default() |= exchange.delivery.failed();
    }
    let alone = evidence.connections.iter().filter(|connection| {
        let told = match with_row.get(&connection.id) {
            None => false,
            Some(failed) => *failed || connection.exchanges == 0,
        };
        !told && first_charge_without_exchange(connection, PathKind::Unstated).is_some()
    });
    all += alone.count() as u64;
    evidence
        .generator
        .seen()
        .map_or(all, |result| all.max(result.failed))
}

/// Confidence summed over all failures that an accused hop is charged with.
fn accusation(diagnosis: &Diagnosis) -> f64 {
    let accused = diagnosis
        .hops
        .iter()
        .filter(|hop| !matches!(hop.hop, Hop::Unknown | Hop::Observer));
    #[expect(clippy::cast_precision_loss, reason = "a few dozen failures")]
    accused
        .flat_map(|hop| &hop.causes)
        .map(|cause| cause.confidence.get() * cause.failures as f64)
        .sum()
}

/// Failures that nobody is charged with because a witness contradicts.
fn contradicted(diagnosis: &Diagnosis) -> f64 {
    let findings = diagnosis
        .hops
        .iter()
        .flat_map(|hop| &hop.causes)
        .flat_map(|cause| &cause.evidence_against);
    findings
        .flat_map(|finding| &finding.numbers)
        .filter(|(name, _)| *name == "contradicted")
        .map(|(_, n)| n)
        .sum()
}

/// Failures by path and hop.
fn by_hop(diagnosis: &Diagnosis) -> BTreeMap<(Option<PathId>, Hop), u64> {
    let mut sums = BTreeMap::new();
    for charge in &diagnosis.charges {
        *sums.entry((charge.path, charge.cause.hop())).or_default() += charge.failures;
    }
    sums
}

/// The charges in brief, for a law that was broken.
fn brief(diagnosis: &Diagnosis) -> Vec<(&'static str, u64, f64, Vec<&'static str>)> {
    let causes = diagnosis.hops.iter().flat_map(|hop| &hop.causes);
    causes
        .map(|cause| {
            let rules = cause.evidence_for.iter().map(|finding| finding.rule).collect();
            (cause.cause.word(), cause.failures, cause.confidence.get(), rules)
        })
        .collect()
}

/// Takes one vantage point away, with the reason why it is gone.
fn blind(evidence: &mut Evidence, which: u32) {
    let gone = WhyUnseen::EvidenceLost;
    match which % 8 {
        0 => evidence.node = Observation::Unseen(gone),
        1 => evidence
            .tunnels
            .iter_mut()
            .for_each(|(_, tunnel)| *tunnel = Observation::Unseen(gone)),
        2 | 3 => {
            for (_, tunnel) in &mut evidence.tunnels {
                if let Observation::Seen(tunnel) = tunnel {
                    if which % 7 == 2 {
                        tunnel.lines = Observation::Unseen(gone);
                    } else {
                        tunnel.gauges = Observation::Unseen(gone);
                    }
                }
            }
        }
        7 => {
            if let Observation::Seen(node) = &mut evidence.node {
                node.pods = Observation::Unseen(gone);
            }
        }
        4 => evidence.generator = Observation::Unseen(gone),
        5 => {
            evidence.connections.change_all(|connection| {
                connection.upstream_tcp = Observation::Unseen(gone);
                connection.downstream_tcp = Observation::Unseen(gone);
            });
        }
        _ => {
            let Accounting {
                connections_lost,
                exchanges_lost,
                ..
            } = &mut evidence.observer.accounting;
            *connections_lost += 3;
            *exchanges_lost += 5;
            evidence.observer.accounting.accepts += 3;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn totals_add_up(draws in draws()) {
        let evidence = evidence(&mut Draw::new(&draws));
        let diagnosis = attribute(&evidence);
        let charges: u64 = diagnosis.charges.iter().map(|charge| charge.failures).sum();
        let hops: u64 = diagnosis.hops.iter().map(|hop| hop.failures).sum();
        let causes: u64 = diagnosis.hops.iter().flat_map(|hop| &hop.causes).map(|cause| cause.failures).sum();
        prop_assert_eq!(charges, failures(&evidence));
        prop_assert_eq!(charges, hops);
        prop_assert_eq!(charges, causes);
        for charge in &diagnosis.charges {
            prop_assert!(charge.victims <= charge.failures);
        }
    }

    #[test]
    fn every_verdict_carries_its_reasons(draws in draws()) {
        let diagnosis = attribute(&evidence(&mut Draw::new(&draws)));
        prop_assert!(!diagnosis.verdict.headline.is_empty());
        let named = diagnosis.verdict.charged.is_some_and(|(_, cause)| {
            !matches!(cause, Cause::NotRead | Cause::NoTraffic)
        });
        prop_assert_eq!(named, !diagnosis.hops.is_empty());
        if diagnosis.verdict.charged.is_none() {
            prop_assert!(diagnosis.not_read.is_empty(), "green on what was not read");
        }
        for cause in diagnosis.hops.iter().flat_map(|hop| &hop.causes) {
            prop_assert!(!cause.evidence_for.is_empty(), "{} has no reason", cause.cause);
            prop_assert!((0.0..=1.0).contains(&cause.confidence.get()));
            for finding in cause.evidence_for.iter().chain(&cause.evidence_against) {
                prop_assert!(!finding.statement.is_empty());
            }
        }
        let undecided = diagnosis.hops.iter().filter(|hop| hop.hop == Hop::Unknown).flat_map(|hop| &hop.causes);
        if undecided.clone().any(|cause| cause.cause.word() == "undetermined") {
            prop_assert!(!diagnosis.unknowns.is_empty(), "what is open is asked");
        }
    }

    #[test]
    fn the_order_of_rows_is_irrelevant(draws in draws(), seed in any::<u64>()) {
        let evidence = evidence(&mut Draw::new(&draws));
        let mut shuffled = evidence.clone();
        let mut state = seed;
        shuffled.connections.edit(|rows| arbitrary::shuffle(rows, &mut state));
        shuffled.exchanges.edit(|rows| arbitrary::shuffle(rows, &mut state));
        arbitrary::shuffle(&mut shuffled.traffic, &mut state);
        arbitrary::shuffle(&mut shuffled.observer.samples, &mut state);
        arbitrary::shuffle(&mut shuffled.observer.delays, &mut state);
        if let Observation::Seen(node) = &mut shuffled.node {
            arbitrary::shuffle(&mut node.sockets, &mut state);
            if let Observation::Seen(pods) = &mut node.pods {
                arbitrary::shuffle(&mut pods.turns, &mut state);
                arbitrary::shuffle(&mut pods.homes, &mut state);
            }
        }
        for (_, tunnel) in &mut shuffled.tunnels {
            if let Observation::Seen(tunnel) = tunnel {
                if let Observation::Seen(lines) = &mut tunnel.lines {
                    arbitrary::shuffle(lines, &mut state);
                    lines.sort_by_key(|line| line.at);
                }
                arbitrary::shuffle(&mut tunnel.life, &mut state);
            }
        }
        prop_assert_eq!(attribute(&evidence), attribute(&shuffled));
    }

    #[test]
    fn a_clock_shift_within_its_error_changes_no_charge(draws in draws(), shift in 0_u64..2_000_000, later in any::<bool>()) {
        let mut evidence = evidence(&mut Draw::new(&draws));
        let before = attribute(&evidence);
        if let Observation::Seen(node) = &mut evidence.node {
            let shift = Span::from_micros(shift.min(node.clock_error.as_micros()));
            let moved = |at: &mut Moment| {
                *at = if later { *at + shift } else { Moment(at.0.saturating_sub(shift.as_micros())) };
            };
            node.sockets.iter_mut().for_each(|socket| moved(&mut socket.at));
            node.windows.iter_mut().for_each(|window| moved(&mut window.from));
        }
        prop_assert_eq!(before.charges, attribute(&evidence).charges);
    }

    #[test]
    fn what_became_of_pods_moves_no_charge_to_another_hop_whatever_their_clock(
        draws in draws(), shift in 0_u64..2_000_000, later in any::<bool>(),
    ) {
        let mut evidence = evidence(&mut Draw::new(&draws));
        let told = attribute(&evidence);
        if let Observation::Seen(node) = &mut evidence.node
            && let Observation::Seen(pods) = &mut node.pods
        {
            for turn in &mut pods.turns {
                let shift = Span::from_micros(shift.min(turn.error.as_micros()));
                turn.at = if later { turn.at + shift } else { Moment(turn.at.0.saturating_sub(shift.as_micros())) };
            }
        }
        prop_assert_eq!(by_hop(&told), by_hop(&attribute(&evidence)));
        // Which pod a connection led to is not what became of a pod: it may name the Service behind a path.
        if let Observation::Seen(node) = &mut evidence.node
            && let Observation::Seen(pods) = &mut node.pods
        {
            pods.turns.clear();
        }
        // They take back a conviction of a tunnel's, and do nothing else to a hop.
        let (with, without) = (by_hop(&told), by_hop(&attribute(&evidence)));
        for key in with.keys().chain(without.keys()) {
            let [with, without] = [&with, &without].map(|sums| sums.get(key).copied().unwrap_or(0));
            match key.1 {
                Hop::Tunnel => prop_assert!(with <= without),
                Hop::Unknown => prop_assert!(with >= without),
                Hop::Client | Hop::Observer | Hop::Lb | Hop::Backend => prop_assert_eq!(with, without),
            }
        }
    }

    #[test]
    fn no_hop_is_named_that_nothing_observed(draws in draws()) {
        let evidence = evidence(&mut Draw::new(&draws));
        for charge in attribute(&evidence).charges {
            let kind = charge.path.and_then(|path| evidence.paths.get(usize::from(path.0))).map_or(PathKind::Unstated, |path| path.kind);
            let alb = evidence.exchanges.iter().any(|exchange| {
                Some(exchange.path) == charge.path
                    && matches!(exchange.delivery, Delivery::Complete { author: Author::AwsAlb, .. })
            });
            match charge.cause.hop() {
                Hop::Tunnel => prop_assert_eq!(kind, PathKind::Tunnel, "{}", charge.cause),
                Hop::Lb => prop_assert!(kind == PathKind::Lb || alb, "{} on a path of kind {:?}", charge.cause, kind),
                Hop::Client | Hop::Observer | Hop::Backend | Hop::Unknown => {}
            }
        }
    }

    #[test]
    fn removing_evidence_never_raises_confidence(draws in draws(), which in any::<u32>()) {
        let mut evidence = evidence(&mut Draw::new(&draws));
        let before = attribute(&evidence);
        blind(&mut evidence, which);
        let after = attribute(&evidence);
        // Where a witness contradicted, nobody was charged; without it, no more than those can be.
        let allowed = accusation(&before) + contradicted(&before);
        prop_assert!(accusation(&after) <= allowed + 1e-6,
            "without {}: {:?}
before {:?}",
            which % 8, brief(&after), brief(&before));
    }

    #[test]
    fn a_lost_row_never_raises_confidence(draws in draws(), which in any::<prop::sample::Index>()) {
        let mut evidence = evidence(&mut Draw::new(&draws));
        let failed: Vec<usize> =
            evidence.exchanges.iter().enumerate().filter(|(_, row)| row.delivery.failed()).map(|(index, _)| index).collect();
        if failed.is_empty() {
            return Ok(());
        }
        let before = attribute(&evidence);
        evidence.exchanges.edit(|rows| rows.remove(failed[which.index(failed.len())]));
        evidence.observer.accounting.exchanges_lost += 1;
        let after = attribute(&evidence);
        prop_assert!(accusation(&after) <= accusation(&before) + contradicted(&before) + 1e-6, "{:?}\nbefore {:?}", brief(&after), brief(&before));
    }

    #[test]
    fn a_failure_alone_is_charged_like_its_symptom_says(draws in draws()) {
        let evidence = evidence(&mut Draw::new(&draws));
        for exchange in &evidence.exchanges {
            let Some(connection) = evidence.connections.iter().find(|c| c.id == exchange.connection) else { continue };
            for kind in [PathKind::Tunnel, PathKind::Lb, PathKind::Direct, PathKind::Unstated] {
                prop_assert_eq!(first_charge(&exchange, &connection, kind).is_some(), exchange.delivery.failed());
            }
        }
    }
}

#[test]
fn no_evidence_is_no_failure_and_no_health_either() {
    let diagnosis = attribute(&Evidence::default());
    assert_eq!(diagnosis.verdict.charged, Some((Hop::Unknown, Cause::NoTraffic)));
    assert!(diagnosis.verdict.confidence.get() == 0.0);
    assert!(diagnosis.charges.is_empty());
}
