//! Gauges of the sockets that lived when they were last listed.

use std::collections::BTreeMap;

use hopscope_attribution::hop::Hop;
use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::{Family, NodeMetrics, family, float, gauge};

/// The live sockets of one hop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Living {
    /// How many it owns.
    pub sockets: u64,
    /// Sockets at the other end that have something to send and may not: this hop does not read.
    pub stalls: u64,
    /// Smoothed round-trip times of those that have one, microseconds, in no order.
    pub round_trips_us: Vec<u32>,
    /// Payload bytes acknowledged since the last listing.
    pub sent: u64,
    /// Payload bytes received since the last listing.
    pub received: u64,
}

impl NodeMetrics {
    /// Takes over a new list of the sockets that live.
    pub fn living(&mut self, hops: BTreeMap<Hop, Living>) {
        for (hop, living) in &hops {
            for (direction, by) in [("sent", living.sent), ("received", living.received)] {
                if by > 0 {
                    self.add(
                        Family::Bytes,
                        vec![hop.word().to_owned(), direction.to_owned()],
                        by,
                    );
                }
            }
        }
        self.living = hops;
        for living in self.living.values_mut() {
            living.round_trips_us.sort_unstable();
            living.round_trips_us.shrink_to_fit();
        }
    }

    pub(super) fn living_families(&self) -> Vec<MetricFamily> {
        let each = |of: &dyn Fn(&Living) -> u64| -> Vec<Metric> {
            let one = |(hop, living): (&Hop, &Living)| gauge(&[("hop", hop.word())], float(of(living)));
            self.living.iter().map(one).collect()
        };
        let trips = self.living.iter().flat_map(|(hop, living)| {
            let trips = &living.round_trips_us;
            let told = [("median", trips.get(trips.len() / 2)), ("max", trips.last())];
            told.into_iter().filter_map(|(statistic, us)| {
                let labels = [("hop", hop.word()), ("statistic", statistic)];
                Some(gauge(&labels, f64::from(*us?) / 1e6))
            })
        });
        let all = [
            (
                "hopscope_node_sockets",
                "Connected sockets that lived when they were last listed, by the hop that owns them.",
                each(&|living| living.sockets),
            ),
            (
                "hopscope_node_stalled_sockets",
                "Sockets that had something to send and met a closed window, by the hop that did not read.",
                each(&|living| living.stalls),
            ),
            (
                "hopscope_node_round_trip_seconds",
                "Smoothed round-trip time of the sockets that lived when they were last listed, by the hop that owns them.",
                trips.collect(),
            ),
        ];
        all.into_iter()
            .filter(|(_, _, metrics)| !metrics.is_empty())
            .map(|(name, help, metrics)| family(name, help, MetricType::GAUGE, metrics))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_live_are_gauges_and_their_bytes_a_counter() {
        let mut metrics = NodeMetrics::new(crate::metrics::WORKLOADS);
        let living = Living {
            sockets: 3,
            stalls: 1,
            round_trips_us: vec![900, 100, 200],
            sent: 10,
            received: 0,
        };
        metrics.living(BTreeMap::from([(Hop::Backend, living.clone())]));
        metrics.living(BTreeMap::from([(Hop::Backend, living)]));
        let text = metrics.text(&[], true).unwrap();
        for line in [
            r#"hopscope_node_sockets{hop="backend"} 3"#,
            r#"hopscope_node_stalled_sockets{hop="backend"} 1"#,
            r#"hopscope_node_round_trip_seconds{hop="backend",statistic="median"} 0.0002"#,
            r#"hopscope_node_round_trip_seconds{hop="backend",statistic="max"} 0.0009"#,
            r#"hopscope_node_bytes_total{hop="backend",direction="sent"} 20"#,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        metrics.living(BTreeMap::new());
        assert!(!metrics.text(&[], true).unwrap().contains("hopscope_node_sockets"));
    }
}
