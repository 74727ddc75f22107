//! Sockets that were there before the agent, and sockets that stay.

use anyhow::Result;
use hopscope_tests::cast::{Cast, PATIENCE, all_of};
use hopscope_tests::netns::Pair;

use crate::agent_stage::{ACTOR, Agent, ready};

#[test]
fn a_connection_that_is_older_than_the_agent_is_told_with_its_owner() -> Result<()> {
    let pair = Pair::new()?;
    let cast = Cast::of(ACTOR)?;
    let target = format!("{}:8080", pair.far_address);
    let mut backend = cast.play("gateway", &pair.far, &["listen", &target, "16", "keep"])?;
    ready(&mut backend, "listening")?;
    let mut generator = cast.play("k6", &pair.near, &["talk", &target, "outlive"])?;
    ready(&mut generator, "connected")?;
    let agent = Agent::start(&[])?;
    // Its kernel says goodbye for it, and then resets whoever goes on.
    backend.signal("KILL")?;
    backend.wait(PATIENCE)?;
    generator.say("go")?;
    all_of(generator)?;
    let end = agent.charged(&pair.far_address.to_string())?;
    assert_eq!(
        (&end["process"], &end["owner"]),
        (&"k6".into(), &"client".into()),
        "{end}"
    );
    assert_eq!(end["netns"], pair.near.inode()?, "{end}");
    Ok(())
}

#[test]
fn who_does_not_read_is_seen_while_the_connection_stands() -> Result<()> {
    let pair = Pair::new()?;
    let cast = Cast::of(ACTOR)?;
    let target = format!("{}:8080", pair.far_address);
    let mut backend = cast.play("gateway", &pair.far, &["listen", &target, "16", "keep"])?;
    ready(&mut backend, "listening")?;
    let mut generator = cast.play("k6", &pair.near, &["talk", &target, "stall"])?;
    ready(&mut generator, "stalled")?;
    let agent = Agent::start(&[])?;
    agent.counted("hopscope_node_stalled_sockets", &[("hop", "backend")])?;
    agent.counted("hopscope_node_sockets", &[("hop", "client")])?;
    agent.counted(
        "hopscope_node_round_trip_seconds",
        &[("hop", "client"), ("statistic", "median")],
    )?;
    generator.say("go")?;
    Ok(())
}
