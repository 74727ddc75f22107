//! What the process may use, and what it uses: descriptors, size of files, CPU time.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// Descriptors kept for everything that is no relayed connection: listeners, event loops, the recording, kubectl's
/// pipes, metrics.
const RESERVED: u64 = 96;

/// Raises the soft limit on descriptors to the hard limit and says what it is then (`RLIMIT_NOFILE`, getrlimit(2)).
///
/// # Errors
/// When the limits cannot be read.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let limit = limit(libc::RLIMIT_NOFILE)?;
    let raised = libc::rlimit {
        rlim_cur: limit.rlim_max,
        ..limit
    };
    #[expect(unsafe_code, reason = "setrlimit has no safe wrapper")]
    // SAFETY: the kernel reads one rlimit from the pointer.
    let answer = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) };
    Ok(if answer == 0 {
        raised.rlim_cur
    } else {
        limit.rlim_cur
    })
}

/// How large a file of this process may grow (`RLIMIT_FSIZE`, getrlimit(2)), where that is limited at all.
pub fn file_size_limit() -> Option<u64> {
    let limit = limit(libc::RLIMIT_FSIZE).ok()?;
    (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

fn limit(resource: libc::__rlimit_resource_t) -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    #[expect(unsafe_code, reason = "getrlimit has no safe wrapper")]
    // SAFETY: the kernel writes one rlimit to the pointer.
    if unsafe { libc::getrlimit(resource, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit)
}

/// Connections that may be open at a time within so many descriptors: each needs a descriptor on either side.
pub fn connections_within(descriptors: u64) -> u64 {
    (descriptors.saturating_sub(RESERVED) / 2).max(1)
}

/// Pipes that may be open at a time within so many descriptors, while connections leave room for them. A pipe needs as
/// many descriptors as a connection.
pub fn pipes_within(descriptors: u64) -> u64 {
    connections_within(descriptors) / 4
}

/// CPU time that the process has used, user and system (getrusage(2)).
pub fn cpu_time() -> Duration {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    #[expect(unsafe_code, reason = "getrusage has no safe wrapper")]
    // SAFETY: the kernel fills the structure, and one of zeroes is valid where it does not.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let duration = |time: libc::timeval| {
        Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0))
            + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
    };
    duration(usage.ru_utime) + duration(usage.ru_stime)
}

/// Descriptors open now: the size of /proc/self/fd (Linux 6.2, fs/proc/fd.c); `None` on systems that do not tell.
pub fn open_descriptors() -> Option<u64> {
    std::fs::metadata("/proc/self/fd")
        .ok()
        .map(|folder| folder.len())
        .filter(|&count| count > 0)
}
