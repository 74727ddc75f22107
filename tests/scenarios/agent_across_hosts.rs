//! A report that asks agents on other hosts: no address of theirs is on record, so bytes, order and time join.
//!
//! Namespaces are the hosts. An agent sees every namespace of this machine, so each answer is cut down to its host's,
//! and its clock is set off as another host's would be.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use hopscope_tests::cast::{Cast, PATIENCE};
use hopscope_tests::client::{self, Outcome};
use hopscope_tests::hopscope::Hopscope;
use hopscope_tests::kubectl;
use hopscope_tests::netns::{Netns, Pair, Row};
use hopscope_tests::process::Process;
use hopscope_tests::program::{self, hopscope};
use hopscope_tests::report::Report;
use hopscope_tests::scrape::{eventually, get};
use serde_json::Value;
use tempfile::TempDir;

use crate::agent_stage::{ACTOR, Agent, ready};

/// An agent that lives in a host's namespace and can be asked from here.
fn agent_on(host: &Netns) -> Result<Agent> {
    let listen = format!("{}:0", host.reach()?);
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", host.name()])
        .arg(hopscope()?)
        .args([
            "agent",
            "--listen",
            &listen,
            "--open=metrics,evidence",
            "--workload-port",
            "8080",
        ]);
    Agent::of(&mut command)
}

/// A run on the near host that is over: its recording, and what it said by itself.
struct Run {
    folder: TempDir,
    alone: Report,
}

impl Run {
    /// One request through hopscope on this host, which must break.
    fn of_one_request(host: &Netns, via: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let listen = format!("--listen={}:0", host.reach()?);
        let launcher = ["ip", "netns", "exec", host.name()];
        let hopscope = Hopscope::launched(&launcher, via, folder.path(), &[&listen, "--probes=off"])?;
        let outcome = client::get(hopscope.address(), "/products/17", PATIENCE);
        ensure!(
            !matches!(outcome, Outcome::Answered(_) | Outcome::TimedOut),
            "{outcome:?}"
        );
        let alone = hopscope.finish()?;
        Ok(Self { folder, alone })
    }

    /// Waits until the agent tells of a socket of the host's that ended so, and keeps its answers.
    fn ask(&self, agent: SocketAddr, host: &Netns, end: &str) -> Result<String> {
        let netns = host.inode()?;
        eventually(end, || {
            let text = get(agent, "/v1/evidence?since=0")?;
            let told = text.lines().skip(1).any(|line| {
                let line: Value = serde_json::from_str(line).unwrap_or_default();
                line["netns"] == netns && line["end"] == end
            });
            Ok(if told { Ok(()) } else { Err(text) })
        })
        .with_context(|| self.alone.shown())?;
        let kept = self.folder.path().join("asked.jsonl");
        self.report(&[
            "--agent",
            &format!("http://{agent}"),
            "--save-evidence",
            path(&kept)?,
        ])?;
        Ok(std::fs::read_to_string(kept)?)
    }

    /// The report again, with evidence of other hosts.
    fn with(&self, evidence: &str) -> Result<Report> {
        let file = self.folder.path().join("other.jsonl");
        std::fs::write(&file, evidence)?;
        self.report(&["--agent-evidence", path(&file)?])
    }

    fn report(&self, more: &[&str]) -> Result<Report> {
        Report::again(&self.folder.path().join("run.hopscope"), more)
    }
}

fn path(of: &Path) -> Result<&str> {
    of.to_str().context("a path")
}

/// An answer as the host's own kernel and clock would have given it: the sockets of its namespace alone, every time
/// this many microseconds later. With `unnoticed`, the clock jumped before it was asked, and nobody can know.
fn as_if_from(answer: &str, host: &Netns, later_us: i64, unnoticed: bool) -> Result<String> {
    let netns = host.inode()?;
    let mut text = String::new();
    for (number, line) in answer.lines().enumerate() {
        let mut line: Value = serde_json::from_str(line)?;
        if number > 0 && line["kind"] == "socket" && line["netns"] != netns {
            continue;
        }
        for field in ["now_unix_us", "unix_us", "from_unix_us"] {
            if let Some(at) = line[field].as_u64()
                && !(unnoticed && field == "now_unix_us")
            {
                line[field] = at.saturating_add_signed(later_us).into();
            }
        }
        writeln!(text, "{line}")?;
    }
    Ok(text)
}

