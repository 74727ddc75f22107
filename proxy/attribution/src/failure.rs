//! Every failure of a run, each exactly once.
//!
//! A failure is an exchange that failed, or a connection that failed beside its exchanges: one whose upstream never
//! stood, whose unread bytes were cut off, or that asked and was never answered.

mod unused;

use std::collections::BTreeSet;

use crate::between::Between;
use crate::cause::Cause;
use crate::confidence::Ruling;
use crate::evidence::{
    Author, ConnectFailure, Connection, ConnectionId, Connections, Cut, Delivery, Ending, Evidence, Exchange,
    Moment, PathId, Protocol, Side, Span, TlsFailure, Upstream,
};

use crate::rules;
use crate::verdict::Judged;

/// The rule of a failure that no rule has decided.
pub(crate) const UNDECIDED: &str = "undecided";

/// Stands for "there is no such row".
pub(crate) const NONE: u32 = u32::MAX;

/// An attempt to connect that the generator gave up sooner than this is its own business: nobody was late.
const PATIENCE: Span = Span::from_micros(1_000_000);

/// One failure, what it looked like, and who is charged with it so far.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) began: Moment,
    pub(crate) at: Moment,
    pub(crate) id: ConnectionId,
    /// Index into the evidence's connections, or [`NONE`].
    pub(crate) connection: u32,
    /// Index into the evidence's exchanges, or [`NONE`].
    pub(crate) exchange: u32,
    pub(crate) ordinal: u32,
    pub(crate) path: PathId,
    pub(crate) what: What,
    pub(crate) cause: Cause,
    pub(crate) confidence: f64,
    pub(crate) rule: &'static str,
    pub(crate) victim: bool,
    pub(crate) contradicted: bool,
    /// Between which hops it stays open; known once every rule has spoken.
    pub(crate) between: Between,
}

/// What a failure looked like from hopscope's two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A complete answer of status 400 or above.
    Answered { status: u16, author: Author },
    /// No complete answer; `begun` says whether one had begun.
    Broken { begun: bool, by: Cut },
    /// No upstream connection stood.
    NotConnected(ConnectFailure),
    /// The generator left while the upstream was still being connected.
    Abandoned { after: Span },
    /// The TLS handshake between the generator and hopscope failed, where hopscope ends the generator's TLS.
    FrontTls(TlsFailure),
}

impl Failure {
    pub(crate) fn is_open(&self) -> bool {
        self.rule == UNDECIDED
    }

    pub(crate) fn charge(&mut self, ruling: Ruling, rule: &'static str) {
        self.cause = ruling.cause;
        self.confidence = ruling.confidence;
        self.victim = ruling.victim;
        self.contradicted = ruling.contradicted;
        self.rule = rule;
    }

    /// What it is charged with so far.
    pub(crate) fn judged(&self) -> Judged {
        Judged {
            at: self.at,
            connection: self.id,
            exchange: (self.exchange != NONE).then_some(self.exchange),
            path: self.path,
            status: match self.what {
                What::Answered { status, .. } => Some(status),
                What::Broken { .. } | What::NotConnected(_) | What::Abandoned { .. } | What::FrontTls(_) => {
                    None
                }
            },
            cause: self.cause,
            between: self.between,
        }
    }

    pub(crate) fn age(&self) -> Span {
        self.at.since(self.began)
    }

    /// The path's side ended it, by FIN or RST.
    pub(crate) const fn cut_by_upstream(&self) -> bool {
        matches!(
            self.what,
            What::Broken {
                by: Cut::UpstreamFin | Cut::UpstreamReset,
                ..
            }
        )
    }

    /// Nobody answered until the generator left or hopscope stopped.
    pub(crate) const fn is_silence(&self) -> bool {
        matches!(
            self.what,
            What::Broken {
                begun: false,
                by: Cut::DownstreamFin | Cut::DownstreamReset | Cut::Stopped
            }
        )
    }
}

