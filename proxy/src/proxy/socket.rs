//! What the kernel knows of a socket, and what it is told: options, errors, queues, `TCP_INFO`.
//!
//! The one module of the proxy that speaks to the kernel without a safe wrapper.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use hopscope_attribution::evidence::{Ending, Observation, TcpFacts, WhyUnseen};
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

use super::flow;

/// The failure that the kernel keeps for the next system call on the socket, if there is one. Asking takes it away.
pub(super) fn pending_failure(stream: &TcpStream) -> Option<Ending> {
    match SockRef::from(stream).take_error() {
        Ok(Some(error)) => Some(flow::ending(&error)),
        Ok(None) | Err(_) => None,
    }
}

/// Makes the coming close a reset: `SO_LINGER` with zero seconds (tcp(7)).
pub(super) fn reset_on_close(stream: &TcpStream) {
    if let Err(error) = SockRef::from(stream).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "a reset could not be handed on; the connection ends with a FIN");
    }
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

/// `TCP_INFO` of the socket. `struct tcp_info` only ever grows (include/uapi/linux/tcp.h): an older kernel writes
/// less of it, and what it did not write stays zero.
pub(super) fn tcp_facts(stream: &TcpStream) -> Observation<TcpFacts> {
    match tcp_info(stream.as_raw_fd()) {
        Ok(info) => Observation::Seen(TcpFacts {
            rtt_us: info.word(68),
            min_rtt_us: info.word(148),
            retransmits: info.word(100),
            lost: info.word(32),
            busy_ms: info.millis(168),
            rwnd_limited_ms: info.millis(176),
            sndbuf_limited_ms: info.millis(184),
            // Segments in flight, and bytes not sent: mostly none, which spares a system call a connection.
            unacked_bytes: if info.word(24) == 0 && info.word(144) == 0 {
                0
            } else {
                unacknowledged(stream)
            },
        }),
        Err(_) => Observation::Unseen(WhyUnseen::NotSupported),
    }
}

/// Connections that wait in a listening socket's accept queue: `tcpi_unacked` of a listener
/// (net/ipv4/tcp.c, `tcp_get_info`).
pub(super) fn accept_queue(listener: &impl AsRawFd) -> Observation<u32> {
    match tcp_info(listener.as_raw_fd()) {
        Ok(info) => Observation::Seen(info.word(24)),
        Err(_) => Observation::Unseen(WhyUnseen::NotSupported),
    }
}

/// The bytes of a `struct tcp_info` up to `tcpi_sndbuf_limited` (offset 184), as the kernel wrote them.
struct TcpInfo([u8; 192]);

impl TcpInfo {
    fn word(&self, at: usize) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.0[at..at + 4]);
        u32::from_ne_bytes(bytes)
    }

    /// A counter of microseconds, as milliseconds.
    fn millis(&self, at: usize) -> u32 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[at..at + 8]);
        u32::try_from(u64::from_ne_bytes(bytes) / 1_000).unwrap_or(u32::MAX)
    }
}

fn tcp_info(socket: RawFd) -> io::Result<TcpInfo> {
    let mut info = TcpInfo([0; 192]);
    let mut length = libc::socklen_t::try_from(mem::size_of_val(&info.0)).unwrap_or(0);
    #[expect(unsafe_code, reason = "TCP_INFO has no safe wrapper")]
    // SAFETY: the kernel writes at most `length` bytes into the array, which is that long.
    let answer = unsafe {
        libc::getsockopt(
            socket,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info.0).cast(),
            &raw mut length,
        )
    };
    if answer == 0 {
        Ok(info)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Binds to an address and leaves the port to `connect()`, which may then share it with connections to other
/// destinations (`IP_BIND_ADDRESS_NO_PORT`, ip(7), Linux 4.2).
pub(super) fn bind_address_without_port(socket: &TcpSocket, source: Ipv4Addr) -> io::Result<()> {
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
    socket.bind(SocketAddr::new(source.into(), 0))
}
