//! The agent's Prometheus families. Label values are words of enums, kernel reason names and, capped, workloads.

use std::collections::BTreeMap;

use hopscope_abi::tally::CONNECT_BUCKETS_US;
use hopscope_attribution::cause::Cause;
use hopscope_attribution::hop::Hop;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

mod living;
mod workloads;

pub use living::Living;

use super::homes::Workload;
use workloads::{Admitted, Workloads};

/// Workloads that have series of their own unless said; the rest share [`OVERFLOW`].
pub const WORKLOADS: usize = 200;

/// The label of what has no series of its own.
const OVERFLOW: &str = "overflow";

/// What the agent counts.
#[derive(Debug, Default)]
pub struct NodeMetrics {
    counters: BTreeMap<Series, u64>,
    connects: BTreeMap<Hop, ConnectTimes>,
    workloads: Workloads,
    living: BTreeMap<Hop, Living>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    family: Family,
    labels: Vec<String>,
}

#[derive(Debug, Default)]
struct ConnectTimes {
    buckets: [u64; CONNECT_BUCKETS_US.len() + 1],
    sum_us: u64,
}

macro_rules! families {
    ($($variant:ident = $name:literal [$($label:literal),*] $help:literal,)+) => {
        /// Every counter, with its labels in order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        enum Family { $($variant,)+ }

        impl Family {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            const fn told(self) -> (&'static str, &'static [&'static str], &'static str) {
                match self { $(Self::$variant => ($name, &[$($label),*], $help),)+ }
            }
        }
    };
}

families! {
    Failures = "hopscope_node_failures_total" ["hop", "cause", "namespace", "workload"]
        "Connections that failed, by the hop and cause that are charged.",
    Connects = "hopscope_node_connects_total" ["hop", "outcome"]
        "Ends of connects, by the hop that connected.",
    Resets = "hopscope_node_resets_total" ["hop", "direction", "reason"]
        "RST segments, by the hop whose socket sent or received them and the kernel's reason.",
    Retransmits = "hopscope_node_retransmits_total" ["hop"]
        "Segments sent again, data and SYN, by the hop that sent again.",
    SynRetransmits = "hopscope_node_syn_retransmits_total" ["hop"]
        "SYN and SYN-ACK segments sent again, by the hop that sent again.",
    Drops = "hopscope_node_drops_total" ["hop", "reason"]
        "TCP packets that this node's kernel dropped, by the hop they were meant for and the kernel's reason.",
    Overflows = "hopscope_node_accept_queue_overflows_total" ["namespace", "workload"]
        "Segments that met a full accept queue.",
    SynQueue = "hopscope_node_syn_queue_overflows_total" ["namespace", "workload"]
        "SYN segments dropped for lack of room among half-open connections, with SYN cookies off.",
    NoRoute = "hopscope_node_no_route_total" ["hop"]
        "Connects and packets over IPv4 for which there was no route, by the hop that lives in the namespace.",
    PodEvents = "hopscope_node_pod_events_total" ["event", "namespace", "workload"]
        "What the Kubernetes API told of this node's pods.",
    ThrottledPeriods = "hopscope_node_cpu_throttled_periods_total" ["namespace", "workload"]
        "Periods in which a container used its CPU limit up and was held back.",
    ZeroWindows = "hopscope_node_zero_windows_total" ["hop"]
        "Times that a receiver closed its window: the hop did not read.",
    Bytes = "hopscope_node_bytes_total" ["hop", "direction"]
        "Payload bytes that passed, while the agent watched, through sockets that lived long enough to be listed.",
    Events = "hopscope_events_total" ["probe"]
        "Kernel events that mattered.",
    EventsLost = "hopscope_events_lost_total" ["probe"]
        "Kernel events that could not be kept: with any, absence proves nothing.",
    Malformed = "hopscope_events_malformed_total" []
        "Records of the probes that could not be read: the agent and its probes are of different versions.",
    SeriesOverflow = "hopscope_series_overflow_total" []
        "Increments that are counted under the overflow label, those of series that were folded into it included.",
}

/// What became of one probe, for `hopscope_probe_attached`.
pub type Attached = (&'static str, bool);

impl NodeMetrics {
    /// With every counter that has no labels at zero, so that its rate is defined from the start.
    pub fn new(most_workloads: usize) -> Self {
        let mut metrics = Self {
            workloads: Workloads::of_at_most(most_workloads),
            ..Self::default()
        };
        metrics.add(Family::Malformed, Vec::new(), 0);
        metrics.add(Family::SeriesOverflow, Vec::new(), 0);
        metrics
    }

    fn add(&mut self, family: Family, labels: Vec<String>, by: u64) {
        let count = self.counters.entry(Series { family, labels }).or_default();
        *count = count.saturating_add(by);
    }

    /// Counts something of a workload; `labels` are those before its own two.
    fn add_of(&mut self, family: Family, labels: &[&str], of: &Workload, by: u64) {
        let admitted = self.workloads.admit(of);
        let own = match &admitted {
            Admitted::Own { evicted } => {
                for series in evicted.iter().flatten() {
                    self.fold(series);
                }
                [of.namespace.as_str(), of.name.as_str()]
            }
            Admitted::Nobody => ["", ""],
            Admitted::Overflow => {
                self.add(Family::SeriesOverflow, Vec::new(), by);
                [OVERFLOW, OVERFLOW]
            }
        };
        let labels: Vec<String> = labels.iter().copied().chain(own).map(ToOwned::to_owned).collect();
        if matches!(admitted, Admitted::Own { .. }) {
            self.workloads.counts(of, family, &labels);
        }
        self.add(family, labels, by);
    }

    /// A series of a workload that lost its own becomes part of the overflow's: no sum ever falls.
    fn fold(&mut self, series: &Series) {
        let Some(count) = self.counters.remove(series) else {
            return;
        };
        let mut labels = series.labels.clone();
        let names = labels.len().saturating_sub(2);
        for label in labels.iter_mut().skip(names) {
            OVERFLOW.clone_into(label);
        }
        self.add(series.family, labels, count);
        self.add(Family::SeriesOverflow, Vec::new(), count);
    }

    /// A connection failed.
    pub fn failed(&mut self, cause: Cause, of: &Workload) {
        self.add_of(Family::Failures, &[cause.hop().word(), cause.word()], of, 1);
    }

    /// Connects came to their end.
    pub fn connected(&mut self, hop: Hop, outcome: &str, by: u64) {
        self.add(
            Family::Connects,
            vec![hop.word().to_owned(), outcome.to_owned()],
            by,
        );
    }

    /// How long good connects took; buckets as the probes count them.
    pub fn connect_times(&mut self, hop: Hop, buckets: &[u64], sum_us: u64) {
        let times = self.connects.entry(hop).or_default();
        for (bucket, by) in times.buckets.iter_mut().zip(buckets) {
            *bucket = bucket.saturating_add(*by);
        }
        times.sum_us = times.sum_us.saturating_add(sum_us);
    }

    /// An RST; `direction` is `sent` or `received`.
    pub fn reset(&mut self, hop: Hop, direction: &str, reason: &str, by: u64) {
        let labels = vec![hop.word().to_owned(), direction.to_owned(), reason.to_owned()];
        self.add(Family::Resets, labels, by);
    }

    /// Segments were sent again; `syns` of them, or beside them, SYN and SYN-ACK.
    pub fn retransmitted(&mut self, hop: Hop, by: u64, syns: u64) {
        for (family, by) in [(Family::Retransmits, by), (Family::SynRetransmits, syns)] {
            if by > 0 {
                self.add(family, vec![hop.word().to_owned()], by);
            }
        }
    }

    /// A packet was dropped.
    pub fn dropped(&mut self, hop: Hop, reason: &str) {
        self.add(Family::Drops, vec![hop.word().to_owned(), reason.to_owned()], 1);
    }

    /// Segments met a full accept queue.
    pub fn overflowed(&mut self, of: &Workload, by: u64) {
        self.add_of(Family::Overflows, &[], of, by);
    }

    /// SYN segments found no room among half-open connections.
    pub fn syn_queue_overflowed(&mut self, of: &Workload, by: u64) {
        self.add_of(Family::SynQueue, &[], of, by);
    }

    /// There was no route.
    pub fn no_route(&mut self, hop: Hop, by: u64) {
        self.add(Family::NoRoute, vec![hop.word().to_owned()], by);
    }

    /// Something happened to a pod; `event` is a word of [`PodChange`](hopscope_attribution::evidence::PodChange).
    pub fn pod_event(&mut self, event: &'static str, of: &Workload) {
        self.add_of(Family::PodEvents, &[event], of, 1);
    }

    /// A CPU limit held containers back in so many periods.
    pub fn throttled(&mut self, of: &Workload, periods: u64) {
        self.add_of(Family::ThrottledPeriods, &[], of, periods);
    }

    /// A receiver closed its window.
    pub fn zero_window(&mut self, hop: Hop, by: u64) {
        self.add(Family::ZeroWindows, vec![hop.word().to_owned()], by);
    }

    /// A record could not be read.
    pub fn malformed(&mut self) {
        self.add(Family::Malformed, Vec::new(), 1);
    }

    /// What a probe has counted since it was loaded.
    pub fn probe(&mut self, probe: &'static str, seen: u64, lost: u64) {
        for (family, total) in [(Family::Events, seen), (Family::EventsLost, lost)] {
            let series = Series {
                family,
                labels: vec![probe.to_owned()],
            };
            self.counters.insert(series, total);
        }
    }

    /// The text that Prometheus reads.
    ///
    /// # Errors
    /// None that these families can give; the encoder's all the same.
    pub fn text(&self, probes: &[Attached], host_known: bool) -> Result<String, prometheus::Error> {
        let mut families: Vec<_> = Family::ALL
            .iter()
            .filter_map(|family| self.counter_family(*family))
            .collect();
        if let Some(times) = self.connect_family() {
            families.push(times);
        }
        families.extend(self.living_families());
        if !probes.is_empty() {
            let metrics = probes
                .iter()
                .map(|(probe, attached)| gauge(&[("probe", probe)], f64::from(u8::from(*attached))));
            let help = "Whether a probe runs (1) or could not be attached (0).";
            families.push(family(
                "hopscope_probe_attached",
                help,
                MetricType::GAUGE,
                metrics.collect(),
            ));
        }
        let known = gauge(&[], f64::from(u8::from(host_known)));
        let help = "Whether the host's network namespace is known (1); without it nothing is a container's by its namespace.";
        families.push(family(
            "hopscope_node_host_namespace_known",
            help,
            MetricType::GAUGE,
            vec![known],
        ));
        let build = gauge(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        let help = "The version of hopscope, as a label.";
        families.push(family(
            "hopscope_build_info",
            help,
            MetricType::GAUGE,
            vec![build],
        ));
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn counter_family(&self, wanted: Family) -> Option<MetricFamily> {
        let (name, names, help) = wanted.told();
        let series = self.counters.iter().filter(|(series, _)| series.family == wanted);
        let metrics: Vec<_> = series
            .map(|(series, total)| {
                let pairs = names
                    .iter()
                    .copied()
                    .zip(series.labels.iter().map(String::as_str));
                let mut metric = Metric::from_label(labels(pairs));
                let mut counter = Counter::default();
                counter.set_value(float(*total));
                metric.set_counter(counter);
                metric
            })
            .collect();
        (!metrics.is_empty()).then(|| family(name, help, MetricType::COUNTER, metrics))
    }

    fn connect_family(&self) -> Option<MetricFamily> {
        let metrics: Vec<_> = self
            .connects
            .iter()
            .map(|(hop, times)| times.metric(*hop))
            .collect();
        let help = "From connect to established, by the hop that connected.";
        let name = "hopscope_node_connect_duration_seconds";
        (!metrics.is_empty()).then(|| family(name, help, MetricType::HISTOGRAM, metrics))
    }
}

impl ConnectTimes {
    fn metric(&self, hop: Hop) -> Metric {
        let mut cumulative = 0;
        let mut buckets = Vec::new();
        for (count, bound) in self.buckets.iter().zip(CONNECT_BUCKETS_US) {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_cumulative_count(cumulative);
            bucket.set_upper_bound(f64::from(bound) / 1e6);
            buckets.push(bucket);
        }
        // The encoder adds the bucket without a bound itself, from the count.
        let all = self.buckets.iter().sum();
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(all);
        histogram.set_sample_sum(float(self.sum_us) / 1e6);
        let mut metric = Metric::from_label(labels([("hop", hop.word())]));
        metric.set_histogram(histogram);
        metric
    }
}

fn labels<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<LabelPair> {
    let pair = |(name, value): (&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    pairs.into_iter().map(pair).collect()
}

fn gauge(pairs: &[(&str, &str)], value: f64) -> Metric {
    let mut metric = Metric::from_label(labels(pairs.iter().copied()));
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    metric.set_gauge(gauge);
    metric
}

fn family(name: &str, help: &str, of: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(of);
    family.set_metric(metrics);
    family
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus counts in floats; 2^53 events are out of reach"
)]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
