//! What the agent needs, and what it does with less.

use std::process::Command;

use anyhow::Result;
use hopscope_tests::cast::{Cast, all_of};
use hopscope_tests::netns::{Netns, Pair};
use hopscope_tests::program::hopscope;
use hopscope_tests::scrape::{ask, ends, eventually, get, sum};

use crate::agent_stage::{ACTOR, Agent};

const PROBES: f64 = 7.0;

/// The agent with nothing but these capabilities, which it cannot regain.
fn confined(capabilities: &str, words: &[&str]) -> Result<Agent> {
    let mut command = Command::new("setpriv");
    command.arg(format!("--bounding-set=-all{capabilities}")).args([
        "--inh-caps=-all",
        "--no-new-privs",
        "--",
    ]);
    command
        .arg(hopscope()?)
        .args(["agent", "--listen", "127.0.0.1:0"])
        .args(words);
    Agent::of(&mut command)
}

fn refuse_one(pod: &Netns) -> Result<()> {
    let cast = Cast::of(ACTOR)?;
    assert_eq!(
        all_of(cast.play("k6", pod, &["connect", "127.0.0.1:9", "1", "5000"])?)?,
        ["ConnectionRefused"]
    );
    Ok(())
}

fn told(agent: &Agent, pod: &Netns) -> Result<()> {
    let netns = pod.inode()?;
    eventually("the refusal", || {
        let all = ends(agent.address, "127.0.0.1")?;
        let ours = all
            .iter()
            .any(|end| end["netns"] == netns && end["end"] == "connect-refused");
        Ok(ours.then_some(()).ok_or(format!("{all:?}")))
    })
}

fn attached(agent: &Agent) -> Result<f64> {
    Ok(sum(
        &get(agent.address, "/metrics")?,
        "hopscope_probe_attached",
        &[],
    ))
}

#[test]
fn two_capabilities_are_enough_for_every_probe() -> Result<()> {
    let pod = Netns::new()?;
    let agent = confined(",+cap_38,+cap_39", &[])?;
    assert!(
        get(agent.address, "/readyz")?
            .lines()
            .all(|line| line.ends_with(": attached"))
    );
    assert!(attached(&agent)? >= PROBES);
    refuse_one(&pod)?;
    told(&agent, &pod)
}

#[test]
fn each_rung_holds_with_the_capabilities_that_are_documented_and_with_no_one_of_them_less() -> Result<()> {
    const NET_ADMIN: u32 = 12;
    const PERFMON: u32 = 38;
    const BPF: u32 = 39;
    for (rung, needed) in [
        ("tp_btf", &[PERFMON, BPF][..]),
        ("sock_ops", &[NET_ADMIN, PERFMON, BPF][..]),
    ] {
        let holds = |held: &[u32]| -> Result<bool> {
            let held: Vec<_> = held.iter().map(|bit| format!(",+cap_{bit}")).collect();
            let agent = confined(&held.concat(), &["--rung", rung])?;
            Ok(get(agent.address, "/v1/evidence")?.contains(&format!("\"level\":\"{rung}\"")))
        };
        assert!(holds(needed)?, "{rung} with {needed:?}");
        for without in needed {
            let fewer: Vec<u32> = needed.iter().copied().filter(|bit| bit != without).collect();
            assert!(!holds(&fewer)?, "{rung} with {fewer:?}");
        }
    }
    Ok(())
}

#[test]
fn other_hosts_get_health_alone_until_a_token_is_there_or_something_is_opened() -> Result<()> {
    let pair = Pair::new()?;
    let folder = tempfile::tempdir()?;
    let token = folder.path().join("token");
    let start = |more: &[&str]| -> Result<Agent> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", pair.far.name()]).arg(hopscope()?);
        command.args([
            "agent",
            "--without-ebpf",
            "--listen",
            &format!("{}:9464", pair.far_address),
        ]);
        Agent::of(command.args(more))
    };
    let status = |path: &str, header: &str| -> Result<String> {
        let url = format!("http://{}:9464{path}", pair.far_address);
        let words = [
            "curl",
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            header,
            &url,
        ];
        pair.near.run(&words)
    };
    let agent = start(&["--token-file", &token.to_string_lossy()])?;
    for (path, expected) in [
        ("/healthz", "200"),
        ("/readyz", "200"),
        ("/metrics", "403"),
        ("/v1/evidence", "403"),
    ] {
        assert_eq!(status(path, "A: b")?, expected, "{path} before there is a token");
    }
    std::fs::write(&token, "late")?;
    eventually("the token", || {
        let answered = status("/v1/evidence", "Authorization: Bearer late")?;
        Ok((answered == "200").then_some(()).ok_or(answered))
    })?;
    assert_eq!(status("/v1/evidence", "A: b")?, "401");
    agent.kill()?;
    let _open = start(&["--open", "metrics"])?;
    assert_eq!(status("/metrics", "A: b")?, "200");
    assert_eq!(status("/v1/evidence", "A: b")?, "403");
    Ok(())
}

#[test]
fn without_capabilities_it_says_what_it_lacks_and_counts_what_proc_tells() -> Result<()> {
    let agent = confined("", &[])?;
    let ready = get(agent.address, "/readyz")?;
    assert!(ready.contains("CAP_BPF and CAP_PERFMON"), "{ready}");
    assert!(attached(&agent)? < 1.0);
    assert_eq!(ask(agent.address, "/healthz", "")?.0, 200);
    Ok(())
}

#[test]
fn by_proc_alone_a_failed_connect_is_counted_in_its_namespace() -> Result<()> {
    let agent = Agent::start(&["--without-ebpf"])?;
    let pod = Netns::new()?;
    let cast = Cast::of(ACTOR)?;
    // Somebody lives there, so that the namespace can be seen.
    let mut tenant = cast.play("gateway", &pod, &["listen", "127.0.0.1:8080", "16", "keep"])?;
    crate::agent_stage::ready(&mut tenant, "listening")?;
    refuse_one(&pod)?;
    agent.counted("hopscope_node_connects_total", &[("outcome", "failed")])?;
    Ok(())
}

#[test]
fn a_killed_agent_leaves_nothing_that_the_next_one_trips_over() -> Result<()> {
    let pod = Netns::new()?;
    let first = Agent::start(&[])?;
    let id = first.id();
    first.kill()?;
    assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    let second = Agent::start(&[])?;
    assert!(attached(&second)? >= PROBES);
    refuse_one(&pod)?;
    told(&second, &pod)
}

#[test]
fn a_token_is_required_where_one_is_set_and_probes_of_health_need_none() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("token");
    std::fs::write(&file, "open sesame\n")?;
    let agent = Agent::start(&["--token-file", &file.to_string_lossy(), "--without-ebpf"])?;
    assert_eq!(ask(agent.address, "/metrics", "")?.0, 401);
    assert_eq!(
        ask(agent.address, "/v1/evidence", "Authorization: Bearer guess\r\n")?.0,
        401
    );
    assert_eq!(
        ask(agent.address, "/metrics", "Authorization: Bearer open sesame\r\n")?.0,
        200
    );
    assert_eq!(ask(agent.address, "/readyz", "")?.0, 200);
    assert_eq!(
        ask(
            agent.address,
            "/v1/evidence?since=x",
            "Authorization: Bearer open sesame\r\n"
        )?
        .0,
        400
    );
    Ok(())
}
