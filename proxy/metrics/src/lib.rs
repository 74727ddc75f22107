//! Prometheus metrics of the proxy; [`crate::serve`] shows them.
//!
//! [`Metrics`] is a [`Watcher`] of the recording: it is fed by the writer's thread, a few
//! times a second, from the same batches that become rows, so the figures agree with the report and cost the workers
//! nothing. Label values are paths' names, route templates and words of enumerations; the number of series is bounded.
//!
//! Every family is documented in docs/metrics.md.
//!
//! **Invariant:** read-only and bounded, however many routes, paths and scrapers there are.

mod families;
mod phases;
mod provisional;
pub mod serve;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use hopscope_attribution::evidence::tunnel::{TunnelLife, TunnelMeaning};
use hopscope_attribution::evidence::{
    ConnectFailure, Connection, Ending, Path, PathId, RouteId, Span, TunnelLifeEvent, Upstream, grpc,
};
use prometheus::{Registry, TextEncoder};

pub use provisional::Provisional;

use families::Families;
use hopscope_recording::{Batch, Cell, LossKind, Losses, Watcher};

/// Routes that get series of their own; the exchanges of further ones are counted under [`OVERFLOW`].
const ROUTE_SERIES: usize = 200;
/// The label value under which everything is counted that would exceed the bound.
pub const OVERFLOW: &str = ":overflow";
/// The class of an exchange without a complete response.
const UNDELIVERED: &str = "undelivered";
/// The class of a connection that was not read to its end: how many requests it carried is not known.
const NOT_READ: &str = "not-read";
/// The route of what was not read.
const UNREAD: &str = ":unread";

/// The proxy's metrics, and what keeps them up to date.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    families: Families,
    paths: Vec<Path>,
    routes: HashMap<RouteId, String>,
    /// Requests whose route has no name yet: names follow within a second or so.
    unnamed: HashMap<RouteId, BTreeMap<(PathId, &'static str), u64>>,
    /// Which path and route have series of their own.
    own_series: HashSet<(PathId, RouteId)>,
    provisional: Provisional,
    /// The last turn in the life of each forwarder, by path and member.
    lives: HashMap<(PathId, u16), TunnelLife>,
    losses: Losses,
}

/// What shows the metrics: cheap to clone, safe to ask from any thread.
#[derive(Clone, Debug)]
pub struct Exposition {
    registry: Registry,
}

