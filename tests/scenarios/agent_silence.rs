//! Connections on which nothing comes back, or comes late.

use anyhow::Result;
use hopscope_tests::cast::{Cast, all_of};
use hopscope_tests::netns::Row;
use hopscope_tests::scrape::ends;

use crate::agent_stage::{ACTOR, Agent, Stage, ready, verdict};

#[test]
fn a_peer_that_died_is_told_by_retransmits_until_the_kernel_gives_up() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("16", "keep")?;
    let mut generator = stage.generator(&["talk", &stage.target, "outlive"])?;
    ready(&mut generator, "connected")?;
    stage.pair.far.run(&["ip", "link", "set", "wire", "down"])?;
    generator.say("go")?;
    assert_eq!(all_of(generator)?.last().map(String::as_str), Some("TimedOut"));
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(verdict(&end), ("backend-unreachable", "retransmit-timeout"));
    Ok(())
}

#[test]
fn a_receiver_that_does_not_read_closes_its_window() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("16", "keep")?;
    all_of(stage.generator(&["talk", &stage.target, "flood"])?)?;
    stage
        .agent
        .counted("hopscope_node_zero_windows_total", &[("hop", "backend")])?;
    Ok(())
}

#[test]
fn loss_is_retransmits_of_the_hop_that_sends_again_and_no_failure() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("16", "answer")?;
    stage.firewall("numgen inc mod 7 3 drop")?;
    assert_eq!(
        all_of(stage.generator(&["talk", &stage.target, "send"])?)?,
        ["sent"]
    );
    stage
        .agent
        .counted("hopscope_node_retransmits_total", &[("hop", "client")])?;
    assert!(
        ends(stage.agent.address, &stage.far)?
            .iter()
            .all(|end| end["cause"].is_null())
    );
    Ok(())
}

#[test]
fn a_peer_that_died_idle_is_told_by_keep_alive() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("16", "keep")?;
    let mut generator = stage.generator(&["talk", &stage.target, "keep-alive"])?;
    ready(&mut generator, "connected")?;
    stage.pair.far.run(&["ip", "link", "set", "wire", "down"])?;
    generator.say("go")?;
    assert_eq!(all_of(generator)?.last().map(String::as_str), Some("TimedOut"));
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(verdict(&end), ("backend-unreachable", "retransmit-timeout"));
    assert_eq!(
        (&end["retransmits"], &end["reset_reason"]),
        (&0.into(), &"TCP_KEEPALIVE_TIMEOUT".into()),
        "{end}"
    );
    Ok(())
}

/// A router whose second link takes short packets only, a backend behind it, and an agent.
fn narrow() -> Result<(Row, Cast, Agent, String)> {
    let row = Row::new()?;
    row.middle.run(&["ip", "link", "set", "back", "mtu", "1000"])?;
    let target = format!("{}:8080", row.far_address);
    Ok((row, Cast::of(ACTOR)?, Agent::start(&[])?, target))
}

#[test]
fn a_link_that_drops_long_segments_in_silence_is_told_by_the_drop() -> Result<()> {
    let (row, cast, agent, target) = narrow()?;
    row.middle
        .filter("output", "icmp type destination-unreachable drop")?;
    let mut backend = cast.play("gateway", &row.far, &["listen", &target, "16", "keep"])?;
    ready(&mut backend, "listening")?;
    assert_eq!(
        all_of(cast.play("k6", &row.near, &["talk", &target, "bulk"])?)?,
        ["TimedOut"]
    );
    let end = agent.charged(&row.far_address.to_string())?;
    assert_eq!(verdict(&end), ("backend-unreachable", "retransmit-timeout"));
    agent.counted(
        "hopscope_node_drops_total",
        &[("hop", "backend"), ("reason", "PKT_TOO_BIG")],
    )?;
    Ok(())
}

#[test]
fn a_link_that_says_how_long_a_segment_may_be_harms_nobody() -> Result<()> {
    let (row, cast, agent, target) = narrow()?;
    let mut backend = cast.play("gateway", &row.far, &["listen", &target, "16", "answer"])?;
    ready(&mut backend, "listening")?;
    assert_eq!(
        all_of(cast.play("k6", &row.near, &["talk", &target, "send"])?)?,
        ["sent"]
    );
    agent.counted("hopscope_node_retransmits_total", &[("hop", "client")])?;
    assert!(
        ends(agent.address, &row.far_address.to_string())?
            .iter()
            .all(|end| end["cause"].is_null())
    );
    Ok(())
}
