//! Moving long bodies through a pipe inside the kernel (splice(2)), past user space.
//!
//! Worth its system calls only for many bytes: below some 256 KiB a copy through the worker's buffer is cheaper.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes in one direction from which splicing pays.
pub(super) const WORTHWHILE: u64 = 256 * 1024;
/// What is asked of a pipe; where the user's pages for pipes are used up (`fs.pipe-user-pages-soft`, pipe(7)) the
/// kernel keeps to its default of 64 KiB, which works as well, only dearer.
const PIPE_SIZE: libc::c_int = 1024 * 1024;
/// Empty pipes that a thread keeps for the next body.
const KEPT: usize = 8;

/// Pipes that may be open at a time, and those that are.
#[derive(Debug)]
struct Allowance {
    open: AtomicU64,
    most: AtomicU64,
}

/// This process's pipes, those that are kept among them. Each counts as a connection does when another one wants to be
/// admitted (`worker::Worker::enter`).
static PIPES: Allowance = Allowance {
    open: AtomicU64::new(0),
    most: AtomicU64::new(0),
};

/// Lets so many pipes be open at a time. Bodies beyond them are copied, which is only dearer; a pipe that took the
/// descriptor of an admitted connection's upstream would break that connection.
pub(super) fn allow(pipes: u64) {
    PIPES.most.fetch_max(pipes, Ordering::Relaxed);
}

/// Pipes that are open.
pub(super) fn open() -> u64 {
    PIPES.open.load(Ordering::Relaxed)
}

/// Closes the pipes that this thread keeps: connections need the descriptors.
pub(super) fn close_kept() {
    EMPTY.with_borrow_mut(Vec::clear);
}

/// A pipe's place among those that may be open.
#[derive(Debug)]
struct Place(&'static Allowance);

impl Allowance {
    fn take(&'static self) -> io::Result<Place> {
        let place = Place(self);
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.most.load(Ordering::Relaxed) {
            drop(place);
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A pipe with bytes on their way from one socket to the other.
#[derive(Debug)]
pub(super) struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
    filled: usize,
    _place: Place,
}

thread_local! {
    static EMPTY: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

impl Pipe {
    /// An empty pipe, kept or new.
    ///
    /// # Errors
    /// When there are no descriptors for it, or none are left for pipes.
    pub(super) fn take() -> io::Result<Self> {
        if let Some(kept) = EMPTY.with_borrow_mut(Vec::pop) {
            return Ok(kept);
        }
        let place = PIPES.take()?;
        let mut ends = [0; 2];
        #[expect(unsafe_code, reason = "pipe2 has no safe wrapper")]
        // SAFETY: the kernel writes two descriptors into the array.
        if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) } != 0 {
            return Err(io::Error::last_os_error());
        }
        #[expect(unsafe_code, reason = "the descriptors of pipe2 have no owner yet")]
        // SAFETY: both are open, and nobody else has them.
        let (out, into) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
        #[expect(unsafe_code, reason = "F_SETPIPE_SZ has no safe wrapper")]
        // SAFETY: the descriptor is open, and the argument is a number.
        let size = unsafe { libc::fcntl(into.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_SIZE) };
        if size < 0 {
            tracing::debug!(error = %io::Error::last_os_error(), "a pipe keeps its default size");
        }
        Ok(Self {
            out,
            into,
            filled: 0,
            _place: place,
        })
    }

    /// Bytes in the pipe.
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    /// Takes up to `limit` bytes from a socket. The pipe must be empty: then `WouldBlock` speaks of the socket, and
    /// not of a full pipe. 0 is the end of the stream.
    pub(super) fn fill(&mut self, source: &TcpStream, limit: u64) -> io::Result<usize> {
        let limit = usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .min(usize::try_from(PIPE_SIZE).unwrap_or(0));
        let into = &self.into;
        let moved = source.try_io(Interest::READABLE, || splice(source, into, limit))?;
        self.filled += moved;
        Ok(moved)
    }

    /// Gives bytes to a socket.
    pub(super) fn empty_into(&mut self, sink: &TcpStream) -> io::Result<usize> {
        let (out, filled) = (&self.out, self.filled);
        let moved = sink.try_io(Interest::WRITABLE, || splice(out, sink, filled))?;
        self.filled -= moved.min(self.filled);
        Ok(moved)
    }

    /// Keeps an empty pipe for the next body; one with bytes in it is closed.
    pub(super) fn give_back(self) {
        if self.filled == 0 {
            EMPTY.with_borrow_mut(|kept| {
                if kept.len() < KEPT {
                    kept.push(self);
                }
            });
        }
    }
}

fn splice(from: &impl AsRawFd, to: &impl AsRawFd, limit: usize) -> io::Result<usize> {
    #[expect(unsafe_code, reason = "splice has no safe wrapper")]
    // SAFETY: both descriptors are open for the call, and null offsets mean that neither is a file with a position.
    let moved = unsafe {
        libc::splice(
            from.as_raw_fd(),
            ptr::null_mut(),
            to.as_raw_fd(),
            ptr::null_mut(),
            limit,
            libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MOVE,
        )
    };
    usize::try_from(moved).map_err(|_negative| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_places_are_taken_than_are_allowed_and_one_that_is_left_is_free_again() {
        static TWO: Allowance = Allowance {
            open: AtomicU64::new(0),
            most: AtomicU64::new(2),
        };
        let (first, second) = (TWO.take().unwrap(), TWO.take().unwrap());
        assert_eq!(TWO.take().unwrap_err().raw_os_error(), Some(libc::EMFILE));
        drop(first);
        let third = TWO.take().unwrap();
        assert!(TWO.take().is_err());
        drop((second, third));
        assert_eq!(TWO.open.load(Ordering::Relaxed), 0);
    }
}
