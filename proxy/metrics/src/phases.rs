//! `hopscope_request_duration_seconds`: counted by the workers bucket by bucket, not exchange by exchange.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use hopscope_recording::{Buckets, PHASE_BOUNDS_US, PhaseCounts};

const NAME: &str = "hopscope_request_duration_seconds";
const HELP: &str = "Time from a request's first byte until the request was sent, until the response's first byte, and \
                    until the end.";

/// Phases in the order of the exposition.
const PHASES: [&str; 3] = ["first-byte", "request-sent", "total"];

/// The family: histograms by path and phase.
#[derive(Clone, Debug)]
pub(super) struct RequestDuration {
    description: Desc,
    paths: Arc<Mutex<BTreeMap<String, PhaseCounts>>>,
}

impl RequestDuration {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let labels = vec!["path".to_owned(), "phase".to_owned()];
        Ok(Self {
            description: Desc::new(NAME.to_owned(), HELP.to_owned(), labels, HashMap::new())?,
            paths: Arc::default(),
        })
    }

    /// Adds what a worker counted in one second.
    pub(super) fn add(&self, path: &str, counts: &PhaseCounts) {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        if !paths.contains_key(path) {
            paths.insert(path.to_owned(), PhaseCounts::default());
        }
        if let Some(sum) = paths.get_mut(path) {
            sum.request_sent.add(&counts.request_sent);
            sum.first_byte.add(&counts.first_byte);
            sum.total.add(&counts.total);
        }
    }
}

impl Collector for RequestDuration {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics: Vec<Metric> = paths
            .iter()
            .flat_map(|(path, counts)| {
                let buckets = [&counts.first_byte, &counts.request_sent, &counts.total];
                PHASES
                    .into_iter()
                    .zip(buckets)
                    .map(|(phase, buckets)| metric(path, phase, buckets))
            })
            .collect();
        let mut family = MetricFamily::default();
        family.set_name(NAME.to_owned());
        family.set_help(HELP.to_owned());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(metrics);
        vec![family]
    }
}

fn metric(path: &str, phase: &str, counted: &Buckets) -> Metric {
    let mut histogram = Histogram::default();
    let mut below = 0;
    let buckets = PHASE_BOUNDS_US.iter().zip(counted.counts).map(|(&bound, count)| {
        below += count;
        let mut bucket = Bucket::default();
        bucket.set_cumulative_count(below);
        bucket.set_upper_bound(seconds(bound));
        bucket
    });
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(counted.counts.iter().sum());
    histogram.set_sample_sum(seconds(counted.sum_us));
    let mut metric = Metric::from_label(vec![label("path", path), label("phase", phase)]);
    metric.set_histogram(histogram);
    metric
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

fn seconds(micros: u64) -> f64 {
    hopscope_attribution::evidence::Span::from_micros(micros).as_secs_f64()
}
