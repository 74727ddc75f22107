//! Listeners whose queues are full, and what hangs in them.

use anyhow::Result;
use hopscope_tests::cast::all_of;
use hopscope_tests::netns::Pair;
use hopscope_tests::process::Process;

use crate::agent_stage::{Stage, ready, verdict};

#[test]
fn a_full_accept_queue_is_told_from_a_black_hole() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("1", "never-accept")?;
    let said = stage.connect("4", "1600")?;
    assert!(said.contains(&"TimedOut".to_owned()), "{said:?}");
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(end["cause"], "backend-accept-queue");
    stage.agent.failed("backend", "backend-accept-queue")?;
    stage.agent.counted(
        "hopscope_node_accept_queue_overflows_total",
        &[("workload", "gateway")],
    )?;
    Ok(())
}

#[test]
fn a_full_accept_queue_does_not_explain_the_black_hole_before_another_backend() -> Result<()> {
    let stage = Stage::new()?;
    let _full = stage.backend("1", "never-accept")?;
    let said = stage.connect("4", "1600")?;
    assert!(said.contains(&"TimedOut".to_owned()), "{said:?}");
    let other = Pair::new()?;
    let target = format!("{}:8080", other.far_address);
    let words = ["listen", &target, "16", "answer"];
    let mut backend = stage.cast.play("gateway", &other.far, &words)?;
    ready(&mut backend, "listening")?;
    other.far.filter("input", "tcp dport 8080 drop")?;
    let asks = ["connect", &target, "1", "2600"];
    assert_eq!(all_of(stage.cast.play("k6", &other.near, &asks)?)?, ["TimedOut"]);
    let end = stage.agent.charged(&other.far_address.to_string())?;
    assert_eq!(verdict(&end), ("undetermined", "connect-timed-out"), "{end}");
    Ok(())
}

/// A queue with room for two that fills while the last ACK of a third is held up: the third stands as far as its own
/// kernel knows, and is told to speak. The others are to be kept.
fn late_for_the_queue(stage: &Stage) -> Result<(Process, [Process; 3])> {
    let backend = stage.backend("1", "never-accept")?;
    stage.firewall("tcp flags & (syn|ack) == ack drop")?;
    let stand = |how: &str| -> Result<Process> {
        let mut talks = stage.generator(&["talk", &stage.target, how])?;
        ready(&mut talks, "connected")?;
        Ok(talks)
    };
    let mut late = stand("outlive")?;
    stage.pair.far.open()?;
    let early = [backend, stand("keep-alive")?, stand("keep-alive")?];
    late.say("go")?;
    Ok((late, early))
}

#[test]
fn a_last_ack_that_meets_a_full_queue_is_the_queues_though_the_client_stood() -> Result<()> {
    let stage = Stage::new()?;
    let (late, _early) = late_for_the_queue(&stage)?;
    assert_eq!(all_of(late)?.last().map(String::as_str), Some("TimedOut"));
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(
        verdict(&end),
        ("backend-accept-queue", "retransmit-timeout"),
        "{end}"
    );
    stage.agent.counted(
        "hopscope_node_drops_total",
        &[("hop", "backend"), ("reason", "TCP_LISTEN_OVERFLOW")],
    )?;
    Ok(())
}

#[test]
fn a_listener_that_resets_what_it_has_no_room_for_is_the_queues_too() -> Result<()> {
    let stage = Stage::new()?;
    stage.pair.far.set("net.ipv4.tcp_abort_on_overflow=1")?;
    let (late, _early) = late_for_the_queue(&stage)?;
    assert_eq!(all_of(late)?.last().map(String::as_str), Some("ConnectionReset"));
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(verdict(&end), ("backend-accept-queue", "reset-received"), "{end}");
    stage.agent.failed("backend", "backend-accept-queue")?;
    Ok(())
}

#[test]
fn want_of_descriptors_at_accept_is_a_queue_that_nobody_empties() -> Result<()> {
    let stage = Stage::new()?;
    let words = ["listen", &stage.target, "1", "keep"];
    let mut backend = stage.cast.play_poor("gateway", &stage.pair.far, 5, &words)?;
    ready(&mut backend, "listening")?;
    let said = stage.connect("4", "1600")?;
    assert_eq!(said, ["connected", "connected", "connected", "TimedOut"]);
    // EMFILE.
    ready(&mut backend, "Some(24)")?;
    assert_eq!(
        verdict(&stage.agent.charged(&stage.far)?),
        ("backend-accept-queue", "connect-timed-out")
    );
    stage.agent.counted(
        "hopscope_node_accept_queue_overflows_total",
        &[("workload", "gateway")],
    )?;
    Ok(())
}

#[test]
fn a_listener_that_closes_resets_who_waits_in_its_queue() -> Result<()> {
    let stage = Stage::new()?;
    let mut backend = stage.backend("16", "never-accept")?;
    let mut waits = stage.generator(&["talk", &stage.target, "keep-alive"])?;
    ready(&mut waits, "connected")?;
    waits.say("go")?;
    backend.say("close")?;
    assert_eq!(all_of(waits)?.last().map(String::as_str), Some("ConnectionReset"));
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(
        (&end["cause"], &end["owner"]),
        (&"backend-reset".into(), &"backend".into()),
        "{end}"
    );
    stage.agent.failed("backend", "backend-reset")?;
    Ok(())
}

#[test]
fn half_open_connections_without_cookies_fill_a_queue_of_their_own() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("1", "never-accept")?;
    stage.pair.far.set("net.ipv4.tcp_syncookies=0")?;
    // The handshakes of those before never come to their end.
    stage.firewall("tcp flags & (syn|ack) == ack drop")?;
    let said = stage.connect("4", "1600")?;
    assert!(said.contains(&"TimedOut".to_owned()), "{said:?}");
    assert_eq!(
        verdict(&stage.agent.charged(&stage.far)?),
        ("undetermined", "connect-timed-out")
    );
    stage.agent.counted(
        "hopscope_node_syn_queue_overflows_total",
        &[("workload", "gateway")],
    )?;
    Ok(())
}
