//! Probes that come and go while connections do: nothing stays behind, nothing is lost uncounted.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use hopscope_tests::cast::{Cast, PATIENCE, all_of};
use hopscope_tests::netns::{Netns, tool};
use hopscope_tests::scrape::{eventually, get, sum};

use crate::agent_stage::{ACTOR, Agent};

/// Agents that are started and ended, every other one by SIGKILL.
const TIMES: usize = 6;

/// The probes that a process holds, by the kernel's numbers for them.
fn programs_of(pid: u32) -> Result<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        let text = fs::read_to_string(entry?.path()).unwrap_or_default();
        let numbers = text.lines().filter_map(|line| line.strip_prefix("prog_id:"));
        found.extend(numbers.filter_map(|number| number.trim().parse::<u32>().ok()));
    }
    Ok(found)
}

/// Waits until the kernel has none of these programs any more: it frees them when nobody can be running one.
fn gone(programs: &BTreeSet<u32>) -> Result<()> {
    eventually("the end of the killed agent's probes", || {
        let loaded = aya::programs::loaded_programs().filter_map(Result::ok);
        let left: Vec<_> = loaded
            .map(|info| info.id())
            .filter(|id| programs.contains(id))
            .collect();
        Ok(if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        })
    })
}

/// What the kernel complained of so far.
fn complaints() -> Result<usize> {
    let said = tool(&["dmesg"])?;
    let complaint = |line: &&str| {
        ["WARNING:", "BUG:", "Oops", "rcu_sched"]
            .iter()
            .any(|word| line.contains(word))
    };
    Ok(said.lines().filter(complaint).count())
}

#[test]
fn agents_that_come_and_go_under_churn_leave_nothing_behind() -> Result<()> {
    let before = complaints()?;
    let pod = Netns::new()?;
    let cast = Cast::of(ACTOR)?;
    let mut churn = cast.play("k6", &pod, &["pace", "2000", "60"])?;
    for time in 0..TIMES {
        let agent = Agent::start(&["--rung", if time == TIMES - 2 { "tracepoint" } else { "tp_btf" }])?;
        let programs = programs_of(agent.id())?;
        ensure!(programs.len() >= 7, "it holds {programs:?}");
        let labels = [("hop", "client"), ("outcome", "established")];
        agent.counted("hopscope_node_connects_total", &labels)?;
        if time % 2 == 0 {
            agent.kill()?;
        } else {
            let metrics = get(agent.address, "/metrics")?;
            ensure!(
                sum(&metrics, "hopscope_events_lost_total", &[]) < 1.0,
                "{metrics}"
            );
            ensure!(
                sum(&metrics, "hopscope_events_malformed_total", &[]) < 1.0,
                "{metrics}"
            );
            drop(agent);
        }
        gone(&programs)?;
    }
    churn.signal("KILL")?;
    churn.wait(PATIENCE)?;
    assert_eq!(complaints()?, before, "the kernel complained");
    Ok(())
}

#[test]
fn what_finds_no_room_is_counted_to_the_last_connection() -> Result<()> {
    let pod = Netns::new()?;
    let cast = Cast::of(ACTOR)?;
    let agent = Agent::start(&[])?;
    let pid = agent.id().to_string();
    // The reader sleeps, so the ring fills up.
    tool(&["kill", "-STOP", &pid])?;
    let threads: Vec<_> = (0..2)
        .map(|_| cast.play("k6", &pod, &["refuse", "127.0.0.1:9", "12000"]))
        .collect::<Result<_>>()?;
    for refused in threads {
        assert_eq!(all_of(refused)?, ["refused 12000"]);
    }
    tool(&["kill", "-CONT", &pid])?;
    eventually("every connect", || {
        let metrics = get(agent.address, "/metrics")?;
        let lost = sum(
            &metrics,
            "hopscope_events_lost_total",
            &[("probe", "inet_sock_set_state")],
        );
        let told = sum(
            &metrics,
            "hopscope_node_connects_total",
            &[("hop", "client"), ("outcome", "refused")],
        );
        Ok(if lost > 0.0 && told > 0.0 && told + lost >= 24_000.0 {
            Ok(())
        } else {
            Err(format!("{told} told, {lost} lost"))
        })
    })?;
    let head = get(agent.address, "/v1/evidence?since=0")?;
    let head: serde_json::Value = serde_json::from_str(head.lines().next().context("a head")?)?;
    assert!(head["events_lost"].as_u64() > Some(0), "{head}");
    Ok(())
}
