//! Rows to evidence: put in order, joined, and completed where the recording was cut off.

use std::collections::BTreeMap;

use hopscope_attribution::end_of_load;
use hopscope_attribution::evidence::node::{KernelSocket, KernelWindow};
use hopscope_attribution::evidence::{
    Accounting, AddressFailures, Connections, Evidence, Exchange, Exchanges, GeneratorExit, GeneratorResult,
    Moment, NodeEvidence, Observation, ObserverDelay, ObserverHealth, ObserverSample, Path, PathId, PathKind,
    Route, RouteId, Span, TrafficCell, TunnelEvidence, TunnelGauge, TunnelLifeEvent, TunnelLine,
    TunnelProcess, WhyUnseen,
};

use super::load::Damage;
use super::{CutOff, Gathered, Recording};
use crate::batch::{NodeWatch, TunnelRow};
use crate::figures::{RouteFigures, add_cell, cell, cell_of};
use crate::losses::Losses;
use crate::schema;
use crate::traffic::{AddedRow, TrafficRow};
use hopscope_attribution::evidence::RunFacts;
use hopscope_text::distribution::Distribution;

/// The rows of a file.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) facts_started: u64,
    pub(super) version: String,
    pub(super) command: Option<Vec<String>>,
    pub(super) notes: Vec<String>,
    pub(super) closed_properly: bool,
    pub(super) until: u64,
    pub(super) ended: Option<u64>,
    pub(super) exit_code: Option<i32>,
    pub(super) exited: Option<u64>,
    pub(super) kernel: Option<String>,
    pub(super) accepts: u64,
    pub(super) paths: Vec<Path>,
    pub(super) losses: Losses,
    pub(super) routes: BTreeMap<u16, Route>,
    pub(super) generator: Option<GeneratorResult>,
    pub(super) failed_addresses: Vec<AddressFailures>,
    pub(super) connections: Connections,
    pub(super) exchanges: Exchanges,
    pub(super) traffic: Vec<TrafficRow>,
    pub(super) added: Vec<AddedRow>,
    pub(super) tunnels: Vec<(PathId, TunnelRow)>,
    pub(super) processes: Vec<(PathId, TunnelProcess)>,
    pub(super) lines: Vec<(PathId, TunnelLine)>,
    pub(super) gauges: Vec<(PathId, TunnelGauge)>,
    pub(super) life: Vec<(PathId, TunnelLifeEvent)>,
    pub(super) observer: Vec<ObserverSample>,
    pub(super) delays: Vec<ObserverDelay>,
    pub(super) node: Vec<NodeWatch>,
    pub(super) sockets: Vec<KernelSocket>,
    pub(super) windows: Vec<KernelWindow>,
}

/// Values that the distributions of all paths and routes may have together, 8 bytes each: a thousand routes with eight
/// thousand different latencies each.
const MOST_VALUES: usize = 8_000_000;

