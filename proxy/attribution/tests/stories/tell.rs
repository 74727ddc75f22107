//! From a story to evidence. One line, one thing that happened:
//!
//! ```text
//! path NAME=TARGET                       a path, its kind by its name
//! seconds N                              how long the run lasted
//! load PATH ROUTE RATE/s OUTCOME [from=S] [to=S] [took=T] [size=BYTES] [idle=T] [used=N] [keep=N] [sample=N]
//!      [spread=T] [connect=T] [early] [half-close]
//! kernel ROUTE OWNER END [peer=HOP] [sent=BYTES]    what a host's kernel saw of the failed connections of a route
//! overflows HOP N                        accept-queue overflows that the kernel counted
//! lines PATH                             kubectl's output was read; `line PATH AT MEANING TEXT...` is one line of it
//! gauges PATH from=S to=S [KEY=VALUE]... ten samples a second of the forwarder
//! life PATH AT EXIT-CODE | life PATH AT ready
//! observer AT [lag=T] [queue=N] [refused=N]    lost exchanges=N connections=N    unbalanced N    cut-off
//! generator TOOL failed=N [timeout=T] [WORDS=N]
//! lose N                                 every Nth failed row is gone, and counted as lost
//! truth HOP [CAUSE] | truth none         never HOP
//! ```

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hopscope_attribution::evidence::node::{KernelSocket, KernelWindow, SocketBytes};
use hopscope_attribution::evidence::tunnel::{TunnelLife, TunnelMeaning};
use hopscope_attribution::evidence::{
    Connection, ConnectionId, Cut, Delivery, Ending, Evidence, Exchange, FourTuple, GeneratorResult, Method,
    Moment, NodeEvidence, Observation, ObserverSample, Path, PathId, PathKind, Phases, Protocol, Route,
    RouteId, SideEnd, Span, TcpFacts, TrafficCell, TunnelEvidence, TunnelGauge, TunnelLifeEvent, TunnelLine,
    Upstream, WhyUnseen,
};

use crate::Truth;
use crate::words::{self, Outcome};

/// A story as evidence, with its truth.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) evidence: Evidence,
    pub(crate) truth: Truth,
    seconds: u64,
    traffic: BTreeMap<(u32, PathId, RouteId), TrafficCell>,
    port: u16,
}

type Options<'a> = BTreeMap<&'a str, &'a str>;

pub(crate) fn tell(story: &str) -> Result<Told, String> {
    let mut told = Told {
        seconds: 20,
        port: 20_000,
        ..Told::default()
    };
    told.evidence.observer.closed_properly = true;
    let lines = story
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        told.line(line).map_err(|error| format!("{line}: {error}"))?;
    }
    told.finish();
    Ok(told)
}