impl Metrics {
    /// The families, with a series for every path at zero.
    ///
    /// # Errors
    /// When two families have one name: a mistake in the program.
    pub fn new(paths: &[Path], version: &str) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let families = Families::register(&registry)?;
        families.build_info.with_label_values(&[version]).set(1);
        for path in paths {
            families
                .active_connections
                .with_label_values(&[&path.name])
                .set(0);
        }
        for kind in LossKind::ALL {
            families.events_lost.with_label_values(&[kind.word()]).inc_by(0);
        }
        Ok(Self {
            registry,
            families,
            paths: paths.to_vec(),
            routes: HashMap::new(),
            unnamed: HashMap::new(),
            own_series: HashSet::new(),
            provisional: Provisional::new(paths),
            lives: HashMap::new(),
            losses: Losses::default(),
        })
    }

    /// What shows them, for [`crate::serve`].
    pub fn exposition(&self) -> Exposition {
        Exposition {
            registry: self.registry.clone(),
        }
    }

    fn cell(&mut self, cell: &Cell) {
        let classes = cell
            .statuses
            .iter()
            .map(|&(status, count)| (class(status), count));
        let undelivered = (cell.undelivered > 0).then_some((UNDELIVERED, cell.undelivered));
        let classes: Vec<_> = classes.chain(undelivered).collect();
        if self.routes.contains_key(&cell.route) {
            self.requests(cell.path, cell.route, &classes);
        } else {
            let unnamed = self.unnamed.entry(cell.route).or_default();
            for (class, count) in classes {
                *unnamed.entry((cell.path, class)).or_default() += count;
            }
        }
    }

    /// Counts requests of a route that has its name.
    fn requests(&mut self, path: PathId, route: RouteId, classes: &[(&'static str, u64)]) {
        let (Some(path_name), Some(name)) = (self.paths.get(usize::from(path.0)), self.routes.get(&route))
        else {
            return;
        };
        let known = self.own_series.contains(&(path, route));
        let own = known || self.own_series.len() < ROUTE_SERIES;
        let name = if own {
            self.own_series.insert((path, route));
            name.as_str()
        } else {
            let requests = classes.iter().map(|(_, count)| count).sum();
            self.families.series_overflow.inc_by(requests);
            OVERFLOW
        };
        for &(class, count) in classes {
            self.families
                .requests
                .with_label_values(&[path_name.name.as_str(), name, class])
                .inc_by(count);
        }
    }

    fn connection(&self, connection: &Connection) {
        let Some(path) = self.paths.get(usize::from(connection.path.0)) else {
            return;
        };
        self.families
            .connections
            .with_label_values(&[&path.name, outcome(connection)])
            .inc();
        self.families
            .active_connections
            .with_label_values(&[&path.name])
            .dec();
        if let Upstream::Connected { tcp, tls } = connection.upstream {
            let connect = tcp + tls.unwrap_or(Span::ZERO);
            self.families
                .connect_duration
                .with_label_values(&[&path.name])
                .observe(connect.as_secs_f64());
        }
    }
}

impl Watcher for Metrics {
    fn batch(&mut self, batch: &Batch) {
        for (path, &accepted) in self.paths.iter().zip(&batch.accepted) {
            let accepted = i64::try_from(accepted).unwrap_or(i64::MAX);
            self.families
                .active_connections
                .with_label_values(&[&path.name])
                .add(accepted);
        }
        for (path, &not_read) in self.paths.iter().zip(&batch.not_read) {
            if not_read > 0 {
                self.families
                    .requests
                    .with_label_values(&[&path.name, UNREAD, NOT_READ])
                    .inc_by(not_read);
            }
        }
        for connection in &batch.connections {
            self.connection(connection);
        }
        for second in &batch.seconds {
            second.cells().for_each(|cell| self.cell(cell));
            for (path, phases) in self.paths.iter().zip(&second.phases) {
                self.families.request_duration.add(&path.name, phases);
            }
        }
        let (paths, failures) = (&self.paths, &self.families.failures);
        self.provisional.charge(batch, |path, cause, count| {
            if let Some(path) = paths.get(usize::from(path.0)) {
                failures
                    .with_label_values(&[&path.name, cause.hop().word(), cause.word()])
                    .inc_by(count);
            }
        });
    }

    fn route(&mut self, route: RouteId, name: &str) {
        self.routes.insert(route, name.to_owned());
        for ((path, class), count) in self.unnamed.remove(&route).unwrap_or_default() {
            self.requests(path, route, &[(class, count)]);
        }
    }

    fn tunnel_life(&mut self, path: PathId, event: &TunnelLifeEvent) {
        let life = (path, event.member);
        let before = self.lives.get(&life).copied();
        let stands = before.is_some_and(is_up);
        // One that was replaced before ends now; and one that is damaged serves until its successor does.
        let goes_on = event.kind == TunnelLife::Drained || (event.kind == TunnelLife::Started && stands);
        if !goes_on {
            self.lives.insert(life, event.kind);
        }
        let Some(named) = self.paths.get(usize::from(path.0)) else {
            return;
        };
        let reason = event
            .reason
            .map(TunnelMeaning::word)
            .or_else(|| how(event.kind, before));
        if event.kind == TunnelLife::Started {
            self.families
                .tunnel_starts
                .with_label_values(&[&named.name])
                .inc();
            if let Some(reason) = reason.filter(|_| before.is_some()) {
                let labels = [named.name.as_str(), reason];
                self.families.tunnel_restarts.with_label_values(&labels).inc();
            }
        }
        let lost = match event.kind {
            TunnelLife::Exited(_) => stands,
            TunnelLife::Replaced => true,
            TunnelLife::Started
            | TunnelLife::Found
            | TunnelLife::Ready
            | TunnelLife::LeftDown
            | TunnelLife::Stopped
            | TunnelLife::Drained => false,
        };
        if let Some(reason) = reason.filter(|_| lost) {
            let labels = [named.name.as_str(), reason];
            self.families.tunnel_losses.with_label_values(&labels).inc();
        }
        let up = self
            .lives
            .iter()
            .any(|((of, _), life)| *of == path && is_up(*life));
        self.families
            .tunnel_up
            .with_label_values(&[&named.name])
            .set(i64::from(up));
    }

    fn health(&mut self, losses: &Losses, _bytes: u64, _write_error: Option<&str>) {
        for &kind in LossKind::ALL {
            let more = losses.of(kind).saturating_sub(self.losses.of(kind));
            self.families
                .events_lost
                .with_label_values(&[kind.word()])
                .inc_by(more);
        }
        self.losses = *losses;
    }
}

impl Exposition {
    /// All series in Prometheus's text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        match TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            Ok(()) => text,
            // A family that cannot be written is a mistake in the program; the comment is valid text format.
            Err(error) => format!("# {}\n", error.to_string().replace('\n', " ")),
        }
    }

    /// `/metrics` and `/healthz`.
    pub fn router(self) -> serve::Router {
        Arc::new(move |question| match question.path {
            "/metrics" => serve::Answer::metrics(self.text()),
            "/healthz" => serve::Answer::text(200, "ok\n"),
            _ => serve::Answer::text(404, "there are /metrics and /healthz here\n"),
        })
    }
}

