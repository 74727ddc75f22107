//! What the kernel knows of a socket, and what it is told: options, errors, queues, `TCP_INFO`.
//!
//! The one module of the proxy that speaks to the kernel without a safe wrapper.

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use hopscope_attribution::evidence::{Ending, Observation, TcpFacts, WhyUnseen};
use socket2::{SockFilter, SockRef, Socket};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};

use hopscope_host::sock_diag::tcp_info::TcpInfo;

/// What a failed read or write says of its side.
pub(super) fn ending(error: &io::Error) -> Ending {
    match error.raw_os_error() {
        Some(libc::ECONNRESET | libc::EPIPE | libc::ECONNABORTED) => Ending::Reset,
        Some(libc::ETIMEDOUT) => Ending::TimedOut,
        Some(errno) => Ending::Errno(errno),
        // rustls reports a missing close_notify as UnexpectedEof: the TCP side itself said FIN.
        None if error.kind() == io::ErrorKind::UnexpectedEof => Ending::Fin,
        // rustls met bytes that are no TLS record, or a fatal alert.
        None => Ending::Errno(libc::EPROTO),
    }
}

/// The failure that the kernel keeps for the next system call on the socket, if there is one. Asking takes it away.
pub(super) fn pending_failure(stream: &TcpStream) -> Option<Ending> {
    match SockRef::from(stream).take_error() {
        Ok(Some(error)) => Some(ending(&error)),
        Ok(None) | Err(_) => None,
    }
}

/// Makes the coming close a reset: `SO_LINGER` with zero seconds (tcp(7)).
pub(super) fn reset_on_close(stream: &TcpStream) {
    if let Err(error) = SockRef::from(stream).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "a reset could not be handed on; the connection ends with a FIN");
    }
}

/// Says FIN (shutdown(2)). A socket that is gone already cannot be told so.
pub(super) fn finish(stream: &TcpStream) {
    if let Err(error) = SockRef::from(stream).shutdown(Shutdown::Write) {
        tracing::trace!(%error, "a FIN came too late");
    }
}

/// Whether the other side's FIN is the next thing to be read. Bytes stay where they are.
pub(super) fn at_end(stream: &TcpStream) -> io::Result<bool> {
    let mut byte = [MaybeUninit::uninit()];
    SockRef::from(stream).peek(&mut byte).map(|read| read == 0)
}

/// Sends what was kept back for more to come: `TCP_NODELAY` does, also where it is set already (net/ipv4/tcp.c,
/// `__tcp_sock_set_nodelay`).
pub(super) fn push(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::trace!(%error, "a connection was gone before its last bytes were sent");
    }
}

/// Writes what the socket takes at the moment, whatever the event loop knows of it. `WouldBlock` when it takes nothing;
/// the event loop then knows it as well. Where more follows at once, it keeps the bytes back (`MSG_MORE`, send(2)).
pub(super) fn write_at_once(stream: &TcpStream, bytes: &[u8], more: bool) -> io::Result<usize> {
    let more = if more { libc::MSG_MORE } else { 0 };
    let written = SockRef::from(stream).send_with_flags(bytes, libc::MSG_NOSIGNAL | more);
    if matches!(&written, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
        let full: io::Result<()> =
            stream.try_io(Interest::WRITABLE, || Err(io::ErrorKind::WouldBlock.into()));
        debug_assert!(full.is_err(), "it was told to be full");
    }
    written
}

/// Clears the readiness of a socket that gave less than was asked for: it is empty, and epoll, which tells of edges,
/// will say when it is not. The next read would ask the kernel in vain.
pub(super) fn drained(stream: &TcpStream) {
    let empty: io::Result<()> = stream.try_io(Interest::READABLE, || Err(io::ErrorKind::WouldBlock.into()));
    debug_assert!(empty.is_err(), "it was told to be empty");
}

