//! The least that a relay can do. What it costs is the floor under every proxy that is made of readiness, reads and
//! writes, and tells whether a goal is within reach of one.
//!
//! It moves bytes between two sockets, and nothing else: it has no clock and no limits, reads no HTTP, hands on neither
//! a half-close nor a reset, and keeps no record. What a socket does not take at once ends the connection. That
//! is enough for small requests on loopback, and for nothing else.

use std::io::{ErrorKind, Read, Write};

use anyhow::{Context, Result};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};

use super::process::loopback;

/// Of the listening socket; those of connections are `2 * slot`, and one more for the upstream's side.
const LISTENER: Token = Token(usize::MAX);
/// As hopscope's own (proxy/relay/src/flow.rs): a small answer fits in one read.
const BUFFER: usize = 256 << 10;

/// A connection's two sockets, downstream first.
type Pair = [TcpStream; 2];

struct Relay {
    listener: TcpListener,
    upstream: u16,
    pairs: Vec<Option<Pair>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
}

/// Relays until it is killed.
pub(super) fn run(listen: u16, upstream: u16) -> Result<()> {
    let mut poll = Poll::new().context("making an epoll")?;
    let mut listener = TcpListener::bind(loopback(listen)).context("listening")?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut relay = Relay {
        listener,
        upstream,
        pairs: Vec::new(),
        free: Vec::new(),
        buffer: vec![0; BUFFER],
    };
    let mut events = Events::with_capacity(1024);
    loop {
        poll.poll(&mut events, None).context("waiting")?;
        for event in &events {
            if event.token() == LISTENER {
                relay.accept(poll.registry())?;
            } else {
                relay.turn(event);
            }
        }
    }
}

impl Relay {
    fn accept(&mut self, registry: &Registry) -> Result<()> {
        loop {
            let downstream = match self.listener.accept() {
                Ok((downstream, _)) => downstream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("accepting"),
            };
            let upstream = TcpStream::connect(loopback(self.upstream)).context("connecting")?;
            let slot = self.free.pop().unwrap_or_else(|| {
                self.pairs.push(None);
                self.pairs.len() - 1
            });
            let mut pair = [downstream, upstream];
            for (side, stream) in pair.iter_mut().enumerate() {
                stream.set_nodelay(true).context("setting TCP_NODELAY")?;
                registry.register(stream, Token(2 * slot + side), Interest::READABLE)?;
            }
            if let Some(place) = self.pairs.get_mut(slot) {
                *place = Some(pair);
            }
        }
    }

    fn turn(&mut self, event: &Event) {
        let (slot, side) = (event.token().0 / 2, event.token().0 % 2);
        // An event of a connection that ended in this very turn finds nobody.
        let Some(place) = self.pairs.get_mut(slot) else {
            return;
        };
        let Some(pair) = place else { return };
        if !carried(pair, side, &mut self.buffer) || event.is_read_closed() {
            *place = None;
            self.free.push(slot);
        }
    }
}

/// Moves what one side has; false at an end, for whatever reason.
fn carried(pair: &mut Pair, side: usize, buffer: &mut [u8]) -> bool {
    let [downstream, upstream] = pair;
    let (from, to) = if side == 0 {
        (downstream, upstream)
    } else {
        (upstream, downstream)
    };
    match from.read(buffer) {
        Ok(0) => false,
        Ok(read) => matches!(to.write(&buffer[..read]), Ok(written) if written == read),
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}
