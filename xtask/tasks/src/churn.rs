//! What the agent costs: the kernel, per connection; its process, at a steady rate; its memory, beside many sockets.
//!
//! For the kernel's part connections are opened and closed as fast as they go, with the agent and without.
//! Both ends are in one process in a namespace of its own, so every connection is ten state changes that the probes see
//! and nothing else. Rounds with and without alternate, and medians are compared: a busy machine disturbs both alike.

mod process;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::workspace::{root, say};

/// How long to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rounds with the agent, and as many without.
    #[arg(long, default_value_t = 11)]
    rounds: u8,
    /// Connections a round.
    #[arg(long, default_value_t = 10_000)]
    connections: u32,
    /// Fail when the probes cost more than this a connection, in microseconds.
    #[arg(long, default_value_t = 2.5)]
    limit: f64,
    /// Connections a second at which the agent's process is measured.
    #[arg(long, default_value_t = 20_000)]
    rate: u32,
    /// For how many seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Fail when the agent's process takes more of a core than this, in percent.
    #[arg(long, default_value_t = 10.0)]
    cpu_limit: f64,
    /// Connections that stand, both ends here, while the agent's memory is measured: twice as many sockets.
    #[arg(long, default_value_t = 25_000)]
    held: u32,
    /// Fail when the agent holds more than this, in MiB.
    #[arg(long, default_value_t = 64.0)]
    memory_limit: f64,
    /// Measure optimized builds.
    #[arg(long)]
    release: bool,
}

/// Measures, prints, and compares with the limit.
pub(crate) fn execute(args: &Args) -> Result<()> {
    let root = root()?;
    for package in ["hopscope", "hopscope-tests"] {
        let built = Command::new("cargo")
            .current_dir(&root)
            .args(["build", "--quiet", "--bins", "--package", package])
            .args(args.release.then_some("--release"))
            .status()?;
        ensure!(built.success(), "{package} does not build");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), Into::into)
        .join(if args.release { "release" } else { "debug" });
    let namespace = format!("hopscope-churn-{}", std::process::id());
    ip(&["netns", "add", &namespace])?;
    let measured = measure(args, &target, &namespace).and_then(|kernel| {
        process::at_rate(args, &target, &namespace)?;
        process::beside(args, &target, &namespace)?;
        Ok(kernel)
    });
    ip(&["netns", "del", &namespace])?;
    let (without, with) = measured?;
    let cost = with - without;
    say(&format!(
        "per connection: {without:.2} us without probes, {with:.2} us with, so {cost:.2} us ({:.1} %) for the probes; limit {} us",
        cost / without * 100.0,
        args.limit
    ));
    ensure!(
        cost <= args.limit,
        "the probes cost {cost:.2} us a connection, more than {}",
        args.limit
    );
    Ok(())
}

fn measure(args: &Args, target: &Path, namespace: &str) -> Result<(f64, f64)> {
    ip(&["netns", "exec", namespace, "ip", "link", "set", "lo", "up"])?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 0..args.rounds {
        without.push(churn(args, target, namespace, round.saturating_mul(2))?);
        let (mut agent, _) = agent(target)?;
        let churned = churn(args, target, namespace, round.saturating_mul(2).saturating_add(1));
        agent.kill()?;
        agent.wait()?;
        with.push(churned?);
    }
    Ok((median(&mut without), median(&mut with)))
}

fn median(all: &mut [f64]) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// Microseconds of CPU that one connection took.
fn churn(args: &Args, target: &Path, namespace: &str, round: u8) -> Result<f64> {
    let output = Command::new("ip")
        .args(["netns", "exec", namespace])
        .arg(target.join("actor"))
        .args(["churn", &round.to_string(), &args.connections.to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let ns: f64 = said
        .trim()
        .strip_prefix("ns ")
        .with_context(|| format!("the actor said '{said}'"))?
        .parse()?;
    Ok(ns / 1_000.0)
}

/// An agent with its probes attached, and its address.
fn agent(target: &Path) -> Result<(Child, String)> {
    let mut agent = Command::new(target.join("hopscope"))
        .args(["agent", "--listen", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()?;
    let said = agent.stderr.take().context("the agent's words")?;
    let mut lines = BufReader::new(said).lines().map_while(Result::ok);
    let mut attached = 0;
    let mut address = String::new();
    for line in lines.by_ref() {
        attached += usize::from(line.ends_with(": attached"));
        if let Some((_, at)) = line.split_once("listening on ") {
            at.clone_into(&mut address);
            break;
        }
    }
    ensure!(attached > 0, "no probe attached: this needs root");
    Ok((agent, address))
}

fn ip(words: &[&str]) -> Result<()> {
    let status = Command::new("ip").args(words).status().context("starting ip")?;
    ensure!(status.success(), "ip {} failed", words.join(" "));
    Ok(())
}