impl Told {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (verb, rest) = words.split_first().ok_or("empty")?;
        let options: Options<'_> = rest
            .iter()
            .map(|word| word.split_once('=').unwrap_or((word, "")))
            .collect();
        let arg = |index: usize| rest.get(index).copied().ok_or("a word is missing");
        match *verb {
            "path" => {
                let (name, target) = arg(0)?.split_once('=').ok_or("NAME=TARGET")?;
                let kind = PathKind::from_name(name);
                self.evidence.paths.push(Path {
                    name: name.to_owned(),
                    kind,
                    target: target.to_owned(),
                });
                Ok(())
            }
            "seconds" => words::number(arg(0)?).map(|seconds| self.seconds = seconds),
            "load" => self.load(arg(0)?, arg(1)?, arg(2)?, words::outcome(arg(3)?)?, &options),
            "kernel" => self.kernel(arg(0)?, arg(1)?, arg(2)?, &options),
            "overflows" => {
                let window = KernelWindow {
                    from: Moment(0),
                    length: Span::from_secs(self.seconds),
                    hop: words::hop(arg(0)?)?,
                    syn_retransmits: 0,
                    accept_queue_overflows: words::number(arg(1)?)?,
                    events_lost: 0,
                };
                self.node().windows.push(window);
                Ok(())
            }
            "lines" => {
                let tunnel = self.tunnel(arg(0)?)?;
                if tunnel.lines.seen().is_none() {
                    tunnel.lines = Observation::Seen(Vec::new());
                }
                Ok(())
            }
            "line" => self.kubectl(arg(0)?, arg(1)?, arg(2)?, &rest[3..].join(" ")),
            "gauges" => self.gauges(arg(0)?, &options),
            "life" => {
                let at = Moment(words::span(arg(1)?)?.0);
                let kind = match arg(2)? {
                    "ready" => TunnelLife::Ready,
                    code => TunnelLife::Exited(code.parse().ok()),
                };
                self.tunnel(arg(0)?)?
                    .life
                    .push(TunnelLifeEvent { at, kind, member: 0 });
                Ok(())
            }
            "observer" => self.observer(arg(0)?, &options),
            "lost" => {
                let books = &mut self.evidence.observer.accounting;
                books.exchanges_lost = option(&options, "exchanges", words::number, 0)?;
                books.connections_lost = option(&options, "connections", words::number, 0)?;
                Ok(())
            }
            "unbalanced" => words::number(arg(0)?).map(|n| self.evidence.observer.accounting.accepts = n),
            "cut-off" => {
                self.evidence.observer.closed_properly = false;
                Ok(())
            }
            "generator" => self.generator(arg(0)?, &options),
            "lose" => {
                let nth = words::number(arg(0)?)?;
                let mut seen = 0;
                self.evidence.exchanges.retain(|exchange| {
                    seen += u64::from(exchange.delivery.failed());
                    !exchange.delivery.failed() || !seen.is_multiple_of(nth)
                });
                Ok(())
            }
            "truth" => {
                self.truth.hop = (arg(0)? != "none").then(|| words::hop(rest[0])).transpose()?;
                self.truth.cause = rest.get(1).map(|cause| (*cause).to_owned());
                Ok(())
            }
            "never" => words::hop(arg(0)?).map(|hop| self.truth.never.push(hop)),
            _ => Err("not a word that a story knows".to_owned()),
        }
    }

    fn path(&self, name: &str) -> Result<PathId, String> {
        let at = self.evidence.paths.iter().position(|path| path.name == name);
        at.and_then(|at| u8::try_from(at).ok())
            .map(PathId)
            .ok_or(format!("no path {name}"))
    }

    fn route(&mut self, name: &str) -> RouteId {
        let route = Route(name.to_owned());
        let at = self
            .evidence
            .routes
            .iter()
            .position(|known| *known == route)
            .unwrap_or_else(|| {
                self.evidence.routes.push(route);
                self.evidence.routes.len() - 1
            });
        RouteId(u16::try_from(at).unwrap())
    }

    fn tunnel(&mut self, name: &str) -> Result<&mut TunnelEvidence, String> {
        let path = self.path(name)?;
        if !self.evidence.tunnels.iter().any(|(id, _)| *id == path) {
            self.evidence
                .tunnels
                .push((path, Observation::Seen(TunnelEvidence::default())));
        }
        let tunnel = self.evidence.tunnels.iter_mut().find(|(id, _)| *id == path);
        match tunnel {
            Some((_, Observation::Seen(tunnel))) => Ok(tunnel),
            _ => Err("the tunnel is unseen".to_owned()),
        }
    }

    fn node(&mut self) -> &mut NodeEvidence {
        if self.evidence.node.seen().is_none() {
            self.evidence.node = Observation::Seen(NodeEvidence::default());
        }
        match &mut self.evidence.node {
            Observation::Seen(node) => node,
            Observation::Unseen(_) => unreachable!("made seen above"),
        }
    }

    fn load(
        &mut self,
        path: &str,
        route: &str,
        rate: &str,
        outcome: Outcome,
        options: &Options<'_>,
    ) -> Result<(), String> {
        let path = self.path(path)?;
        let route = self.route(route);
        let rate: f64 = rate.trim_end_matches("/s").parse().map_err(|_| "RATE/s")?;
        let from = option(options, "from", words::span, Span(0))?;
        let to = option(options, "to", words::span, Span::from_secs(self.seconds))?;
        let took = option(options, "took", words::span, Span::from_millis(10))?;
        let spread = option(options, "spread", words::span, Span::from_millis(2))?;
        let keep = usize::try_from(option(options, "keep", words::number, 0)?).unwrap();
        let sample = option(options, "sample", words::number, 1)?;
        let step = 1e6 / rate;
        let kept: Vec<usize> = (0..keep)
            .map(|_| self.connect(path, Moment(from.0), options))
            .collect::<Result<_, _>>()?;
        let mut number = 0_u64;
        loop {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "small and positive"
            )]
            let began = Moment(from.0 + (number as f64 * step) as u64);
            if began.0 >= to.0 {
                break;
            }
            // A fixed pattern in place of chance: the golden ratio spreads evenly.
            let took = Span(took.0 + spread.0 * (number * 618 % 1000) / 1000);
            let index = if let Some(index) = kept.get(usize::try_from(number).unwrap() % keep.max(1)) {
                *index
            } else {
                let idle = option(options, "idle", words::span, Span(0))?;
                self.connect(path, Moment(began.0.saturating_sub(idle.0 + 5_000)), options)?
            };
            let exchange = self.exchange(index, route, began, took, outcome, options)?;
            let end = exchange.began + took;
            let keep_row = exchange.delivery.failed() || number.is_multiple_of(sample);
            self.count(&exchange, end);
            if keep_row {
                self.evidence.exchanges.push(exchange);
            }
            number += 1;
        }
        Ok(())
    }

    fn connect(&mut self, path: PathId, opened: Moment, options: &Options<'_>) -> Result<usize, String> {
        let index = self.evidence.connections.len();
        self.port = if self.port > 60_000 { 20_000 } else { self.port + 1 };
        let address = |port: u16| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let port = option(options, "port", words::number, u64::from(self.port))?;
        let connect = option(options, "connect", words::span, Span(300))?;
        let end = Moment(self.seconds * 1_000_000);
        self.evidence.connections.push(Connection {
            id: ConnectionId(index as u64),
            path,
            opened,
            closed: Observation::Seen(end),
            upstream: Upstream::Connected {
                tcp: connect,
                tls: None,
            },
            downstream_tuple: FourTuple {
                local: address(8_080),
                remote: address(self.port),
            },
            upstream_tuple: Some(FourTuple {
                local: address(u16::try_from(port).map_err(|_| "a port")?),
                remote: address(3_000 + u16::from(path.0)),
            }),
            downstream_end: SideEnd {
                at: end,
                how: Ending::Fin,
            },
            upstream_end: SideEnd {
                at: end,
                how: Ending::EndedByRelay,
            },
            bytes_up: 0,
            bytes_down: 0,
            first_byte_up: None,
            first_byte_down: None,
            last_byte: None,
            blocked_up: Span(0),
            blocked_down: option(options, "blocked", words::span, Span(0))?,
            protocol: Protocol::Http1,
            exchanges: 0,
            downstream_tcp: Observation::Unseen(WhyUnseen::NotSupported),
            upstream_tcp: Observation::Seen(TcpFacts::default()),
        });
        Ok(index)
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one place that says what each outcome leaves behind"
    )]
    fn exchange(
        &mut self,
        index: usize,
        route: RouteId,
        began: Moment,
        took: Span,
        outcome: Outcome,
        options: &Options<'_>,
    ) -> Result<Exchange, String> {
        let size = option(options, "size", words::number, 1_000)?;
        let used = u32::try_from(option(options, "used", words::number, 0)?).unwrap();
        let idle = options
            .contains_key("idle")
            .then(|| option(options, "idle", words::span, Span(0)))
            .transpose()?;
        let connection = &mut self.evidence.connections[index];
        let end = began + took;
        let (delivery, bytes_down) = match outcome {
            Outcome::Ok => (
                Delivery::Complete {
                    status: 200,
                    author: words::author("unstated")?,
                },
                size,
            ),
            Outcome::Answered(status, author) => (Delivery::Complete { status, author }, size),
            Outcome::Truncated(cut) => (
                Delivery::Truncated {
                    status: 200,
                    author: words::author("unstated")?,
                    cut,
                },
                size,
            ),
            Outcome::Nothing(cut) => (Delivery::Nothing { cut }, 0),
            Outcome::NotConnected(_) | Outcome::Abandoned => (
                Delivery::Nothing {
                    cut: Cut::NotConnected,
                },
                0,
            ),
        };
        connection.bytes_up += 200;
        connection.bytes_down += bytes_down + u64::from(used) * 1_000;
        connection.exchanges += 1 + used;
        if bytes_down > 0 && connection.first_byte_down.is_none() {
            connection.first_byte_down = Some(Span(end.since(connection.opened).0));
        }
        if used > 0 {
            connection.first_byte_down = Some(Span(3_000));
        }
        match outcome {
            Outcome::Ok | Outcome::Answered(..) => {
                if !options.contains_key("keep") {
                    connection.downstream_end = SideEnd {
                        at: end,
                        how: Ending::Fin,
                    };
                    connection.upstream_end = SideEnd {
                        at: end,
                        how: Ending::EndedByRelay,
                    };
                }
            }
            Outcome::Truncated(cut) | Outcome::Nothing(cut) => {
                let (downstream, upstream) = match cut {
                    Cut::UpstreamFin => (Ending::EndedByRelay, Ending::Fin),
                    Cut::UpstreamReset => (Ending::EndedByRelay, Ending::Reset),
                    Cut::UpstreamErrno(_) => (Ending::EndedByRelay, Ending::TimedOut),
                    Cut::DownstreamReset => (Ending::Reset, Ending::EndedByRelay),
                    Cut::DownstreamFin | Cut::Unreadable => (Ending::Fin, Ending::EndedByRelay),
                    Cut::Stopped | Cut::NotConnected => (Ending::StillOpen, Ending::StillOpen),
                };
                connection.downstream_end = SideEnd {
                    at: end,
                    how: downstream,
                };
                connection.upstream_end = SideEnd {
                    at: end,
                    how: upstream,
                };
                if options.contains_key("half-close") {
                    let at = Moment(end.0 - 1_010_000);
                    connection.upstream_end = SideEnd {
                        at: end,
                        how: Ending::Fin,
                    };
                    connection.downstream_end = SideEnd { at, how: Ending::Fin };
                }
                if options.contains_key("together") {
                    connection.downstream_end = SideEnd {
                        at: end,
                        how: Ending::Fin,
                    };
                }
            }
            Outcome::NotConnected(failure) => {
                connection.upstream = Upstream::Failed { after: took, failure };
                connection.upstream_end = SideEnd {
                    at: end,
                    how: Ending::NeverStood,
                };
                connection.upstream_tuple = None;
                connection.bytes_up = 0;
            }
            Outcome::Abandoned => {
                connection.upstream = Upstream::Abandoned { after: took };
                connection.upstream_end = SideEnd {
                    at: end,
                    how: Ending::NeverStood,
                };
                connection.upstream_tuple = None;
            }
        }
        Ok(Exchange {
            connection: connection.id,
            path: connection.path,
            ordinal: used.max(if options.contains_key("keep") {
                connection.exchanges - 1
            } else {
                0
            }),
            method: Method::Get,
            route,
            began,
            phases: Phases {
                idle,
                request_sent: Some(Span(100)),
                first_byte: Some(took),
                total: took,
            },
            bytes_up: 200,
            bytes_down,
            request_complete: !options.contains_key("incomplete"),
            answered_early: options.contains_key("early"),
            delivery,
        })
    }

    fn count(&mut self, exchange: &Exchange, end: Moment) {
        let key = (end.second(), exchange.path, exchange.route);
        let cell = self.traffic.entry(key).or_insert(TrafficCell {
            second: end.second(),
            path: exchange.path,
            route: exchange.route,
            ..TrafficCell::default()
        });
        cell.requests += 1;
        match exchange.delivery {
            Delivery::Complete { status, .. } => cell.delivered_errors += u64::from(status >= 400),
            Delivery::Truncated { .. } | Delivery::Nothing { .. } => cell.undelivered += 1,
        }
    }

    fn kernel(&mut self, route: &str, owner: &str, end: &str, options: &Options<'_>) -> Result<(), String> {
        let route = self.route(route);
        let owner = words::hop(owner)?;
        let end = words::kernel_end(end)?;
        let peer = options.get("peer").map(|peer| words::hop(peer)).transpose()?;
        let sent = options.get("sent").map(|sent| words::number(sent)).transpose()?;
        let failed = self
            .evidence
            .exchanges
            .iter()
            .filter(|e| e.route == route && e.delivery.failed());
        let limit = usize::try_from(option(options, "only", words::number, u64::MAX)?).unwrap_or(usize::MAX);
        let sockets: Vec<KernelSocket> = failed
            .take(limit)
            .map(|exchange| KernelSocket {
                at: exchange.began + exchange.phases.total,
                connection: Observation::Seen(exchange.connection),
                owner: Observation::Seen(owner),
                peer: peer.map_or(Observation::default(), Observation::Seen),
                end,
                bytes: sent.map_or(Observation::default(), |acknowledged| {
                    Observation::Seen(SocketBytes {
                        received: 200,
                        acknowledged,
                    })
                }),
            })
            .collect();
        self.node().sockets.extend(sockets);
        Ok(())
    }

    fn kubectl(&mut self, path: &str, at: &str, meaning: &str, text: &str) -> Result<(), String> {
        let at = Moment(words::span(at)?.0);
        let meaning = TunnelMeaning::from_word(meaning).ok_or(format!("`{meaning}` is not a meaning"))?;
        let tunnel = self.tunnel(path)?;
        if tunnel.lines.seen().is_none() {
            tunnel.lines = Observation::Seen(Vec::new());
        }
        if let Observation::Seen(lines) = &mut tunnel.lines {
            let text = text.to_owned();
            lines.push(TunnelLine {
                at,
                member: 0,
                meaning,
                local_port: None,
                remote_port: None,
                text,
            });
        }
        Ok(())
    }

    fn gauges(&mut self, path: &str, options: &Options<'_>) -> Result<(), String> {
        let from = option(options, "from", words::span, Span(0))?;
        let to = option(options, "to", words::span, Span::from_secs(self.seconds))?;
        let get = |key: &str, default: u64| {
            option(options, key, words::number, default).map(|n| u32::try_from(n).unwrap_or(u32::MAX))
        };
        let mut gauges = Vec::new();
        let mut at = from.0;
        while at < to.0 {
            gauges.push(TunnelGauge {
                at: Moment(at),
                member: 0,
                accept_queue: get("queue", 0)?,
                tunnel_recv_queue: Observation::Seen(get("recv", 0)?),
                tunnel_send_queue: Observation::Seen(get("send", 0)?),
                tunnel_unacked: Observation::Seen(0),
                tunnel_peer_window: Observation::Seen(get("window", 65_535)?),
                tunnel_retransmits: Observation::Seen(get("retransmits", 0)?),
                tunnel_last_ack: Observation::Seen(option(options, "ack", words::span, Span(20_000))?),
                tunnel_rwnd_limited_ms: Observation::Seen(0),
                tunnel_busy_ms: Observation::Seen(0),
                tunnel_rtt: Observation::Seen(Span(2_000)),
                local_connections: 10,
                stalled_readers: get("stalled", 0)?,
                worst_reader: match options.get("worst") {
                    Some(port) => {
                        Observation::Seen(u16::try_from(words::number(port)?).map_err(|_| "a port")?)
                    }
                    None => Observation::Unseen(WhyUnseen::NeverHappened),
                },
                descriptors: Observation::Seen(get("fds", 20)?),
                descriptor_limit: Observation::Seen(1_024),
                stopped: Observation::Seen(options.contains_key("stopped")),
                handled: Observation::default(),
                lines_omitted: 0,
                cpu_ms: Observation::Seen(if options.contains_key("frozen") {
                    500
                } else {
                    at / 10_000
                }),
            });
            at += 100_000;
        }
        let tunnel = self.tunnel(path)?;
        match &mut tunnel.gauges {
            Observation::Seen(all) => all.extend(gauges),
            unseen @ Observation::Unseen(_) => *unseen = Observation::Seen(gauges),
        }
        Ok(())
    }

    fn observer(&mut self, at: &str, options: &Options<'_>) -> Result<(), String> {
        let sample = ObserverSample {
            at: Moment(words::span(at)?.0),
            loop_lag: option(options, "lag", words::span, Span(500))?,
            accept_queue: u32::try_from(option(options, "queue", words::number, 0)?).unwrap(),
            accepts_refused: u32::try_from(option(options, "refused", words::number, 0)?).unwrap(),
            cpu_limit_millis: 2_000,
            descriptors: 100,
            descriptor_limit: 1_024,
            ..ObserverSample::default()
        };
        self.evidence.observer.samples.push(sample);
        Ok(())
    }

    fn generator(&mut self, tool: &str, options: &Options<'_>) -> Result<(), String> {
        let errors = options
            .iter()
            .filter(|(key, value)| !value.is_empty() && !["failed", "timeout"].contains(key));
        let result = GeneratorResult {
            tool: tool.to_owned(),
            requests: 0,
            failed: option(options, "failed", words::number, 0)?,
            timeout: options.get("timeout").map(|word| words::span(word)).transpose()?,
            errors: errors
                .map(|(word, number)| words::number(number).map(|number| (word.replace('_', " "), number)))
                .collect::<Result<_, _>>()?,
        };
        self.evidence.generator = Observation::Seen(result);
        Ok(())
    }

    fn finish(&mut self) {
        let evidence = &mut self.evidence;
        evidence.duration = Span::from_secs(self.seconds);
        evidence
            .connections
            .sort_by_key(|connection| (connection.opened, connection.id));
        let mut names = vec![ConnectionId(0); evidence.connections.len()];
        for (number, connection) in (1_u64..).zip(&mut evidence.connections) {
            names[usize::try_from(connection.id.0).unwrap()] = ConnectionId(number);
            connection.id = ConnectionId(number);
        }
        let renamed = |id: ConnectionId| names[usize::try_from(id.0).unwrap()];
        for exchange in &mut evidence.exchanges {
            exchange.connection = renamed(exchange.connection);
        }
        if let Observation::Seen(node) = &mut evidence.node {
            for socket in &mut node.sockets {
                socket.connection = socket.connection.map(renamed);
            }
        }
        evidence
            .exchanges
            .sort_by_key(|exchange| exchange.began + exchange.phases.total);
        evidence.traffic = self.traffic.values().copied().collect();
        for path in 0..u8::try_from(evidence.paths.len()).unwrap() {
            let is_tunnel = evidence.paths[usize::from(path)].kind == PathKind::Tunnel;
            if is_tunnel && !evidence.tunnels.iter().any(|(id, _)| id.0 == path) {
                evidence.tunnels.push((PathId(path), Observation::default()));
            }
            for (_, tunnel) in &mut evidence.tunnels {
                if let Observation::Seen(tunnel) = tunnel
                    && let Observation::Seen(lines) = &mut tunnel.lines
                {
                    lines.sort_by_key(|line| line.at);
                }
            }
        }
        let rows = evidence.connections.len() as u64;
        let books = &mut evidence.observer.accounting;
        books.connection_rows = rows;
        books.accepts = if books.accepts == 0 {
            rows + books.connections_lost
        } else {
            books.accepts
        };
        for second in 0..self.seconds {
            if !evidence
                .observer
                .samples
                .iter()
                .any(|sample| u64::from(sample.at.second()) == second)
            {
                let at = Moment(second * 1_000_000 + 500_000);
                evidence.observer.samples.push(ObserverSample {
                    at,
                    ..ObserverSample::default()
                });
            }
        }
    }
}

fn option<T>(
    options: &Options<'_>,
    key: &str,
    parse: impl Fn(&str) -> Result<T, String>,
    default: T,
) -> Result<T, String> {
    options.get(key).map_or(Ok(default), |word| parse(word))
}
