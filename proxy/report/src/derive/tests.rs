//! Tests of `derive`.
use hopscope_attribution::cause::Cause;
use hopscope_attribution::evidence::{GeneratorResult, PathId, RouteId, Span, TrafficCell, WhyUnseen};

use super::*;
use crate::{json, markdown, sample};

#[test]
fn the_seed_as_json_and_markdown() {
    let report = sample::report();
    hopscope_golden::check("seed.json", &json::render(&report).expect("json"));
    hopscope_golden::check("seed.md", &markdown::render(&report));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let bytes = || json::render(&sample::seed().report()).expect("json");
    assert_eq!(bytes(), bytes());
}

#[test]
fn totals_routes_paths_and_timeline_add_up() {
    let report = sample::report();
    let totals = &report.totals;
    assert_eq!(totals.failed, totals.delivered_errors + totals.undelivered);
    assert_eq!(
        report.routes.iter().map(|route| route.requests).sum::<u64>(),
        totals.requests
    );
    assert_eq!(
        report
            .routes
            .iter()
            .map(|route| route.ok + route.failed)
            .sum::<u64>(),
        totals.requests
    );
    assert_eq!(
        report.paths.iter().map(|path| path.failed).sum::<u64>(),
        totals.failed
    );
    assert_eq!(
        report
            .timeline
            .buckets
            .iter()
            .map(|bucket| bucket.requests)
            .sum::<u64>(),
        totals.requests
    );
    for route in &report.routes {
        assert_eq!(
            route.statuses.values().sum::<u64>() + route.undelivered,
            route.requests,
            "{}",
            route.route
        );
    }
}

#[test]
fn no_figure_is_invented_where_nothing_was_measured() {
    let report = sample::empty();
    assert_eq!(report.totals.failure_ratio, None);
    assert_eq!(report.totals.requests_per_second, None);
    assert_eq!(report.latency.all.p50, None);
    assert_eq!(
        report.latency.added_by_hopscope,
        super::super::model::Latency::default()
    );
    assert_eq!(
        report.latency.added_by_hopscope_unseen.as_deref(),
        Some(WhyUnseen::NotWatched.to_string().as_str())
    );
}

#[test]
fn no_counts_however_large_overflow_or_grow_without_bound() {
    let mut sample = sample::seed();
    let absurd = TrafficCell {
        second: u32::MAX,
        path: PathId(255),
        route: RouteId(65_535),
        requests: u64::MAX,
        delivered_errors: u64::MAX,
        undelivered: u64::MAX,
        latency_sum_us: u64::MAX,
        latency_max_us: u64::MAX,
    };
    sample.evidence.traffic.extend([absurd, absurd]);
    sample.evidence.duration = Span::from_micros(u64::MAX);
    sample.evidence.observer.accounting.connections_lost = u64::MAX;
    sample.run.started_unix_us = u64::MAX;
    sample.diagnosis.hops.push(sample.diagnosis.hops[0].clone());
    let report = sample.report();
    assert!(report.timeline.buckets.len() <= 121);
    assert!(
        report
            .routes
            .iter()
            .any(|route| route.route == "route 65535" && route.path == "path 255")
    );
    for text in [
        json::render(&report).expect("json"),
        markdown::render(&report),
        crate::html::render(&report),
        crate::terminal::render(&report, hopscope_text::paint::Screen::PLAIN),
    ] {
        assert!(text.ends_with('\n'));
    }
}

fn joined(requests: u64, failed: u64) -> crate::model::GeneratorReport {
    let mut sample = sample::seed();
    sample.evidence.generator = Observation::Seen(GeneratorResult {
        tool: "k6".to_owned(),
        requests,
        failed,
        timeout: None,
        errors: Vec::new(),
    });
    sample.report().generator.expect("a result was given")
}

#[test]
fn every_failure_that_the_generator_counted_gets_a_hop_or_unknown() {
    for failed in [0, 1, 25_000, 25_163, 25_164, 30_000, u64::MAX] {
        let generator = joined(29_826, failed);
        assert_eq!(
            generator.failures_by_hop.values().sum::<u64>(),
            failed,
            "{failed}"
        );
    }
    assert_eq!(joined(29_826, 25_163).failures_by_hop["backend"], 25_163);
    assert_eq!(joined(29_830, 25_167).failures_by_hop["unknown"], 4);
}

#[test]
fn failures_that_the_generator_left_out_are_taken_from_no_hop_for_certain() {
    // With two hops charged, 10 fewer failures may be 10 fewer of either.
    let mut sample = sample::seed();
    let mut tunnel = sample.diagnosis.hops[0].clone();
    tunnel.hop = hopscope_attribution::hop::Hop::Tunnel;
    tunnel.failures = 100;
    tunnel.failed = hopscope_attribution::Failed {
        connections: 100,
        ..Default::default()
    };
    tunnel.causes[0].cause = Cause::TunnelLost;
    sample.diagnosis.hops.push(tunnel);
    sample.evidence.generator = Observation::Seen(GeneratorResult {
        tool: "k6".to_owned(),
        requests: 29_826,
        failed: 25_253,
        timeout: None,
        errors: Vec::new(),
    });
    let generator = sample.report().generator.expect("a result was given");
    assert_eq!(generator.failures_by_hop["backend"], 25_153);
    assert_eq!(generator.failures_by_hop["tunnel"], 90);
    assert_eq!(generator.failures_by_hop["unknown"], 10);
    assert_eq!(generator.failed_beyond_ours, -10);
}

#[test]
fn attempts_that_the_generator_repeated_are_no_failures_of_its_requests() {
    // All that failed was asked again, and answered.
    let generator = joined(29_826 - 25_163, 0);
    assert_eq!(generator.attempts_repeated, 25_163);
    let remarks = generator.remarks.join("\n");
    assert!(
        remarks.contains("k6 saw 0 failures; 25,163 attempts were repeated"),
        "{remarks}"
    );
    assert!(!remarks.contains("which of them it left out"), "{remarks}");
    // As many requests, and fewer failures: nothing was repeated, its rules for a failure are others.
    assert_eq!(joined(29_826, 0).attempts_repeated, 0);
    // More attempts than requests, and every failure seen: another client's.
    assert_eq!(joined(29_000, 25_163).attempts_repeated, 0);
    assert_eq!(joined(29_826 - 100, 25_000).attempts_repeated, 100);
}

#[test]
fn failures_that_a_generator_does_not_count_are_no_attempts_that_it_repeated() {
    let mut sample = sample::seed();
    sample.evidence.generator = Observation::Seen(GeneratorResult {
        tool: "wrk".to_owned(),
        requests: 29_826 - 25_163,
        failed: 0,
        timeout: None,
        errors: vec![(GeneratorResult::NOT_COUNTED.to_owned(), 25_163)],
    });
    let generator = sample.report().generator.expect("a result was given");
    assert_eq!(generator.attempts_repeated, 0);
    let remarks = generator.remarks.join("\n");
    assert!(remarks.contains("wrk does not count every failure"), "{remarks}");
}

#[test]
fn differences_between_the_totals_are_stated() {
    let remarks = |requests, failed| joined(requests, failed).remarks.join("\n");
    assert!(remarks(29_826, 25_163).contains("the same requests and the same failures"));
    assert!(remarks(29_830, 25_167).contains("k6 counted 4 requests more"));
    assert!(remarks(29_000, 25_163).contains("hopscope saw 826 requests more"));
    assert!(remarks(29_826, 25_170).contains("k6 counted 7 failures that hopscope did not see"));
}
