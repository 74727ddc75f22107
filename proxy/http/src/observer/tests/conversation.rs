//! A connection under test: bytes in both directions at given moments, exchanges out.

use std::sync::Arc;

use hopscope_attribution::evidence::{Author, ConnectionId, Cut, Delivery, Exchange, Moment, PathId};

use crate::{Direction, Insertion, Observer, ObserverConfig, RouteTable};

pub(super) const HEAD_LIMIT: usize = 4_096;

pub(super) fn config(inject_id: bool) -> Arc<ObserverConfig> {
    Arc::new(ObserverConfig {
        routes: RouteTable::new(Vec::new(), false),
        head_limit: HEAD_LIMIT,
        inject_id,
    })
}

/// One connection, whose every event is a millisecond after the one before.
pub(super) struct Conversation {
    pub(super) observer: Observer,
    pub(super) config: Arc<ObserverConfig>,
    pub(super) exchanges: Vec<Exchange>,
    /// What the upstream receives, inserted lines included.
    pub(super) outgoing: Vec<u8>,
    now: Moment,
    blocked: bool,
}

impl Conversation {
    pub(super) fn new() -> Self {
        Self::with(config(false))
    }

    pub(super) fn with(config: Arc<ObserverConfig>) -> Self {
        Self {
            observer: Observer::new(&config, ConnectionId(7), PathId(1)),
            config,
            exchanges: Vec::new(),
            outgoing: Vec::new(),
            now: Moment(1_000_000),
            blocked: false,
        }
    }

    pub(super) fn tick(&mut self) -> Moment {
        self.now = Moment(self.now.0 + 1_000);
        self.now
    }

    /// The upstream takes no more bytes.
    pub(super) fn blocked(mut self) -> Self {
        self.blocked = true;
        self
    }

    /// The upstream takes all bytes that wait.
    pub(super) fn unblocked(mut self) -> Self {
        self.blocked = false;
        let at = self.tick();
        self.observer.request_forwarded(self.outgoing.len() as u64, at);
        self
    }

    /// The generator's bytes, in one read.
    pub(super) fn up(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let at = self.tick();
        self.up_at(bytes.as_ref(), at);
        self
    }

    pub(super) fn up_at(&mut self, bytes: &[u8], at: Moment) {
        let mut insertions = Vec::new();
        let exchanges = &mut self.exchanges;
        self.observer.request_bytes(
            bytes,
            at,
            &mut |exchange| exchanges.push(exchange),
            &mut |insertion: Insertion| {
                insertions.push(insertion);
            },
        );
        let mut from = 0;
        for insertion in insertions {
            self.outgoing.extend_from_slice(&bytes[from..insertion.at]);
            insertion.write_to(&mut self.outgoing);
            from = insertion.at;
        }
        self.outgoing.extend_from_slice(&bytes[from..]);
        if !self.blocked {
            self.observer.request_forwarded(self.outgoing.len() as u64, at);
        }
    }

    /// The upstream's bytes, in one read.
    pub(super) fn down(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let at = self.tick();
        self.down_at(bytes.as_ref(), at);
        self
    }

    pub(super) fn down_at(&mut self, bytes: &[u8], at: Moment) {
        let exchanges = &mut self.exchanges;
        self.observer
            .response_bytes(bytes, at, &mut |exchange| exchanges.push(exchange));
    }

    /// Bytes that are relayed without being shown.
    pub(super) fn skip(mut self, direction: Direction, count: u64) -> Self {
        let at = self.tick();
        assert!(
            count <= self.observer.opaque_run(direction),
            "the observer wants to see those bytes"
        );
        let exchanges = &mut self.exchanges;
        self.observer
            .skip(direction, count, at, &mut |exchange| exchanges.push(exchange));
        self
    }

    pub(super) fn ended(mut self, cut: Cut) -> Self {
        let at = self.tick();
        let exchanges = &mut self.exchanges;
        self.observer
            .ended(cut, at, &mut |exchange| exchanges.push(exchange));
        self
    }

    pub(super) fn route(&self, exchange: &Exchange) -> &str {
        self.config.routes.name(exchange.route).unwrap()
    }

    /// What came of each request, in order.
    pub(super) fn deliveries(&self) -> Vec<Delivery> {
        self.exchanges.iter().map(|exchange| exchange.delivery).collect()
    }
}

pub(super) const fn complete(status: u16) -> Delivery {
    Delivery::Complete {
        status,
        author: Author::Unstated,
    }
}

pub(super) const fn truncated(status: u16, cut: Cut) -> Delivery {
    Delivery::Truncated {
        status,
        author: Author::Unstated,
        cut,
    }
}

pub(super) const fn nothing(cut: Cut) -> Delivery {
    Delivery::Nothing { cut }
}

pub(super) const GET: &str = "GET /products/17 HTTP/1.1\r\nHost: shop\r\n\r\n";
pub(super) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