/// Enumerates the failures in the order of time; ties are broken by identity, so the order of rows does not matter.
pub(crate) fn enumerate(evidence: &Evidence) -> Vec<Failure> {
    let by_id = ById::of(&evidence.connections);
    let mut rows = vec![Rows::None; evidence.connections.len()];
    let failed = evidence
        .exchanges
        .iter()
        .filter(|exchange| exchange.delivery.failed())
        .count();
    let mut failures = Vec::with_capacity(failed);
    for (index, exchange) in (0..NONE).zip(&evidence.exchanges) {
        let connection = by_id.find(exchange.connection);
        if let Some(rows) = connection.and_then(|index| rows.get_mut(index as usize)) {
            *rows = rows.and(exchange.delivery.failed());
        }
        if exchange.delivery.failed() {
            let row = connection.and_then(|index| evidence.connections.get(index as usize));
            failures.push(of_exchange(
                &exchange,
                row.as_ref(),
                index,
                connection.unwrap_or(NONE),
            ));
        }
    }
    let garbled = unused::garbled(evidence);
    let aside: BTreeSet<ConnectionId> = evidence.connects_cut_by_the_end.iter().copied().collect();
    for (index, (connection, rows)) in (0..NONE).zip(evidence.connections.iter().zip(rows)) {
        let told = match (rows, connection.exchanges) {
            (Rows::Failed, _) | (Rows::Good, 0) => true,
            (Rows::None | Rows::Good, _) => false,
        };
        let told = told || aside.contains(&connection.id);
        let spoke_first = || {
            unused::spoke_first(&connection, &garbled).map(|found| on_connection(&connection, index, found))
        };
        let mut failure = of_connection(&connection, index)
            .or_else(spoke_first)
            .filter(|_| !told);
        // Where rows were lost, it may be the failure of one of them, told twice: nobody is charged with it.
        if connection.exchanges > 0 && evidence.observer.accounting.exchanges_lost > 0 {
            let open = Ruling::charge(Cause::Undetermined, 0.0);
            if let Some(failure) = &mut failure {
                failure.charge(open, "observer-first");
            }
        }
        failures.extend(failure);
    }
    failures.sort_unstable_by_key(|failure| {
        (
            failure.at,
            failure.began,
            failure.id,
            failure.ordinal,
            failure.path,
            failure.exchange,
        )
    });
    failures
}

/// What the rows of a connection's exchanges say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    None,
    Good,
    Failed,
}

impl Rows {
    const fn and(self, failed: bool) -> Self {
        match (self, failed) {
            (Self::Failed, _) | (_, true) => Self::Failed,
            (Self::None | Self::Good, false) => Self::Good,
        }
    }
}

/// What a failed exchange looked like; `None` for one that did not fail.
pub(crate) fn what_of(exchange: &Exchange, connection: Option<&Connection>) -> Option<What> {
    let not_connected = || {
        connection.and_then(|connection| match connection.upstream {
            Upstream::Failed { failure, .. } => Some(What::NotConnected(failure)),
            Upstream::Abandoned { after } => Some(What::Abandoned { after }),
            Upstream::Connected { .. } => None,
        })
    };
    let cut = match exchange.delivery {
        delivery if !delivery.failed() => return None,
        Delivery::Complete {
            status,
            author: Author::Hopscope,
        } => {
            return Some(not_connected().unwrap_or(What::Answered {
                status,
                author: Author::Hopscope,
            }));
        }
        Delivery::Complete { status, author } => return Some(What::Answered { status, author }),
        Delivery::Truncated { cut, .. } | Delivery::Nothing { cut } => cut,
    };
    let nothing = matches!(exchange.delivery, Delivery::Nothing { .. });
    let begun = !nothing && !answered_too_late(exchange, connection);
    if cut == Cut::NotConnected && nothing {
        return Some(not_connected().unwrap_or(What::Broken {
            begun: false,
            by: cut,
        }));
    }
    // What the path's side did after the generator had ended its own is an answer to that; and where it did nothing,
    // hopscope waited on, for it may have been a half-close, but the generator had given up.
    let gave_way = if nothing {
        matches!(cut, Cut::UpstreamFin | Cut::UpstreamReset | Cut::Stopped)
            && connection.is_some_and(generator_left)
    } else {
        by_then_left(exchange, connection, cut)
    };
    let by = if gave_way { Cut::DownstreamFin } else { left(cut) };
    let given_up = matches!(by, Cut::DownstreamFin | Cut::DownstreamReset | Cut::Stopped);
    let connecting = connection
        .filter(|connection| given_up && !begun && !rules::half_closed(exchange, connection))
        .and_then(left_while_connecting);
    Some(connecting.map_or(What::Broken { begun, by }, |after| What::Abandoned { after }))
}

/// How long the generator had waited, where it left before the upstream stood: nobody had its request by then.
fn left_while_connecting(connection: &Connection) -> Option<Span> {
    match connection.upstream {
        Upstream::Abandoned { after } => Some(after),
        Upstream::Connected { .. } => {
            let left = connection.downstream_end.at;
            (generator_left(connection) && left < stood(connection)).then(|| left.since(connection.opened))
        }
        Upstream::Failed { .. } => None,
    }
}

