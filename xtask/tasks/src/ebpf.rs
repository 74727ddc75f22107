//! Builds the probes, the same bytes from every directory.
//!
//! The object is committed, so that a plain `cargo build` needs nothing but stable Rust. Building it needs a compiler
//! with a `core` for `bpfel-unknown-none` (Debian's `rustc-web` with `libstd-rust-web-dev-bpf`, and `cargo-web`) and
//! `bpf-linker`, which this task installs below `target/tools` when it is missing.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::{root, say};

/// The version that made the committed object; another one may give other bytes.
const BPF_LINKER: &str = "0.13.0";

/// How to build the probes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Compare with the committed object and fail when the bytes differ, instead of replacing it.
    #[arg(long)]
    check: bool,
    /// Where LLVM 22 is.
    #[arg(long, env = "LLVM_PREFIX", default_value = "/usr/lib/llvm-22")]
    llvm: PathBuf,
    /// The compiler that has a `core` for the kernel.
    #[arg(long, env = "HOPSCOPE_BPF_RUSTC", default_value = "/usr/bin/rustc")]
    rustc: PathBuf,
    /// The cargo that belongs to it.
    #[arg(long, env = "HOPSCOPE_BPF_CARGO", default_value = "/usr/bin/cargo")]
    cargo: PathBuf,
}

/// Builds, and writes or compares.
pub(crate) fn execute(args: &Args) -> Result<()> {
    let root = root()?;
    let built = build(args, &root)?;
    let committed = root.join("ebpf/probes.bpf.o");
    if args.check {
        let expected = fs::read(&committed).with_context(|| format!("reading {}", committed.display()))?;
        ensure!(
            built == expected,
            "ebpf/probes.bpf.o is not what the sources give ({} bytes committed, {} built): run `cargo xtask ebpf` and commit it",
            expected.len(),
            built.len()
        );
        say(&format!(
            "ebpf/probes.bpf.o is what the sources give ({} bytes)",
            built.len()
        ));
        return Ok(());
    }
    fs::write(&committed, &built).with_context(|| format!("writing {}", committed.display()))?;
    say(&format!("wrote ebpf/probes.bpf.o ({} bytes)", built.len()));
    Ok(())
}

fn build(args: &Args, root: &Path) -> Result<Vec<u8>> {
    let linker = linker(args, root)?;
    let target = root.join("target/probes");
    // Paths end up in the line information; these are the ones that differ between machines.
    let cargo_home = env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    );
    let mut flags = vec![
        "-Cdebuginfo=2".to_owned(),
        format!("-Clinker={}", linker.display()),
        "-Clink-arg=--btf".to_owned(),
        format!("--remap-path-prefix={}=/hopscope", root.display()),
    ];
    // One folder a registry, named after its host.
    if let Ok(registries) = fs::read_dir(cargo_home.join("registry/src")) {
        for registry in registries.flatten() {
            flags.push(format!(
                "--remap-path-prefix={}=/cargo",
                registry.path().display()
            ));
        }
    }
    let flags = flags.join("\u{1f}");
    let status = Command::new(&args.cargo)
        .current_dir(root)
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "hopscope-probes",
            "--features",
            "bpf",
        ])
        .args([
            "--profile",
            "probes",
            "--target",
            "bpfel-unknown-none",
            "--target-dir",
        ])
        .arg(&target)
        .env("RUSTC", &args.rustc)
        // BPF is a tier 3 target: its inline assembly and intrinsics are behind unstable features.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO")
        .status()
        .with_context(|| format!("starting {} (Debian package cargo-web)", args.cargo.display()))?;
    ensure!(status.success(), "the probes did not build");

    let built = target.join("bpfel-unknown-none/probes/probes");
    let stripped = target.join("probes.bpf.o");
    let objcopy = args.llvm.join("bin/llvm-objcopy");
    // .BTF and .BTF.ext stay: the kernel reads them. The DWARF they were made from is seven times as large.
    let status = Command::new(&objcopy)
        .arg("--strip-debug")
        .args([&built, &stripped])
        .status()
        .with_context(|| format!("starting {} (Debian package llvm-22)", objcopy.display()))?;
    ensure!(status.success(), "llvm-objcopy failed on {}", built.display());
    fs::read(&stripped).with_context(|| format!("reading {}", stripped.display()))
}

/// bpf-linker, of the version that made the committed object.
fn linker(args: &Args, root: &Path) -> Result<PathBuf> {
    let tools = root.join("target/tools");
    let linker = tools.join("bin/bpf-linker");
    let version = Command::new(&linker).arg("--version").output();
    if version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).trim().ends_with(BPF_LINKER)) {
        return Ok(linker);
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let status = Command::new(cargo)
        .args([
            "install",
            "--quiet",
            "--locked",
            "bpf-linker",
            "--version",
            BPF_LINKER,
        ])
        .args(["--no-default-features", "--features", "llvm-22", "--root"])
        .arg(&tools)
        .env("LLVM_PREFIX", &args.llvm)
        .status()
        .context("starting cargo")?;
    if !status.success() {
        bail!(
            "bpf-linker {BPF_LINKER} did not install: it needs the Debian packages llvm-22-dev and libpolly-22-dev"
        );
    }
    Ok(linker)
}
