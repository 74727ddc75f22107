//! From a story to evidence. One line, one thing that happened:
//!
//! ```text
//! path NAME=TARGET                       a path, its kind by its name
//! seconds N                              how long the run lasted
//! load PATH ROUTE RATE/s OUTCOME [from=S] [to=S] [took=T] [size=BYTES] [idle=T] [used=N] [keep=N] [sample=N]
//!      [address=IP] [spread=T] [stall=T] [connect=T] [early] [half-close] [fin-with-request] [left=T] [unacked] [status=N]
//! unread PATH REASON connections=N bytes=N [after=REQUESTS] [rst]    connections that were not read to their end
//! front-tls PATH FAILURE connections=N    the generator's TLS handshake with hopscope failed on these
//! unused PATH connections=N              connections on which the generator sent nothing
//! passed-over PATH ADDRESS FAILURE times=N    an address of the path's target that took no connection, beside others
//! kernel ROUTE OWNER END [peer=HOP] [sent=BYTES]    what a host's kernel saw of the failed connections of a route
//! pod NAMESPACE/NAME AT CHANGE [error=T] [address=IP] [reason=R] [exit=N]    what the Kubernetes API told of a pod
//! home ROUTE NAMESPACE/NAME              the failed connections of a route ended in this pod, as a kernel saw
//! forward PATH NAMESPACE/NAME            the pod that kubectl chose; `api silent`: the API gave no answer
//! overflows HOP N                        accept-queue overflows that the kernel counted
//! lines PATH                             kubectl's output was read; `line PATH AT MEANING TEXT...` is one line of it
//! gauges PATH from=S to=S [KEY=VALUE]... ten samples a second of the forwarder
//! life PATH AT EXIT-CODE | life PATH AT ready
//! observer AT [lag=T] [queue=N] [refused=N]    stumble AT T    lost exchanges=N connections=N    unbalanced N    cut-off
//! generator TOOL failed=N [timeout=T] [WORDS=N]
//! lose N                                 every Nth failed row is gone, and counted as lost
//! process PATH COMMAND...               what carries the forward of a path
//! agent NODE [lost=N] [dropped=N]        a node whose agent told
//! service NS/NAME ADDRESS AT ready=ADDR,... | none      the endpoints of a Service from a moment on
//! arrival ROUTE WHAT [pod=NS/NAME] [to=ADDR] [node=NAME] [lost=N]      what a pod's node saw of the failed connects of a route
//! throttled NS/NAME from=S to=S periods=N throttled=N    a second's CPU accounting, for each second
//! witness OWNER PEER END [times=N] [received=N] [sent=N]      ends of sockets that are joined to no connection
//! truth HOP [CAUSE] | truth none         never HOP
//! open [HOP+HOP]                         the truth cannot be shown: it must be left open, between these
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;

use hopscope_attribution::evidence::node::KernelWindow;
use hopscope_attribution::evidence::tunnel::TunnelLife;
use hopscope_attribution::evidence::{
    AddressFailures, Evidence, Moment, Observation, Path, PathId, PathKind, Route, RouteId, Span,
    TrafficCell, TunnelLifeEvent, WatchedNode, WhyUnseen,
};

use crate::Truth;
use crate::words;

mod cluster;
mod ending;
mod forwarder;
mod hosts;
mod pods;
mod traffic;
mod unread;

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
    #[expect(clippy::too_many_lines, reason = "a table: one verb, one arm")]
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
            "unread" => self.unread(arg(0)?, arg(1)?, &options),
            "unused" => self.unused(arg(0)?, &options),
            "front-tls" => self.front_tls(arg(0)?, words::tls_failure(arg(1)?)?, &options),
            "passed-over" => self.passed_over(arg(0)?, arg(1)?, arg(2)?, &options),
            "kernel" => self.kernel(arg(0)?, arg(1)?, arg(2)?, &options),
            "pod" => self.pod(arg(0)?, arg(1)?, arg(2)?, &options),
            "home" => self.home(arg(0)?, arg(1)?),
            "forward" => self.forward(arg(0)?, arg(1)?),
            "api" => {
                self.node().pods = Observation::Unseen(WhyUnseen::NoAnswer);
                Ok(())
            }
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
                let at = Moment(words::span(arg(1)?)?.as_micros());
                let kind = match arg(2)? {
                    "ready" => TunnelLife::Ready,
                    code => TunnelLife::Exited(code.parse().ok()),
                };
                self.tunnel(arg(0)?)?.life.push(TunnelLifeEvent {
                    at,
                    kind,
                    member: 0,
                    reason: None,
                });
                Ok(())
            }
            "observer" => self.observer(arg(0)?, &options),
            "stumble" => self.stumble(arg(0)?, arg(1)?),
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
            "open" => {
                let hops = rest.first().map_or(Ok(Vec::new()), |hops| {
                    hops.split('+')
                        .map(words::hop)
                        .collect::<Result<Vec<_>, String>>()
                })?;
                self.truth.open = Some(hops);
                Ok(())
            }
            "process" => self.process(arg(0)?, &rest[1..].join(" ")),
            "arrival" => self.arrival(arg(0)?, arg(1)?, &options),
            "service" => self.service(arg(0)?, arg(1)?, arg(2)?, &options),
            "throttled" => self.throttled(arg(0)?, &options),
            "agent" => {
                let node = WatchedNode {
                    name: arg(0)?.to_owned(),
                    events_lost: option(&options, "lost", words::number, 0)?,
                    records_dropped: option(&options, "dropped", words::number, 0)?,
                };
                self.node().nodes.push(node);
                Ok(())
            }
            "witness" => self.witness(arg(0)?, arg(1)?, arg(2)?, &options),
            "never" => words::hop(arg(0)?).map(|hop| self.truth.never.push(hop)),
            _ => Err("not a word that a story knows".to_owned()),
        }
    }

    fn passed_over(
        &mut self,
        path: &str,
        address: &str,
        failure: &str,
        options: &Options<'_>,
    ) -> Result<(), String> {
        let path = self.path(path)?;
        let words::Outcome::NotConnected(failure) = words::outcome(failure)? else {
            return Err(format!("{failure} is no failure to connect"));
        };
        self.evidence.failed_addresses.push(AddressFailures {
            path,
            address: SocketAddr::new(words::address(address)?, 3_000 + u16::from(path.0)),
            failure,
            times: option(options, "times", words::number, 1)?,
            first: Moment(0),
            last: Moment(self.seconds * 1_000_000),
        });
        Ok(())
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
}

fn option<T>(
    options: &Options<'_>,
    key: &str,
    parse: impl Fn(&str) -> Result<T, String>,
    default: T,
) -> Result<T, String> {
    options.get(key).map_or(Ok(default), |word| parse(word))
}
