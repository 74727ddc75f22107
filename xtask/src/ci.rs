//! Every gate, cheapest first, the same here and in CI.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::{bench, deploy, image, tidy};

/// Which gates to pass.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the gates whose name contains this.
    only: Option<String>,
}

/// One gate.
struct Gate {
    name: &'static str,
    command: &'static [&'static str],
}

/// In this order. A gate is a command that fails when something is wrong.
const GATES: &[Gate] = &[
    Gate {
        name: "format",
        command: &["cargo", "fmt", "--all", "--check"],
    },
    Gate {
        name: "clippy",
        command: &[
            "cargo",
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    },
    Gate {
        name: "test",
        command: &["cargo", "test", "--workspace", "--exclude", "hopscope-tests"],
    },
    Gate {
        name: "fuzz",
        command: &["cargo", "xtask", "fuzz", "--seconds", "10"],
    },
    Gate {
        name: "probes",
        command: &["cargo", "xtask", "ebpf", "--check"],
    },
    Gate {
        name: "kernels",
        command: &["cargo", "xtask", "kernels", "--kernel", "6.1"],
    },
    Gate {
        name: "scorecard",
        command: &["cargo", "xtask", "scorecard", "--extent", "smoke"],
    },
];

/// Passes every gate, or says which one did not hold.
pub(crate) fn execute(args: &Args) -> Result<()> {
    let root = root()?;
    let wanted = |name: &str| args.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let mut passed = Vec::new();
    if wanted("tidy") {
        passed.push(("tidy", pass("tidy", || tidy::check(&root))?));
    }
    if wanted("figures") {
        passed.push(("figures", pass("figures", || bench::check(&root))?));
    }
    if wanted("deploy") {
        passed.push(("deploy", pass("deploy", || deploy::check(&root))?));
    }
    for gate in GATES.iter().filter(|gate| wanted(gate.name)) {
        passed.push((gate.name, pass(gate.name, || run(&root, gate.command, &[]))?));
    }
    if wanted("scenarios") {
        passed.push(("scenarios", pass("scenarios", || scenarios(&root, &[]))?));
    }
    ensure!(!passed.is_empty(), "no gate is called that");
    for (name, took) in passed {
        say(&format!("{name:>12}  {:>5} s", took.as_secs()));
    }
    Ok(())
}

/// Builds the binary and plays the scenarios against it. They need root, and the programs that they name.
pub(crate) fn scenarios(root: &Path, filter: &[String]) -> Result<()> {
    let mut environment = Vec::new();
    // First, because it leaves a binary of its own kind where the next build puts the usual one.
    if image::is_wanted(filter) {
        environment.push(("HOPSCOPE_IMAGE", image::make(root, false)?));
    }
    run(
        root,
        &[
            "cargo",
            "build",
            "--package",
            "hopscope",
            "--package",
            "hopscope-lab",
            "--examples",
            "--bins",
        ],
        &[],
    )?;
    let built = target(root).join("debug");
    // One at a time: the agent sees the whole host, and a hopscope without CPU says so instead of naming a hop.
    let mut command = vec![
        "cargo",
        "test",
        "--package",
        "hopscope-tests",
        "--",
        "--test-threads=1",
    ];
    command.extend(filter.iter().map(String::as_str));
    environment.push(("HOPSCOPE_BIN", built.join("hopscope")));
    environment.push(("HOPSCOPE_LAB_CLUSTER", built.join("examples/cluster")));
    run(root, &command, &environment)
}

pub(crate) fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Builds the program as its users have it, and says where it lies.
pub(crate) fn release(root: &Path) -> Result<PathBuf> {
    run(
        root,
        &["cargo", "build", "--release", "--package", "hopscope"],
        &[],
    )?;
    Ok(target(root).join("release/hopscope"))
}

fn pass(name: &str, gate: impl FnOnce() -> Result<()>) -> Result<Duration> {
    say(&format!("== {name}"));
    let began = Instant::now();
    gate().with_context(|| format!("gate `{name}` does not hold"))?;
    Ok(began.elapsed())
}

fn run(root: &Path, command: &[&str], environment: &[(&str, PathBuf)]) -> Result<()> {
    let [program, arguments @ ..] = command else {
        return Ok(());
    };
    let status = Command::new(program)
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(root)
        .status()
        .with_context(|| format!("running {program}"))?;
    ensure!(status.success(), "`{}` ended with {status}", command.join(" "));
    Ok(())
}

/// The folder of the workspace.
pub(crate) fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here
        .parent()
        .context("xtask lies in the workspace")?
        .to_path_buf())
}

#[expect(clippy::print_stdout, reason = "progress is for whoever typed the command")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
