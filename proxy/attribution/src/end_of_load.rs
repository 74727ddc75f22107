//! Requests and connects that were under way when the load ended: neither answered nor failed.
//!
//! A generator that runs for a given time closes its sockets when that time is over, with a request under way on many of
//! them. It counts none of these, and nobody failed them. They are set aside before anything is judged, and told as a
//! count of their own. Two things make one of them a failure: its age ([`limits`]), and the generator's own count.

mod limits;
mod load;
mod patience;

use std::collections::BTreeSet;

use self::limits::Limits;
use self::load::Loads;
use self::patience::Patience;
use crate::evidence::{
    Connection, ConnectionId, Cut, Delivery, Ending, Evidence, Exchange, Moment, Span, TlsFailure,
    TrafficCell, Upstream,
};
use crate::failure::{self, ById, NONE, What};
use crate::rules::half_closed;

/// Exit codes of a generator that says nothing went wrong: 0, and k6's own of a threshold that was crossed and of a
/// Ctrl-C (`errext/exitcodes/codes.go`).
const CONTENT: [i32; 3] = [0, 99, 105];

/// What a shell counts for a process that a signal killed (128 and its number): SIGILL, SIGTRAP, SIGABRT, SIGBUS,
/// SIGFPE, SIGKILL, SIGSEGV. A crash, or the kernel out of memory: its requests failed with it.
const CRASHED: [i32; 7] = [132, 133, 134, 135, 136, 137, 139];

/// What a generator may still do once its connections are gone: its summary, its results' files.
const SUMMARY: Span = Span::from_micros(5_000_000);

/// Takes what was under way at the end of the load out of the exchanges and their counts, and keeps it in
/// [`Evidence::cut_by_the_end`] and [`Evidence::connects_cut_by_the_end`]. To be called once, before anything is judged.
///
/// That is a request without a complete answer, or a connect, that the generator itself ended, or hopscope when it was
/// told to stop, before anybody else did; where the generator did not go on ([`load`]); that was not too old
/// ([`limits`]); and that the generator's own time-out did not end ([`patience`]). Nothing is set aside where a generator that hopscope ran had crashed, or where rows are missing.
pub fn set_aside(evidence: &mut Evidence) {
    let health = &evidence.observer;
    let lost = health.accounting.connections_lost > 0 || health.accounting.exchanges_lost > 0;
    if lost || !health.closed_properly || crashed(evidence) {
        return;
    }
    let (exchanges, connects) = under_way(evidence);
    if exchanges.len() + connects.len() == 1 && complained(evidence) {
        // A script that gives up on its one request and says so: that was no end of a load.
        return;
    }
    let mut taken = exchanges.into_iter().peekable();
    let aside = evidence.exchanges.extract(|index, _| {
        let wanted = |taken: &u32| *taken as usize == index;
        taken.next_if(wanted).is_some()
    });
    for exchange in &aside {
        uncount(&mut evidence.traffic, exchange);
    }
    evidence.cut_by_the_end.extend(aside);
    evidence.connects_cut_by_the_end.extend(connects);
}

/// Puts back as many of the requests set aside as the generator counted failures beyond those that are left: these it
/// counted too, and they are judged like any other. The oldest are taken for them. To be called once its result is in the
/// evidence; gives what it put back.
pub fn heed_the_generator(evidence: &mut Evidence) -> Vec<Exchange> {
    let Some(counted) = evidence.generator.seen().map(|result| result.failed) else {
        return Vec::new();
    };
    let more = counted.saturating_sub(failures_left(evidence));
    let more = usize::try_from(more).unwrap_or(usize::MAX);
    if more == 0 || evidence.cut_by_the_end.is_empty() {
        return Vec::new();
    }
    let aside = &mut evidence.cut_by_the_end;
    aside.sort_by_key(|exchange| (exchange.phases.total, exchange.connection, exchange.ordinal));
    let back = aside.split_off(aside.len().saturating_sub(more));
    aside.sort_by_key(order);
    for exchange in &back {
        if let Some(cell) = cell_of(&mut evidence.traffic, exchange, |_| true) {
            cell.requests = cell.requests.saturating_add(1);
            cell.undelivered = cell.undelivered.saturating_add(1);
            cell.latency_sum_us = cell
                .latency_sum_us
                .saturating_add(exchange.phases.total.as_micros());
        }
        evidence.exchanges.push(*exchange);
    }
    evidence.exchanges.sort_unstable_by_key(order);
    back
}

