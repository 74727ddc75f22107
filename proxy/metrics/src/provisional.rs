//! Charges that cannot wait for the end of the run: each failure by what it shows alone.
//!
//! The attribution's own first rules judge an exchange together with its connection. A failure that was cut off waits
//! for its connection's record, which follows within a moment; a complete response of 400 and above is judged at once,
//! because its connection may stay open for the rest of the run.

use std::collections::HashMap;

use hopscope_attribution::cause::Cause;
use hopscope_attribution::evidence::{
    Connection, ConnectionId, Delivery, Ending, Exchange, FourTuple, Moment, Observation, Path, PathId,
    PathKind, Protocol, SideEnd, Span, Upstream, WhyUnseen,
};
use hopscope_attribution::{first_charge, first_charge_without_exchange};

use hopscope_recording::Batch;

/// Failures that may wait for their connection; further ones are judged without it.
const WAITING: usize = 20_000;

/// Charges failures as they come.
#[derive(Debug)]
pub struct Provisional {
    kinds: Vec<PathKind>,
    waiting: HashMap<ConnectionId, Vec<Exchange>>,
    waiting_exchanges: usize,
}

impl Provisional {
    /// For a run over these paths.
    pub fn new(paths: &[Path]) -> Self {
        Self {
            kinds: paths.iter().map(|path| path.kind).collect(),
            waiting: HashMap::new(),
            waiting_exchanges: 0,
        }
    }

    /// Charges the failures of a batch, and those that waited for its connections.
    pub fn charge(&mut self, batch: &Batch, mut count: impl FnMut(PathId, Cause, u64)) {
        for exchange in &batch.failed {
            let complete = matches!(exchange.delivery, Delivery::Complete { .. });
            if complete || self.waiting_exchanges >= WAITING {
                self.charge_one(exchange, &open_connection(exchange), &mut count);
            } else {
                self.waiting
                    .entry(exchange.connection)
                    .or_default()
                    .push(*exchange);
                self.waiting_exchanges += 1;
            }
        }
        for connection in &batch.connections {
            let kind = self.kind(connection.path);
            let waited = self.waiting.remove(&connection.id).unwrap_or_default();
            self.waiting_exchanges -= waited.len();
            for exchange in &waited {
                self.charge_one(exchange, connection, &mut count);
            }
            if connection.exchanges == 0
                && let Some(cause) = first_charge_without_exchange(connection, kind)
            {
                count(connection.path, cause, 1);
            }
        }
    }

    fn charge_one(
        &self,
        exchange: &Exchange,
        connection: &Connection,
        count: &mut impl FnMut(PathId, Cause, u64),
    ) {
        if let Some(cause) = first_charge(exchange, connection, self.kind(exchange.path)) {
            count(exchange.path, cause, 1);
        }
    }

    fn kind(&self, path: PathId) -> PathKind {
        self.kinds
            .get(usize::from(path.0))
            .copied()
            .unwrap_or(PathKind::Unstated)
    }
}

/// A connection of which nothing is known but that it stands.
fn open_connection(exchange: &Exchange) -> Connection {
    let nowhere = FourTuple {
        local: ([0, 0, 0, 0], 0).into(),
        remote: ([0, 0, 0, 0], 0).into(),
    };
    let open = SideEnd {
        at: exchange.began + exchange.phases.total,
        how: Ending::StillOpen,
    };
    Connection {
        id: exchange.connection,
        path: exchange.path,
        opened: Moment(
            exchange
                .began
                .0
                .saturating_sub(exchange.phases.idle.unwrap_or(Span::ZERO).as_micros()),
        ),
        closed: Observation::Unseen(WhyUnseen::OutsideTheWindow),
        upstream: Upstream::Connected {
            tcp: Span::ZERO,
            tls: None,
        },
        downstream_tuple: nowhere,
        upstream_tuple: None,
        downstream_end: open,
        upstream_end: open,
        bytes_up: exchange.bytes_up,
        bytes_down: exchange.bytes_down,
        first_byte_up: None,
        first_byte_down: None,
        last_byte: None,
        blocked_up: Span::ZERO,
        blocked_down: Span::ZERO,
        protocol: Protocol::Http1,
        unread: None,
        exchanges: exchange.ordinal.saturating_add(1),
        downstream_tcp: Observation::Unseen(WhyUnseen::OutsideTheWindow),
        upstream_tcp: Observation::Unseen(WhyUnseen::OutsideTheWindow),
    }
}
