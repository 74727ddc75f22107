//! Where the kernel lists its tracepoints. It is mounted for one thread alone where it is not mounted at all.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;

use super::format::{Format, Formats};

/// Where tracefs is mounted, the second on older systems.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Why the tracepoints cannot be looked up.
#[derive(Debug, thiserror::Error)]
pub enum TracefsError {
    /// It is not mounted, and may not be.
    #[error("tracefs is not mounted, and cannot be mounted: {0}")]
    Mount(#[source] io::Error),
    /// It is there, and not ours to read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// Which file or folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Makes tracefs visible to the calling thread, and says where. A thread that had to mount it has done so in a mount
/// namespace of its own, which ends with it: nothing is left behind on the host.
///
/// # Errors
/// Where it is neither mounted nor may be.
pub fn enter() -> Result<&'static Path, TracefsError> {
    let mounted = PLACES
        .map(Path::new)
        .into_iter()
        .find(|place| place.join("events").exists());
    if let Some(place) = mounted {
        return Ok(place);
    }
    let failed = |error: rustix::io::Errno| TracefsError::Mount(error.into());
    // SAFETY: a mount namespace of its own changes nothing that other threads rely on; file descriptors stay shared.
    #[expect(unsafe_code, reason = "unsharing descriptors would be unsafe; this does not")]
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.map_err(failed)?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(failed)?;
    let [place, _] = PLACES;
    mount("tracefs", place, "tracefs", MountFlags::empty(), None).map_err(failed)?;
    let place = Path::new(place);
    // A kernel that withholds its tracepoints mounts an empty one.
    fs::metadata(place.join("events")).map_err(TracefsError::Mount)?;
    Ok(place)
}

/// Reads the formats of these tracepoints, given as category and name; those that this kernel does not have are left
/// out.
///
/// # Errors
/// Where they may not be read.
pub fn formats(place: &Path, tracepoints: &[(&'static str, &'static str)]) -> Result<Formats, TracefsError> {
    let mut found = Formats::default();
    for (category, name) in tracepoints {
        let path = place.join("events").join(category).join(name).join("format");
        match fs::read_to_string(&path) {
            Ok(text) => {
                found.of.insert(name, Format::parse(&text));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(TracefsError::Read { path, source }),
        }
    }
    Ok(found)
}