fn order(exchange: &Exchange) -> (Moment, ConnectionId, u32) {
    (ended(exchange), exchange.connection, exchange.ordinal)
}

fn crashed(evidence: &Evidence) -> bool {
    let exit = evidence.generator_exit.seen();
    exit.is_some_and(|exit| CRASHED.contains(&exit.code))
}

fn complained(evidence: &Evidence) -> bool {
    let exit = evidence.generator_exit.seen();
    exit.is_some_and(|exit| !CONTENT.contains(&exit.code))
}

fn failures_left(evidence: &Evidence) -> u64 {
    let counted = evidence.traffic.iter().map(TrafficCell::failed);
    let alone = failure::enumerate(evidence)
        .iter()
        .filter(|failure| failure.exchange == NONE)
        .count();
    counted.fold(u64::try_from(alone).unwrap_or(u64::MAX), u64::saturating_add)
}

fn ended(exchange: &Exchange) -> Moment {
    exchange.began + exchange.phases.total
}

fn uncount(cells: &mut [TrafficCell], exchange: &Exchange) {
    let counted = |cell: &TrafficCell| cell.requests > 0 && cell.undelivered > 0;
    if let Some(cell) = cell_of(cells, exchange, counted) {
        cell.requests = cell.requests.saturating_sub(1);
        cell.undelivered = cell.undelivered.saturating_sub(1);
        cell.latency_sum_us = cell
            .latency_sum_us
            .saturating_sub(exchange.phases.total.as_micros());
    }
}

/// The cell that counts an exchange: of the second in which it ended, or the first one after it. What a generator gave
/// up is counted when its connection is over, which may be much later.
fn cell_of<'c>(
    cells: &'c mut [TrafficCell],
    exchange: &Exchange,
    fits: impl Fn(&TrafficCell) -> bool,
) -> Option<&'c mut TrafficCell> {
    let second = ended(exchange).second();
    cells
        .iter_mut()
        .filter(|cell| (cell.path, cell.route) == (exchange.path, exchange.route))
        .filter(|cell| cell.second >= second && fits(cell))
        .min_by_key(|cell| cell.second)
}

/// Something that was asked for and had not come when it was given up.
#[derive(Clone, Copy, Debug)]
struct Open {
    began: Moment,
    /// When it was given up.
    cut: Moment,
    /// Until when it was waited for: who half-closed with its request read on.
    waited: Moment,
    connection: ConnectionId,
    /// Index into the exchanges; `None` for a connection without one.
    exchange: Option<u32>,
    /// The longest that it may have been under way.
    limit: Span,
}

impl Open {
    /// How long it had been waited for.
    fn age(&self) -> Span {
        self.waited.since(self.began)
    }
}

/// What was under way at the end: exchanges by their index, in order, and connections that carried none.
fn under_way(evidence: &Evidence) -> (Vec<u32>, Vec<ConnectionId>) {
    let open = given_up(evidence);
    if open.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let loads = Loads::of(evidence, &open);
    let patience = Patience::of(open.iter().filter(|open| !loads.ended_with(open)).map(Open::age));
    let latest = evidence
        .generator_exit
        .seen()
        .and_then(|exit| exit.at.seen())
        .copied();
    let at_its_end = |open: &&Open| {
        let lived_on = latest.is_some_and(|exited| exited.since(open.cut) > SUMMARY);
        !lived_on && open.age() <= open.limit && !patience.ran_out_at(open.age()) && loads.ended_with(open)
    };
    let (mut exchanges, mut connects) = (Vec::new(), Vec::new());
    for open in open.iter().filter(at_its_end) {
        match open.exchange {
            Some(index) => exchanges.push(index),
            None => connects.push(open.connection),
        }
    }
    exchanges.sort_unstable();
    (exchanges, connects)
}

