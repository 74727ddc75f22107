//! An exchange, packed.

use super::Row;
use super::small::Small;
use crate::evidence::connection::ConnectionId;
use crate::evidence::exchange::{Delivery, Exchange, Method, Phases, RouteId};
use crate::evidence::path::PathId;
use crate::evidence::time::{Moment, Span};

/// What many exchanges have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says whether a number is there"
)]
pub struct ExchangeKind {
    path: PathId,
    method: Method,
    route: RouteId,
    request_complete: bool,
    answered_early: bool,
    delivery: Delivery,
    idle: bool,
    request_sent: bool,
    first_byte: bool,
}

/// The rest of an exchange.
#[derive(Clone, Copy, Debug)]
pub struct PackedExchange {
    connection: Small<4>,
    ordinal: Small<3>,
    began: Small<5>,
    idle: Small<4>,
    request_sent: Small<3>,
    first_byte: Small<4>,
    total: Small<4>,
    bytes_up: Small<4>,
    bytes_down: Small<4>,
}

impl Row for Exchange {
    type Kind = ExchangeKind;
    type Packed = PackedExchange;

    const NOTHING: PackedExchange = PackedExchange {
        connection: Small::ZERO,
        ordinal: Small::ZERO,
        began: Small::ZERO,
        idle: Small::ZERO,
        request_sent: Small::ZERO,
        first_byte: Small::ZERO,
        total: Small::ZERO,
        bytes_up: Small::ZERO,
        bytes_down: Small::ZERO,
    };

    fn pack(&self) -> Option<(ExchangeKind, PackedExchange)> {
        let span = |span: Option<Span>| span.map_or(0, Span::as_micros);
        let kind = ExchangeKind {
            path: self.path,
            method: self.method,
            route: self.route,
            request_complete: self.request_complete,
            answered_early: self.answered_early,
            delivery: self.delivery,
            idle: self.phases.idle.is_some(),
            request_sent: self.phases.request_sent.is_some(),
            first_byte: self.phases.first_byte.is_some(),
        };
        let packed = PackedExchange {
            connection: Small::of(self.connection.0)?,
            ordinal: Small::of(self.ordinal.into())?,
            began: Small::of(self.began.0)?,
            idle: Small::of(span(self.phases.idle))?,
            request_sent: Small::of(span(self.phases.request_sent))?,
            first_byte: Small::of(span(self.phases.first_byte))?,
            total: Small::of(self.phases.total.as_micros())?,
            bytes_up: Small::of(self.bytes_up)?,
            bytes_down: Small::of(self.bytes_down)?,
        };
        Some((kind, packed))
    }

    #[expect(
        clippy::inline_always,
        reason = "what a caller does not look at is not unpacked"
    )]
    #[inline(always)]
    fn unpack(kind: &ExchangeKind, packed: &PackedExchange) -> Self {
        Self {
            connection: ConnectionId(packed.connection.get()),
            path: kind.path,
            ordinal: u32::try_from(packed.ordinal.get()).unwrap_or(u32::MAX),
            method: kind.method,
            route: kind.route,
            began: Moment(packed.began.get()),
            phases: Phases {
                idle: kind.idle.then(|| Span::from_micros(packed.idle.get())),
                request_sent: kind
                    .request_sent
                    .then(|| Span::from_micros(packed.request_sent.get())),
                first_byte: kind
                    .first_byte
                    .then(|| Span::from_micros(packed.first_byte.get())),
                total: Span::from_micros(packed.total.get()),
            },
            bytes_up: packed.bytes_up.get(),
            bytes_down: packed.bytes_down.get(),
            request_complete: kind.request_complete,
            answered_early: kind.answered_early,
            delivery: kind.delivery,
        }
    }
}
