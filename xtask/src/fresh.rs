//! The gates on a new machine: a Debian root file system made for the purpose, with Debian's Rust and nothing else.
//!
//! What CI's own machine happens to have cannot hide a missing line of [`crate::machine`] there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{Result, output, root, run, say};

/// What a person would install before the README's second command.
const GIVEN: &str = "rustc-web,cargo-web,git,ca-certificates,python3-venv,gcc,libc6-dev";
/// How this machine reaches its registries and whom it trusts there: a proxy's authority, a mirror's address.
/// `update-ca-certificates` takes the authorities in.
const REACH: [&str; 7] = [
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d",
    "/etc/apt/apt.conf.d",
    "/etc/resolv.conf",
    "/etc/pip.conf",
    "/root/.npmrc",
    "/usr/local/share/ca-certificates",
];
/// pip and Node.js bring authorities of their own, and have to be pointed at the system's.
const TRUST: &str = "export PIP_CERT=/etc/ssl/certs/ca-certificates.crt NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt";
/// File systems of this machine that a test of the kernel's probes needs to see.
const MOUNTS: [&str; 4] = ["/proc", "/sys", "/dev", "/run"];

/// Makes the file system, clones HEAD into it and runs `cargo xtask ci` there. Needs root and debootstrap.
pub(crate) fn play(only: Option<&str>) -> Result<()> {
    let place = Place::make()?;
    let gates = only.map_or_else(String::new, |only| format!(" {only}"));
    let script = format!(
        "export HOME=/root CI=true PATH=/usr/lib/rust-web/bin:/usr/sbin:/usr/bin:/sbin:/bin; {TRUST}; cd /clone && cargo xtask ci{gates}"
    );
    say(&format!("== in {}", place.0.display()));
    run(
        &root(),
        "chroot",
        &[&*place.text(), "/bin/sh", "-c", &script],
        &[],
    )
}

/// The root file system; unmounted and removed when this goes.
struct Place(PathBuf);

impl Place {
    fn make() -> Result<Self> {
        if output("debootstrap", &["--version"]).is_none() {
            run(
                &root(),
                "apt-get",
                &["install", "-y", "-qq", "--no-install-recommends", "debootstrap"],
                &[],
            )?;
        }
        let folder = std::env::temp_dir().join(format!("hopscope-fresh-{}", std::process::id()));
        let place = Self(folder);
        let mirror = mirror("bookworm", "main").ok_or(
            "`apt-cache policy` names no source for Debian 12 (bookworm/main): add one to /etc/apt/sources.list, and run `apt-get update`",
        )?;
        run(
            &root(),
            "debootstrap",
            &["--variant=minbase", "bookworm", &*place.text(), &*mirror],
            &[],
        )?;
        // Security updates included: Debian's newer Rust is one.
        for from in REACH {
            if Path::new(from).exists() {
                let to = place.0.join(from.trim_start_matches('/'));
                let parent = to.parent().unwrap_or(&place.0).to_string_lossy().into_owned();
                run(&root(), "cp", &["-aL", from, &*parent], &[])?;
            }
        }
        for mount in MOUNTS {
            let to = place.0.join(mount.trim_start_matches('/'));
            run(&root(), "mount", &["--rbind", mount, &*to.to_string_lossy()], &[])?;
            run(&root(), "mount", &["--make-rslave", &*to.to_string_lossy()], &[])?;
        }
        let given = GIVEN.replace(',', " ");
        let install = format!(
            "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends {given} && update-ca-certificates"
        );
        run(
            &root(),
            "chroot",
            &[&*place.text(), "/bin/sh", "-c", &install],
            &[],
        )?;
        let clone = place.0.join("clone");
        run(
            &root(),
            "git",
            &[
                "clone",
                "--quiet",
                &*root().to_string_lossy(),
                &*clone.to_string_lossy(),
            ],
            &[],
        )?;
        Ok(place)
    }

    fn text(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for mount in MOUNTS.iter().rev() {
            let from = self.0.join(mount.trim_start_matches('/'));
            if from.exists() {
                drop(run(
                    &root(),
                    "umount",
                    &["-R", "-l", &*from.to_string_lossy()],
                    &[],
                ));
            }
        }
        // Only when nothing of this machine is mounted below it any more.
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        if !mounts.contains(&*self.0.to_string_lossy()) {
            drop(fs::remove_dir_all(&self.0));
        }
    }
}

/// The first address in this machine's package sources that serves this suite.
fn mirror(suite: &str, component: &str) -> Option<String> {
    let listed = output("apt-cache", &["policy"])?;
    listed
        .lines()
        .filter(|line| line.contains(&format!(" {suite}/{component} ")))
        .find_map(|line| {
            line.split_whitespace()
                .find(|word| word.starts_with("http"))
                .map(str::to_owned)
        })
}
