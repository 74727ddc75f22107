//! Listening and accepting: one socket a worker on the same address, so that no accept crosses cores.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::connection::Accepted;
use super::refusal::OnRefusal;
use super::worker;

/// Asked of the kernel, which cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// How long accepting pauses after an error that is ours, such as no memory: the next try would meet it again.
const PAUSE: Duration = Duration::from_millis(10);

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
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

/// Accepts for ever; every connection becomes a task of this thread.
pub(super) async fn accept(listener: &TcpListener, on_refusal: OnRefusal) {
    loop {
        let (downstream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            // The generator was gone before we came to it: nothing was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if let Err(error) = downstream.set_nodelay(true) {
            tracing::trace!(%error, "a connection was reset before it was served");
        }
        let admitted = worker::with(|worker| {
            let path = worker.deal();
            let admitted = worker.enter();
            let accepted = Accepted::new(downstream, remote, path, worker);
            (accepted, admitted.then(|| worker.attempt(path)).flatten())
        });
        match admitted {
            Some((accepted, Some(attempt))) => drop(tokio::spawn(accepted.serve(attempt, on_refusal))),
            Some((accepted, None)) => accepted.turn_away(),
            None => return,
        }
    }
}