pub(super) fn assemble(mut parts: Parts) -> Result<Recording, Damage> {
    parts.check_paths()?;
    parts.check_routes()?;
    parts.connections.sort_unstable_by_key(|connection| connection.id);
    parts
        .exchanges
        .sort_unstable_by_key(|exchange| (ended(exchange), exchange.connection, exchange.ordinal));
    let (traffic, mut figures) = parts.counts()?;
    let tunnels = parts.tunnels();
    let node = parts.node();
    let added = parts.added()?;
    let accounting = parts.accounting();
    let cut_off = (!parts.closed_properly).then(|| CutOff {
        at: Moment(parts.until),
        in_flight: accounting
            .connections_lost
            .saturating_sub(parts.losses.connections)
            .saturating_sub(parts.losses.left_out_connections),
    });
    let mut evidence = Evidence {
        routes: parts.routes(),
        duration: Span::from_micros(parts.ended.unwrap_or(parts.until)),
        failed_addresses: parts.failed_addresses,
        connections: parts.connections,
        exchanges: parts.exchanges,
        traffic,
        tunnels,
        node,
        observer: ObserverHealth {
            samples: parts.observer,
            delays: parts.delays,
            accounting,
            added: match (added.quantile(0.5), added.quantile(0.99)) {
                (Some(median), Some(p99)) => Observation::Seen((median, p99)),
                _ => Observation::Unseen(WhyUnseen::NotWatched),
            },
            closed_properly: parts.closed_properly,
        },
        generator: parts
            .generator
            .map_or_else(Observation::default, Observation::Seen),
        generator_exit: parts.exit_code.map_or_else(Observation::default, |code| {
            let at = parts
                .exited
                .map_or_else(Observation::default, |at| Observation::Seen(Moment(at)));
            Observation::Seen(GeneratorExit { at, code })
        }),
        cut_by_the_end: Vec::new(),
        connects_cut_by_the_end: Vec::new(),
        paths: parts.paths.clone(),
    };
    end_of_load::set_aside(&mut evidence);
    if let Some((from, to)) = evidence.traffic_span() {
        evidence.duration = to.since(from);
    }
    for exchange in &evidence.cut_by_the_end {
        if let Some(figures) = figures.get_mut(&(exchange.path, exchange.route)) {
            figures.forget(exchange);
        }
    }
    Ok(Recording {
        facts: RunFacts {
            started_unix_us: parts.facts_started,
            paths: parts.paths,
            command: parts.command,
            version: parts.version,
            notes: parts.notes,
        },
        exit_code: parts.exit_code,
        kernel: parts.kernel,
        evidence,
        figures: figures
            .into_iter()
            .map(|((path, route), figures)| RouteFigures { path, route, figures })
            .collect(),
        added,
        losses: parts.losses,
        cut_off,
    })
}

fn ended(exchange: &Exchange) -> Moment {
    exchange.began + exchange.phases.total
}

impl Parts {
    /// Every path that a row names must be one of the run's: later code indexes by it.
    fn check_paths(&self) -> Result<(), Damage> {
        let paths = self.paths.len();
        let check = |table, named: &mut dyn Iterator<Item = PathId>| {
            for path in named {
                if usize::from(path.0) >= paths {
                    return Err(Damage::Path {
                        table,
                        path: path.0,
                        paths,
                    });
                }
            }
            Ok(())
        };
        check(
            schema::CONNECTION,
            &mut self.connections.iter().map(|connection| connection.path),
        )?;
        check(
            schema::EXCHANGE,
            &mut self.exchanges.iter().map(|exchange| exchange.path),
        )?;
        check(
            schema::FAILED_ADDRESS,
            &mut self.failed_addresses.iter().map(|failures| failures.path),
        )?;
        check(schema::TRAFFIC, &mut self.traffic.iter().map(|row| row.path))?;
        check(schema::TUNNEL, &mut self.tunnels.iter().map(|(path, _)| *path))?;
        check(
            schema::TUNNEL_PROCESS,
            &mut self.processes.iter().map(|(path, _)| *path),
        )?;
        check(schema::TUNNEL_LINE, &mut self.lines.iter().map(|(path, _)| *path))?;
        check(
            schema::TUNNEL_GAUGE,
            &mut self.gauges.iter().map(|(path, _)| *path),
        )?;
        check(schema::TUNNEL_LIFE, &mut self.life.iter().map(|(path, _)| *path))
    }

    /// Every route that a row names must be one of those that a run can have: a report has room for each up to it.
    fn check_routes(&self) -> Result<(), Damage> {
        let unknown = |route: &RouteId| route.0 >= schema::MOST_ROUTES;
        let damage = |table, row: usize| Damage::Value {
            table,
            row: row as u64 + 1,
            column: "route".to_owned(),
            expected: "the number of a route: a run has a thousand at most",
        };
        if let Some(row) = self.traffic.iter().position(|row| unknown(&row.route)) {
            return Err(damage(schema::TRAFFIC, row));
        }
        if let Some(row) = self
            .exchanges
            .iter()
            .position(|exchange| unknown(&exchange.route))
        {
            return Err(damage(schema::EXCHANGE, row));
        }
        match self.routes.keys().position(|route| unknown(&RouteId(*route))) {
            Some(row) => Err(damage("route", row)),
            None => Ok(()),
        }
    }

