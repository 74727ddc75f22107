//! Every failure that can be staged, with real probes: the metric, the cause and the hop. A healthy run gives none.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;
use hopscope_tests::cast::{Cast, PATIENCE, all_of};
use hopscope_tests::netns::Pair;
use hopscope_tests::process::Process;
use hopscope_tests::program::hopscope;
use hopscope_tests::scrape::{ends, eventually, get, sum};
use serde_json::Value;

pub(crate) const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// A started agent and its address.
pub(crate) struct Agent {
    process: Process,
    pub(crate) address: SocketAddr,
}

impl Agent {
    pub(crate) fn start(words: &[&str]) -> Result<Self> {
        let mut command = Command::new(hopscope()?);
        command
            .args(["agent", "--listen", "127.0.0.1:0", "--workload-port", "8080"])
            .args(words);
        Self::of(&mut command)
    }

    pub(crate) fn of(command: &mut Command) -> Result<Self> {
        let mut process = Process::start(command)?;
        let address = process.wait_for(PATIENCE, "its address", |line| {
            line.split_once("listening on ")?.1.parse().ok()
        })?;
        Ok(Self { process, address })
    }

    pub(crate) fn kill(mut self) -> Result<()> {
        self.process.signal("KILL")?;
        self.process.wait(PATIENCE)?;
        Ok(())
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the first end on this address that was charged.
    pub(crate) fn charged(&self, address: &str) -> Result<Value> {
        eventually("a charge", || {
            let all = ends(self.address, address)?;
            let found = all.iter().find(|end| !end["cause"].is_null()).cloned();
            Ok(found.ok_or_else(|| format!("{all:?}")))
        })
    }

    /// Waits until the labelled series of a family add up to something.
    pub(crate) fn counted(&self, family: &str, labels: &[(&str, &str)]) -> Result<f64> {
        eventually(&format!("{family}{labels:?}"), || {
            let metrics = get(self.address, "/metrics")?;
            let total = sum(&metrics, family, labels);
            let ours: Vec<_> = metrics.lines().filter(|line| line.starts_with(family)).collect();
            Ok(if total > 0.0 {
                Ok(total)
            } else {
                Err(format!("{ours:?}"))
            })
        })
    }

    pub(crate) fn failed(&self, hop: &str, cause: &str) -> Result<f64> {
        self.counted("hopscope_node_failures_total", &[("hop", hop), ("cause", cause)])
    }
}

/// Waits for a word.
pub(crate) fn ready(process: &mut Process, word: &str) -> Result<()> {
    process.wait_for(PATIENCE, word, |line| line.contains(word).then_some(()))
}

/// A generator's namespace, a backend's, and an agent that watches.
pub(crate) struct Stage {
    pub(crate) pair: Pair,
    pub(crate) cast: Cast,
    pub(crate) agent: Agent,
    pub(crate) far: String,
    pub(crate) target: String,
}

impl Stage {
    pub(crate) fn new() -> Result<Self> {
        let pair = Pair::new()?;
        let agent = Agent::start(&[])?;
        let far = pair.far_address.to_string();
        let target = format!("{far}:8080");
        Ok(Self {
            pair,
            cast: Cast::of(ACTOR)?,
            agent,
            far,
            target,
        })
    }

    pub(crate) fn backend(&self, backlog: &str, how: &str) -> Result<Process> {
        let words = ["listen", &self.target, backlog, how];
        let mut backend = self.cast.play("gateway", &self.pair.far, &words)?;
        ready(&mut backend, "listening")?;
        Ok(backend)
    }

    pub(crate) fn generator(&self, words: &[&str]) -> Result<Process> {
        self.cast.play("k6", &self.pair.near, words)
    }

    pub(crate) fn connect(&self, times: &str, patience_ms: &str) -> Result<Vec<String>> {
        all_of(self.generator(&["connect", &self.target, times, patience_ms])?)
    }

