//! The terminal that hopscope and its generator share, lent as a shell lends it to a job (POSIX, job control; tty(4)).
//!
//! The generator has a process group of its own. A group in the background is stopped as soon as it touches the
//! terminal's modes (SIGTTOU) or reads from it (SIGTTIN), so the generator's group is put into the foreground; Ctrl-C
//! and Ctrl-Z are then its own.

use std::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use rustix::process::{Pid, getpgrp, test_kill_process_group};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr, tcsetpgrp};

/// The controlling terminal.
#[derive(Debug)]
pub(super) struct Terminal {
    device: File,
    /// Its modes before it was lent.
    modes: RefCell<Option<Termios>>,
    /// hopscope's own process group.
    own: Pid,
    /// The group that it was lent to last.
    lent: Cell<Option<Pid>>,
}

impl Terminal {
    /// The terminal that this process belongs to, where it belongs to one.
    pub(super) fn controlling() -> Option<Self> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOCTTY)
            .open("/dev/tty")
            .ok()?;
        Some(Self {
            device,
            modes: RefCell::new(None),
            own: getpgrp(),
            lent: Cell::new(None),
        })
    }

    /// Whether hopscope is in the foreground now. A shell puts it there when it starts it, and when it resumes it with
    /// `fg`; a job in the background keeps off the terminal.
    pub(super) fn is_ours(&self) -> bool {
        tcgetpgrp(&self.device).is_ok_and(|group| group == self.own)
    }

    /// Remembers the modes that the terminal has now, to be put back.
    pub(super) fn keep_modes(&self) {
        self.modes.replace(tcgetattr(&self.device).ok());
    }

    /// Puts another group into the foreground.
    pub(super) fn lend(&self, group: Pid) {
        self.lent.set(Some(group));
        if let Err(error) = tcsetpgrp(&self.device, group) {
            tracing::debug!(%error, "the terminal could not be given to the generator");
        }
    }

    /// Puts hopscope into the foreground again, with the modes that the terminal had: what the generator may have set,
    /// such as no echo, would stay when it was killed. Does nothing while the terminal is somebody else's, as it is
    /// when the shell has put hopscope into the background meanwhile.
    pub(super) fn take_back(&self) {
        if !self.is_borrowed() {
            return;
        }
        if let Err(error) = tcsetpgrp(&self.device, self.own) {
            tracing::debug!(%error, "the terminal could not be taken back");
        }
        if let Some(modes) = self.modes.borrow().as_ref()
            && let Err(error) = tcsetattr(&self.device, OptionalActions::Drain, modes)
        {
            tracing::debug!(%error, "the terminal keeps the modes that the generator set");
        }
    }

    /// Whether the group that it was lent to has it, or one that is gone: the generator may have groups of its own.
    fn is_borrowed(&self) -> bool {
        let foreground = tcgetpgrp(&self.device).ok();
        foreground.is_some_and(|group| {
            self.lent.get().is_some()
                && group != self.own
                && (self.lent.get() == Some(group) || test_kill_process_group(group).is_err())
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.take_back();
    }
}

/// Lets this process write to the terminal, and give it away and take it back, while another group is in its
/// foreground: SIGTTOU is ignored from now on, as shells do. The generator does not inherit that: see
/// [`as_a_job`].
pub(super) fn write_from_the_background() -> io::Result<()> {
    #[expect(unsafe_code, reason = "no safe wrapper ignores a signal")]
    // SAFETY: no handler is installed, the signal is only ignored.
    let before = unsafe { libc::signal(libc::SIGTTOU, libc::SIG_IGN) };
    if before == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// What the child does between fork and exec: it takes its group into the foreground, where `lent` is the terminal's
/// descriptor, before it can touch it, and lets SIGTTOU have its usual effect again, which an ignored signal would not
/// get back at exec. Only async-signal-safe calls (signal-safety(7)).
pub(super) fn as_a_job(lent: Option<i32>) -> io::Result<()> {
    if let Some(terminal) = lent {
        #[expect(unsafe_code, reason = "in a forked child only plain system calls are allowed")]
        // SAFETY: both calls take numbers; SIGTTOU is still ignored here, so the child is not stopped by its own call.
        unsafe {
            // A failure leaves the terminal with hopscope, which then gives it away itself.
            libc::tcsetpgrp(terminal, libc::getpid());
        }
    }
    #[expect(unsafe_code, reason = "no safe wrapper restores a signal's default")]
    // SAFETY: no handler is installed.
    let before = unsafe { libc::signal(libc::SIGTTOU, libc::SIG_DFL) };
    if before == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

impl std::os::fd::AsRawFd for Terminal {
    fn as_raw_fd(&self) -> i32 {
        self.device.as_raw_fd()
    }
}
