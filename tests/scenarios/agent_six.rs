//! The main failures again over IPv6.

use anyhow::Result;
use hopscope_tests::cast::all_of;
use hopscope_tests::netns::twin;
use hopscope_tests::process::Process;

use crate::agent_stage::{Stage, ready, verdict};

/// The stage, the backend's IPv6 address as evidence has it, and its port on it.
fn stage() -> Result<(Stage, String, String)> {
    let stage = Stage::new()?;
    let far = format!("[{}]", twin(stage.pair.far_address));
    let target = format!("{far}:8080");
    Ok((stage, far, target))
}

fn backend(stage: &Stage, target: &str, backlog: &str, how: &str) -> Result<Process> {
    let mut backend = stage
        .cast
        .play("gateway", &stage.pair.far, &["listen", target, backlog, how])?;
    ready(&mut backend, "listening")?;
    Ok(backend)
}

#[test]
fn a_refusal_over_ipv6_is_the_backends() -> Result<()> {
    let (stage, far, target) = stage()?;
    let said = all_of(stage.generator(&["connect", &target, "1", "5000"])?)?;
    assert_eq!(said, ["ConnectionRefused"]);
    let end = stage.agent.charged(&far)?;
    assert_eq!(verdict(&end), ("backend-refused", "connect-refused"));
    assert_eq!(end["remote"], target);
    Ok(())
}

#[test]
fn a_rejection_over_ipv6_is_told_from_a_reset() -> Result<()> {
    let (stage, far, target) = stage()?;
    let _backend = backend(&stage, &target, "16", "answer")?;
    stage.firewall("reject with icmpv6 port-unreachable")?;
    let said = all_of(stage.generator(&["connect", &target, "1", "5000"])?)?;
    assert_eq!(said, ["ConnectionRefused"]);
    assert_eq!(stage.agent.charged(&far)?["told_by"], "icmp");
    Ok(())
}

#[test]
fn a_black_hole_over_ipv6_is_told_by_the_drop() -> Result<()> {
    let (stage, far, target) = stage()?;
    let _backend = backend(&stage, &target, "16", "keep")?;
    // On a wire this young the neighbour's answer may take a second; until then a SYN waits at home, sent by nobody.
    let said = all_of(stage.generator(&["connect", &target, "1", "5000"])?)?;
    assert_eq!(said, ["connected"]);
    stage.firewall("drop")?;
    let said = all_of(stage.generator(&["connect", &target, "1", "1600"])?)?;
    assert_eq!(said, ["TimedOut"]);
    assert_eq!(
        verdict(&stage.agent.charged(&far)?),
        ("undetermined", "connect-timed-out")
    );
    let drops = [("hop", "backend"), ("reason", "NETFILTER_DROP")];
    stage.agent.counted("hopscope_node_drops_total", &drops)?;
    Ok(())
}

#[test]
fn a_full_accept_queue_over_ipv6_is_told_from_a_black_hole() -> Result<()> {
    let (stage, far, target) = stage()?;
    let _backend = backend(&stage, &target, "1", "never-accept")?;
    let said = all_of(stage.generator(&["connect", &target, "4", "1600"])?)?;
    assert!(said.contains(&"TimedOut".to_owned()), "{said:?}");
    assert_eq!(
        verdict(&stage.agent.charged(&far)?),
        ("backend-accept-queue", "connect-timed-out")
    );
    Ok(())
}

#[test]
fn resets_over_ipv6_are_charged_to_who_sent_them() -> Result<()> {
    for (how, cause) in [("unread", "backend-reset"), ("linger", "backend-reset")] {
        let (stage, far, target) = stage()?;
        let _backend = backend(&stage, &target, "16", how)?;
        all_of(stage.generator(&["talk", &target, "question"])?)?;
        assert_eq!(stage.agent.charged(&far)?["cause"], cause);
    }
    Ok(())
}
