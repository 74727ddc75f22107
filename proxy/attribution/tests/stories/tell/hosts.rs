//! What the hosts said: kernels, hopscope itself, the generator.

use hopscope_attribution::evidence::node::{KernelSocket, Marks, SocketBytes};
use hopscope_attribution::evidence::{
    ConnectionId, GeneratorResult, Moment, NodeEvidence, Observation, ObserverDelay, ObserverSample, Span,
};

use super::{Options, Told, option};
use crate::words;

impl Told {
    pub(super) fn node(&mut self) -> &mut NodeEvidence {
        if self.evidence.node.seen().is_none() {
            self.evidence.node = Observation::Seen(NodeEvidence::default());
        }
        match &mut self.evidence.node {
            Observation::Seen(node) => node,
            Observation::Unseen(_) => unreachable!("made seen above"),
        }
    }

    pub(super) fn kernel(
        &mut self,
        route: &str,
        owner: &str,
        end: &str,
        options: &Options<'_>,
    ) -> Result<(), String> {
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
                marks: Marks {
                    after_fin: options.contains_key("after-fin"),
                    after_own_fin: options.contains_key("after-own-fin"),
                    dropped_at_home: options.contains_key("dropped-at-home"),
                },
            })
            .collect();
        self.node().sockets.extend(sockets);
        Ok(())
    }

    /// The connections of the failed exchanges of a route, as far as they are told.
    pub(super) fn failed_connections(&mut self, route: &str) -> Vec<ConnectionId> {
        let route = self.route(route);
        let failed = self.evidence.exchanges.iter();
        let failed = failed.filter(|exchange| exchange.route == route && exchange.delivery.failed());
        failed.map(|exchange| exchange.connection).collect()
    }

    pub(super) fn observer(&mut self, at: &str, options: &Options<'_>) -> Result<(), String> {
        let sample = ObserverSample {
            at: Moment(words::span(at)?.as_micros()),
            loop_lag: option(options, "lag", words::span, Span::from_micros(500))?,
            accept_queue: u32::try_from(option(options, "queue", words::number, 0)?).unwrap(),
            accepts_refused: u32::try_from(option(options, "refused", words::number, 0)?).unwrap(),
            cpu_limit_millis: 2_000,
            descriptors: 100,
            descriptor_limit: 1_024,
            ..ObserverSample::default()
        };
        self.evidence.observer.samples.push(sample);
        // A loop that is late in a sample was late at every try in the second before it.
        let every = sample.loop_lag.as_micros() + 50_000;
        let times = 1_000_000 / every;
        if sample.loop_lag >= Span::from_micros(50_000) {
            let delays = (0..times).map(|back| ObserverDelay {
                at: Moment(sample.at.0.saturating_sub(back * every)),
                by: sample.loop_lag,
            });
            self.evidence.observer.delays.extend(delays);
        }
        Ok(())
    }

    /// Once late, and well before and after.
    pub(super) fn stumble(&mut self, at: &str, by: &str) -> Result<(), String> {
        self.evidence.observer.delays.push(ObserverDelay {
            at: Moment(words::span(at)?.as_micros()),
            by: words::span(by)?,
        });
        Ok(())
    }

    pub(super) fn generator(&mut self, tool: &str, options: &Options<'_>) -> Result<(), String> {
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
}
