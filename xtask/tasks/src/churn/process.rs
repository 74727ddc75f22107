//! The agent's own process: its CPU at a steady rate of connections, its memory beside sockets that stand.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Args, agent};
use crate::workspace::say;

/// The agent lists the sockets that live this often, and a moment more.
const ONE_WALK: Duration = Duration::from_secs(17);

/// Connections that one process keeps, with a descriptor for either end: within the usual limit of 1,024.
const HELD_BY_ONE: u32 = 450;

/// Opens and closes connections at the rate, and measures what the agent's process took meanwhile.
pub(super) fn at_rate(args: &Args, target: &Path, namespace: &str) -> Result<()> {
    let (mut agent, address) = agent(target)?;
    let measured = (|| {
        let (began, before) = (Instant::now(), cpu(agent.id())?);
        let said = Command::new("ip")
            .args(["netns", "exec", namespace])
            .arg(target.join("actor"))
            .args(["pace", &args.rate.to_string(), &args.seconds.to_string()])
            .output()?;
        let (took, after) = (began.elapsed(), cpu(agent.id())?);
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let numbers: Vec<f64> = said
            .split_ascii_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let &[done, us] = numbers.as_slice() else {
            anyhow::bail!("the actor said '{said}'");
        };
        // What it counted is taken over every second.
        thread::park_timeout(Duration::from_millis(1_500));
        let lost = total(&address, "hopscope_events_lost_total")?;
        Ok((
            done / us * 1e6,
            (after - before) / took.as_secs_f64() * 100.0,
            lost,
        ))
    })();
    agent.kill()?;
    agent.wait()?;
    let (rate, cpu, lost) = measured?;
    say(&format!(
        "at {rate:.0} connections/s the agent's process took {cpu:.1} % of a core; events lost: {lost:.0}; limits {} %, 0",
        args.cpu_limit
    ));
    ensure!(
        cpu <= args.cpu_limit,
        "the agent took {cpu:.1} % of a core, more than {} %",
        args.cpu_limit
    );
    ensure!(lost < 0.5, "{lost:.0} events were lost");
    Ok(())
}

/// Keeps connections, and measures the most memory that an agent which came to them ever held, from its first moment until
/// it has listed them twice.
pub(super) fn beside(args: &Args, target: &Path, namespace: &str) -> Result<()> {
    // As many processes as it takes: what one may open is the machine's to say.
    let mut holders = Vec::new();
    let mut left = args.held;
    while left > 0 {
        let pairs = left.min(HELD_BY_ONE);
        left -= pairs;
        holders.push(
            Command::new("ip")
                .args(["netns", "exec", namespace])
                .arg(target.join("actor"))
                .args(["hold", &pairs.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?,
        );
    }
    let measured = (|| {
        for holder in &mut holders {
            let said = holder.stdout.take().context("the actor's words")?;
            let first = BufReader::new(said).lines().next().transpose()?;
            ensure!(first.as_deref() == Some("holding"), "the actor said {first:?}");
        }
        let (mut agent, address) = agent(target)?;
        let before = cpu(agent.id())?;
        thread::park_timeout(ONE_WALK);
        let measured = (|| {
            let status = fs::read_to_string(format!("/proc/{}/status", agent.id()))?;
            let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let most: f64 = most
                .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok())
                .context("no VmHWM")?;
            let taken = (cpu(agent.id())? - before) / ONE_WALK.as_secs_f64() * 100.0;
            Ok((most / 1024.0, total(&address, "hopscope_node_sockets{")?, taken))
        })();
        agent.kill()?;
        agent.wait()?;
        measured
    })();
    for mut holder in holders {
        // The end of its input is its end.
        drop(holder.stdin.take());
        holder.wait()?;
    }
    let (most, sockets, taken) = measured?;
    say(&format!(
        "beside {sockets:.0} live sockets the agent held {most:.1} MiB at most, limit {} MiB, and took {taken:.1} % of a core",
        args.memory_limit
    ));
    ensure!(
        sockets >= f64::from(args.held) * 2.0,
        "it listed {sockets:.0} sockets only"
    );
    ensure!(
        most <= args.memory_limit,
        "the agent held {most:.1} MiB, more than {}",
        args.memory_limit
    );
    Ok(())
}

/// CPU seconds that a process took so far, in both modes and with the threads that are gone.
fn cpu(pid: u32) -> Result<f64> {
    /// `USER_HZ`, in which the kernel tells them on every machine that matters here.
    const TICKS: f64 = 100.0;
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = text.rsplit_once(") ").context("no such line")?;
    let modes = fields.split(' ').skip(11).take(2);
    Ok(modes.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS)
}

/// The series that begin like this, added up.
fn total(address: &str, start: &str) -> Result<f64> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let series = text.lines().filter(|line| line.starts_with(start));
    Ok(series
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum())
}
