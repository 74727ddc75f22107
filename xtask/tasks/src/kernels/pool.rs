//! Kernels from Debian's pool: fetched with apt and unpacked, not installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::run;

/// An unpacked kernel.
pub(super) struct Kernel {
    pub(super) release: String,
    pub(super) image: PathBuf,
    pub(super) modules: PathBuf,
}

/// A series that the configured suites do not have, and the suite of security updates that has it.
const OLDER: [(&str, &str); 1] = [("5.10", "bullseye-security")];

/// Options that make apt look into another suite, and leave the machine's own lists alone.
fn suite(root: &Path, series: &str) -> Result<Vec<String>> {
    let Some((_, suite)) = OLDER.iter().find(|(older, _)| *older == series) else {
        return Ok(Vec::new());
    };
    let folder = root.join("target/kernels/apt").join(suite);
    for part in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(folder.join(part))?;
    }
    // From where this machine takes its security updates.
    let output = Command::new("apt-get")
        .args([
            "indextargets",
            "--format",
            "$(REPO_URI) $(RELEASE)",
            "Created-By: Packages",
        ])
        .output()
        .context("starting apt-get: this task needs Debian")?;
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let from = listed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(_, release)| release.ends_with("-security"))
        .map(|(from, _)| from)
        .context("apt has no suite of security updates")?;
    let sources = folder.join("sources.list");
    fs::write(&sources, format!("deb {from} {suite} main\n"))?;
    let at = |name: &str, path: &Path| format!("-oDir::{name}={}", path.display());
    let options = vec![
        at("Etc::sourcelist", &sources),
        "-oDir::Etc::sourceparts=/dev/null".to_owned(),
        at("State::lists", &folder.join("lists")),
        at("Cache", &folder.join("cache")),
    ];
    run(Command::new("apt-get").args(&options).args(["update", "-qq"]))?;
    Ok(options)
}

/// Debian's newest package of a series, for virtual machines.
fn package(series: &str, options: &[String]) -> Result<String> {
    let output = Command::new("apt-cache")
        .args(options)
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

/// Downloads and unpacks the newest kernel of a series.
pub(super) fn fetch(root: &Path, series: &str) -> Result<Kernel> {
    let options = suite(root, series)?;
    let package = &package(series, &options)?;
    let release = package.trim_start_matches("linux-image-").to_owned();
    let folder = root.join("target/kernels").join(&release);
    let image = folder.join("boot").join(format!("vmlinuz-{release}"));
    if !image.exists() {
        fs::create_dir_all(&folder)?;
        run(Command::new("apt-get")
            .current_dir(&folder)
            .args(&options)
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
