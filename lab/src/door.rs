//! A listening socket that can be shut, or left open with nobody answering it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::fault::{GroundTruth, Window};

/// What can be wrong with a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoorFault {
    /// Nothing listens: connects are refused. Connections that stand go on.
    Closed,
    /// The process behind it is gone: connects are refused, and connections that stand are closed.
    Gone,
    /// It listens and nobody accepts: once the backlog is full, the kernel drops SYNs.
    Deaf,
}

/// A listening socket that is to be opened: how many may wait in its queue, and when it misbehaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorPlan {
    backlog: u32,
    faults: Vec<(DoorFault, Window)>,
}

impl Default for DoorPlan {
    /// A long queue, and nothing wrong.
    fn default() -> Self {
        Self {
            backlog: 1024,
            faults: Vec::new(),
        }
    }
}

impl DoorPlan {
    /// Length of the accept queue; the kernel rounds it up by one (a queue is full above it, `sk_acceptq_is_full`).
    #[must_use]
    pub const fn backlog(mut self, backlog: u32) -> Self {
        self.backlog = backlog;
        self
    }

    /// Adds a fault. The first whose window holds wins.
    #[must_use]
    pub fn fault(mut self, fault: DoorFault, window: Window) -> Self {
        self.faults.push((fault, window));
        self
    }
}

/// A listening socket on a free port of 127.0.0.1, with the times at which it misbehaves.
#[derive(Debug)]
pub(crate) struct Door {
    address: SocketAddr,
    plan: DoorPlan,
    state: State,
    truth: GroundTruth,
}

#[derive(Debug)]
enum State {
    /// Bound and not listening, so that the port stays ours and connects are refused.
    Shut(TcpSocket),
    Open(TcpListener),
    /// Between two sockets.
    Moving,
}

/// What came through a door.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A connection.
    Connection(TcpStream, SocketAddr),
    /// The process behind the door is gone: whoever serves connections must drop them all.
    Gone,
}

impl Door {
    /// Opens a door.
    pub(crate) fn open(plan: DoorPlan, truth: &GroundTruth) -> io::Result<Self> {
        let socket = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = socket.local_addr()?;
        let mut door = Self {
            address,
            plan,
            state: State::Shut(socket),
            truth: truth.clone(),
        };
        if matches!(door.fault().0, None | Some(DoorFault::Deaf)) {
            door.listen()?;
        }
        Ok(door)
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The fault that holds now, and how long until that may change.
    fn fault(&self) -> (Option<DoorFault>, Option<Duration>) {
        let now = self.truth.now();
        let holding = self
            .plan
            .faults
            .iter()
            .find(|(_, window)| window.holds(now))
            .map(|(fault, _)| *fault);
        let turn = self
            .plan
            .faults
            .iter()
            .filter_map(|(_, window)| window.next_turn(now))
            .min();
        (
            holding,
            turn.map(|turn| turn.saturating_sub(now) + Duration::from_millis(1)),
        )
    }

    fn listen(&mut self) -> io::Result<()> {
        self.state = match std::mem::replace(&mut self.state, State::Moving) {
            State::Shut(socket) => State::Open(socket.listen(self.plan.backlog)?),
            State::Moving => State::Open(bound(self.address)?.listen(self.plan.backlog)?),
            open @ State::Open(_) => open,
        };
        Ok(())
    }

    /// Closes the listener, and holds its port. What waited in its queue is reset by the kernel. Says whether it was open.
    fn shut(&mut self) -> io::Result<bool> {
        let was_open = matches!(self.state, State::Open(_));
        if was_open {
            self.state = State::Moving;
            self.state = State::Shut(bound(self.address)?);
        }
        Ok(was_open)
    }

    /// The next arrival.
    ///
    /// # Errors
    /// When the port was taken by another program while the door was shut.
    pub(crate) async fn accept(&mut self) -> io::Result<Arrival> {
        loop {
            let (fault, turn) = self.fault();
            match fault {
                Some(DoorFault::Gone) if self.shut()? => return Ok(Arrival::Gone),
                Some(DoorFault::Closed | DoorFault::Gone) => {
                    self.shut()?;
                    pause(turn).await;
                }
                Some(DoorFault::Deaf) => {
                    self.listen()?;
                    pause(turn).await;
                }
                None => {
                    self.listen()?;
                    if let State::Open(listener) = &self.state {
                        tokio::select! {
                            accepted = listener.accept() => match accepted {
                                Ok((stream, peer)) => {
                                    // Small answers must not wait for an ACK; no failure of this is worth a word.
                                    let nodelay = stream.set_nodelay(true);
                                    tracing::trace!(?nodelay, %peer, "accepted");
                                    return Ok(Arrival::Connection(stream, peer));
                                }
                                // Out of descriptors, or reset while it waited: neither ends a server.
                                Err(error) => {
                                    tracing::debug!(%error, "accept");
                                    tokio::time::sleep(Duration::from_millis(5)).await;
                                }
                            },
                            () = pause(turn) => {}
                        }
                    }
                }
            }
        }
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn pause(turn: Option<Duration>) {
    match turn {
        Some(turn) => tokio::time::sleep(turn).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_door_refuses_and_keeps_its_port() {
        let truth = GroundTruth::new();
        let door = Door::open(
            DoorPlan::default().fault(DoorFault::Closed, Window::ALWAYS),
            &truth,
        )
        .unwrap();
        let refused = TcpStream::connect(door.address()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn a_door_that_was_gone_opens_again_on_the_same_port() {
        let truth = GroundTruth::new();
        let plan = DoorPlan::default().fault(DoorFault::Gone, Window::millis(50, 100));
        let mut door = Door::open(plan, &truth).unwrap();
        let address = door.address();
        assert!(matches!(door.accept().await.unwrap(), Arrival::Gone));
        let connecting = tokio::spawn(async move {
            loop {
                if let Ok(stream) = TcpStream::connect(address).await {
                    return stream;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(matches!(door.accept().await.unwrap(), Arrival::Connection(..)));
        connecting.await.unwrap();
    }
}
