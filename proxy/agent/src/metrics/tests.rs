//! What is counted, whose series it goes to, and who makes room.

use super::*;

fn pod(namespace: &str, name: &str) -> Workload {
    Workload {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        in_pod: true,
    }
}

fn process(name: &str) -> Workload {
    Workload {
        in_pod: false,
        ..pod("", name)
    }
}

fn total(metrics: &NodeMetrics, family: Family) -> u64 {
    let all = metrics.counters.iter();
    all.filter(|(series, _)| series.family == family)
        .map(|(_, count)| count)
        .sum()
}

fn count(metrics: &NodeMetrics, workload: &str) -> Option<u64> {
    let mut all = metrics.counters.iter();
    all.find(|(series, _)| series.labels.last().is_some_and(|label| label == workload))
        .map(|(_, count)| *count)
}

#[test]
fn a_failure_is_a_series_with_its_hop_and_cause() {
    let mut metrics = NodeMetrics::new(WORKLOADS);
    metrics.failed(Cause::BackendRefused, &pod("shop", "gateway"));
    let text = metrics.text(&[("kfree_skb", false)], true).unwrap();
    let series = r#"hopscope_node_failures_total{cause="backend-refused",hop="backend",namespace="shop",workload="gateway"} 1"#;
    let unordered = r#"hopscope_node_failures_total{hop="backend",cause="backend-refused",namespace="shop",workload="gateway"} 1"#;
    assert!(text.contains(series) || text.contains(unordered), "{text}");
    assert!(
        text.contains(r#"hopscope_probe_attached{probe="kfree_skb"} 0"#),
        "{text}"
    );
    assert!(text.contains("hopscope_series_overflow_total 0"), "{text}");
}

#[test]
fn connect_times_become_a_cumulative_histogram_in_seconds() {
    let mut metrics = NodeMetrics::new(WORKLOADS);
    let mut buckets = [0; 12];
    buckets[0] = 2;
    buckets[8] = 1;
    metrics.connect_times(Hop::Tunnel, &buckets, 1_000_150);
    let text = metrics.text(&[], true).unwrap();
    assert!(
        text.contains(r#"hopscope_node_connect_duration_seconds_bucket{hop="tunnel",le="0.0001"} 2"#),
        "{text}"
    );
    assert!(
        text.contains(r#"hopscope_node_connect_duration_seconds_bucket{hop="tunnel",le="+Inf"} 3"#),
        "{text}"
    );
    assert!(
        text.contains(r#"hopscope_node_connect_duration_seconds_sum{hop="tunnel"} 1.00015"#),
        "{text}"
    );
}

#[test]
fn process_names_lose_their_series_before_pods_do_and_the_least_recently_used_first() {
    let mut metrics = NodeMetrics::new(3);
    metrics.failed(Cause::BackendReset, &pod("shop", "gateway"));
    for name in ["old", "used", "used", "new", "newer"] {
        metrics.failed(Cause::BackendReset, &process(name));
    }
    assert_eq!(count(&metrics, "gateway"), Some(1));
    assert_eq!((count(&metrics, "old"), count(&metrics, "used")), (None, None));
    assert_eq!(
        (count(&metrics, "new"), count(&metrics, "newer")),
        (Some(1), Some(1))
    );
    assert_eq!(count(&metrics, OVERFLOW), Some(3), "old once, used twice");
    assert_eq!(total(&metrics, Family::Failures), 6);
    assert_eq!(total(&metrics, Family::SeriesOverflow), 3);
}

#[test]
fn a_process_takes_no_series_from_a_pod_and_a_pod_takes_it_from_who_was_not_heard_of_for_longest() {
    let mut metrics = NodeMetrics::new(2);
    for name in ["one", "two", "one"] {
        metrics.failed(Cause::BackendReset, &pod("shop", name));
    }
    metrics.failed(Cause::BackendReset, &process("chrome"));
    assert_eq!(
        (count(&metrics, "chrome"), count(&metrics, OVERFLOW)),
        (None, Some(1))
    );
    metrics.failed(Cause::BackendReset, &pod("shop", "three"));
    assert_eq!((count(&metrics, "one"), count(&metrics, "two")), (Some(2), None));
    assert_eq!(
        (count(&metrics, "three"), count(&metrics, OVERFLOW)),
        (Some(1), Some(2))
    );
    metrics.failed(Cause::BackendReset, &Workload::default());
    assert_eq!(count(&metrics, ""), Some(1), "nobody's needs no room");
    assert_eq!(total(&metrics, Family::Failures), 6);
}

#[test]
fn no_sum_falls_whatever_names_come() {
    let mut metrics = NodeMetrics::new(8);
    let mut before = 0;
    for step in 0..2_000_u64 {
        let number = step * step % 61;
        let of = if number.is_multiple_of(3) {
            pod("shop", &number.to_string())
        } else {
            process(&number.to_string())
        };
        match step % 3 {
            0 => metrics.failed(Cause::BackendReset, &of),
            1 => metrics.overflowed(&of, 2),
            _ => metrics.pod_event("restarted", &of),
        }
        let now = [Family::Failures, Family::Overflows, Family::PodEvents]
            .into_iter()
            .map(|family| total(&metrics, family))
            .sum::<u64>();
        assert!(now > before, "step {step}");
        before = now;
    }
    // Three families, a pair of labels each, and the overflow's.
    assert!(metrics.counters.len() <= 3 * 9 + 2, "{}", metrics.counters.len());
}
