//! The rungs below BTF tracepoints: the same failures give the same hops, with fewer claims.

use anyhow::Result;
use hopscope_tests::cast::all_of;
use hopscope_tests::process::Process;
use hopscope_tests::scrape::get;

use crate::agent_stage::{Agent, Stage, ready};

/// By which IP the ends speak.
#[derive(Clone, Copy)]
enum Over {
    V4,
    V6,
}

/// The usual stage, watched from one rung; somebody lives in the generator's namespace, so that it can be seen.
fn stage(rung: &str, over: Over) -> Result<(Stage, Process)> {
    let stage = Stage::watched_by(&["--rung", rung])?;
    let stage = match over {
        Over::V4 => stage,
        Over::V6 => stage.over_ipv6(),
    };
    let mut tenant = stage.generator(&["listen", "127.0.0.1:9", "1", "keep"])?;
    ready(&mut tenant, "listening")?;
    let told = get(stage.agent.address, "/readyz")?;
    assert!(told.contains(&format!("watching by {rung}: ")), "{told}");
    assert!(told.contains(": attached"), "{told}");
    Ok((stage, tenant))
}

/// Charges of one failure, and what the head of the evidence says.
fn charged(agent: &Agent, address: &str, rung: &str, end: &str, cause: &str) -> Result<serde_json::Value> {
    let found = agent.charged(address)?;
    assert_eq!(
        (&found["end"], &found["cause"]),
        (&end.into(), &cause.into()),
        "{found}"
    );
    let head = get(agent.address, "/v1/evidence?since=0")?;
    assert!(head.contains(&format!("\"level\":\"{rung}\"")), "{head}");
    Ok(found)
}

fn refused(rung: &str, over: Over) -> Result<()> {
    let (stage, _tenant) = stage(rung, over)?;
    assert_eq!(stage.connect("2", "5000")?, ["ConnectionRefused"; 2]);
    charged(
        &stage.agent,
        &stage.far,
        rung,
        "connect-refused",
        "backend-refused",
    )?;
    stage.agent.failed("backend", "backend-refused")?;
    Ok(())
}

fn reset(rung: &str, over: Over) -> Result<serde_json::Value> {
    let (stage, _tenant) = stage(rung, over)?;
    let _backend = stage.backend("16", "linger")?;
    let said = all_of(stage.generator(&["talk", &stage.target, "question"])?)?;
    assert_eq!(said, ["ConnectionReset"]);
    let end = charged(&stage.agent, &stage.far, rung, "reset-sent", "backend-reset")?;
    stage.agent.failed("backend", "backend-reset")?;
    Ok(end)
}

fn black_hole(rung: &str, over: Over) -> Result<()> {
    let (stage, _tenant) = stage(rung, over)?;
    let _backend = stage.backend("16", "answer")?;
    stage.firewall("drop")?;
    // Time for more than one SYN to be sent again: on a busy machine the first may still be on its way out.
    assert_eq!(stage.connect("1", "2600")?, ["TimedOut"]);
    charged(
        &stage.agent,
        &stage.far,
        rung,
        "connect-timed-out",
        "undetermined",
    )?;
    stage.agent.counted("hopscope_node_syn_retransmits_total", &[])?;
    Ok(())
}

fn accept_queue(rung: &str, over: Over) -> Result<()> {
    let (stage, _tenant) = stage(rung, over)?;
    let _backend = stage.backend("1", "never-accept")?;
    let said = stage.connect("4", "1600")?;
    assert!(said.contains(&"TimedOut".to_owned()), "{said:?}");
    charged(
        &stage.agent,
        &stage.far,
        rung,
        "connect-timed-out",
        "backend-accept-queue",
    )?;
    Ok(())
}

#[test]
fn by_classic_tracepoints_a_refusal_and_a_full_queue_are_the_backends_and_a_black_hole_nobodys() -> Result<()>
{
    refused("tracepoint", Over::V4)?;
    black_hole("tracepoint", Over::V4)?;
    accept_queue("tracepoint", Over::V4)
}

#[test]
fn by_classic_tracepoints_a_reset_has_its_reason_and_no_bytes() -> Result<()> {
    let end = reset("tracepoint", Over::V4)?;
    assert!(end["reset_reason"].is_string(), "{end}");
    assert!(
        end["bytes_received"].is_null() && end["bytes_acked"].is_null(),
        "{end}"
    );
    Ok(())
}

#[test]
fn by_sock_ops_a_refusal_and_a_full_queue_are_the_backends_and_a_black_hole_nobodys() -> Result<()> {
    refused("sock_ops", Over::V4)?;
    black_hole("sock_ops", Over::V4)?;
    accept_queue("sock_ops", Over::V4)
}

#[test]
fn by_sock_ops_a_reset_has_its_bytes_and_no_reason() -> Result<()> {
    let end = reset("sock_ops", Over::V4)?;
    assert_eq!(end["bytes_received"], 8, "{end}");
    assert!(end["reset_reason"].is_null(), "{end}");
    Ok(())
}

#[test]
fn by_classic_tracepoints_the_same_over_ipv6() -> Result<()> {
    refused("tracepoint", Over::V6)?;
    black_hole("tracepoint", Over::V6)?;
    accept_queue("tracepoint", Over::V6)?;
    let end = reset("tracepoint", Over::V6)?;
    assert!(end["reset_reason"].is_string(), "{end}");
    Ok(())
}

#[test]
fn by_sock_ops_the_same_over_ipv6() -> Result<()> {
    refused("sock_ops", Over::V6)?;
    black_hole("sock_ops", Over::V6)?;
    accept_queue("sock_ops", Over::V6)?;
    let end = reset("sock_ops", Over::V6)?;
    assert_eq!(end["bytes_received"], 8, "{end}");
    Ok(())
}
