//! Boots other kernels under qemu, and lets the same agent with the same probes watch the same failures there.
//!
//! Debian's kernel packages are fetched with apt and unpacked, not installed. No acceleration: a machine in which this
//! runs is often virtual itself. The guest is an initrd of busybox, the agent, the scenarios' actor and their libraries.

mod guest;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::ebpf;

/// Which kernels to boot.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The series of a kernel, such as 6.1; may be given several times.
    #[arg(long = "kernel", value_name = "SERIES", default_values = ["6.1", "6.12"])]
    kernels: Vec<String>,
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
    (
        "black hole",
        "10.9.9.9:8083",
        "connect-timed-out",
        "backend-unreachable",
    ),
];

/// Boots each, compares, and prints a table.
pub(crate) fn execute(args: &Args) -> Result<()> {
    let root = ebpf::root()?;
    let built = build(&root)?;
    let mut table = String::from("| kernel | probes attached | ");
    for (failure, ..) in EXPECTED {
        table.extend([failure, " | "]);
    }
    table.push_str("seconds |\n|---|---|---|---|---|---|---|\n");
    let mut wrong = Vec::new();
    for series in &args.kernels {
        let package = package(series)?;
        let kernel = fetch(&root, &package)?;
        let began = Instant::now();
        let said = guest::run(&root, &kernel, &built)?;
        let took = began.elapsed().as_secs();
        let attached = said.lines().filter(|line| line.ends_with(": attached")).count();
        table.extend(["| ", &kernel.release, " | ", &attached.to_string(), " | "]);
        if attached == 0 {
            wrong.push(format!("{}: no probe attached", kernel.release));
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
            ebpf::report(&said);
        }
    }
    ebpf::report(&table);
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The programs that go into the guest.
struct Built {
    hopscope: PathBuf,
    actor: PathBuf,
}

fn build(root: &Path) -> Result<Built> {
    for package in ["hopscope", "hopscope-tests"] {
        run(Command::new("cargo").current_dir(root).args([
            "build",
            "--quiet",
            "--bins",
            "--package",
            package,
        ]))?;
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(Built {
        hopscope: target.join("debug/hopscope"),
        actor: target.join("debug/actor"),
    })
}

/// An unpacked kernel.
struct Kernel {
    release: String,
    image: PathBuf,
    modules: PathBuf,
}

/// Debian's newest package of a series, for virtual machines.
fn package(series: &str) -> Result<String> {
    let output = Command::new("apt-cache")
        .args([
            "search",
            "--names-only",
            &format!("^linux-image-{series}[.].*-cloud-amd64$"),
        ])
        .output();
    let output = output.context("starting apt-cache: this task needs Debian")?;
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    let newest = names
        .lines()
        .filter_map(|line| line.split(' ').next())
        .max_by_key(|name| numbers(name));
    newest
        .map(ToOwned::to_owned)
        .with_context(|| format!("apt knows no cloud kernel of the series {series}: apt-get update?"))
}

/// The numbers in a name, to find the newest by.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

fn fetch(root: &Path, package: &str) -> Result<Kernel> {
    let release = package.trim_start_matches("linux-image-").to_owned();
    let folder = root.join("target/kernels").join(&release);
    let image = folder.join("boot").join(format!("vmlinuz-{release}"));
    if !image.exists() {
        fs::create_dir_all(&folder)?;
        run(Command::new("apt-get")
            .current_dir(&folder)
            .args(["download", "-qq", package]))?;
        let entries = fs::read_dir(&folder)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let archives: Vec<_> = entries
            .filter(|path| path.extension().is_some_and(|end| end == "deb"))
            .collect();
        for archive in archives {
            run(Command::new("dpkg").arg("-x").arg(&archive).arg(&folder))?;
            fs::remove_file(&archive)?;
        }
    }
    ensure!(image.exists(), "{package} has no {}", image.display());
    let modules = ["lib/modules", "usr/lib/modules"].map(|at| folder.join(at).join(&release));
    let modules = modules
        .into_iter()
        .find(|path| path.exists())
        .context("the package has no modules")?;
    Ok(Kernel {
        release,
        image,
        modules,
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
