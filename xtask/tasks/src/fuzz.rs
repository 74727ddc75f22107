//! Fuzzing with the pinned stable compiler, for a bounded time: `cargo xtask fuzz [TARGET] [--seconds N]`.
//!
//! What `cargo fuzz` does with a nightly compiler, without it: libFuzzer needs its coverage counters, which every rustc
//! can insert, and AddressSanitizer where its runtime is installed. Both are flags that stable hides behind
//! `RUSTC_BOOTSTRAP`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::{root, say};

/// How to fuzz.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this target.
    target: Option<String>,
    /// How long each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// Coverage counters at every edge, and the operands of comparisons: what libFuzzer steers by (SanitizerCoverage).
const COVERAGE: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
];

/// One input may take this long; more is as good as a hang.
const SLOWEST_INPUT: &str = "-timeout=20";
/// More memory than this, in MiB, is a leak or a bomb.
const MOST_MEMORY: &str = "-rss_limit_mb=2048";
/// Beyond its time, for reading the corpus and for the last input.
const PATIENCE: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Builds the targets and runs them, as many at a time as there are cores.
pub(crate) fn execute(args: &Args) -> Result<()> {
    let fuzz = root()?.join("fuzz");
    let known = targets(&fuzz)?;
    let wanted: Vec<_> = match &args.target {
        Some(one) => {
            ensure!(
                known.contains(one),
                "no target is called {one}; there are {}",
                known.join(", ")
            );
            vec![one.clone()]
        }
        None => known,
    };
    let host = host()?;
    build(&fuzz, &host)?;
    let built = fuzz.join("target").join(&host).join("release");
    let at_a_time = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for together in wanted.chunks(at_a_time) {
        let running = together
            .iter()
            .map(|target| start(&fuzz, &built, target, args.seconds).map(|child| (target, child)))
            .collect::<Result<Vec<_>>>()?;
        let mut failed = Vec::new();
        for (target, child) in running {
            let limit = Duration::from_secs(args.seconds) + PATIENCE;
            if let Err(error) = finish(&fuzz, target, child, limit) {
                failed.push(format!("{error:#}"));
            }
        }
        ensure!(failed.is_empty(), "{}", failed.join("\n"));
    }
    Ok(())
}

/// A target is a file.
fn targets(fuzz: &Path) -> Result<Vec<String>> {
    let folder = fuzz.join("fuzz_targets");
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort_unstable();
    Ok(names)
}

fn host() -> Result<String> {
    let told = output(&["rustc", "-vV"])?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not name its host")?.to_owned())
}

fn build(fuzz: &Path, host: &str) -> Result<()> {
    let mut flags = COVERAGE.join(" ");
    if has_address_sanitizer(host)? {
        flags.push_str(" -Zsanitizer=address");
    } else {
        say("AddressSanitizer's runtime is not installed: fuzzing without it");
    }
    let status = Command::new("cargo")
        // A target of its own, so that build scripts and macros are not instrumented.
        .args(["build", "--release", "--bins", "--target", host])
        .current_dir(fuzz)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", flags)
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .context("running cargo")?;
    ensure!(status.success(), "the targets were not built: {status}");
    Ok(())
}

fn has_address_sanitizer(host: &str) -> Result<bool> {
    let sysroot = output(&["rustc", "--print", "sysroot"])?;
    let folder = PathBuf::from(sysroot.trim())
        .join("lib/rustlib")
        .join(host)
        .join("lib");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    Ok(entries
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().ends_with("rt.asan.a")))
}

fn output(words: &[&str]) -> Result<String> {
    let (program, arguments) = words.split_first().context("no program named")?;
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("running {program}"))?;
    ensure!(
        output.status.success(),
        "{} ended with {}",
        words.join(" "),
        output.status
    );
    String::from_utf8(output.stdout).context("it writes UTF-8")
}

fn start(fuzz: &Path, built: &Path, target: &str, seconds: u64) -> Result<Child> {
    let corpus = fuzz.join("corpus").join(target);
    let artifacts = fuzz.join("artifacts").join(target);
    for folder in [&corpus, &artifacts] {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let log = std::fs::File::create(log(fuzz, target)).context("making a log")?;
    let mut command = Command::new(built.join(target));
    command
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args([
            SLOWEST_INPUT,
            MOST_MEMORY,
            "-print_final_stats=1",
            "-use_value_profile=1",
        ]);
    let words = fuzz.join("words").join(format!("{target}.dict"));
    if words.exists() {
        command.arg(format!("-dict={}", words.display()));
    }
    // The first folder is where new inputs go; the seeds are only read.
    command.arg(&corpus);
    let seeds = fuzz.join("seeds").join(target);
    if seeds.exists() {
        command.arg(&seeds);
    }
    // Targets that need a file do not wait for a disk.
    if Path::new("/dev/shm").is_dir() {
        command.env("TMPDIR", "/dev/shm");
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .with_context(|| format!("running {target}"))
}

fn log(fuzz: &Path, target: &str) -> PathBuf {
    fuzz.join("artifacts").join(format!("{target}.log"))
}

/// Waits for a target's end and says how far it came.
fn finish(fuzz: &Path, target: &str, mut child: Child, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    let status = loop {
        match child.try_wait().context("waiting for a target")? {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                child.kill().context("ending a target")?;
                child.wait().context("waiting for a target")?;
                bail!("{target} did not end by itself within {} s", limit.as_secs());
            }
            None => std::thread::park_timeout(LOOK_EVERY),
        }
    };
    let log = std::fs::read(log(fuzz, target)).context("reading a log")?;
    let log = String::from_utf8_lossy(&log);
    if !status.success() {
        let lines: Vec<_> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(40)..).unwrap_or_default();
        bail!(
            "{target} found something ({status}); the input is in fuzz/artifacts/{target}/:\n{}",
            tail.join("\n")
        );
    }
    let stat = |name: &str| {
        let line = log
            .lines()
            .find_map(|line| line.strip_prefix(&format!("stat::{name}:")));
        line.map_or_else(|| "?".to_owned(), |number| number.trim().to_owned())
    };
    let edges = log
        .lines()
        .rev()
        .find_map(|line| line.split("cov: ").nth(1)?.split(' ').next())
        .unwrap_or("?");
    say(&format!(
        "{target:>10}  {:>9} inputs, {:>6} a second, {edges} edges, {} new inputs kept",
        stat("number_of_executed_units"),
        stat("average_exec_per_sec"),
        stat("new_units_added"),
    ));
    Ok(())
}
