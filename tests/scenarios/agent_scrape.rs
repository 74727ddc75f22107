//! The real Prometheus scrapes the agent; a query finds the hop; series are capped.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use hopscope_tests::cast::{Cast, all_of};
use hopscope_tests::netns::Pair;
use hopscope_tests::prometheus::Prometheus;
use hopscope_tests::scrape::{eventually, get, sum};

use crate::agent_stage::{ACTOR, Agent, Stage};

#[test]
fn prometheus_scrapes_the_agent_and_a_query_names_the_hop() -> Result<()> {
    let stage = Stage::new()?;
    stage.connect("3", "5000")?;
    stage.agent.failed("backend", "backend-refused")?;
    check(&get(stage.agent.address, "/metrics")?)?;

    let folder = tempfile::tempdir()?;
    let job = format!(
        "- job_name: hopscope\n  static_configs:\n  - targets: ['{}']\n",
        stage.agent.address
    );
    let prometheus = Prometheus::scraping(folder.path(), &job)?;

    // Of all refusals, whoever else on this machine is refused meanwhile, most are the ones staged here or alike.
    let query = "topk(1,sum+by+(hop,cause)(hopscope_node_failures_total%7Bcause=~%22.*-refused%22%7D))";
    let charged = prometheus.first(query)?["metric"].clone();
    assert_eq!(
        (&charged["hop"], &charged["cause"]),
        (&"backend".into(), &"backend-refused".into())
    );
    Ok(())
}

#[test]
fn workloads_beyond_the_cap_share_one_label_and_promtool_takes_it() -> Result<()> {
    let pair = Pair::new()?;
    let agent = Agent::start(&["--max-workloads", "2"])?;
    let cast = Cast::of(ACTOR)?;
    let nobody = format!("{}:9", pair.far_address);
    // To the agent a process outside pods is a workload of its own, by its name.
    for name in ["one", "two", "three", "four", "five"] {
        all_of(cast.play(name, &pair.near, &["connect", &nobody, "2", "5000"])?)?;
    }
    let metrics = eventually("every failure", || {
        let metrics = get(agent.address, "/metrics")?;
        let overflowed = sum(&metrics, "hopscope_series_overflow_total", &[]);
        let shared = sum(
            &metrics,
            "hopscope_node_failures_total",
            &[("workload", "overflow"), ("namespace", "overflow")],
        );
        // Whoever else fails on this machine meanwhile may take one of the two places.
        Ok(if overflowed >= 6.0 && shared >= 6.0 {
            Ok(metrics)
        } else {
            Err(metrics)
        })
    })?;
    let mut workloads: Vec<_> = metrics
        .lines()
        .filter(|line| line.starts_with("hopscope_node_failures_total{"))
        .filter_map(|line| line.split_once("workload=\"")?.1.split('"').next())
        .collect();
    workloads.sort_unstable();
    workloads.dedup();
    assert!(workloads.len() <= 3, "two, and the overflow: {workloads:?}");
    check(&metrics)
}

/// What promtool says of names, types and help texts.
fn check(metrics: &str) -> Result<()> {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .spawn()?;
    promtool
        .stdin
        .take()
        .context("its input")?
        .write_all(metrics.as_bytes())?;
    assert!(
        promtool.wait()?.success(),
        "promtool finds fault with:\n{metrics}"
    );
    Ok(())
}