    /// Cells and figures. Where the recording was cut off, the seconds after the last complete one are made of the
    /// rows that are there: no more than what was certainly seen.
    fn counts(&self) -> Result<(Vec<TrafficCell>, Gathered), Damage> {
        let mut cells = Cells::new();
        let mut figures = Gathered::new();
        let mut count = |more: TrafficCell| {
            let key = (more.second, more.path, more.route);
            add_cell(cells.entry(key).or_insert_with(|| empty(&more)), &more);
        };
        let mut values = 0_usize;
        for (row_number, row) in (1..).zip(&self.traffic) {
            count(cell(row));
            let sum = figures.entry((row.path, row.route)).or_default();
            values -= sum.values();
            sum.add(row).map_err(|unfit| Damage::Value {
                table: schema::TRAFFIC,
                row: row_number,
                column: unfit.column.to_owned(),
                expected: unfit.expected,
            })?;
            values += sum.values();
            if values > MOST_VALUES {
                return Err(Damage::TooMany {
                    table: schema::TRAFFIC,
                    most: row_number,
                });
            }
        }
        if !self.closed_properly {
            let complete = self.traffic.iter().map(|row| row.second).max();
            let after = |exchange: &Exchange| complete.is_none_or(|last| ended(exchange).second() > last);
            for exchange in self.exchanges.iter().filter(after) {
                count(cell_of(&exchange));
                figures
                    .entry((exchange.path, exchange.route))
                    .or_default()
                    .add_exchange(&exchange);
            }
        }
        if self.losses.counted > 0 {
            make_good(&mut cells, &self.exchanges);
        }
        Ok((cells.into_values().collect(), figures))
    }

    /// Names by number; one that is missing is said to be.
    fn routes(&self) -> Vec<Route> {
        let named = self.routes.keys().next_back().copied();
        let used = self.exchanges.iter().map(|exchange| exchange.route.0);
        let counted = self.traffic.iter().map(|row| row.route.0);
        let last = used.chain(counted).chain(named).max();
        let all = last.map_or(0..0, |last| 0..u32::from(last) + 1);
        all.map(|route| {
            let name = u16::try_from(route)
                .ok()
                .and_then(|route| self.routes.get(&route));
            name.cloned().unwrap_or_else(|| Route(":unnamed".to_owned()))
        })
        .collect()
    }

    fn tunnels(&mut self) -> Vec<(PathId, Observation<TunnelEvidence>)> {
        let paths = (0..=u8::MAX).map(PathId).zip(&self.paths);
        let tunnels: Vec<PathId> = paths
            .filter(|(_, path)| path.kind == PathKind::Tunnel)
            .map(|(id, _)| id)
            .collect();
        tunnels
            .into_iter()
            .map(|path| (path, self.tunnel(path)))
            .collect()
    }

    fn tunnel(&mut self, path: PathId) -> Observation<TunnelEvidence> {
        let row = self
            .tunnels
            .iter()
            .rev()
            .find(|(of, _)| *of == path)
            .map(|(_, row)| row.clone());
        let processes = of(&mut self.processes, path);
        let lines = of(&mut self.lines, path);
        let gauges = of(&mut self.gauges, path);
        let life = of(&mut self.life, path);
        let nothing = processes.is_empty() && lines.is_empty() && gauges.is_empty() && life.is_empty();
        let watch = match row {
            Some(TunnelRow {
                watched: Observation::Unseen(why),
                ..
            }) if nothing => return Observation::Unseen(why),
            None if nothing => return Observation::default(),
            Some(row) => row.watch,
            None => crate::batch::TunnelWatch::default(),
        };
        Observation::Seen(TunnelEvidence {
            kubectl_version: watch.kubectl_version,
            lines: seen(watch.lines, lines),
            gauges: seen(watch.gauges, gauges),
            life,
            processes,
        })
    }