/// When the upstream stood, or the attempt was over; the attempt begins with the accept.
pub(crate) fn stood(connection: &Connection) -> Moment {
    connection.opened
        + match connection.upstream {
            Upstream::Connected { tcp, tls } => tcp + tls.unwrap_or_default(),
            Upstream::Failed { after, .. } | Upstream::Abandoned { after } => after,
        }
}

/// A generator that gives one stream up has left it, as it leaves a connection.
const fn left(cut: Cut) -> Cut {
    if let Cut::DownstreamStream(_) = cut {
        Cut::DownstreamReset
    } else {
        cut
    }
}

/// Whether the answer began only after the generator had left: for the generator there was silence.
fn answered_too_late(exchange: &Exchange, connection: Option<&Connection>) -> bool {
    match (connection, exchange.phases.first_byte) {
        (Some(connection), Some(first_byte)) => {
            generator_left(connection) && exchange.began + first_byte > connection.downstream_end.at
        }
        (Some(_) | None, _) => false,
    }
}

/// What ended an answer came only after the generator had left: who ended it first is who ended it. A generator that
/// half-closed with its request reads on.
fn by_then_left(exchange: &Exchange, connection: Option<&Connection>, cut: Cut) -> bool {
    let of_the_path = match cut {
        Cut::UpstreamFin | Cut::UpstreamReset | Cut::UpstreamErrno(_) | Cut::Stopped => true,
        Cut::DownstreamFin
        | Cut::DownstreamReset
        | Cut::NotConnected
        | Cut::Unreadable
        | Cut::UpstreamStream(_)
        | Cut::DownstreamStream(_)
        | Cut::GoAway(_) => false,
    };
    of_the_path
        && connection
            .is_some_and(|connection| generator_left(connection) && !rules::half_closed(exchange, connection))
}

pub(crate) fn generator_left(connection: &Connection) -> bool {
    matches!(
        connection.ended_first(),
        Some((Side::Downstream, Ending::Fin | Ending::Reset))
    )
}

/// When it was over for the generator: a forward ends 1 s after the generator left, and that second is not its patience.
fn ended_at(exchange: &Exchange, what: What, row: Option<&Connection>) -> Moment {
    let end = exchange.began + exchange.phases.total;
    match (what, row) {
        (
            What::Broken {
                by: Cut::DownstreamFin,
                ..
            }
            | What::Abandoned { .. },
            Some(row),
        ) if generator_left(row) && row.downstream_end.at >= exchange.began => end.min(row.downstream_end.at),
        _ => end,
    }
}

fn of_exchange(exchange: &Exchange, row: Option<&Connection>, index: u32, connection: u32) -> Failure {
    let what = what_of(exchange, row).unwrap_or(What::Broken {
        begun: false,
        by: Cut::Stopped,
    });
    Failure {
        began: exchange.began,
        at: ended_at(exchange, what, row),
        id: exchange.connection,
        connection,
        exchange: index,
        ordinal: exchange.ordinal,
        path: exchange.path,
        what,
        cause: Cause::Undetermined,
        confidence: 0.0,
        rule: UNDECIDED,
        victim: false,
        contradicted: false,
        between: Between::Any,
    }
}

fn of_connection(connection: &Connection, index: u32) -> Option<Failure> {
    connection_failure(connection).map(|found| on_connection(connection, index, found))
}

fn on_connection(connection: &Connection, index: u32, (what, at): (What, Moment)) -> Failure {
    Failure {
        began: connection.opened,
        at,
        id: connection.id,
        connection: index,
        exchange: NONE,
        ordinal: 0,
        path: connection.path,
        what,
        cause: Cause::Undetermined,
        confidence: 0.0,
        rule: UNDECIDED,
        victim: false,
        contradicted: false,
        between: Between::Any,
    }
}

/// What failed on a connection beside its exchanges, and when. An idle connection that is closed failed nobody.
pub(crate) fn connection_failure(connection: &Connection) -> Option<(What, Moment)> {
    if connection.exchanges > 0 {
        return cut_unread(connection);
    }
    if let Ending::Tls(failure) = connection.downstream_end.how {
        return Some((What::FrontTls(failure), connection.downstream_end.at));
    }
    match connection.upstream {
        Upstream::Failed { after, failure } => Some((What::NotConnected(failure), connection.opened + after)),
        Upstream::Abandoned { after } if after >= PATIENCE => {
            Some((What::Abandoned { after }, connection.opened + after))
        }
        Upstream::Abandoned { .. } => None,
        Upstream::Connected { .. } => cut_of(connection),
    }
}

