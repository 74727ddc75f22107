//! What most scenarios of the agent begin with: a generator's namespace, a backend's, and an agent that watches.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;
use hopscope_tests::cast::{Cast, PATIENCE, all_of};
use hopscope_tests::netns::{Pair, twin};
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
        Self::watched_by(&[])
    }

    /// With an agent that was started with these words.
    pub(crate) fn watched_by(words: &[&str]) -> Result<Self> {
        let pair = Pair::new()?;
        let agent = Agent::start(words)?;
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

    /// The same, with everything over IPv6.
    pub(crate) fn over_ipv6(mut self) -> Self {
        self.far = format!("[{}]", twin(self.pair.far_address));
        self.target = format!("{}:8080", self.far);
        self
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

    /// Every charge so far, once a later failure has been charged: what was not charged by then will never be.
    pub(crate) fn charges(&self) -> Result<Vec<Value>> {
        let closed = format!("{}:9", self.far);
        assert_eq!(
            all_of(self.generator(&["connect", &closed, "1", "5000"])?)?,
            ["ConnectionRefused"]
        );
        let all = eventually("the later failure", || {
            let all = ends(self.agent.address, &self.far)?;
            let told = all.iter().any(|end| end["remote"] == closed);
            Ok(if told { Ok(all) } else { Err(format!("{all:?}")) })
        })?;
        let ours = |end: &Value| end["remote"] != closed && !end["cause"].is_null();
        Ok(all.into_iter().filter(ours).collect())
    }

    /// Drops, refuses or counts what reaches the backend's port.
    pub(crate) fn firewall(&self, rule: &str) -> Result<()> {
        self.pair.far.filter("input", &format!("tcp dport 8080 {rule}"))
    }
}

/// The cause that an end was charged with, and how it ended.
pub(crate) fn verdict(end: &Value) -> (&str, &str) {
    let word = |name: &str| end[name].as_str().unwrap_or_default();
    (word("cause"), word("end"))
}