/// Whatever the clock of the other host shows, the cause is this one; a clock that lies by more than its error joins
/// nothing, and convicts nobody.
fn judge(run: &Run, answer: &str, host: &Netns, cause: &str) -> Result<()> {
    let alone = run.alone.charged(cause).failures;
    ensure!(alone == 0, "known without the other host: {}", run.alone.shown());
    for later_us in [0, 7_000_000, -3_600_000_000] {
        let asked = run.with(&as_if_from(answer, host, later_us, false)?)?;
        ensure!(
            asked.charged(cause).failures == 1,
            "{later_us}: {}",
            asked.shown()
        );
        ensure!(
            asked.said().contains("by bytes, order and time"),
            "{}",
            asked.said()
        );
        ensure!(asked.mentions("kernel-witness"), "{}", asked.shown());
    }
    let lied = run.with(&as_if_from(answer, host, 60_000_000, true)?)?;
    ensure!(lied.verdict() == run.alone.verdict(), "{}", lied.shown());
    Ok(())
}

#[test]
fn what_a_balancers_target_did_is_told_by_the_targets_own_host() -> Result<()> {
    let row = Row::new()?;
    let cast = Cast::of(ACTOR)?;
    let target = format!("{}:8080", row.far_address);
    let front = format!("{}:8000", row.middle_address);
    let mut backend = cast.play("gateway", &row.far, &["listen", &target, "16", "unread"])?;
    ready(&mut backend, "listening")?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("haproxy.cfg");
    let text = format!(
        "defaults\n mode tcp\n retries 0\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n\
         listen front\n bind {front}\n server one {target}\n"
    );
    std::fs::write(&config, text)?;
    let mut haproxy = Command::new("ip");
    haproxy.args([
        "netns",
        "exec",
        row.middle.name(),
        "haproxy",
        "-db",
        "-f",
        path(&config)?,
    ]);
    let _haproxy = Process::start(&mut haproxy)?;
    eventually("haproxy", || {
        let listening = row.middle.run(&["ss", "-Htln", "sport", "=", ":8000"])?;
        Ok(if listening.contains("LISTEN") {
            Ok(())
        } else {
            Err(listening)
        })
    })?;

    let agent = agent_on(&row.far)?;
    let run = Run::of_one_request(&row.near, &format!("lb={front}"))?;
    let answer = run.ask(agent.address, &row.far, "reset-sent-unread")?;
    judge(&run, &answer, &row.far, "backend-reset")
}

#[test]
fn what_a_pod_did_at_the_end_of_a_forward_is_told_by_its_node() -> Result<()> {
    let pair = Pair::new()?;
    let (near, far) = (&pair.near, &pair.far);
    let (actors, nodes) = (Cast::of(ACTOR)?, Cast::of(path(&program::cluster()?)?)?);
    let mut backend = actors.play("gateway", far, &["listen", "127.0.0.1:8080", "16", "unread"])?;
    ready(&mut backend, "listening")?;
    // The node's side of the lab dials as the runtime does: within the pod's namespace, by loopback.
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    let words = ["--port=8080=127.0.0.1:8080", "--kubeconfig", path(&kubeconfig)?];
    let mut node = nodes.play("containerd", far, &words)?;
    let server: SocketAddr = node.wait_for(PATIENCE, "the API server", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line["addr"].as_str()?.parse().ok()
    })?;
    // It listens on loopback; the other host reaches it by the node's address.
    far.set("net.ipv4.conf.all.route_localnet=1")?;
    far.run(&[
        "nft",
        &format!(
            "add table ip front; add chain ip front pre {{ type nat hook prerouting priority -100 ; }}; \
             add rule ip front pre tcp dport {} dnat to {server}",
            server.port()
        ),
    ])?;
    let text = std::fs::read_to_string(&kubeconfig)?;
    let outside = format!("{}:{}", pair.far_address, server.port());
    std::fs::write(&kubeconfig, text.replace(&server.to_string(), &outside))?;

    let agent = agent_on(far)?;
    let kubectl = kubectl::youngest()?;
    let via = format!(
        "tunnel=kubectl:pod/web:8080?kubeconfig={}&kubectl={}",
        path(&kubeconfig)?,
        path(&kubectl.path)?
    );
    let run = Run::of_one_request(near, &via)?;
    let answer = run.ask(agent.address, far, "reset-sent-unread")?;
    judge(&run, &answer, far, "backend-reset")
}