/// The end of a connection that was read at first. How the rest of it should have ended is not known: a FIN proves
/// nothing, and only what no protocol does on purpose is a failure.
fn cut_unread(connection: &Connection) -> Option<(What, Moment)> {
    let (_, unread) = connection.not_read()?;
    let by = match connection.ended_first()? {
        (Side::Upstream, Ending::Reset) => Cut::UpstreamReset,
        (Side::Upstream, Ending::TimedOut) => Cut::UpstreamErrno(ETIMEDOUT),
        (Side::Upstream, Ending::Errno(errno)) => Cut::UpstreamErrno(errno),
        (
            Side::Upstream,
            Ending::Fin | Ending::Tls(_) | Ending::EndedByRelay | Ending::StillOpen | Ending::NeverStood,
        )
        | (Side::Downstream, _) => return None,
    };
    let begun = unread.down > 0;
    Some((What::Broken { begun, by }, connection.upstream_end.at))
}

fn cut_of(connection: &Connection) -> Option<(What, Moment)> {
    let asked = connection.bytes_up > 0;
    let begun = connection.bytes_down > 0;
    let unanswered = asked && !begun;
    let broken = |by| What::Broken { begun, by };
    let up = connection.upstream_end.at;
    let down = connection.downstream_end.at;
    let Some((side, how)) = connection.ended_first() else {
        let both_ended = connection.upstream_end.how != Ending::StillOpen
            && connection.downstream_end.how != Ending::StillOpen;
        // Both at once: that the path's side ended it is not claimed here, the rule on simultaneous ends sees to that.
        let by = if both_ended {
            Cut::UpstreamFin
        } else {
            Cut::Stopped
        };
        return (unanswered
            && (both_ended || matches!(connection.protocol, Protocol::Http1 | Protocol::Http2)))
        .then_some((broken(by), up.max(down)));
    };
    match (side, how) {
        (Side::Upstream, Ending::Reset) => Some((broken(Cut::UpstreamReset), up)),
        (Side::Upstream, Ending::TimedOut) => Some((broken(Cut::UpstreamErrno(ETIMEDOUT)), up)),
        (Side::Upstream, Ending::Errno(errno)) => Some((broken(Cut::UpstreamErrno(errno)), up)),
        (Side::Upstream, Ending::Fin) if unanswered || unused::turned_away(connection) => {
            Some((broken(Cut::UpstreamFin), up))
        }
        (Side::Downstream, Ending::Reset) if unanswered => Some((broken(Cut::DownstreamReset), down)),
        (Side::Downstream, Ending::Fin | Ending::TimedOut | Ending::Errno(_)) if unanswered => {
            Some((broken(Cut::DownstreamFin), down))
        }
        (
            Side::Upstream | Side::Downstream,
            Ending::Fin
            | Ending::Reset
            | Ending::TimedOut
            | Ending::Errno(_)
            | Ending::Tls(_)
            | Ending::EndedByRelay
            | Ending::StillOpen
            | Ending::NeverStood,
        ) => None,
    }
}

/// `ETIMEDOUT` on Linux (include/uapi/asm-generic/errno.h).
pub(crate) const ETIMEDOUT: i32 = 110;

/// Finds connections by their identity.
#[derive(Debug)]
pub(crate) struct ById<'e> {
    connections: &'e Connections,
    /// Indices in the order of identities, unless the connections stand in that order already.
    order: Option<Vec<u32>>,
}

impl<'e> ById<'e> {
    pub(crate) fn of(connections: &'e Connections) -> Self {
        let id = |index: &u32| connections.id(*index as usize);
        let order = (!(0..connections.len()).is_sorted_by_key(|index| connections.id(index))).then(|| {
            let mut order: Vec<u32> = (0..NONE).zip(connections).map(|(index, _)| index).collect();
            order.sort_by_key(id);
            order
        });
        Self { connections, order }
    }

    /// The index of a connection.
    pub(crate) fn find(&self, id: ConnectionId) -> Option<u32> {
        let count = u32::try_from(self.connections.len()).unwrap_or(NONE);
        let at = |place: u32| match &self.order {
            None => Some(place),
            Some(order) => order.get(place as usize).copied(),
        };
        let of = |place: u32| self.connections.id(at(place)? as usize);
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            if of(middle) < Some(id) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        at(low).filter(|_| of(low) == Some(id))
    }
}
