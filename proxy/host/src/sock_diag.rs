//! The kernel's own account of this host's TCP sockets, over netlink (`sock_diag(7)`). No privilege is needed.
//!
//! A [`SockDiag`] shows the network namespace in which it was opened, for ever: to look into another namespace, enter
//! it on a thread, open one there, and keep it. [`message`] is the wire format, pure; [`tcp_info`] one of its parts.

pub mod message;
pub mod tcp_info;

use std::io;
use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Duration;

use message::{Answer, Query, SocketEntry};
use socket2::Socket;

/// The kernel answers a dump in pieces of at most this many bytes (`NLMSG_GOODSIZE` grown to what the reader offers).
const RECEIVE_BUFFER: usize = 32 * 1024;

/// An answer from the kernel comes at once; this bounds the wait for one that was lost.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// Why the kernel's sockets could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SockDiagError {
    /// Only Linux has it.
    #[error("this operating system has no sock_diag")]
    NotSupported,
    /// The netlink socket could not be made or used.
    #[error("cannot {operation} a sock_diag socket")]
    Socket {
        /// What was attempted.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel refused the question.
    #[error("the kernel refused to list its sockets")]
    Refused(#[source] io::Error),
}

/// An open question line to the kernel of one network namespace.
#[derive(Debug)]
pub struct SockDiag {
    socket: Socket,
    buffer: Vec<u8>,
    sequence: u32,
}

impl SockDiag {
    /// Opens one in the network namespace of the calling thread.
    ///
    /// # Errors
    /// Where the system has none, or grants no socket.
    #[cfg(target_os = "linux")]
    pub fn open() -> Result<Self, SockDiagError> {
        let failed = |operation| move |source| SockDiagError::Socket { operation, source };
        let socket = Socket::new(
            socket2::Domain::from(libc::AF_NETLINK),
            socket2::Type::from(libc::SOCK_DGRAM),
            Some(socket2::Protocol::from(libc::NETLINK_SOCK_DIAG)),
        )
        .map_err(failed("open"))?;
        socket
            .set_read_timeout(Some(ANSWER_LIMIT))
            .map_err(failed("bound"))?;
        Ok(Self {
            socket,
            buffer: vec![0; RECEIVE_BUFFER],
            sequence: 0,
        })
    }

    /// There is nothing to open.
    ///
    /// # Errors
    /// Always: only Linux has it.
    #[cfg(not(target_os = "linux"))]
    pub fn open() -> Result<Self, SockDiagError> {
        Err(SockDiagError::NotSupported)
    }

    /// Shows `each` every socket that answers the query, in no order.
    ///
    /// A dump walks the kernel's whole socket table, which costs up to a millisecond; asking for listeners only is
    /// much cheaper, and [`Self::find`] costs next to nothing.
    ///
    /// # Errors
    /// Where the kernel refuses or does not answer; `each` may have seen a part by then.
    pub fn dump(&mut self, query: Query, mut each: impl FnMut(SocketEntry)) -> Result<(), SockDiagError> {
        self.ask(|sequence| query.dump(sequence))?;
        let mut done = false;
        while !done {
            self.receive(|answer| match answer {
                Answer::Socket(entry) => each(entry),
                Answer::Done => done = true,
                Answer::Error(_) => {}
            })?;
        }
        Ok(())
    }

    /// The one socket with these two ends, with its [`tcp_info::TcpInfo`]; `None` where there is none.
    ///
    /// # Errors
    /// Where the kernel refuses or does not answer.
    pub fn find(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<Option<SocketEntry>, SockDiagError> {
        self.ask(|sequence| message::find(local, remote, sequence))?;
        let mut found = None;
        let mut answered = false;
        while !answered {
            let asked = self.receive(|answer| {
                answered = true;
                // The kernel answers with the listener where the connection itself is gone.
                if let Answer::Socket(entry) = answer
                    && entry.remote == remote
                {
                    found = Some(entry);
                }
            });
            match asked {
                Err(SockDiagError::Refused(error)) if error.raw_os_error() == Some(libc::ENOENT) => {
                    return Ok(None);
                }
                other => other?,
            }
        }
        Ok(found)
    }

    fn ask(&mut self, question: impl FnOnce(u32) -> Vec<u8>) -> Result<(), SockDiagError> {
        self.sequence = self.sequence.wrapping_add(1);
        let question = question(self.sequence);
        let sent = self.socket.send(&question);
        sent.map(drop).map_err(|source| SockDiagError::Socket {
            operation: "send on",
            source,
        })
    }

    /// Takes one datagram and shows the answers to the present question in it; a refusal becomes an error.
    fn receive(&mut self, mut each: impl FnMut(Answer)) -> Result<(), SockDiagError> {
        let length = match self.socket.read(&mut self.buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(source) => {
                return Err(SockDiagError::Socket {
                    operation: "receive from",
                    source,
                });
            }
        };
        let datagram = self.buffer.get(..length).unwrap_or_default();
        for answer in message::answers(datagram, self.sequence) {
            match answer {
                Answer::Error(0) => each(Answer::Done),
                Answer::Error(errno) => {
                    return Err(SockDiagError::Refused(io::Error::from_raw_os_error(errno)));
                }
                Answer::Socket(_) | Answer::Done => each(answer),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
