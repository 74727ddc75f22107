//! A whole run, inside the namespace.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::cgroup::Cgroup;
use super::data::{self, Memory, Outcome, Row, Writer};
use super::place::{self, Cores};
use super::process::Running;
use super::target::{Setting, Target};
use super::upstream::{self, Upstream};
use super::workload::Workload;
use super::{Args, bulk, idle, load, say};

/// Where the first proxy listens; the next ones on the ports after it.
const FIRST_PORT: u16 = 2000;
/// What a proxy does after a load has ended is not to fall into the next one's time.
const SETTLE: Duration = Duration::from_millis(150);
/// What a proxy keeps for a moment after a connection was served is not what an idle one needs.
const COME_TO_REST: Duration = Duration::from_millis(1500);

/// The name of hopscope's thread that writes the recording (proxy/recording/src/writer.rs).
const RECORDING: &str = "recording";

/// A proxy that is ready for load.
struct Ready {
    target: Target,
    port: u16,
    /// None for the way without a proxy. The process goes before its cgroup does.
    alive: Option<(Running, Cgroup)>,
}

/// Measures all that was asked for, and leaves the figures in `folder`.
pub(super) fn everything(args: &Args, folder: &Path) -> Result<()> {
    place::furnish()?;
    let cores = Cores::find()?;
    let _upstream = Upstream::start(cores, folder)?;
    data::write_facts(folder, &place::facts())?;
    let mut rows = Writer::begin(folder)?;
    let rounds = args.rounds.unwrap_or(if args.quick { 2 } else { 5 });
    let lasting = Duration::from_secs(if args.quick { 1 } else { 2 });
    for workload in Workload::ALL {
        if !args.workload.is_empty() && !args.workload.contains(&workload) {
            continue;
        }
        let began = Instant::now();
        let chosen = |target: &Target| args.target.is_empty() || args.target.contains(target);
        let targets: Vec<_> = workload.targets().filter(chosen).collect();
        if workload == Workload::Idle {
            for target in targets {
                rows.memory(&rest(target, cores, folder)?)?;
            }
        } else {
            let mut ready = Vec::new();
            for (target, port) in targets.into_iter().zip(FIRST_PORT..) {
                ready.extend(start(workload, target, port, cores, folder)?);
            }
            for round in 1..=rounds {
                fastrand::shuffle(&mut ready);
                for proxy in &ready {
                    rows.row(&measured(workload, round, proxy, lasting, cores, folder)?)?;
                }
            }
        }
        say(&format!(
            "{:>24}  {:>4} s",
            workload.word(),
            began.elapsed().as_secs()
        ));
    }
    Ok(())
}

/// Starts one target; none where its program is not installed.
fn start(
    workload: Workload,
    target: Target,
    port: u16,
    cores: Cores,
    folder: &Path,
) -> Result<Option<Ready>> {
    let upstream = upstream::port(workload);
    let Some(program) = target.program() else {
        return Ok(Some(Ready {
            target,
            port: upstream,
            alive: None,
        }));
    };
    if target == Target::Envoy && !installed(&program) {
        say("envoy is not installed: left out");
        return Ok(None);
    }
    let setting = Setting {
        workload,
        listen: port,
        upstream,
        folder,
    };
    let cgroup = Cgroup::new(target.word())?;
    let running = Running::start(
        &program,
        &target.words(&setting)?,
        &cores.of_proxy(workload),
        Some(&cgroup),
        folder,
    )?
    .listening(port)
    .with_context(|| format!("starting {}", target.word()))?;
    Ok(Some(Ready {
        target,
        port,
        alive: Some((running, cgroup)),
    }))
}

fn installed(program: &Path) -> bool {
    std::process::Command::new(program)
        .arg("--version")
        .output()
        .is_ok()
}

fn measured(
    workload: Workload,
    round: u32,
    proxy: &Ready,
    lasting: Duration,
    cores: Cores,
    folder: &Path,
) -> Result<Row> {
    let cpu = || {
        proxy
            .alive
            .as_ref()
            .map_or(Ok(Duration::ZERO), |(_, cgroup)| cgroup.cpu())
    };
    let recording = || match (&proxy.alive, proxy.target) {
        (Some((_, cgroup)), Target::Hopscope | Target::HopscopeUnread) => cgroup.cpu_of_thread(RECORDING),
        (Some(_) | None, _) => Ok(Duration::ZERO),
    };
    let (before, recorded_before) = (cpu()?, recording()?);
    let outcome: Outcome = if workload.is_bulk() {
        bulk::run(workload, proxy.port, lasting)
    } else {
        load::run(workload, proxy.port, lasting, cores, folder)
    }
    .with_context(|| format!("{} through {}", workload.word(), proxy.target.word()))?;
    let used = cpu()?.saturating_sub(before);
    let recorded = recording()?.saturating_sub(recorded_before);
    super::pause(SETTLE);
    Ok(Row {
        workload,
        round,
        target: proxy.target,
        outcome,
        cpu_us: u64::try_from(used.as_micros())?,
        recording_us: u64::try_from(recorded.as_micros())?,
    })
}

/// How much memory a target needs for connections at rest.
fn rest(target: Target, cores: Cores, folder: &Path) -> Result<Memory> {
    let ready = start(Workload::Idle, target, FIRST_PORT, cores, folder)?;
    let Some(Ready {
        alive: Some((_running, cgroup)),
        port,
        ..
    }) = &ready
    else {
        return Ok(Memory::absent(target));
    };
    // What the first connections cause to be set up is no cost of a connection.
    drop(idle::open(*port, 100)?);
    super::pause(COME_TO_REST);
    let before_kib = cgroup.memory_kib()?;
    let open =
        idle::open(*port, idle::CONNECTIONS).with_context(|| format!("idle through {}", target.word()))?;
    super::pause(COME_TO_REST);
    Ok(Memory {
        target,
        connections: open.len() as u64,
        before_kib,
        after_kib: cgroup.memory_kib()?,
    })
}