    fn node(&mut self) -> Observation<NodeEvidence> {
        let sockets = std::mem::take(&mut self.sockets);
        let windows = std::mem::take(&mut self.windows);
        match self.node.last().map(|watch| watch.clock_error) {
            Some(Observation::Seen(clock_error)) => Observation::Seen(NodeEvidence {
                sockets,
                windows,
                clock_error,
                ..NodeEvidence::default()
            }),
            Some(Observation::Unseen(why)) => Observation::Unseen(why),
            None if sockets.is_empty() && windows.is_empty() => Observation::default(),
            // Without the clock's error nothing of it can be placed in time.
            None => Observation::Unseen(WhyUnseen::EvidenceLost),
        }
    }

    fn added(&self) -> Result<Distribution, Damage> {
        let mut sum = Distribution::default();
        for (row, added) in (1..).zip(&self.added) {
            let second = Distribution::deserialised(&added.latencies.0).or(Err(Damage::Value {
                table: schema::ADDED,
                row,
                column: "latencies".to_owned(),
                expected: "a histogram",
            }))?;
            sum.merge(&second);
        }
        Ok(sum)
    }

    fn accounting(&self) -> Accounting {
        let connection_rows = self.connections.len() as u64;
        let counted = self
            .losses
            .connections
            .saturating_add(self.losses.left_out_connections);
        let missing = self
            .accepts
            .saturating_sub(connection_rows)
            .saturating_sub(counted);
        Accounting {
            accepts: self.accepts,
            connection_rows,
            // A recording that was closed properly must balance by itself. One that was cut off has lost what was
            // under way.
            connections_lost: counted.saturating_add(if self.closed_properly { 0 } else { missing }),
            exchanges_lost: self
                .losses
                .failed_exchanges
                .saturating_add(self.losses.left_out_exchanges),
            kernel_events_lost: self.losses.kernel,
            connections_left_out: self.losses.left_out_connections,
            exchanges_left_out: self.losses.left_out_exchanges,
        }
    }
}

/// Where counts were lost and rows were not, no cell counts fewer failures than it has rows of them: each row was a request
/// that failed.
fn make_good(cells: &mut Cells, exchanges: &Exchanges) {
    let mut rows = Cells::new();
    for exchange in exchanges.iter().filter(|exchange| exchange.delivery.failed()) {
        let one = cell_of(&exchange);
        add_cell(
            rows.entry((one.second, one.path, one.route))
                .or_insert_with(|| empty(&one)),
            &one,
        );
    }
    for (key, rows) in rows {
        let cell = cells.entry(key).or_insert_with(|| empty(&rows));
        let delivered = rows.delivered_errors.saturating_sub(cell.delivered_errors);
        let undelivered = rows.undelivered.saturating_sub(cell.undelivered);
        cell.delivered_errors = cell.delivered_errors.saturating_add(delivered);
        cell.undelivered = cell.undelivered.saturating_add(undelivered);
        cell.requests = cell
            .requests
            .saturating_add(delivered)
            .saturating_add(undelivered);
        cell.latency_max_us = cell.latency_max_us.max(rows.latency_max_us);
        if delivered.saturating_add(undelivered) > 0 {
            cell.latency_sum_us = cell.latency_sum_us.max(rows.latency_sum_us);
        }
    }
}

/// Counts by second, path and route.
type Cells = BTreeMap<(u32, PathId, RouteId), TrafficCell>;

/// A cell of the same second, path and route in which nothing was counted.
fn empty(of: &TrafficCell) -> TrafficCell {
    TrafficCell {
        second: of.second,
        path: of.path,
        route: of.route,
        ..TrafficCell::default()
    }
}

/// Takes out what belongs to one path.
fn of<T>(rows: &mut Vec<(PathId, T)>, path: PathId) -> Vec<T> {
    rows.extract_if(.., |(of, _)| *of == path)
        .map(|(_, row)| row)
        .collect()
}

/// Rows were seen, whatever was said of the watch.
fn seen<T>(watched: Observation<()>, rows: Vec<T>) -> Observation<Vec<T>> {
    if rows.is_empty() {
        watched.map(|()| rows)
    } else {
        Observation::Seen(rows)
    }
}
