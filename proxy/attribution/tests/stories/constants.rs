//! The lengths that are the forward's own: 30.00 s until kubectl gives a stream up, 1.00 s of the runtime's drain.
//! Whatever else happens on the path, they are never the backend's latency.

use hopscope_attribution::attribute;
use hopscope_attribution::cause::Cause;
use hopscope_attribution::hop::Hop;
use hopscope_attribution::verdict::Diagnosis;
use proptest::prelude::*;

use crate::tell;

fn judged(story: &str) -> Diagnosis {
    attribute(&tell::tell(story).expect("a story").evidence)
}

fn failures_of(diagnosis: &Diagnosis, hop: Hop) -> u64 {
    diagnosis
        .hops
        .iter()
        .filter(|charge| charge.hop == hop)
        .map(|charge| charge.failures)
        .sum()
}

/// What is known of the forwarder beside the connections: each part of it may be missing.
fn witnesses(gauges: bool, lines: bool, said: &str) -> String {
    let gauges = if gauges { "gauges tunnel\n" } else { "" };
    let lines = if lines { said } else { "" };
    format!("{gauges}{lines}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_stream_that_kubectl_gave_up_after_thirty_seconds_is_never_the_backends(
        rate in 1_u32..8,
        seconds in 2_u32..12,
        late_ms in 0_u32..400,
        healthy in 1_u32..20,
        gauges: bool,
        lines: bool,
        routes: bool,
    ) {
        let said = "line tunnel 32.02s stream-timeout Timeout occurred\n";
        let slow = if routes { "/slow" } else { "/a" };
        let story = format!(
            "path tunnel=kubectl:svc/api:3000\nseconds 60\nload tunnel /a {healthy}/s ok keep=5\n\
             load tunnel {slow} {rate}/s nothing:upstream-rst from=1s to={}s took={}ms spread=10ms\n{}",
            1 + seconds,
            30_000 + late_ms,
            witnesses(gauges, lines, said)
        );
        let diagnosis = judged(&story);
        prop_assert_eq!(failures_of(&diagnosis, Hop::Backend), 0, "{}", story);
    }

    #[test]
    fn the_second_of_the_drain_after_a_half_close_is_never_the_backends(
        rate in 1_u32..20,
        late_ms in 11_u32..14,
        healthy in 1_u32..20,
        gauges: bool,
        lines: bool,
    ) {
        let story = format!(
            "path tunnel=kubectl:svc/api:3000\nload tunnel /a {healthy}/s ok keep=5\n\
             load tunnel /a {rate}/s nothing:downstream-fin half-close from=1s to=6s took={}ms spread=0s\n{}",
            1_000 + late_ms,
            witnesses(gauges, lines, "lines tunnel\n")
        );
        let diagnosis = judged(&story);
        prop_assert_eq!(failures_of(&diagnosis, Hop::Backend), 0, "{}", story);
        let half_close = diagnosis
            .hops
            .iter()
            .flat_map(|hop| &hop.causes)
            .any(|cause| cause.cause == Cause::TunnelHalfClose);
        prop_assert!(half_close, "{}", story);
    }

    #[test]
    fn answers_that_waited_for_the_drain_make_nobody_guilty(rate in 1_u32..20, late_ms in 0_u32..40, gauges: bool) {
        let story = format!(
            "path tunnel=kubectl:svc/api:3000\nload tunnel /a {rate}/s ok took={}ms spread=10ms\n{}",
            1_000 + late_ms,
            witnesses(gauges, true, "lines tunnel\n")
        );
        prop_assert!(judged(&story).hops.is_empty(), "{}", story);
    }
}
