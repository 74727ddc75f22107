//! Listening and accepting: one socket a worker on the same address, so that no accept crosses cores.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::time::Duration;

use hopscope_attribution::evidence::FourTuple;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::connection::Accepted;
use super::connection::proxied::{self, Reception};
use super::front::Door;
use super::front::authority::Subject;
use super::{socket, worker};

/// Asked of the kernel, which cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// Bytes that wait in a generator's socket, at most, beyond those that its window has room for (tcp(7),
/// `TCP_NOTSENT_LOWAT`). What a generator does not take must not be read ahead by the megabyte: a reset behind it would
/// destroy less than it does without hopscope. Accepted sockets inherit it.
const READ_AHEAD: u32 = 128 * 1024;
/// How long accepting pauses after an error that is ours, such as no memory: the next try would meet it again.
const PAUSE: Duration = Duration::from_millis(10);
/// How often that is tried again when hopscope stops.
const MOST_REFUSALS: u32 = 10;

/// Binds `count` sockets to one address. Port 0 is chosen once, for all of them.
///
/// # Errors
/// When the address is taken, or not ours.
pub(super) fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<StdListener>> {
    // Sockets that share a port also share it with other programs that ask for that. This one does not, so it finds
    // out whether somebody else is there.
    let alone = open(address, false)?;
    let address = alone.local_addr()?;
    drop(alone);
    (0..count.max(1)).map(|_| open(address, true)).collect()
}

fn open(address: SocketAddr, shared: bool) -> io::Result<StdListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    if shared {
        // Accepted sockets inherit it (net/core/sock.c, `sk_clone_lock`), which spares a system call each.
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_notsent_lowat(READ_AHEAD)?;
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

/// How connections are taken in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admission<'r> {
    pub(super) door: Door,
    /// Where hopscope is the generator's proxy: who a connection is for is known only by its first request.
    pub(super) proxy: Option<&'r Reception>,
}

/// Accepts for ever; every connection becomes a task of this thread.
pub(super) async fn accept(listener: &TcpListener, reception: Admission<'_>) {
    let ours = everyones_address(listener);
    loop {
        match listener.accept().await {
            Ok((downstream, remote)) => take_in(downstream, ours, remote, reception),
            // The generator was gone before we came to it: nothing was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Takes in what stands in the accept queue, and lets nothing more into it. Those connections stand for the generator,
/// and it may have sent a request already: closing the listener would reset them, and nobody would know of them.
pub(super) async fn accept_the_last(listener: &TcpListener, reception: Admission<'_>) {
    if let Err(error) = socket::admit_no_more(listener) {
        tracing::debug!(%error, "connections may come while the listener closes; those are reset without a record");
    }
    // The kernel is asked, not the event loop, which may not have heard of the last ones yet. Each refusal to accept is
    // one connection less, or the want of something that the pause may bring.
    let mut refusals = 0;
    let ours = everyones_address(listener);
    loop {
        match accept_waiting(listener) {
            Ok((downstream, remote)) => take_in(downstream, ours, remote, reception),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) if refusals < MOST_REFUSALS => {
                tracing::warn!(%error, "a connection could not be accepted");
                refusals += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(_) => return,
        }
    }
}

/// Accepts one connection that waits, if one does.
fn accept_waiting(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (accepted, remote) = SockRef::from(listener).accept()?;
    accepted.set_nonblocking(true)?;
    let remote = remote.as_socket().ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((TcpStream::from_std(accepted.into())?, remote))
}

/// The local address that every accepted socket has; `None` where we listen on all addresses, and each must be asked.
fn everyones_address(listener: &TcpListener) -> Option<SocketAddr> {
    let address = listener.local_addr().ok();
    address.filter(|local| !local.ip().is_unspecified())
}

fn take_in(downstream: TcpStream, local: Option<SocketAddr>, remote: SocketAddr, reception: Admission<'_>) {
    let local = local.or_else(|| downstream.local_addr().ok()).unwrap_or(remote);
    let tuple = FourTuple { local, remote };
    if let Some(proxy) = reception.proxy {
        drop(tokio::spawn(proxied::serve(downstream, tuple, proxy.clone())));
        return;
    }
    let door = reception.door;
    let admitted = worker::with(|worker| {
        let path = worker.deal();
        let admitted = worker.enter();
        let accepted = Accepted::new(downstream, tuple, path, worker);
        let plain = admitted && door.tls.is_none();
        (accepted, admitted, plain.then(|| worker.attempt(path)).flatten())
    });
    match (admitted, door.tls) {
        (Some((accepted, _, Some(attempt))), _) => {
            drop(tokio::spawn(accepted.serve(attempt, door.on_refusal)));
        }
        (Some((accepted, true, None)), Some(limit)) => {
            drop(tokio::spawn(accepted.serve_secured(
                Subject::Address(local.ip()),
                door.on_refusal,
                limit,
            )));
        }
        (Some((accepted, _, None)), _) => accepted.turn_away(),
        (None, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accepted_socket_sends_at_once_as_its_listener_was_told() {
        let listeners = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        listeners[0].set_nonblocking(false).unwrap();
        let _client = std::net::TcpStream::connect(listeners[0].local_addr().unwrap()).unwrap();
        let (accepted, _) = listeners[0].accept().unwrap();
        assert!(accepted.nodelay().unwrap());
    }
}
