//! The generator's host: its local ports and descriptors, which can run out.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpSocket, TcpStream};

use super::seen::NotConnected;

/// Limits of the generator's host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The only local ports that it may connect from, each once until its `TIME_WAIT` is over; empty is no limit.
    pub ports: Vec<u16>,
    /// Connections that it may have open at a time; `None` is no limit of its own.
    pub descriptors: Option<usize>,
}

impl Limits {
    /// So many local ports that are free now.
    ///
    /// # Errors
    /// When the system has no so many.
    pub fn free_ports(count: usize) -> io::Result<Self> {
        let held = (0..count)
            .map(|_| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .collect::<io::Result<Vec<_>>>()?;
        let ports = held
            .iter()
            .map(|socket| Ok(socket.local_addr()?.port()))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            ports,
            descriptors: None,
        })
    }
}

/// Where the users' connections come from.
#[derive(Debug)]
pub(super) struct Source {
    limited: bool,
    limit: Option<usize>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    ports: VecDeque<u16>,
    open: usize,
}

/// A connection's claim on a descriptor and a port, given back when it is dropped: drop the socket before.
#[derive(Debug)]
pub(super) struct Claim {
    source: Arc<Source>,
    port: Option<u16>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.source.lock();
        state.open -= 1;
        state.ports.extend(self.port);
    }
}

impl Source {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limited: !limits.ports.is_empty(),
            limit: limits.descriptors,
            state: Mutex::new(State {
                ports: limits.ports.into(),
                open: 0,
            }),
        }
    }

    /// A connection, or the reason why there is none.
    pub(super) async fn connect(
        self: &Arc<Self>,
        to: SocketAddr,
    ) -> Result<(TcpStream, Claim), NotConnected> {
        let claim = self.claim()?;
        let connected = async {
            let socket = TcpSocket::new_v4()?;
            if let Some(port) = claim.port {
                // The oldest one that was given back: while this is still in TIME_WAIT, so are all the others.
                socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
            }
            let stream = socket.connect(to).await?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(stream)
        };
        match connected.await {
            Ok(stream) => Ok((stream, claim)),
            Err(error) => Err(why(&error)),
        }
    }

    fn claim(self: &Arc<Self>) -> Result<Claim, NotConnected> {
        let mut state = self.lock();
        if self.limit.is_some_and(|limit| state.open >= limit) {
            return Err(NotConnected::NoDescriptor);
        }
        let port = if self.limited {
            Some(state.ports.pop_front().ok_or(NotConnected::NoPort)?)
        } else {
            None
        };
        state.open += 1;
        Ok(Claim {
            source: Arc::clone(self),
            port,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn why(error: &io::Error) -> NotConnected {
    let kind = error.kind();
    if kind == io::ErrorKind::ConnectionRefused {
        NotConnected::Refused
    } else if kind == io::ErrorKind::ConnectionReset {
        NotConnected::Reset
    } else if matches!(kind, io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse) {
        NotConnected::NoPort
    } else if matches!(error.raw_os_error(), Some(23 | 24)) {
        // ENFILE and EMFILE (include/uapi/asm-generic/errno-base.h) have no kind of their own.
        NotConnected::NoDescriptor
    } else {
        NotConnected::Other(kind)
    }
}
