//! When bytes reached this host: the kernel's own stamp on what is read (`SO_TIMESTAMPNS`, socket(7)).
//!
//! It is how hopscope knows what it adds itself, in every run: the time from a packet's arrival at one socket until
//! its bytes have been handed to the other, the wait for our event loop included. A sample of connections is stamped.

use std::io;
use std::mem;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use hopscope_attribution::evidence::{ConnectionId, Span};
use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;

use super::socket;

/// One connection in so many is stamped: reading a stamp costs a longer system call.
const ONE_IN: u64 = 16;

/// The wall-clock time at which the kernel took the last bytes of a read from the network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival(SystemTime);

impl Arrival {
    /// Time since then; zero when the wall clock was set back meanwhile.
    pub(super) fn age(self) -> Span {
        SystemTime::now()
            .duration_since(self.0)
            .unwrap_or(Duration::ZERO)
            .into()
    }
}

/// Keeps the kernel stamping packets for as long as it lives. Switching that on and off patches kernel code
/// (net/core/dev.c, `net_enable_timestamp`), which a sampled connection must not cause.
#[derive(Debug)]
pub(super) struct Stamping {
    _socket: Option<UdpSocket>,
}

impl Stamping {
    /// From now on.
    pub(super) fn on() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0")
            .ok()
            .filter(|socket| ask_for_stamps(socket).is_ok());
        Self { _socket: socket }
    }
}

/// Whether this connection is one of those that are stamped.
pub(super) fn sampled(id: ConnectionId) -> bool {
    id.0.is_multiple_of(ONE_IN)
}

/// Asks the kernel for stamps on what this socket receives.
pub(super) fn ask_for_stamps(socket: &impl AsRawFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(mem::size_of_val(&on)).unwrap_or(0);
    #[expect(unsafe_code, reason = "SO_TIMESTAMPNS has no safe wrapper")]
    // SAFETY: the kernel reads one int from the pointer, which is that long.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            length,
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Reads like `AsyncRead::poll_read`, and says when the bytes arrived where the kernel does.
pub(super) fn poll_read(
    cx: &mut Context<'_>,
    stream: &TcpStream,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<Option<Arrival>>> {
    loop {
        ready!(stream.poll_read_ready(cx))?;
        let space = buffer.initialize_unfilled();
        let room = space.len();
        match stream.try_io(Interest::READABLE, || receive(stream, space)) {
            Ok((read, arrival)) => {
                buffer.advance(read);
                if 0 < read && read < room {
                    socket::drained(stream);
                }
                return Poll::Ready(Ok(arrival));
            }
            // Readiness is cleared: asked once more, it registers the waker.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

/// Room for one control message with a timespec, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 64]);

fn receive(stream: &TcpStream, space: &mut [u8]) -> io::Result<(usize, Option<Arrival>)> {
    let mut control = Control([0; 64]);
    let mut vector = libc::iovec {
        iov_base: space.as_mut_ptr().cast(),
        iov_len: space.len(),
    };
    #[expect(
        unsafe_code,
        reason = "msghdr has private padding on some systems, so it can only be made of zeroes"
    )]
    // SAFETY: a msghdr of zeroes is valid: no name, no vectors, no control.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    #[expect(unsafe_code, reason = "recvmsg with control messages has no safe wrapper")]
    // SAFETY: the message points at one vector and one control buffer, both alive and as long as they say.
    let read = unsafe { libc::recvmsg(stream.as_raw_fd(), &raw mut message, 0) };
    let read = usize::try_from(read).map_err(|_negative| io::Error::last_os_error())?;
    #[expect(unsafe_code, reason = "control messages are walked by pointer")]
    // SAFETY: the kernel has set the control length to what it wrote; CMSG_FIRSTHDR gives null or a header within it.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message).as_ref() };
    let stamp = header
        .filter(|header| header.cmsg_level == libc::SOL_SOCKET && header.cmsg_type == libc::SCM_TIMESTAMPNS)
        .map(|header| {
            #[expect(unsafe_code, reason = "the payload of a control message is read by pointer")]
            // SAFETY: a message of this type carries one timespec (socket(7)), and the buffer is larger than that.
            unsafe {
                libc::CMSG_DATA(header).cast::<libc::timespec>().read_unaligned()
            }
        });
    let arrival = stamp.and_then(|stamp| {
        let since_epoch = Duration::new(
            u64::try_from(stamp.tv_sec).ok()?,
            u32::try_from(stamp.tv_nsec).ok()?,
        );
        Some(Arrival(SystemTime::UNIX_EPOCH + since_epoch))
    });
    Ok((read, arrival))
}
