//! What the load did: connections, exchanges on them, and the exact counts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hopscope_attribution::evidence::{
    Connection, ConnectionId, Cut, Delivery, Ending, Exchange, FourTuple, Method, Moment, Observation,
    PathId, Phases, Protocol, RouteId, SideEnd, Span, TcpFacts, TrafficCell, Upstream, WhyUnseen,
};

use super::{Options, Told, option};
use crate::words::{self, Outcome};

impl Told {
    pub(super) fn load(
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
        let from = option(options, "from", words::span, Span::ZERO)?;
        let to = option(options, "to", words::span, Span::from_secs(self.seconds))?;
        let took = option(options, "took", words::span, Span::from_millis(10))?;
        let spread = option(options, "spread", words::span, Span::from_millis(2))?;
        let keep = usize::try_from(option(options, "keep", words::number, 0)?).unwrap();
        let sample = option(options, "sample", words::number, 1)?;
        let step = 1e6 / rate;
        let kept: Vec<usize> = (0..keep)
            .map(|_| self.connect(path, Moment(from.as_micros()), options))
            .collect::<Result<_, _>>()?;
        let mut number = 0_u64;
        loop {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "small and positive"
            )]
            let began = Moment(from.as_micros() + (number as f64 * step) as u64);
            if began.0 >= to.as_micros() {
                break;
            }
            // A fixed pattern in place of chance: the golden ratio spreads evenly.
            let took =
                Span::from_micros(took.as_micros() + spread.as_micros() * (number * 618 % 1000) / 1000);
            let index = if let Some(index) = kept.get(usize::try_from(number).unwrap() % keep.max(1)) {
                *index
            } else {
                let idle = option(options, "idle", words::span, Span::ZERO)?;
                self.connect(
                    path,
                    Moment(began.0.saturating_sub(idle.as_micros() + 5_000)),
                    options,
                )?
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

    pub(super) fn connect(
        &mut self,
        path: PathId,
        opened: Moment,
        options: &Options<'_>,
    ) -> Result<usize, String> {
        let index = self.evidence.connections.len();
        self.port = if self.port > 60_000 { 20_000 } else { self.port + 1 };
        let address = |port: u16| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let remote = option(
            options,
            "address",
            words::address,
            IpAddr::V4(Ipv4Addr::LOCALHOST),
        )?;
        let port = option(options, "port", words::number, u64::from(self.port))?;
        let connect = option(options, "connect", words::span, Span::from_micros(300))?;
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
                remote: SocketAddr::new(remote, 3_000 + u16::from(path.0)),
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
            blocked_up: option(options, "untaken", words::span, Span::ZERO)?,
            blocked_down: option(options, "blocked", words::span, Span::ZERO)?,
            protocol: Protocol::Http1,
            unread: None,
            exchanges: 0,
            downstream_tcp: Observation::Unseen(WhyUnseen::NotSupported),
            upstream_tcp: Observation::Seen(TcpFacts {
                rwnd_limited_ms: u32::try_from(
                    option(options, "untaken", words::span, Span::ZERO)?.as_micros() / 1_000,
                )
                .unwrap_or(u32::MAX),
                ..TcpFacts::default()
            }),
        });
        Ok(index)
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one place that says what each outcome leaves behind"
    )]
    pub(super) fn exchange(
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
            .then(|| option(options, "idle", words::span, Span::ZERO))
            .transpose()?;
        let mut row = self.evidence.connections.get(index).ok_or("no such connection")?;
        let connection = &mut row;
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
                    status: u16::try_from(option(options, "status", words::number, 200)?).unwrap(),
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
            connection.first_byte_down = Some(Span::from_micros(end.since(connection.opened).as_micros()));
        }
        // Of an exchange without an answer, the request's.
        let stall = option(options, "stall", words::span, Span::ZERO)?;
        let last_down = Moment(end.0.saturating_sub(stall.as_micros()));
        connection.last_byte = Some(if bytes_down > 0 { last_down } else { began });
        if used > 0 {
            connection.first_byte_down = Some(Span::from_micros(3_000));
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
                    Cut::DownstreamFin
                    | Cut::Unreadable
                    | Cut::UpstreamStream(_)
                    | Cut::DownstreamStream(_)
                    | Cut::GoAway(_) => (Ending::Fin, Ending::EndedByRelay),
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
                // The generator says FIN together with its request, and the path's side ends when it ends.
                if options.contains_key("fin-with-request") {
                    let at = began + Span::from_micros(200);
                    connection.downstream_end = SideEnd { at, how: Ending::Fin };
                    connection.upstream_end = SideEnd {
                        at: end,
                        how: Ending::Fin,
                    };
                }
                // The generator had left this long before the path's side ended.
                if let Some(before) = options.get("left") {
                    let at = Moment(end.0.saturating_sub(words::span(before)?.as_micros()));
                    connection.downstream_end = SideEnd { at, how: Ending::Fin };
                }
                if options.contains_key("unacked") {
                    connection.upstream_tcp = Observation::Seen(TcpFacts {
                        unacked_bytes: 200,
                        retransmits: 4,
                        ..TcpFacts::default()
                    });
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
        self.evidence.connections.change(index, |kept| *kept = row);
        Ok(Exchange {
            connection: row.id,
            path: row.path,
            ordinal: used.max(if options.contains_key("keep") {
                row.exchanges - 1
            } else {
                0
            }),
            method: Method::Get,
            route,
            began,
            phases: Phases {
                idle,
                request_sent: Some(Span::from_micros(100)),
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

    pub(super) fn count(&mut self, exchange: &Exchange, end: Moment) {
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
}