    fn firewall(&self, rule: &[&str]) -> Result<()> {
        let far = &self.pair.far;
        far.run(&["nft", "add", "table", "inet", "stage"])?;
        far.run(&[
            "nft",
            "add",
            "chain",
            "inet",
            "stage",
            "in",
            "{ type filter hook input priority 0 ; }",
        ])?;
        far.run(
            &[
                &[
                    "nft", "add", "rule", "inet", "stage", "in", "tcp", "dport", "8080",
                ],
                rule,
            ]
            .concat(),
        )?;
        Ok(())
    }
}

#[test]
fn a_port_that_nobody_listens_on_is_the_backends_refusal() -> Result<()> {
    let stage = Stage::new()?;
    assert_eq!(stage.connect("3", "5000")?, ["ConnectionRefused"; 3]);
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(end["cause"], "backend-refused");
    assert_eq!(end["end"], "connect-refused");
    assert_eq!(
        (&end["owner"], &end["peer"], &end["process"]),
        (&"client".into(), &"backend".into(), &"k6".into())
    );
    assert_eq!(end["netns"], stage.pair.near.inode()?);
    stage.agent.failed("backend", "backend-refused")?;
    stage.agent.counted(
        "hopscope_node_connects_total",
        &[("hop", "client"), ("outcome", "refused")],
    )?;
    stage.agent.counted(
        "hopscope_node_resets_total",
        &[("hop", "client"), ("direction", "received")],
    )?;
    Ok(())
}

#[test]
fn a_black_hole_is_told_by_its_syn_retransmits_and_the_drop() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("16", "answer")?;
    stage.firewall(&["drop"])?;
    assert_eq!(stage.connect("1", "1600")?, ["TimedOut"]);
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(end["cause"], "backend-unreachable");
    assert_eq!(end["end"], "connect-timed-out");
    assert!(end["retransmits"].as_u64() >= Some(1), "{end}");
    assert!(
        end["drops"].to_string().contains("NETFILTER_DROP") || end["drops"].is_null(),
        "{end}"
    );
    stage
        .agent
        .counted("hopscope_node_syn_retransmits_total", &[("hop", "client")])?;
    stage.agent.counted(
        "hopscope_node_drops_total",
        &[("hop", "backend"), ("reason", "NETFILTER_DROP")],
    )?;
    Ok(())
}

#[test]
fn a_firewalls_reset_is_a_refusal_of_which_no_kernel_says_that_it_sent_it() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("16", "answer")?;
    stage.firewall(&["reject", "with", "tcp", "reset"])?;
    assert_eq!(stage.connect("1", "5000")?, ["ConnectionRefused"]);
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(end["end"], "connect-refused");
    assert!(end["reset_reason"].is_null(), "{end}");
    stage.agent.failed("backend", "backend-refused")?;
    Ok(())
}

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
fn a_close_with_bytes_unread_is_charged_once_and_to_who_closed() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("16", "unread")?;
    all_of(stage.generator(&["talk", &stage.target, "question"])?)?;
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(
        (&end["cause"], &end["end"]),
        (&"backend-unread-body".into(), &"reset-sent-unread".into())
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
fn a_peer_that_died_is_told_by_retransmits_until_the_kernel_gives_up() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("16", "keep")?;
    let mut generator = stage.generator(&["talk", &stage.target, "outlive"])?;
    ready(&mut generator, "connected")?;
    stage.pair.far.run(&["ip", "link", "set", "wire", "down"])?;
    generator.say("go")?;
    assert_eq!(all_of(generator)?.last().map(String::as_str), Some("TimedOut"));
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(
        (&end["cause"], &end["end"]),
        (&"backend-timeout".into(), &"retransmit-timeout".into())
    );
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
    stage.firewall(&["numgen", "inc", "mod", "7", "3", "drop"])?;
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
fn want_of_ephemeral_ports_is_the_generators_own() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("64", "keep")?;
    stage
        .pair
        .near
        .run(&["sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40003"])?;
    let said = stage.connect("8", "5000")?;
    assert!(said.contains(&"AddrNotAvailable".to_owned()), "{said:?}");
    let end = stage.agent.charged(&stage.far)?;
    assert_eq!(
        (&end["cause"], &end["end"]),
        (&"client-ports-exhausted".into(), &"no-local-port".into())
    );
    stage.agent.failed("client", "client-ports-exhausted")?;
    Ok(())
}

#[test]
fn a_healthy_run_gives_connects_and_no_failure() -> Result<()> {
    let stage = Stage::new()?;
    let _backend = stage.backend("64", "answer")?;
    for _ in 0..5 {
        assert_eq!(
            all_of(stage.generator(&["talk", &stage.target, "ask"])?)?,
            ["answered 6"]
        );
    }
    let labels = [("hop", "client"), ("outcome", "established")];
    eventually("five connects", || {
        let total = sum(
            &get(stage.agent.address, "/metrics")?,
            "hopscope_node_connects_total",
            &labels,
        );
        Ok(if total >= 5.0 {
            Ok(())
        } else {
            Err(total.to_string())
        })
    })?;
    // A second run that fails is the proof that the first one's records would have been told by now.
    let nobody = format!("{}:9", stage.far);
    all_of(stage.generator(&["connect", &nobody, "1", "5000"])?)?;
    eventually("the later failure", || {
        let all = ends(stage.agent.address, &stage.far)?;
        Ok(all
            .iter()
            .any(|end| end["end"] == "connect-refused")
            .then_some(())
            .ok_or(format!("{all:?}")))
    })?;
    let all = ends(stage.agent.address, &stage.far)?;
    assert_eq!(all.len(), 1, "only the later failure: {all:?}");
    let metrics = get(stage.agent.address, "/metrics")?;
    for probe in ["inet_sock_set_state", "tcp_send_reset", "kfree_skb"] {
        let lost = sum(&metrics, "hopscope_events_lost_total", &[("probe", probe)]);
        assert!(lost < 1.0, "{probe} lost {lost}");
    }
    Ok(())
}
