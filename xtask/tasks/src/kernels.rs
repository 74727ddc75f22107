//! Boots other kernels under qemu, and lets the same agent with the same probes watch the same failures there.
//!
//! Debian's kernel packages are fetched with apt and unpacked, not installed. No acceleration: a machine in which this
//! runs is often virtual itself. The guest is an initrd of busybox, the agent, the scenarios' actor and their libraries.

mod guest;
mod pool;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::{programs, root, say};

/// Which kernels to boot.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The series of a kernel, such as 6.1; may be given several times.
    #[arg(long = "kernel", value_name = "SERIES", default_values = ["5.10", "6.1", "6.12"])]
    kernels: Vec<String>,
    /// The best rung of the ladder that the agent may try there.
    #[arg(long, default_value = "tp_btf")]
    rung: String,
}

/// What is staged in every guest, where to look for it, and what the agent must say.
const EXPECTED: [(&str, &str, &str, &str); 4] = [
    ("refused", "127.0.0.1:8080", "connect-refused", "backend-refused"),
    ("reset", "127.0.0.1:8081", "reset-sent", "backend-reset"),
    (
        "accept queue full",
        "127.0.0.1:8082",
        "connect-timed-out",
        "backend-accept-queue",
    ),
    ("black hole", "10.9.9.9:8083", "connect-timed-out", "undetermined"),
];

/// Boots each, compares, and prints a table.
pub(crate) fn execute(args: &Args) -> Result<()> {
    let root = root()?;
    let built = build(&root)?;
    let mut table = String::from("| kernel | probes attached | ");
    for (failure, ..) in EXPECTED {
        table.extend([failure, " | "]);
    }
    table.push_str("seconds |\n|---|---|---|---|---|---|---|\n");
    let mut wrong = Vec::new();
    for series in &args.kernels {
        let kernel = pool::fetch(&root, series)?;
        let began = Instant::now();
        let said = guest::run(&root, &kernel, &built, &args.rung)?;
        let took = began.elapsed().as_secs();
        let attached = said.lines().filter(|line| line.ends_with(": attached")).count();
        table.extend(["| ", &kernel.release, " | ", &attached.to_string(), " | "]);
        if !said.contains(&format!("\"level\":\"{}\"", args.rung)) {
            wrong.push(format!(
                "{}: the rung {} does not hold",
                kernel.release, args.rung
            ));
        }
        for (failure, address, end, cause) in EXPECTED {
            let ours = |line: &&str| {
                line.contains(&format!("\"{address}\"")) && line.contains(&format!("\"cause\":\"{cause}\""))
            };
            let told = said
                .lines()
                .find(ours)
                .is_some_and(|line| line.contains(&format!("\"end\":\"{end}\"")));
            table.push_str(if told { "yes | " } else { "**no** | " });
            if !told {
                wrong.push(format!(
                    "{}: {failure} was not told as {end}, {cause}",
                    kernel.release
                ));
            }
        }
        table.extend([&took.to_string(), " |\n"]);
        if wrong.iter().any(|line| line.starts_with(&kernel.release)) {
            say(&said);
        }
    }
    say(&table);
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The programs that go into the guest.
struct Built {
    hopscope: PathBuf,
    actor: PathBuf,
}

fn build(root: &Path) -> Result<Built> {
    let built = programs(root)?;
    Ok(Built {
        hopscope: built.join("hopscope"),
        actor: built.join("actor"),
    })
}

/// Runs a tool to its end.
fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("starting {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed");
    }
    Ok(())
}
