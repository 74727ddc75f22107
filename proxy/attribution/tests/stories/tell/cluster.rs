//! What the cluster's nodes and its API tell beside pods: arrivals, Services, CPU limits, unjoined sockets.

use std::net::SocketAddr;

use hopscope_attribution::evidence::node::{KernelSocket, Marks, SocketBytes};
use hopscope_attribution::evidence::{
    Arrival, Arrived, CpuThrottle, Endpoint, EndpointTurn, Moment, Observation, PodId, ServiceEndpoints,
    Span, TunnelProcess, WhyUnseen,
};

use super::{Options, Told, option};
use crate::words;

fn address(word: &str) -> Result<SocketAddr, String> {
    word.parse().map_err(|_| format!("{word} is no address"))
}

pub(super) fn pod(word: &str) -> Result<PodId, String> {
    let (namespace, name) = word.split_once('/').ok_or("NAMESPACE/NAME")?;
    Ok(PodId {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}

impl Told {
    pub(super) fn process(&mut self, path: &str, command: &str) -> Result<(), String> {
        let unseen = WhyUnseen::NotWatched;
        self.tunnel(path)?.processes.push(TunnelProcess {
            at: Moment(0),
            member: 0,
            pid: Observation::Seen(4_711),
            // `process PATH ?` is one that nobody may look at.
            command: if command == "?" {
                Observation::Unseen(WhyUnseen::NotPermitted)
            } else {
                Observation::Seen(command.to_owned())
            },
            is_kubectl: if command == "?" {
                Observation::Unseen(WhyUnseen::NotPermitted)
            } else {
                Observation::Seen(command.starts_with("kubectl"))
            },
            version: Observation::Unseen(unseen),
            local_port: 3_000,
            on_ipv4: Observation::Unseen(unseen),
            on_ipv6: Observation::Unseen(unseen),
            pod: Observation::Unseen(unseen),
            node: Observation::Unseen(unseen),
            runtime: Observation::Unseen(unseen),
        });
        Ok(())
    }

    pub(super) fn arrival(&mut self, route: &str, what: &str, options: &Options<'_>) -> Result<(), String> {
        let seen = match what {
            "unwatched" => Observation::Unseen(WhyUnseen::NotWatched),
            word => Observation::Seen(Arrived::from_word(word).ok_or("no such arrival")?),
        };
        let destination = option(options, "to", address, SocketAddr::from(([10, 244, 0, 7], 3_000)))?;
        let pod = options.get("pod").map(|word| pod(word)).transpose()?;
        let node = options.get("node").map_or("node-1", |name| name);
        let events_lost = option(options, "lost", words::number, 0)?;
        let connections = self.failed_connections(route);
        for connection in connections {
            let arrival = Arrival {
                connection,
                at: Moment(0),
                error: Span::from_millis(5),
                destination,
                pod: pod
                    .clone()
                    .map_or(Observation::Unseen(WhyUnseen::NotWatched), Observation::Seen),
                node: Observation::Seen(node.to_owned()),
                seen,
                events_lost,
            };
            self.node().arrivals.push(arrival);
        }
        Ok(())
    }

    /// `service shop/web 10.96.0.7:80 12s ready=10.244.0.7:3000,10.244.0.8:3000`
    pub(super) fn service(
        &mut self,
        name: &str,
        at: &str,
        since: &str,
        options: &Options<'_>,
    ) -> Result<(), String> {
        let id = pod(name)?;
        let front = address(at)?;
        let ready = options.get("ready").map_or("", |list| list);
        let endpoints: Vec<Endpoint> = ready
            .split(',')
            .filter(|word| !word.is_empty())
            .map(|word| {
                Ok(Endpoint {
                    address: address(word)?,
                    pod: None,
                    node: Some(options.get("node").map_or("node-1", |name| name).to_owned()),
                })
            })
            .collect::<Result<_, String>>()?;
        let turn = EndpointTurn {
            at: Moment(words::span(since)?.as_micros()),
            error: option(options, "error", words::span, Span::from_millis(100))?,
            ready: endpoints,
            not_ready: Vec::new(),
        };
        let node = self.node();
        if node.services.seen().is_none() {
            node.services = Observation::Seen(Vec::new());
        }
        if let Observation::Seen(services) = &mut node.services {
            let known = services.iter_mut().find(|service| service.name == id.name);
            if let Some(service) = known {
                service.turns.push(turn);
            } else {
                services.push(ServiceEndpoints {
                    namespace: id.namespace,
                    name: id.name,
                    addresses: vec![front],
                    node_ports: Vec::new(),
                    turns: vec![turn],
                });
            }
        }
        Ok(())
    }

    pub(super) fn throttled(&mut self, name: &str, options: &Options<'_>) -> Result<(), String> {
        let id = pod(name)?;
        let from = option(options, "from", words::span, Span::ZERO)?;
        let to = option(options, "to", words::span, Span::from_secs(self.seconds))?;
        let periods = option(options, "periods", words::number, 10)?;
        let throttled = option(options, "throttled", words::number, 0)?;
        let node = self.node();
        if node.throttling.seen().is_none() {
            node.throttling = Observation::Seen(Vec::new());
        }
        if let Observation::Seen(all) = &mut node.throttling {
            let seconds = from.as_micros() / 1_000_000..to.as_micros() / 1_000_000;
            all.extend(seconds.map(|second| CpuThrottle {
                from: Moment(second * 1_000_000),
                length: Span::from_secs(1),
                error: Span::from_millis(5),
                pod: id.clone(),
                workload: id.name.clone(),
                container: None,
                periods,
                throttled,
                held_back: Span::from_millis(throttled * 80),
                used: Span::from_millis(50),
            }));
        }
        Ok(())
    }

    pub(super) fn witness(
        &mut self,
        owner: &str,
        peer: &str,
        end: &str,
        options: &Options<'_>,
    ) -> Result<(), String> {
        let times = option(options, "times", words::number, 1)?;
        let bytes = SocketBytes {
            received: option(options, "received", words::number, 0)?,
            acknowledged: option(options, "sent", words::number, 0)?,
        };
        let socket = KernelSocket {
            at: Moment(1_000_000),
            connection: Observation::Unseen(WhyUnseen::NotWatched),
            owner: Observation::Seen(words::hop(owner)?),
            peer: Observation::Seen(words::hop(peer)?),
            end: words::kernel_end(end)?,
            bytes: Observation::Seen(bytes),
            marks: Marks::default(),
        };
        for _ in 0..times {
            self.node().sockets.push(socket.clone());
        }
        Ok(())
    }
}
