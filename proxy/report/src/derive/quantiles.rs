//! Histograms to quantiles in seconds.

use hopscope_attribution::evidence::{Evidence, Observation};

use super::Tally;
use crate::input::RouteMeasurement;
use crate::model::{Latency, RunLatency};
use hopscope_text::distribution::Distribution;
use hopscope_text::figures::{float, rounded};

pub(super) fn of_the_run(measured: &[RouteMeasurement], evidence: &Evidence) -> RunLatency {
    let all = Tally::of(evidence.traffic.iter());
    let (added, unseen) = match &evidence.observer.added {
        Observation::Seen((median, p99)) => (
            Latency {
                p50: rounded(median.as_secs_f64()),
                p99: rounded(p99.as_secs_f64()),
                ..Latency::default()
            },
            None,
        ),
        Observation::Unseen(why) => (Latency::default(), Some(why.to_string())),
    };
    let all = merged(measured.iter().map(|of| &of.all), Some(&all));
    let mut ok = merged(measured.iter().map(|of| &of.ok), None);
    // No sum is kept of these, so that their maximum is a bucket's end.
    bound(&mut ok, all.max);
    RunLatency {
        unit: "seconds",
        all,
        ok,
        added_by_hopscope: added,
        added_by_hopscope_unseen: unseen,
    }
}

/// The quantiles of all these together. Where exact sums are at hand, mean, maximum and count come from them.
pub(super) fn merged<'a>(
    distributions: impl Iterator<Item = &'a Distribution>,
    exact: Option<&Tally>,
) -> Latency {
    let mut total = Distribution::default();
    for distribution in distributions {
        total.merge(distribution);
    }
    let at = |quantile| total.quantile(quantile).and_then(|at| seconds(at.as_micros()));
    let mut latency = Latency {
        p50: at(0.5),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        max: total.max().and_then(|max| seconds(max.as_micros())),
        mean: total.mean_us().and_then(|mean| rounded(mean / 1e6)),
        count: Some(total.count()),
    };
    if let Some(exact) = exact {
        latency.count = Some(exact.requests);
        if exact.requests > 0 {
            latency.mean = rounded(float(exact.latency_sum_us) / float(exact.requests) / 1e6);
            latency.max = seconds(exact.latency_max_us);
        }
    }
    let ceiling = latency.max;
    bound(&mut latency, ceiling);
    latency
}

/// A histogram's bucket may reach beyond the largest value in it.
fn bound(latency: &mut Latency, ceiling: Option<f64>) {
    for quantile in [
        &mut latency.p50,
        &mut latency.p90,
        &mut latency.p95,
        &mut latency.p99,
        &mut latency.max,
    ] {
        if let (Some(value), Some(ceiling)) = (*quantile, ceiling) {
            *quantile = Some(value.min(ceiling));
        }
    }
}

fn seconds(micros: u64) -> Option<f64> {
    rounded(float(micros) / 1e6)
}
