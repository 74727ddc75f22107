//! Connections that end in a reset, and who sent it.

use anyhow::Result;
use hopscope_tests::cast::all_of;
use hopscope_tests::scrape::{ends, eventually};

use crate::agent_stage::{Stage, ready, verdict};

#[test]
fn a_close_with_bytes_unread_is_charged_once_and_to_who_closed() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("16", "unread")?;
    all_of(stage.generator(&["talk", &stage.target, "question"])?)?;
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(
        (&end["cause"], &end["end"]),
        (&"backend-reset".into(), &"reset-sent-unread".into())
    );
    assert_eq!(end["reset_reason"], "TCP_ABORT_ON_CLOSE");
    let all = ends(stage.agent.address, &stage.far)?;
    let charged: Vec<_> = all.iter().filter(|end| !end["cause"].is_null()).collect();
    assert_eq!(charged.len(), 1, "{all:?}");
    Ok(())
}

#[test]
fn a_reset_on_purpose_is_the_backends() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("16", "linger")?;
    assert_eq!(
        all_of(stage.generator(&["talk", &stage.target, "question"])?)?,
        ["ConnectionReset"]
    );
    assert_eq!(stage.agent.charged(&stage.far)?["cause"], "backend-reset");
    stage.agent.failed("backend", "backend-reset")?;
    Ok(())
}

#[test]
fn a_fin_before_the_end_is_an_answer_cut_short() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("16", "fin")?;
    all_of(stage.generator(&["talk", &stage.target, "insist"])?)?;
    assert_eq!(stage.agent.charged(&stage.far)?["cause"], "backend-truncated");
    Ok(())
}

#[test]
fn a_generator_that_gives_up_with_a_reset_is_charged_itself() -> Result<()> {
    let stage = Stage::new()?;
    let mut backend = stage.backend("16", "hear")?;
    let mut generator = stage.generator(&["talk", &stage.target, "abandon"])?;
    ready(&mut backend, "asked")?;
    generator.say("go")?;
    all_of(generator)?;
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(verdict(&end), ("client-abort", "reset-sent"));
    stage.agent.failed("client", "client-abort")?;
    Ok(())
}

#[test]
fn a_killed_backend_with_a_question_unread_resets_and_is_charged() -> Result<()> {
    let stage = Stage::new()?;
    let mut backend = stage.backend("16", "hear")?;
    let generator = stage.generator(&["talk", &stage.target, "question"])?;
    ready(&mut backend, "asked")?;
    backend.signal("KILL")?;
    assert_eq!(all_of(generator)?, ["ConnectionReset"]);
    // To the kernel, a process that is killed and one that closes are alike.
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(verdict(&end), ("backend-reset", "reset-sent-unread"));
    Ok(())
}

#[test]
fn a_host_that_has_forgotten_the_connection_resets_it_and_is_charged() -> Result<()> {
    let stage = Stage::new()?;
    let far = &stage.pair.far;
    let backend = stage.backend("16", "keep")?;
    let mut generator = stage.generator(&["talk", &stage.target, "outlive"])?;
    ready(&mut generator, "connected")?;
    far.set("net.ipv4.tcp_orphan_retries=1")?;
    far.filter("output", "tcp sport 8080 drop")?;
    backend.signal("KILL")?;
    eventually("the far kernel gives the socket up", || {
        let left = far.run(&["ss", "-Htan", "sport", "=", ":8080"])?;
        Ok(if left.trim().is_empty() { Ok(()) } else { Err(left) })
    })?;
    far.open()?;
    generator.say("go")?;
    assert_eq!(
        all_of(generator)?.last().map(String::as_str),
        Some("ConnectionReset")
    );
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(verdict(&end), ("backend-reset", "reset-received"), "{end}");
    stage.agent.counted(
        "hopscope_node_resets_total",
        &[("hop", "backend"), ("direction", "sent"), ("reason", "NO_SOCKET")],
    )?;
    Ok(())
}
