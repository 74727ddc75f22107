//! A child process that cannot outlive us, does not get the terminal's signals, and can be ended with its own children.
//!
//! The only place of the tunnel that needs `unsafe`: the operating system's calls for this have no safe form in `std`.

use std::io;
use std::process::Stdio;

use tokio::process::{Child, Command};

/// Starts `command` with both pipes open, nothing to read, and a process group of its own: Ctrl-C in the terminal
/// must not end the forward before the connections on it have drained.
///
/// Call it on a thread that lives as long as the child shall: Linux ends the child when the *thread* ends.
///
/// # Errors
/// Where the program cannot be started.
pub(super) fn spawn(command: &mut Command) -> io::Result<Child> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    end_with_us(command);
    command.spawn()
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "prctl between fork and exec has no safe form")]
fn end_with_us(command: &mut Command) {
    let parent = std::process::id();
    let in_the_child = move || {
        // SAFETY: prctl(PR_SET_PDEATHSIG) takes a plain number and touches no memory.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // Had hopscope died in between, the signal would never come.
        if std::os::unix::process::parent_id() != parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: the closure only makes the async-signal-safe calls prctl and getppid, and allocates nothing.
    unsafe {
        command.pre_exec(in_the_child);
    }
}

#[cfg(not(target_os = "linux"))]
fn end_with_us(_command: &mut Command) {}

/// Sends a signal to the whole process group of a child that [`spawn`] made. One that is gone already is no error.
#[expect(unsafe_code, reason = "kill(2) has no safe form")]
pub(super) fn signal_group(pid: u32, signal: i32) {
    let Ok(group) = i32::try_from(pid) else { return };
    // Group 0 would be our own, and -1 everybody.
    if group <= 1 {
        return;
    }
    // SAFETY: kill takes plain numbers and touches no memory.
    let sent = unsafe { libc::kill(-group, signal) };
    if sent != 0 {
        tracing::debug!(group, signal, error = %io::Error::last_os_error(), "could not signal kubectl");
    }
}