/// Bytes written and not yet acknowledged by the other side (`SIOCOUTQ`, tcp(7)); 0 where the kernel does not tell.
pub(super) fn unacknowledged(stream: &TcpStream) -> u32 {
    let mut bytes: libc::c_int = 0;
    #[expect(unsafe_code, reason = "SIOCOUTQ has no safe wrapper")]
    // SAFETY: the descriptor is open for the call, and SIOCOUTQ writes one int to the pointer.
    let answer = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if answer == 0 {
        u32::try_from(bytes).unwrap_or(0)
    } else {
        0
    }
}

/// `TCP_INFO` of the socket. What an older kernel does not write is zero.
pub(super) fn tcp_facts(stream: &TcpStream) -> Observation<TcpFacts> {
    let Some(info) = tcp_info(stream.as_raw_fd()) else {
        return Observation::Unseen(WhyUnseen::NotSupported);
    };
    let millis = |micros: Option<u64>| u32::try_from(micros.unwrap_or(0) / 1_000).unwrap_or(u32::MAX);
    Observation::Seen(TcpFacts {
        rtt_us: info.rtt_us,
        min_rtt_us: info.min_rtt_us.unwrap_or(0),
        retransmits: info.total_retrans,
        lost: info.lost,
        busy_ms: millis(info.busy_us),
        rwnd_limited_ms: millis(info.rwnd_limited_us),
        sndbuf_limited_ms: millis(info.sndbuf_limited_us),
        // Segments in flight, and bytes not sent: mostly none, which spares a system call a connection.
        unacked_bytes: if info.unacked == 0 && info.notsent_bytes == Some(0) {
            0
        } else {
            unacknowledged(stream)
        },
    })
}

/// Connections that wait in a listening socket's accept queue: `tcpi_unacked` of a listener
/// (net/ipv4/tcp.c, `tcp_get_info`).
pub(super) fn accept_queue(listener: &impl AsRawFd) -> Observation<u32> {
    tcp_info(listener.as_raw_fd()).map_or(Observation::Unseen(WhyUnseen::NotSupported), |info| {
        Observation::Seen(info.unacked)
    })
}

/// Bytes of a `struct tcp_info` up to `tcpi_sndbuf_limited`: what a record is made of.
const TCP_INFO_BYTES: usize = 192;

fn tcp_info(socket: RawFd) -> Option<TcpInfo> {
    let mut info = [0_u8; TCP_INFO_BYTES];
    let mut length = libc::socklen_t::try_from(info.len()).unwrap_or(0);
    #[expect(unsafe_code, reason = "TCP_INFO has no safe wrapper")]
    // SAFETY: the kernel writes at most `length` bytes into the array, which is that long.
    let answer = unsafe {
        libc::getsockopt(
            socket,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    let written = usize::try_from(length).ok()?;
    (answer == 0).then_some(())?;
    TcpInfo::parse(info.get(..written)?)
}

/// Lets nothing new into a listening socket's accept queue: a socket filter (socket(7), `SO_ATTACH_FILTER`) that drops
/// every packet to it. What is in the queue stays there, to be accepted.
pub(super) fn admit_no_more(listener: &TcpListener) -> io::Result<()> {
    /// `BPF_RET | BPF_K`: take so many bytes of the packet (linux/filter.h); none is to drop it.
    const RETURN: u16 = 0x06;
    SockRef::from(listener).attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)])
}

/// Binds to an address and leaves the port to `connect()`, which may then share it with connections to other
/// destinations (`IP_BIND_ADDRESS_NO_PORT`, ip(7), Linux 4.2).
pub(super) fn bind_address_without_port(socket: &Socket, source: Ipv4Addr) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(mem::size_of_val(&on)).unwrap_or(0);
    #[expect(unsafe_code, reason = "IP_BIND_ADDRESS_NO_PORT has no safe wrapper")]
    // SAFETY: the kernel reads one int from the pointer, which is that long.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            length,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    socket.bind(&SocketAddr::new(source.into(), 0).into())
}