/// The class of a status, as a label value.
fn class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ if grpc::code(status).is_some() => "grpc-error",
        _ => "other",
    }
}

/// What became of a connection, as a label value.
fn outcome(connection: &Connection) -> &'static str {
    match connection.upstream {
        Upstream::Failed { failure, .. } => match failure {
            ConnectFailure::Refused => "refused",
            ConnectFailure::TimedOut => "connect-timed-out",
            ConnectFailure::Unreachable => "unreachable",
            ConnectFailure::Reset => "connect-reset",
            ConnectFailure::Dns => "dns",
            ConnectFailure::Tls(_) => "tls",
            ConnectFailure::OwnAddress => "own-address",
            ConnectFailure::NoLocalPort => "no-local-port",
            ConnectFailure::NoDescriptor => "no-descriptor",
            ConnectFailure::Errno(_) => "connect-error",
        },
        Upstream::Abandoned { .. } => "abandoned",
        Upstream::Connected { .. } => match (connection.downstream_end.how, connection.upstream_end.how) {
            (Ending::Tls(_), _) | (_, Ending::Tls(_)) => "tls",
            (Ending::Reset, Ending::Reset) => "reset-by-both",
            (_, Ending::Reset) => "reset-by-upstream",
            (Ending::Reset, _) => "reset-by-downstream",
            (Ending::TimedOut, _) | (_, Ending::TimedOut) => "timed-out",
            (Ending::Errno(_), _) | (_, Ending::Errno(_)) => "error",
            (Ending::StillOpen, _) | (_, Ending::StillOpen) => "still-open",
            (
                Ending::Fin | Ending::EndedByRelay | Ending::NeverStood,
                Ending::Fin | Ending::EndedByRelay | Ending::NeverStood,
            ) => "closed",
        },
    }
}

/// How a forwarder ended, where kubectl did not say why.
const fn how(turn: TunnelLife, before: Option<TunnelLife>) -> Option<&'static str> {
    match turn {
        TunnelLife::Exited(_) => Some("exited"),
        TunnelLife::Replaced => Some("replaced"),
        TunnelLife::Started => match before {
            Some(TunnelLife::Exited(_)) => Some("exited"),
            Some(TunnelLife::Ready | TunnelLife::Found | TunnelLife::Replaced) => Some("replaced"),
            Some(TunnelLife::LeftDown) => Some("left-down"),
            Some(TunnelLife::Stopped) => Some("stopped"),
            Some(TunnelLife::Started | TunnelLife::Drained) | None => None,
        },
        TunnelLife::Found
        | TunnelLife::Ready
        | TunnelLife::LeftDown
        | TunnelLife::Stopped
        | TunnelLife::Drained => None,
    }
}

const fn is_up(life: TunnelLife) -> bool {
    match life {
        TunnelLife::Ready | TunnelLife::Found => true,
        TunnelLife::Started
        | TunnelLife::Exited(_)
        | TunnelLife::Replaced
        | TunnelLife::LeftDown
        | TunnelLife::Stopped
        | TunnelLife::Drained => false,
    }
}
