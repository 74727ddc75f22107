//! The end of a story: rows in their order, books that add up, samples where none was told.

use hopscope_attribution::evidence::{
    ConnectionId, Moment, Observation, ObserverSample, PathId, PathKind, Span,
};

use super::Told;

impl Told {
    pub(super) fn finish(&mut self) {
        let evidence = &mut self.evidence;
        evidence.duration = Span::from_secs(self.seconds);
        evidence
            .connections
            .sort_unstable_by_key(|connection| (connection.opened, connection.id));
        let mut names = vec![ConnectionId(0); evidence.connections.len()];
        let mut numbers = 1_u64..;
        evidence.connections.change_all(|connection| {
            let number = ConnectionId(numbers.next().unwrap());
            names[usize::try_from(connection.id.0).unwrap()] = number;
            connection.id = number;
        });
        let renamed = |id: ConnectionId| names[usize::try_from(id.0).unwrap()];
        evidence
            .exchanges
            .change_all(|exchange| exchange.connection = renamed(exchange.connection));
        if let Observation::Seen(node) = &mut evidence.node {
            for socket in &mut node.sockets {
                socket.connection = socket.connection.map(renamed);
            }
            for arrival in &mut node.arrivals {
                arrival.connection = renamed(arrival.connection);
            }
            if let Observation::Seen(pods) = &mut node.pods {
                for (id, _) in &mut pods.homes {
                    *id = renamed(*id);
                }
            }
        }
        evidence
            .exchanges
            .edit(|rows| rows.sort_by_key(|exchange| exchange.began + exchange.phases.total));
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