/// Everything that the generator gave up, or that hopscope ended when it was told to stop.
fn given_up(evidence: &Evidence) -> Vec<Open> {
    let limits = Limits::of(evidence);
    let by_id = ById::of(&evidence.connections);
    let find = |id| evidence.connections.get(by_id.find(id)? as usize);
    let mut open = Vec::new();
    let mut carried = BTreeSet::new();
    for (index, exchange) in (0..NONE).zip(&evidence.exchanges) {
        let Some(connection) = find(exchange.connection) else {
            continue;
        };
        if connection.exchanges == 0 {
            carried.insert(connection.id);
        }
        if !exchange.delivery.failed() {
            continue;
        }
        let cut = if gave_its_stream_up(&exchange) {
            Some(ended(&exchange))
        } else {
            failure::what_of(&exchange, Some(&connection))
                .and_then(|what| cut_at(what, &connection, ended(&exchange)))
        };
        if let Some(cut) = cut {
            let cut = cut.max(exchange.began);
            let waited = if half_closed(&exchange, &connection) {
                ended(&exchange).max(cut)
            } else {
                cut
            };
            open.push(Open {
                began: exchange.began,
                cut,
                waited,
                connection: connection.id,
                exchange: Some(index),
                limit: limits.of_answers(exchange.path),
            });
        }
    }
    for connection in &evidence.connections {
        if connection.exchanges > 0 || carried.contains(&connection.id) {
            continue;
        }
        let alone = match connection.upstream {
            _ if matches!(connection.downstream_end.how, Ending::Tls(_)) => {
                failure::connection_failure(&connection)
            }
            // Who is connecting fails nobody yet, however short it was.
            Upstream::Abandoned { after } => Some((What::Abandoned { after }, connection.opened + after)),
            Upstream::Failed { .. } | Upstream::Connected { .. } => failure::connection_failure(&connection),
        };
        if let Some((what, at)) = alone
            && let Some(cut) = cut_at(what, &connection, at)
        {
            let asked = connection.opened + connection.first_byte_up.unwrap_or_default();
            let (began, limit) = match what {
                What::Abandoned { .. } => (connection.opened, limits.of_connects(connection.path)),
                What::Answered { .. } | What::Broken { .. } | What::NotConnected(_) | What::FrontTls(_) => {
                    (asked, limits.of_answers(connection.path))
                }
            };
            let cut = cut.max(began);
            open.push(Open {
                began,
                cut,
                waited: cut,
                connection: connection.id,
                exchange: None,
                limit,
            });
        }
    }
    open
}

/// Whether the generator ended this one stream of a connection that goes on.
const fn gave_its_stream_up(exchange: &Exchange) -> bool {
    matches!(
        exchange.delivery,
        Delivery::Nothing {
            cut: Cut::DownstreamStream(_)
        } | Delivery::Truncated {
            cut: Cut::DownstreamStream(_),
            ..
        }
    )
}

/// When the generator gave it up, or hopscope was told to stop; `None` where anybody else had ended it by then.
fn cut_at(what: What, connection: &Connection, at: Moment) -> Option<Moment> {
    let left = failure::generator_left(connection).then_some(connection.downstream_end.at);
    match what {
        What::Broken {
            by: Cut::DownstreamFin | Cut::DownstreamReset,
            ..
        } => left,
        // A FIN before the upstream stood was the generator's, and the attempt went on without it.
        What::Abandoned { .. } => Some(left.map_or(at, |left| left.min(at))),
        What::Broken { by: Cut::Stopped, .. } | What::FrontTls(TlsFailure::Ended) => Some(at),
        What::Broken { .. } | What::Answered { .. } | What::NotConnected(_) | What::FrontTls(_) => None,
    }
}
