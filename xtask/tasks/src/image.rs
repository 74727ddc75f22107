//! The root file system of the agent's image: one static binary, and the empty folders on which a runtime mounts.

mod archive;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// What to put into the image.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Optimised, as it is delivered; without, as the scenarios play it.
    #[arg(long)]
    dist: bool,
    /// Also as one file that container tools load or push: an OCI image layout in a tar archive.
    #[arg(long)]
    archive: bool,
}

/// Where file systems of the host are mounted: a read-only root has no room to make them later.
pub(crate) const MOUNT_POINTS: [&str; 6] = [
    "proc",
    "sys",
    "dev",
    "host/cgroup",
    "etc/hopscope",
    "var/run/secrets/kubernetes.io/serviceaccount",
];

/// Makes the root file system and says where it is.
pub(crate) fn execute(args: &Args) -> Result<()> {
    let made = make(&workspace::root()?, args.dist)?;
    workspace::say(&made.display().to_string());
    if args.archive {
        let archive = archive::make(&made, env!("CARGO_PKG_VERSION"))?;
        workspace::say(&archive.display().to_string());
    }
    Ok(())
}

/// Builds the binary without any shared library and lays it out: `target/image/debug` or `target/image/dist`.
pub(crate) fn make(root: &Path, dist: bool) -> Result<PathBuf> {
    let profile = if dist { "dist" } else { "debug" };
    let mut build = Command::new("cargo");
    build.args(["rustc", "--locked", "--package", "hopscope", "--bin", "hopscope"]);
    if dist {
        build
            .args(["--profile", "dist"])
            .envs(workspace::provenance(root));
    }
    // Said of the binary alone: it is linked anew, and all that it is made of is what every other build has.
    build
        .args(["--", "-C", "target-feature=+crt-static"])
        .current_dir(root);
    let status = build.status().context("running cargo")?;
    ensure!(status.success(), "the static binary could not be built: {status}");

    let binary = workspace::target(root).join(profile).join("hopscope");
    let bytes = fs::read(&binary).with_context(|| format!("reading {}", binary.display()))?;
    ensure!(
        !names_an_interpreter(&bytes),
        "{} is not static",
        binary.display()
    );
    let image = workspace::target(root).join("image").join(profile);
    for folder in MOUNT_POINTS {
        fs::create_dir_all(image.join(folder)).with_context(|| format!("making {}", image.display()))?;
    }
    // A file of its own: the next build replaces the one it is copied from.
    fs::copy(&binary, image.join("hopscope")).with_context(|| format!("filling {}", image.display()))?;
    Ok(image)
}

/// Whether a program asks for a dynamic linker, as ELF's `PT_INTERP` does, which holds the linker's path.
fn names_an_interpreter(elf: &[u8]) -> bool {
    // Segment headers of a 64-bit little-endian file (elf.h): their place at 0x20, their number at 0x38, 56 bytes each.
    const PT_INTERP: u32 = 3;
    const HEADER: usize = 56;
    let at = |place: usize, length: usize| elf.get(place..place.checked_add(length)?);
    let place = at(0x20, 8)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u64::from_le_bytes);
    let number = at(0x38, 2)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u16::from_le_bytes);
    let (Some(place), Some(number)) = (place.and_then(|place| usize::try_from(place).ok()), number) else {
        return false;
    };
    (0..usize::from(number)).any(|header| {
        at(place.saturating_add(header * HEADER), 4)
            .and_then(|bytes| bytes.try_into().ok())
            .is_some_and(|kind| u32::from_le_bytes(kind) == PT_INTERP)
    })
}

/// Whether scenarios that are asked for by these words may play the image.
pub(crate) fn is_wanted(filter: &[impl AsRef<OsStr>]) -> bool {
    filter.is_empty()
        || filter
            .iter()
            .any(|word| word.as_ref().to_string_lossy().contains("image"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_needs_a_linker_is_told_from_one_that_does_not() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(names_an_interpreter(&own));
        assert!(!names_an_interpreter(b"\x7fELF, and no more"));
        assert!(!names_an_interpreter(&[]));
    }
}
